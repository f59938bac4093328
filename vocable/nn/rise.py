"""From tokens to the spectra under them."""

from jaxtyping import Bool, Float
from torch import Tensor, nn


class Rise(nn.Module):
    """From tokens to spectra in time: transposed convolutions that mirror an encoder's, then a linear layer.

    Behind a clip's end nothing is seen, whatever lies there.

    Args:
        width: Of what comes in, D.
        strides: Of the encoder's two convolutions, in its order.
        out: Of a spectrum, F.

    Example:
        >>> import torch
        >>> Rise(8, (2, 2), 80)(torch.zeros(2, 3, 8), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 12, 80])
    """

    def __init__(self, width: int, strides: tuple[int, int], out: int) -> None:
        super().__init__()
        first, second = strides
        self.stride = second
        self.first, self.second = _widened(width, second), _widened(width, first)
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, out)

    def forward(self, hidden: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B S F"]:
        """Spectra of whole windows; S = N · both strides."""
        hidden = nn.functional.gelu(self.first((self.norm(hidden) * mask[..., None]).transpose(1, 2)))
        hidden = hidden.transpose(1, 2) * mask.repeat_interleave(self.stride, dim=1)[..., None]
        return self.leave(nn.functional.gelu(self.second(hidden.transpose(1, 2))).transpose(1, 2))


def _widened(width: int, stride: int) -> nn.ConvTranspose1d:
    """N to N · stride."""
    odd = stride % 2
    return nn.ConvTranspose1d(width, width, 2 * stride, stride, padding=(stride + odd) // 2, output_padding=odd)
