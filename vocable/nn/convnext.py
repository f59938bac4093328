"""ConvNeXt blocks over frames."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vocable.errors import ShapeError


class Block(nn.Module):
    """ConvNeXt block in one dimension: depthwise convolution, layer norm and a per-frame MLP, with a residual.

    Its receptive field is ``kernel // 2`` frames to either side. Padding is zero, whatever a batch holds there.

    Args:
        width: Dimension D of a frame.
        kernel: Size of the convolution in frames; odd.
        expansion: Hidden dimension of the MLP, in multiples of ``width``.
        initial_scale: Layer scale at the start of training.

    Source:
        Liu et al., ConvNeXt, arXiv:2201.03545, in one dimension as in Vocos, arXiv:2306.00814. The depthwise
        convolution runs as a 2-D one over a channels-last view, about twice as fast as Conv1d on a CPU.

    Example:
        >>> Block(width=8, kernel=7, expansion=3)(torch.zeros(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, width: int, kernel: int, expansion: int, initial_scale: float = 0.3) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, (1, kernel), padding=(0, kernel // 2), groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, expansion * width)
        self.contract = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), initial_scale))

    def forward(self, hidden: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """Return the transformed frames; the mask is True on real ones."""
        image = (hidden * mask[..., None]).transpose(1, 2)[:, :, None]  # (B, D, 1, N), channels last in memory
        mixed = self.mix(image)[:, :, 0].transpose(1, 2)
        return hidden + self.scale * self.contract(nn.functional.gelu(self.expand(self.norm(mixed))))


class ConvNext(nn.Module):
    """ConvNeXt blocks between two linear layers: a base class of networks, which have a ``forward``.

    Args:
        inputs: Dimension of the input frames.
        outputs: Dimension of the output frames.
        width: Dimension D of the blocks.
        blocks: Number of blocks; ``kernel`` and ``expansion`` are those of each :class:`Block`.
    """

    def __init__(self, inputs: int, outputs: int, *, width: int, blocks: int, kernel: int, expansion: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(inputs, width)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, kernel, expansion) for _ in range(blocks))
        self.out_norm = nn.LayerNorm(width)
        self.out_proj = nn.Linear(width, outputs)

    @torch.no_grad()
    def load_smaller(self, smaller: "ConvNext") -> None:
        """Load the weights of a network with fewer blocks or a smaller expansion; both then compute the same.

        Blocks are added behind the last one, and hidden dimensions behind the last one of a block. They keep their
        random inputs, and the layer that reads them begins with zeros.

        Raises:
            ShapeError: If the other network is larger, or differs in anything else.

        Example:
            >>> small, large = (ConvNext(3, 5, width=8, blocks=n, kernel=3, expansion=n) for n in (1, 2))
            >>> large.load_smaller(small)
            >>> frames, mask = torch.randn(1, 4, 3), torch.ones(1, 4, dtype=torch.bool)
            >>> torch.allclose(large.transform(frames, mask), small.transform(frames, mask), atol=1e-6)
            True
        """
        own, loaded = self.state_dict(), smaller.state_dict()
        for name in own | loaded:
            grows = ".expand." in name or ".contract.weight" in name
            if name in loaded and (name not in own or not _fits(loaded[name], own[name], grows=grows)):
                raise ShapeError(f"{name} is larger, or of another shape, than in the network to begin from")
        for name, value in own.items():
            if ".contract." in name:
                value.zero_()
            if name in loaded:
                value[tuple(slice(size) for size in loaded[name].shape)] = loaded[name]

    def transform(self, frames: Float[Tensor, "B N I"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N O"]:
        """Run frames through all layers."""
        hidden = self.norm(self.in_proj(frames))
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.out_proj(self.out_norm(hidden))


def _fits(inner: Tensor, outer: Tensor, *, grows: bool) -> bool:
    """Return whether a tensor has the shape of another one, or, where it may grow, a smaller one."""
    return inner.shape == outer.shape or (grows and all(a <= b for a, b in zip(inner.shape, outer.shape, strict=True)))
