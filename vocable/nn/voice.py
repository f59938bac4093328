"""Who speaks, learnt beside what is said: some seconds of spectra to one vector with an uncertainty."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

_REDUCED = 16  # channels to one of the squeeze-and-excitation's bottleneck
_STATE = 64  # of the recurrent layer


class VoiceEncoder(nn.Module):
    """Some seconds of speech to one vector with an uncertainty: all that is not in the tokens.

    Convolutions, a residual block with squeeze and excitation, a recurrent layer's last state, two linear layers.

    Args:
        bins: Mel filters F.
        channels: Of each convolution.
        width: Of a voice, V.

    Source:
        VQ-CTAP's "VAE-based prompt encoder: 6 conv layers, SE-ResNet block"; channels and GRU as in its authors' later
        code, SecoustiCodec, arXiv:2508.02849. Its batch norm is a group norm here, so that neither the batch nor the
        speech that training makes changes what a clip's vector is.

    Example:
        >>> mean, spread = VoiceEncoder(bins=80, channels=(32, 32, 64, 64, 128, 128), width=64)(torch.zeros(2, 300, 80))
        >>> mean.shape, spread.shape
        (torch.Size([2, 64]), torch.Size([2, 64]))
    """

    def __init__(self, *, bins: int, channels: Sequence[int], width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = bins
        for behind in channels:
            layers += [nn.Conv1d(before, behind, 3, padding=1), nn.GroupNorm(1, behind), nn.ReLU()]
            before = behind
        self.convolutions = nn.Sequential(*layers)
        self.excite = nn.Sequential(
            nn.Linear(before, max(1, before // _REDUCED)), nn.ReLU(),
            nn.Linear(max(1, before // _REDUCED), before), nn.Sigmoid(),
        )  # fmt: skip
        self.recurrent = nn.GRU(before, _STATE, batch_first=True)
        self.mean, self.log_variance = nn.Linear(_STATE, width), nn.Linear(_STATE, width)

    def forward(self, frames: Float[Tensor, "B S F"]) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B V"]]:
        """Mean and logarithm of the variance of a voice."""
        hidden = self.convolutions(frames.transpose(1, 2))
        hidden = hidden + hidden * self.excite(hidden.mean(2))[..., None]
        _, last = self.recurrent(hidden.transpose(1, 2).float())
        return self.mean(last[0]).float(), self.log_variance(last[0]).float().clamp(-12.0, 4.0)


def drawn(mean: Float[Tensor, "B V"], log_variance: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
    """A voice out of its uncertainty, from torch's random state."""
    return mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
