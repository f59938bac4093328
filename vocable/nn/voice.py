"""Variational encoder of the voice: seconds of spectra to one Gaussian vector."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.nn.recurrent import apply_recurrent

_REDUCED = 16  # channels per channel of the squeeze-and-excitation bottleneck
_STATE = 64  # dimension of the recurrent layer


class VoiceEncoder(nn.Module):
    """Variational encoder of seconds of speech into one voice vector: all that the tokens do not keep.

    It has convolutions, a residual block with squeeze and excitation, a GRU of which the last state is used, and linear
    layers to mean and log-variance.

    Args:
        bins: Number of mel bins F.
        channels: Channels of each convolution.
        width: Dimension V of the voice vector.

    Source:
        VQ-CTAP's "VAE-based prompt encoder: 6 conv layers, SE-ResNet block"; channels and GRU as in its authors' later
        code, SecoustiCodec, arXiv:2508.02849. Its batch norm is a group norm here, so that a clip's vector
        depends neither on the batch nor on running statistics.

    Example:
        >>> mean, spread = VoiceEncoder(bins=80, channels=(32, 32, 64, 64, 128, 128), width=64)(torch.zeros(2, 300, 80))
        >>> mean.shape, spread.shape
        (torch.Size([2, 64]), torch.Size([2, 64]))
    """

    def __init__(self, *, bins: int, channels: Sequence[int], width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        size = bins
        for out in channels:
            layers += [nn.Conv1d(size, out, 3, padding=1), nn.GroupNorm(1, out), nn.ReLU()]
            size = out
        self.convolutions = nn.Sequential(*layers)
        self.excite = nn.Sequential(
            nn.Linear(size, max(1, size // _REDUCED)), nn.ReLU(),
            nn.Linear(max(1, size // _REDUCED), size), nn.Sigmoid(),
        )  # fmt: skip
        self.recurrent = nn.GRU(size, _STATE, batch_first=True)
        self.mean, self.log_variance = nn.Linear(_STATE, width), nn.Linear(_STATE, width)

    def forward(self, frames: Float[Tensor, "B S F"]) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B V"]]:
        """Return mean and log-variance of the voice vector, the latter in [-12, 4]."""
        hidden = self.convolutions(frames.transpose(1, 2))
        hidden = hidden + hidden * self.excite(hidden.mean(2))[..., None]
        _, last = apply_recurrent(self.recurrent, hidden.transpose(1, 2).float())
        return self.mean(last[0]).float(), self.log_variance(last[0]).float().clamp(-12.0, 4.0)


def reparameterize(mean: Float[Tensor, "B V"], log_variance: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
    """Sample from N(mean, exp(log_variance)) by the reparameterization trick, with torch's random state."""
    return mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
