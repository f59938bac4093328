"""Upsampling of tokens to spectra."""

from jaxtyping import Bool, Float
from torch import Tensor, nn


class Upsampler(nn.Module):
    """Tokens to spectra: two transposed convolutions that mirror an encoder's strides, then a linear layer.

    Padding behind a clip's end is masked, so that it changes no spectrum.

    Args:
        width: Dimension D of the token vectors.
        strides: Strides of the encoder's two convolutions, in its order.
        out: Dimension F of a spectrum.

    Example:
        >>> import torch
        >>> Upsampler(8, (2, 2), 80)(torch.zeros(2, 3, 8), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 12, 80])
    """

    def __init__(self, width: int, strides: tuple[int, int], out: int) -> None:
        super().__init__()
        first, second = strides
        self.stride = second
        self.first, self.second = _transposed_conv(width, second), _transposed_conv(width, first)
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, out)

    def forward(self, hidden: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B S F"]:
        """Return spectra, S = N times both strides; the mask is True on real tokens."""
        hidden = nn.functional.gelu(self.first((self.norm(hidden) * mask[..., None]).transpose(1, 2)))
        hidden = hidden.transpose(1, 2) * mask.repeat_interleave(self.stride, dim=1)[..., None]
        return self.leave(nn.functional.gelu(self.second(hidden.transpose(1, 2))).transpose(1, 2))


def _transposed_conv(width: int, stride: int) -> nn.ConvTranspose1d:
    """Return a transposed convolution from N to exactly N * stride positions."""
    odd = stride % 2
    return nn.ConvTranspose1d(width, width, 2 * stride, stride, padding=(stride + odd) // 2, output_padding=odd)
