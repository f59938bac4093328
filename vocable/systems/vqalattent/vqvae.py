"""The VQ-VAE: a picture to a grid of vectors, each to the nearest entry of one codebook, and back to a picture."""

from math import prod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.quantizers import Quantized, StochasticVectorQuantizer, VectorQuantizer
from vocable.quantizers.codebook import EmaCodebook, GradientCodebook
from vocable.systems.vqalattent.config import VqalattentConfig

_KINDS: dict[str, type[EmaCodebook] | type[GradientCodebook]] = {"ema": EmaCodebook, "gradient": GradientCodebook}


class Vqvae(nn.Module):
    """Encoder, quantizer and decoder, for whole pictures in [0, 1].

    Three convolutions and residual blocks on either side; the grid of latents is laid out in the order of the ids.

    Args:
        config: Sizes and order.

    Source:
        VQalAttent, arXiv:2411.14642, section III, with the kernels of MONAI's VQ-VAE, which the paper builds on.

    Example:
        >>> from vocable.systems.vqalattent.config import VqvaeConfig
        >>> network = Vqvae(VqalattentConfig(vqvae=VqvaeConfig(width=8))).eval()
        >>> ids = network.encode(torch.rand(1, 64, 88))
        >>> ids.shape, network.decode(ids).shape
        (torch.Size([1, 352]), torch.Size([1, 64, 88]))
    """

    def __init__(self, config: VqalattentConfig) -> None:
        super().__init__()
        sizes = config.vqvae
        self.grid, self.order = config.grid, sizes.order
        first, second = sizes.strides
        self.encoder = nn.Sequential(
            _strided(1, sizes.width, first), nn.ReLU(),
            _strided(sizes.width, sizes.width, second), nn.ReLU(),
            *(_Residual(sizes.width) for _ in range(sizes.residual_blocks)),
            nn.Conv2d(sizes.width, sizes.code_width, 3, padding=1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(sizes.code_width, sizes.width, 3, padding=1),
            *(_Residual(sizes.width) for _ in range(sizes.residual_blocks)),
            _widened(sizes.width, sizes.width, second), nn.ReLU(),
            _widened(sizes.width, 1, first),
        )  # fmt: skip
        self.quantizer: VectorQuantizer | StochasticVectorQuantizer
        if sizes.codebook == "stochastic":
            self.quantizer = StochasticVectorQuantizer(
                codebook_size=sizes.codebook_size, dim=sizes.code_width, begin=sizes.begin,
                temperature=sizes.temperature,
            )  # fmt: skip
        else:
            self.quantizer = VectorQuantizer(
                codebook_size=sizes.codebook_size, dim=sizes.code_width, codebook=_KINDS[sizes.codebook],
                begin=sizes.begin,
            )  # fmt: skip

    def forward(self, images: Float[Tensor, "B F S"]) -> tuple[Float[Tensor, "B F S"], Quantized]:
        """A training pass: the pictures made again, and what the quantizer says of them."""
        latents = self.latents(images)
        quantized = self.quantizer(latents, torch.ones(latents.shape[:2], dtype=torch.bool, device=latents.device))
        return self.render(quantized.latents), quantized

    def latents(self, images: Float[Tensor, "B F S"]) -> Float[Tensor, "B N D"]:
        """The vectors before quantizing, in the order of the ids."""
        grid = self.encoder(images[:, None].contiguous(memory_format=torch.channels_last))
        return (grid if self.order == "row_major" else grid.transpose(2, 3)).flatten(2).transpose(1, 2)

    def render(self, latents: Float[Tensor, "B N D"]) -> Float[Tensor, "B F S"]:
        """A picture of quantized vectors; nothing forces it into [0, 1]."""
        rows, columns = self.grid
        shape = (rows, columns) if self.order == "row_major" else (columns, rows)
        grid = latents.transpose(1, 2).unflatten(2, shape)
        grid = grid if self.order == "row_major" else grid.transpose(2, 3)
        return self.decoder(grid.contiguous(memory_format=torch.channels_last))[:, 0]

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "B F S"]) -> Int[Tensor, "B N"]:
        """Ids of pictures."""
        return self.quantizer.encode(self.latents(images).float())[:, 0]

    def decode(self, ids: Int[Tensor, "B N"]) -> Float[Tensor, "B F S"]:
        """Pictures of ids, in [0, 1]."""
        return self.render(self.quantizer.decode(ids[:, None])).clamp(0.0, 1.0)

    @property
    def cells(self) -> int:
        """Ids of a picture."""
        return prod(self.grid)


class _Residual(nn.Module):
    """Two convolutions and a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, hidden: Float[Tensor, "B D R C"]) -> Float[Tensor, "B D R C"]:
        return torch.relu(hidden + self.second(torch.relu(self.first(hidden))))


def _strided(before: int, behind: int, stride: int) -> nn.Module:
    kernel = {1: 3, 2: 4}[stride]
    return nn.Conv2d(before, behind, kernel, stride, padding=1)


def _widened(before: int, behind: int, stride: int) -> nn.Module:
    kernel = {1: 3, 2: 4}[stride]
    return nn.ConvTranspose2d(before, behind, kernel, stride, padding=1)
