"""Residual vector quantization: each level quantizes the residual of the levels before it."""

from collections.abc import Sequence
from typing import Unpack, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.collective import all_finite, share_of
from vocable.errors import ShapeError
from vocable.quantizers.base import Quantized
from vocable.quantizers.beam import search_ids
from vocable.quantizers.codebook import CodebookSettings, EmaCodebook, GradientCodebook


class ResidualVectorQuantizer(nn.Module):
    """Residual vector quantizer; any prefix of its levels can be decoded.

    A residual subtracts the *detached* chosen vector: with the straight-through one the commitment gradient would
    vanish after level 1 (EnCodec issue 25).

    Args:
        num_codebooks: Number of levels Q.
        codebook_size: Number of entries K of each level.
        dim: Dimension D of the latents.
        codebook: Class of the codebooks: ``EmaCodebook`` or ``GradientCodebook``.
        settings: Arguments of :class:`~vocable.quantizers.codebook.Codebook`; ``seed`` increases by one a level.

    Attributes:
        codebooks: Codebooks, first level first.
        beam: Number of paths of the search for ids, in training too; 1 (greedy) at first. It is no weight: with any
            beam the ids decode with the same codebooks.

    Source:
        Zeghidour et al., SoundStream, arXiv:2107.03312, section III-C; restarts after Dhariwal et al.,
        Jukebox, arXiv:2005.00341, section 3.1.

    Example:
        >>> rvq = ResidualVectorQuantizer(num_codebooks=2, codebook_size=4, dim=3)
        >>> latents = torch.randn(1, 8, 3, generator=torch.Generator().manual_seed(0))
        >>> quantized = rvq(latents, torch.ones(1, 8, dtype=torch.bool))
        >>> rvq.eval().decode(rvq.encode(latents)).shape
        torch.Size([1, 8, 3])
    """

    def __init__(
        self, *, num_codebooks: int, codebook_size: int, dim: int,
        codebook: type[EmaCodebook] | type[GradientCodebook] = EmaCodebook, **settings: Unpack[CodebookSettings],
    ) -> None:  # fmt: skip
        super().__init__()
        seed = settings.get("seed", 0)
        self.num_codebooks, self.codebook_size, self.dim = num_codebooks, codebook_size, dim
        self.beam = 1
        levels = (codebook(codebook_size, dim, **(settings | {"seed": seed + level})) for level in range(num_codebooks))
        self.codebooks = cast("Sequence[EmaCodebook | GradientCodebook]", nn.ModuleList(levels))

    def is_disabled(self, step: int, start: int) -> bool:
        """Return whether quantization is still off: before step ``start``, unless the codebooks are initialized.

        A run that begins from a trained model has initialized codebooks, and quantizes from its first step.

        Example:
            >>> rvq = ResidualVectorQuantizer(num_codebooks=1, codebook_size=2, dim=1)
            >>> before = rvq.is_disabled(5, start=10), rvq.is_disabled(10, start=10)
            >>> _ = rvq(torch.tensor([[[0.0], [4.0]]]), torch.ones(1, 2, dtype=torch.bool))
            >>> before, rvq.is_disabled(5, start=10)
            ((True, False), False)
        """
        return step < start and not all(book.is_initialized for book in self.codebooks)

    def forward(
        self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"], levels: Int[Tensor, " B"] | None = None
    ) -> Quantized:
        """Quantize a batch; in training mode also initialize, update and restart the codebooks.

        Args:
            latents: Latents of any scale.
            mask: True on real frames. Padding changes no codebook, count or loss.
            levels: Number of levels of each clip, in [1, Q], for level dropout; all by default.
        """
        with torch.autocast(latents.device.type, enabled=False):  # in bfloat16 other entries are nearest
            return self._quantize(latents.float(), mask, levels)

    def _quantize(self, latents: Tensor, mask: Tensor, levels: Tensor | None) -> Quantized:
        batch, frames, dim = latents.shape
        residual = latents[mask]
        is_updating = self.training and all_finite(residual.square().sum())  # no NaN may enter a codebook
        allowed = (
            levels[:, None].expand(batch, frames)[mask] if levels is not None
            else residual.new_full(residual.shape[:1], self.num_codebooks, dtype=torch.int64)
        )  # fmt: skip
        shares = self._shares(allowed)
        is_searched = self.beam > 1 and all(book.is_initialized for book in self.codebooks)
        found = self._search(residual.detach()) if is_searched else None
        chosen_levels, id_levels, commitment, codebook_losses = [], [], latents.new_zeros(()), []
        for level, book in enumerate(self.codebooks):
            live = allowed > level
            rows = residual[live]
            if is_updating:
                book.initialize(rows.detach())
            ids = book.nearest(rows.detach()) if found is None else found[live, level]
            chosen = book.lookup(ids)
            if rows.shape[0]:
                commitment = commitment + shares[level] * (rows - chosen.detach()).square().mean()
            loss = book.loss(rows, chosen)
            if loss is not None:
                codebook_losses.append(shares[level] * loss)
            straight = chosen + (rows - rows.detach())  # straight-through, for losses on one level
            chosen_levels.append(torch.zeros_like(residual).masked_scatter(live[:, None], straight))
            id_levels.append(torch.zeros_like(allowed).masked_scatter(live, ids))
            if is_updating:
                book.update(rows.detach(), ids)
            residual = residual - chosen_levels[-1].detach()

        spread = torch.zeros(self.num_codebooks, batch, frames, dim, dtype=latents.dtype, device=latents.device)
        spread = spread.masked_scatter(mask[None, :, :, None], torch.stack(chosen_levels))
        all_ids = torch.zeros(self.num_codebooks, batch, frames, dtype=torch.int64, device=latents.device)
        all_ids = all_ids.masked_scatter(mask[None], torch.stack(id_levels))
        losses = {"commitment": commitment / self.num_codebooks}
        if codebook_losses:
            losses["codebook"] = torch.stack(codebook_losses).mean()
        summed = spread.sum(0)
        stats = [book.stats() for book in self.codebooks]
        return Quantized(
            ids=all_ids.transpose(0, 1),
            latents=torch.where(mask[..., None], latents + (summed - latents).detach(), 0.0),
            levels=spread,
            losses=losses,
            stats={name: torch.stack([level[name] for level in stats]) for name in stats[0]},
        )

    def _shares(self, allowed: Int[Tensor, " M"]) -> Float[Tensor, " Q"]:
        """Return weights of this rank's mean of each level that make the mean over ranks one over all rows."""
        if not self.training:
            return torch.ones(self.num_codebooks, device=allowed.device)
        rows = (allowed[:, None] > torch.arange(self.num_codebooks, device=allowed.device)).sum(0)
        return share_of(rows)

    @torch.no_grad()
    def encode(self, latents: Float[Tensor, "B N D"]) -> Int[Tensor, "B Q N"]:
        """Return the ids of latents, in [0, K): of the nearest entries level by level, or of a search by ``beam``."""
        residual = latents.float().reshape(-1, self.dim)
        levels = []
        with torch.autocast(latents.device.type, enabled=False):
            if self.beam > 1:
                return self._search(residual).unflatten(0, latents.shape[:2]).transpose(1, 2)
            for book in self.codebooks:
                ids = book.nearest(residual)
                levels.append(ids.reshape(latents.shape[:2]))
                residual = residual - book.lookup(ids)
        return torch.stack(levels, dim=1)

    @torch.no_grad()
    def _search(self, rows: Float[Tensor, "M D"]) -> Int[Tensor, "M Q"]:
        return search_ids(rows, [book.entries for book in self.codebooks], self.beam)

    def decode(self, ids: Int[Tensor, "B Q N"]) -> Float[Tensor, "B N D"]:
        """Return the sum of the vectors of a prefix of the levels.

        Raises:
            ShapeError: If the ids have no level, or more than the quantizer.
        """
        if not 1 <= ids.shape[1] <= self.num_codebooks:
            raise ShapeError(f"ids have {ids.shape[1]} levels; this quantizer has levels 1 to {self.num_codebooks}")
        books = self.codebooks[: ids.shape[1]]
        return torch.stack([book.lookup(level) for book, level in zip(books, ids.unbind(1), strict=True)]).sum(0)


class VectorQuantizer(ResidualVectorQuantizer):
    """Vector quantizer: a :class:`ResidualVectorQuantizer` with one level.

    Source:
        van den Oord et al., arXiv:1711.00937.

    Example:
        >>> VectorQuantizer(codebook_size=256, dim=64).num_codebooks
        1
    """

    def __init__(self, *, codebook_size: int, dim: int,
                 codebook: type[EmaCodebook] | type[GradientCodebook] = EmaCodebook,
                 **settings: Unpack[CodebookSettings]) -> None:  # fmt: skip
        super().__init__(num_codebooks=1, codebook_size=codebook_size, dim=dim, codebook=codebook, **settings)
