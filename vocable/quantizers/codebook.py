"""Codebooks: nearest entry, lookup, training of the entries, and restarts of dead ones.

All updates use the global batch, so that N processes hold the codebook that one process would hold (see
``collective``). Random numbers depend on the codebook's seed and update count alone, so that its buffers are its state.
"""

from typing import Literal, TypedDict, Unpack, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.collective import global_rows, global_sum, needs_whole_batch, postpone, row_offsets
from vocable.errors import ConfigError

CodebookInit = Literal["kmeans", "data", "normal", "uniform"]


class CodebookSettings(TypedDict, total=False):
    """Keyword arguments that quantizers pass to their codebooks; see :class:`Codebook`."""

    decay: float
    restart_below: float
    seed: int
    init: CodebookInit


_KMEANS_ROUNDS = 10
_KMEANS_ROWS_PER_ENTRY = 16
_BLOCK_ROWS = 4096  # bounds the distance matrix to 4096 × K values
_FRESH = 2.0  # count of a restarted entry, in restart thresholds: unused, it is restarted after ln 2 time constants


def nearest(rows: Float[Tensor, "M D"], entries: Float[Tensor, "K D"]) -> Int[Tensor, " M"]:
    """Return the index of the entry nearest to each row by Euclidean distance; the lowest index wins a tie.

    ‖r − e‖² orders entries like ‖e‖² − 2 r·e, which is one matrix product for each block of rows.

    Example:
        >>> nearest(torch.tensor([[0.9, 0.1]]), torch.eye(2)).tolist()
        [0]
    """
    squared = entries.square().sum(1)
    blocks = [torch.addmm(squared, block, entries.t(), alpha=-2).argmin(1) for block in rows.split(_BLOCK_ROWS)]
    return torch.cat(blocks) if blocks else torch.zeros(0, dtype=torch.int64, device=rows.device)


def usage(counts: Float[Tensor, " K"], least: float) -> dict[str, Float[Tensor, ""]]:
    """Return statistics of the use of entries.

    Args:
        counts: Moving counts of the entries.
        least: Minimum count of an entry in use, as a share of the count under uniform use.

    Returns:
        ``used`` (share of entries), ``perplexity``, ``entropy`` (bits) and ``dead`` (number of entries).

    Example:
        >>> {name: float(value) for name, value in usage(torch.tensor([2.0, 2.0, 0.0, 0.0]), 0.06).items()}
        {'used': 0.5, 'perplexity': 2.0, 'entropy': 1.0, 'dead': 2.0}
    """
    share = counts / counts.sum().clamp(min=1e-9)
    entropy = -(share * share.clamp(min=1e-12).log2()).sum()
    alive = share * len(counts) > max(least, 1e-6)  # more than the count of a restarted entry
    return {
        "used": alive.float().mean(),
        "perplexity": torch.exp2(entropy),
        "entropy": entropy,
        "dead": (~alive).sum().float(),
    }


class Codebook(nn.Module):
    """State of both kinds of codebook: moving counts of use, initialization on the first batch, restarts.

    Args:
        size: Number of entries K.
        dim: Dimension D of an entry.
        decay: Decay of the moving averages, in (0, 1).
        restart_below: Threshold of the moving count under which an entry is restarted, as a share of the count under
            uniform use, so that it does not depend on the batch size. 0 never restarts. A restarted entry gets twice
            this share, and is in use when it has more.
        seed: Seed of the initial entries and of restarts.
        init: Initialization of the entries on the first batch: ``kmeans`` over its rows, rows of it (``data``), or
            random numbers, ``normal`` or ``uniform`` in ±1 / K.

    Raises:
        ConfigError: If ``init`` is unknown.
    """

    entries: Float[Tensor, "K D"]
    counts: Float[Tensor, " K"]
    updates: Int[Tensor, ""]
    restarts: Int[Tensor, ""]

    def __init__(self, size: int, dim: int, *, decay: float = 0.99, restart_below: float = 0.03, seed: int = 0,
                 init: CodebookInit = "kmeans") -> None:  # fmt: skip
        super().__init__()
        if init not in get_args(CodebookInit):
            raise ConfigError(f"init is '{init}'; choose {', '.join(get_args(CodebookInit))}")
        self.size, self.dim = size, dim
        self.decay, self.restart_below, self.seed, self.init = decay, restart_below, seed, init
        self.register_buffer("counts", torch.zeros(size))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("restarts", torch.zeros((), dtype=torch.int64))
        self._last_use: Tensor | None = None  # number of the update, of this process, that each row was chosen in

    @property
    def is_initialized(self) -> bool:
        """True if a batch has updated the entries, in this run or in the model that it began from."""
        return int(self.updates) > 0

    def lookup(self, ids: Int[Tensor, "*any"]) -> Float[Tensor, "*any D"]:
        """Return the entries of ids."""
        return F.embedding(ids, self.entries)

    def nearest(self, rows: Float[Tensor, "M D"]) -> Int[Tensor, " M"]:
        """Return the id of the entry nearest to each row."""
        return nearest(rows, self.entries)

    @torch.no_grad()
    def initialize(self, rows: Float[Tensor, "M D"]) -> None:
        """Initialize the entries on the first batch, as ``init`` says; do nothing later."""
        if self.is_initialized or bool(self.counts.any()):
            return
        needs_whole_batch()
        offset, total = row_offsets(rows.shape[0], rows.device)
        if total == 0:
            return
        generator = torch.Generator().manual_seed(self.seed)
        if self.init == "normal":
            entries = torch.randn(self.size, self.dim, generator=generator).to(rows)
        elif self.init == "uniform":
            entries = ((2.0 * torch.rand(self.size, self.dim, generator=generator) - 1.0) / self.size).to(rows)
        else:
            sample = min(total, _KMEANS_ROWS_PER_ENTRY * self.size)
            points = global_rows(rows, self._draw(total, sample).to(rows.device), offset)
            entries = points[self._draw(sample, self.size).to(rows.device)].clone()
            for _ in range(_KMEANS_ROUNDS if self.init == "kmeans" else 0):
                ids = nearest(points, entries)
                counts = torch.bincount(ids, minlength=self.size).to(points.dtype)
                sums = torch.zeros_like(entries).index_add_(0, ids, points)
                entries = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), entries)
        self._place(torch.ones_like(self.counts, dtype=torch.bool), entries, total / self.size)

    @torch.no_grad()
    def update(self, rows: Float[Tensor, "M D"], ids: Int[Tensor, " M"]) -> None:
        """Update the entries by the rows that chose them, then restart dead entries at rows of this batch."""
        if postpone(self.update, rows, ids):
            return
        offset, total = row_offsets(rows.shape[0], rows.device)
        if total == 0:
            return
        hits = global_sum(torch.bincount(ids, minlength=self.size).to(rows.dtype))
        self.counts.lerp_(hits, 1 - self.decay)
        never = torch.full_like(self.counts, -1, dtype=torch.int64)
        self._last_use = torch.where(hits > 0, self.updates, never if self._last_use is None else self._last_use)
        self._update_entries(rows, ids, hits)
        share = float(self.counts.sum()) / self.size
        dead = self.counts < self.restart_below * share
        if bool(dead.any()):
            donors = global_rows(rows, self._draw(total, self.size).to(rows.device), offset)
            self._place(dead, donors, _FRESH * self.restart_below * share)
            self.restarts += dead.sum()
        self.updates += 1

    def stats(self) -> dict[str, Float[Tensor, ""]]:
        """Return usage statistics from the moving counts; see :class:`~vocable.quantizers.base.Quantized`."""
        return usage(self.counts, _FRESH * self.restart_below) | {"restarts": self.restarts.float()}

    def count_used(self, updates: int) -> int | None:
        """Return the number of entries that a row chose in the last ``updates`` updates of this process.

        Unlike the moving counts this number does not depend on how the entries were initialized. It is None without
        any update.

        Example:
            >>> book, rows = EmaCodebook(size=4, dim=1), torch.tensor([[0.0], [9.0]])
            >>> book.count_used(100)
            >>> book.initialize(rows)
            >>> book.update(rows, book.nearest(rows))
            >>> book.count_used(100)
            2
        """
        if self._last_use is None:
            return None
        return int((self._last_use >= max(0, int(self.updates) - updates)).sum())

    def _draw(self, total: int, count: int) -> Int[Tensor, " R"]:
        """Return random row indices in [0, total), repeated only where ``count`` is larger."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + int(self.updates))
        return torch.randperm(total, generator=generator)[torch.arange(count) % total]

    def _update_entries(self, rows: Float[Tensor, "M D"], ids: Int[Tensor, " M"], hits: Float[Tensor, " K"]) -> None:
        """Update the entries by their rows, ``hits`` of them each; a gradient codebook does nothing here."""

    def _place(self, mask: Tensor, entries: Float[Tensor, "K D"], count: float) -> None:
        """Set the entries and counts that the mask marks."""
        self.entries.data.copy_(torch.where(mask[:, None], entries, self.entries.data))
        self.counts.copy_(torch.where(mask, torch.full_like(self.counts, count), self.counts))


class EmaCodebook(Codebook):
    """Codebook whose entries are the moving mean of the rows that choose them, without a gradient or a loss.

    Source:
        van den Oord et al., arXiv:1711.00937, appendix A.1.

    Example:
        >>> book = EmaCodebook(size=2, dim=1, decay=0.5)
        >>> rows = torch.tensor([[0.0], [0.0], [4.0], [4.0]])
        >>> book.initialize(rows)
        >>> sorted(book.entries.flatten().tolist())
        [0.0, 4.0]
    """

    def __init__(self, size: int, dim: int, **settings: Unpack[CodebookSettings]) -> None:
        super().__init__(size, dim, **settings)
        self.register_buffer("entries", torch.zeros(size, dim))

    def loss(self, rows: Float[Tensor, "M D"], chosen: Float[Tensor, "M D"]) -> Float[Tensor, ""] | None:
        """Return None: the moving mean needs no loss."""
        return None

    def _update_entries(self, rows: Float[Tensor, "M D"], ids: Int[Tensor, " M"], hits: Float[Tensor, " K"]) -> None:
        # The moving sum over the moving count, as a step from the old mean, so that no sum has to be stored.
        summed = global_sum(torch.zeros_like(self.entries).index_add_(0, ids, rows))
        step = (1 - self.decay) * (summed - hits[:, None] * self.entries)
        self.entries += torch.where(hits[:, None] > 0, step / self.counts.clamp(min=1e-9)[:, None], 0.0)


class GradientCodebook(Codebook):
    """Codebook whose entries are a parameter, trained by the codebook loss ‖sg(row) − entry‖².

    Source:
        van den Oord et al., arXiv:1711.00937, equation 3, second term.
    """

    def __init__(self, size: int, dim: int, **settings: Unpack[CodebookSettings]) -> None:
        super().__init__(size, dim, **settings)
        self.entries = nn.Parameter(torch.zeros(size, dim))

    def loss(self, rows: Float[Tensor, "M D"], chosen: Float[Tensor, "M D"]) -> Float[Tensor, ""] | None:
        """Return the mean squared distance of the chosen entries from the detached rows."""
        return F.mse_loss(chosen, rows.detach()) if rows.shape[0] else chosen.sum()
