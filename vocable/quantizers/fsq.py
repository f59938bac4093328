"""Finite scalar quantization: a few scalars, each rounded to one of a few values; their combinations are the ids."""

from collections.abc import Sequence
from math import prod
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.collective import all_finite, global_sum
from vocable.errors import ConfigError
from vocable.quantizers.base import Quantized
from vocable.quantizers.codebook import usage

_DECAY = 0.99  # of the moving counts


class FiniteScalarQuantizer(nn.Module):
    """Finite scalar quantizer: latents are projected to a few bounded scalars, rounded, and projected back.

    The grid is fixed, so that there is nothing to initialize or restart.

    Args:
        levels: Number of values of each of R scalars, at least 2; their product is the codebook size K.
        dim: Dimension D of the latents.

    Raises:
        ConfigError: If there is no scalar, or one has fewer than two values.

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
            raise ConfigError(f"levels {tuple(levels)}: expected at least one scalar, each of at least 2 values")
        self.codebook_size, self.dim, self.values = prod(levels), dim, tuple(levels)
        self.narrow, self.widen = nn.Linear(dim, len(levels)), nn.Linear(len(levels), dim)
        self.register_buffer("counts", torch.zeros(self.codebook_size))

    @property
    def codebooks(self) -> list["FiniteScalarQuantizer"]:
        """The only codebook: this quantizer, which has the same :meth:`stats`."""
        return [self]

    def is_disabled(self, step: int, start: int) -> bool:
        """Return whether quantization is still off: before step ``start``."""
        return step < start

    def forward(
        self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"], levels: Int[Tensor, " B"] | None = None
    ) -> Quantized:
        """Quantize a batch, with a straight-through gradient; in training mode also count the use of ids.

        Args:
            latents: Latents of any scale.
            mask: True on real frames.
            levels: Unused, as there is one level.
        """
        with torch.autocast(latents.device.type, enabled=False):
            scalars = self._bound(latents.float())
            rounded = scalars + (scalars.round() - scalars).detach()
            ids = self._ids(rounded.detach()) * mask
            if self.training and all_finite(scalars.square().sum()):
                hits = torch.bincount(ids[mask], minlength=self.codebook_size).to(self.counts)
                self.counts.lerp_(global_sum(hits), 1 - _DECAY)
            quantized = self.widen(self._normalize(rounded)) * mask[..., None]
        stats = {name: value[None] for name, value in self.stats().items()}
        return Quantized(ids=ids[:, None], latents=quantized, levels=quantized[None], losses={}, stats=stats)

    @torch.no_grad()
    def encode(self, latents: Float[Tensor, "B N D"]) -> Int[Tensor, "B 1 N"]:
        """Return the ids of latents, in [0, K)."""
        return self._ids(self._bound(latents.float()).round())[:, None]

    def decode(self, ids: Int[Tensor, "B 1 N"]) -> Float[Tensor, "B N D"]:
        """Return the vectors of ids."""
        return self.widen(self._normalize((ids[:, 0, :, None] // self._strides) % self._levels))

    @property
    def _levels(self) -> Int[Tensor, " R"]:
        return torch.tensor(self.values, device=self.counts.device)

    @property
    def _strides(self) -> Int[Tensor, " R"]:
        """Increase of an id where one of the scalars increases by one."""
        strides = [prod(self.values[:index]) for index in range(len(self.values))]
        return torch.tensor(strides, device=self.counts.device)

    def stats(self) -> dict[str, Float[Tensor, ""]]:
        """Return usage statistics from the moving counts; nothing is ever restarted."""
        return usage(self.counts, 0.0) | {"restarts": self.counts.new_zeros(())}

    def _bound(self, latents: Float[Tensor, "B N D"]) -> Float[Tensor, "B N R"]:
        """Project latents to scalars between 0 and their number of values minus 1, before rounding."""
        top = (self._levels - 1).float()
        even = (self._levels % 2 == 0).float() * 0.5  # moves the middle of an even number of values onto a value
        reach = top * (1 + 1e-3) / 2
        shift = torch.atanh(even / reach)
        bounded = torch.tanh(self.narrow(latents) + shift) * reach - even
        return (bounded + (self._levels // 2)).clamp(min=0.0).minimum(top)

    def _normalize(self, scalars: Tensor) -> Float[Tensor, "B N R"]:
        """Scale scalars to about [-1, 1]."""
        half = (self._levels // 2).float()
        return (scalars - half) / half

    def _ids(self, scalars: Float[Tensor, "B N R"]) -> Int[Tensor, "B N"]:
        return (scalars.round().long() * self._strides).sum(-1)


class SummedFsq(nn.Module):
    """Finite scalar quantizers beside one another, whose vectors add up: one level of ids each.

    Unlike residual levels they do not depend on one another: each has scalars of its own of the same latent. The sum of
    the first levels is what these know of it.

    Args:
        num_codebooks: Number of quantizers Q.
        levels: Number of values of each scalar of a quantizer.
        dim: Dimension D of latents and vectors.

    Source:
        Groups of scalars as in Liao et al., Fish-Speech, arXiv:2411.01156, section 3.2 (grouped FSQ).

    Example:
        >>> fsq = SummedFsq(num_codebooks=2, levels=(4, 5), dim=3)
        >>> ids = fsq.encode(torch.randn(1, 8, 3, generator=torch.Generator().manual_seed(0)))
        >>> fsq.codebook_size, ids.shape, fsq.decode(ids[:, :1]).shape
        (20, torch.Size([1, 2, 8]), torch.Size([1, 8, 3]))
    """

    def __init__(self, *, num_codebooks: int, levels: Sequence[int], dim: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(FiniteScalarQuantizer(levels=levels, dim=dim) for _ in range(num_codebooks))
        self.num_codebooks, self.codebook_size, self.dim = num_codebooks, prod(levels), dim

    @property
    def codebooks(self) -> list[FiniteScalarQuantizer]:
        """Quantizers, in the order of the levels of ids."""
        return cast("list[FiniteScalarQuantizer]", list(self.parts))

    def forward(self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Quantized:
        """Quantize a batch, with a straight-through gradient; see :meth:`FiniteScalarQuantizer.forward`."""
        parts = [part(latents, mask) for part in self.codebooks]
        return Quantized(
            ids=torch.cat([part.ids for part in parts], dim=1),
            latents=torch.stack([part.latents for part in parts]).sum(0),
            levels=torch.cat([part.levels for part in parts]),
            losses={},
            stats={name: torch.cat([part.stats[name] for part in parts]) for name in parts[0].stats},
        )

    @torch.no_grad()
    def encode(self, latents: Float[Tensor, "B N D"]) -> Int[Tensor, "B Q N"]:
        """Return the ids of all levels."""
        return torch.cat([part.encode(latents) for part in self.codebooks], dim=1)

    def decode(self, ids: Int[Tensor, "B Q N"]) -> Float[Tensor, "B N D"]:
        """Return the sum of the vectors of the first levels, of any number of them."""
        chosen = zip(self.codebooks, ids.unbind(1), strict=False)
        return torch.stack([part.decode(level[:, None]) for part, level in chosen]).sum(0)


def equal_levels(size: int) -> tuple[int, ...]:
    """Return the number of values of each scalar of a finite scalar codebook: as many eights as possible, and fours.

    Args:
        size: Number of entries, a power of two.

    Raises:
        ConfigError: If the size is no power of two.

    Example:
        >>> equal_levels(8192), equal_levels(1024), equal_levels(32)
        ((8, 8, 8, 4, 4), (8, 8, 4, 4), (8, 4))
    """
    bits = size.bit_length() - 1
    if size < 2 or size != 2**bits:
        raise ConfigError(f"a finite scalar codebook of {size} entries: take a power of two")
    fours = -bits % 3  # each takes a bit from an eight
    return (2,) if bits == 1 else (8,) * ((bits - 2 * fours) // 3) + (4,) * fours
