"""Finite scalar quantization: a few numbers, each rounded to one of a few values; combinations are the entries."""

from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.collective import all_finite, global_sum
from vocable.errors import ConfigError
from vocable.quantizers.base import Quantized
from vocable.quantizers.codebook import usage

_DECAY = 0.99  # of the counts of use


class FiniteScalarQuantizer(nn.Module):
    """Latents to a few bounded numbers, rounded, and back by a linear layer. Nothing to start, follow or restart.

    Args:
        levels: Values of each number, each at least 2; their product is the codebook's size K.
        dim: Width D of the latents.

    Raises:
        ConfigError: There is no number, or one has fewer than two values.

    Source:
        Mentzer et al., Finite scalar quantization, arXiv:2309.15505, section 3.1; even counts are shifted by half a
        step as in its appendix A.1.

    Example:
        >>> fsq = FiniteScalarQuantizer(levels=(4, 5), dim=3)
        >>> ids = fsq.encode(torch.randn(1, 8, 3, generator=torch.Generator().manual_seed(0)))
        >>> fsq.codebook_size, ids.shape, fsq.decode(ids).shape
        (20, torch.Size([1, 1, 8]), torch.Size([1, 8, 3]))
    """

    num_codebooks = 1
    counts: Float[Tensor, " K"]

    def __init__(self, *, levels: Sequence[int], dim: int) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise ConfigError(f"levels {tuple(levels)}: at least one number is wanted, each of at least 2 values")
        self.codebook_size, self.dim, self.values = prod(levels), dim, tuple(levels)
        self.narrow, self.widen = nn.Linear(dim, len(levels)), nn.Linear(len(levels), dim)
        self.register_buffer("counts", torch.zeros(self.codebook_size))

    @property
    def books(self) -> list["FiniteScalarQuantizer"]:
        """The codebook, which is this quantizer: it tells of its use by :meth:`stats`."""
        return [self]

    def waits(self, step: int, start: int) -> bool:
        """Whether a space is still to form without the grid: before step ``start``."""
        return step < start

    def forward(
        self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"], levels: Int[Tensor, " B"] | None = None
    ) -> Quantized:
        """Quantize a batch; in training mode also count use. There is one level: ``levels`` changes nothing.

        Returns:
            Ids, latents with a gradient through the rounding, no losses, statistics.
        """
        with torch.autocast(latents.device.type, enabled=False):
            places = self._places(latents.float())
            whole = places + (places.round() - places).detach()
            ids = self._ids(whole.detach()) * mask
            if self.training and all_finite(places.square().sum()):
                hits = torch.bincount(ids[mask], minlength=self.codebook_size).to(self.counts)
                self.counts.lerp_(global_sum(hits), 1 - _DECAY)
            made = self.widen(self._unit(whole)) * mask[..., None]
        stats = {name: value[None] for name, value in self.stats().items()}
        return Quantized(ids=ids[:, None], latents=made, levels=made[None], losses={}, stats=stats)

    @torch.no_grad()
    def encode(self, latents: Float[Tensor, "B N D"], num_levels: int | None = None) -> Int[Tensor, "B 1 N"]:
        """Ids of latents."""
        return self._ids(self._places(latents.float()).round())[:, None]

    def decode(self, ids: Int[Tensor, "B 1 N"]) -> Float[Tensor, "B N D"]:
        """Vectors of ids."""
        return self.widen(self._unit((ids[:, 0, :, None] // self._steps) % self._levels))

    @property
    def _levels(self) -> Int[Tensor, " R"]:
        return torch.tensor(self.values, device=self.counts.device)

    @property
    def _steps(self) -> Int[Tensor, " R"]:
        """What an id grows by where one of the numbers grows by one value."""
        steps = [prod(self.values[:place]) for place in range(len(self.values))]
        return torch.tensor(steps, device=self.counts.device)

    def stats(self) -> dict[str, Float[Tensor, ""]]:
        """How the entries are used, from moving counts; nothing is ever restarted."""
        return usage(self.counts, 0.0) | {"restarts": self.counts.new_zeros(())}

    def _places(self, latents: Float[Tensor, "B N D"]) -> Float[Tensor, "B N R"]:
        """Each number's place among its values, from 0 on, before rounding."""
        top = (self._levels - 1).float()
        even = (self._levels % 2 == 0).float() * 0.5  # shifts the middle of an even count onto a value
        reach = top * (1 + 1e-3) / 2
        shift = torch.atanh(even / reach)
        bounded = torch.tanh(self.narrow(latents) + shift) * reach - even
        return (bounded + (self._levels // 2)).clamp(min=0.0).minimum(top)

    def _unit(self, places: Tensor) -> Float[Tensor, "B N R"]:
        """Places on a scale from about -1 to 1."""
        half = (self._levels // 2).float()
        return (places - half) / half

    def _ids(self, places: Float[Tensor, "B N R"]) -> Int[Tensor, "B N"]:
        return (places.round().long() * self._steps).sum(-1)
