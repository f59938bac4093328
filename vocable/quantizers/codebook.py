"""One codebook: nearest entry, lookup, how entries learn, and the revival of dead ones.

Two ways of learning are two classes: :class:`EmaCodebook` follows the mean of its frames (van den Oord et al.,
2017, appendix A.1), :class:`GradientCodebook` is a parameter with a loss. Both count the use of each entry with
a moving average, start where they are told (k-means over the first batch unless otherwise), and restart entries that
fall out of use.

All of it sees the global batch, so that N processes hold the codebook one process would (see ``collective``),
and everything random is drawn from the codebook's own seed and update count, so that nothing but the buffers
has to be saved.
"""

from typing import Literal, TypedDict, Unpack, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.collective import global_rows, global_sum, row_offsets
from vocable.errors import ConfigError

Beginning = Literal["kmeans", "data", "normal", "uniform"]


class CodebookSettings(TypedDict, total=False):
    """What every quantizer hands on to its codebooks; :class:`Codebook` says what each means and is by default."""

    decay: float
    restart_below: float
    seed: int
    begin: Beginning


_KMEANS_ROUNDS = 10
_KMEANS_ROWS_PER_ENTRY = 16
_BLOCK_ROWS = 4096  # bounds the distance matrix to 4096 × K values
_FRESH = 2.0  # count of a restarted entry, in restart thresholds: it has ln 2 time constants to find rows of its own


def nearest(rows: Float[Tensor, "M D"], entries: Float[Tensor, "K D"]) -> Int[Tensor, " M"]:
    """Index of the entry nearest to each row (Euclidean; the lowest index wins a tie).

    ‖r − e‖² orders entries like ‖e‖² − 2 r·e, one matrix product a block of rows.

    Example:
        >>> nearest(torch.tensor([[0.9, 0.1]]), torch.eye(2)).tolist()
        [0]
    """
    squared = entries.square().sum(1)
    blocks = [torch.addmm(squared, block, entries.t(), alpha=-2).argmin(1) for block in rows.split(_BLOCK_ROWS)]
    return torch.cat(blocks) if blocks else torch.zeros(0, dtype=torch.int64, device=rows.device)


def usage(counts: Float[Tensor, " K"], least: float) -> dict[str, Float[Tensor, ""]]:
    """How entries are used.

    Args:
        counts: Moving counts.
        least: An entry in use has more than this share of the count it would have if all were used alike.

    Returns:
        ``used`` (share of entries), ``perplexity``, ``entropy`` (bits) and ``dead`` (entries).

    Example:
        >>> {name: float(value) for name, value in usage(torch.tensor([2.0, 2.0, 0.0, 0.0]), 0.06).items()}
        {'used': 0.5, 'perplexity': 2.0, 'entropy': 1.0, 'dead': 2.0}
    """
    share = counts / counts.sum().clamp(min=1e-9)
    entropy = -(share * share.clamp(min=1e-12).log2()).sum()
    alive = share * len(counts) > max(least, 1e-6)  # restarted is not yet in use
    return {
        "used": alive.float().mean(),
        "perplexity": torch.exp2(entropy),
        "entropy": entropy,
        "dead": (~alive).sum().float(),
    }


class Codebook(nn.Module):
    """State and bookkeeping that both kinds of codebook share.

    Args:
        size: Entries K.
        dim: Width D of an entry.
        decay: Of the moving averages, in (0, 1).
        restart_below: An entry is restarted when its moving count is under this share of the count it would have
            if all entries were used alike. 0 never restarts. A share and not a count, so that it means the same
            for any batch size. A restarted entry begins at twice this share, and is in use when it has more.
        seed: Of the first entries and of restarts.
        begin: Where the entries are placed on the first batch: on the means of k-means over its rows, on rows of it
            (``data``), or without looking at it, ``normal`` or ``uniform`` in ±1 / K.

    Raises:
        ConfigError: There is no such beginning.
    """

    entries: Float[Tensor, "K D"]
    counts: Float[Tensor, " K"]
    updates: Int[Tensor, ""]
    restarts: Int[Tensor, ""]

    def __init__(self, size: int, dim: int, *, decay: float = 0.99, restart_below: float = 0.03, seed: int = 0,
                 begin: Beginning = "kmeans") -> None:  # fmt: skip
        super().__init__()
        if begin not in get_args(Beginning):
            raise ConfigError(f"begin is '{begin}'; choose {', '.join(get_args(Beginning))}")
        self.size, self.dim = size, dim
        self.decay, self.restart_below, self.seed, self.begin = decay, restart_below, seed, begin
        self.register_buffer("counts", torch.zeros(size))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("restarts", torch.zeros((), dtype=torch.int64))

    @property
    def started(self) -> bool:
        """Whether the entries have learnt from a batch yet, here or in the model that a run begins from."""
        return int(self.updates) > 0

    def lookup(self, ids: Int[Tensor, "*any"]) -> Float[Tensor, "*any D"]:
        """The entries of these ids."""
        return F.embedding(ids, self.entries)

    def nearest(self, rows: Float[Tensor, "M D"]) -> Int[Tensor, " M"]:
        """The ids of the entries nearest to these rows."""
        return nearest(rows, self.entries)

    @torch.no_grad()
    def start(self, rows: Float[Tensor, "M D"]) -> None:
        """On the first batch, place the entries as ``begin`` says."""
        if self.started:
            return
        offset, total = row_offsets(rows.shape[0], rows.device)
        if total == 0:
            return
        everywhere = torch.ones(self.size, dtype=torch.bool, device=rows.device)
        if self.begin in ("normal", "uniform"):
            self._place(everywhere, self._blind().to(rows), total / self.size)
            return
        sample = min(total, _KMEANS_ROWS_PER_ENTRY * self.size)
        points = global_rows(rows, self._draw(total, sample).to(rows.device), offset)
        entries = points[self._draw(sample, self.size).to(rows.device)].clone()
        for _ in range(_KMEANS_ROUNDS if self.begin == "kmeans" else 0):
            ids = nearest(points, entries)
            counts = torch.bincount(ids, minlength=self.size).to(points.dtype)
            sums = torch.zeros_like(entries).index_add_(0, ids, points)
            entries = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), entries)
        self._place(everywhere, entries, total / self.size)

    @torch.no_grad()
    def update(self, rows: Float[Tensor, "M D"], ids: Int[Tensor, " M"]) -> None:
        """Learn from the rows that chose these ids, then restart dead entries from rows of this batch."""
        offset, total = row_offsets(rows.shape[0], rows.device)
        if total == 0:
            return
        hits = global_sum(torch.bincount(ids, minlength=self.size).to(rows.dtype))
        self.counts.lerp_(hits, 1 - self.decay)
        self._follow(rows, ids, hits)
        share = float(self.counts.sum()) / self.size
        dead = self.counts < self.restart_below * share
        if bool(dead.any()):
            donors = global_rows(rows, self._draw(total, self.size).to(rows.device), offset)
            self._place(dead, donors, _FRESH * self.restart_below * share)
            self.restarts += dead.sum()
        self.updates += 1

    def stats(self) -> dict[str, Float[Tensor, ""]]:
        """How the entries are used, from the moving counts (see :class:`~vocable.quantizers.base.Quantized`)."""
        return usage(self.counts, _FRESH * self.restart_below) | {"restarts": self.restarts.float()}

    def _blind(self) -> Float[Tensor, "K D"]:
        """Entries that owe nothing to data."""
        generator = torch.Generator().manual_seed(self.seed)
        if self.begin == "normal":
            return torch.randn(self.size, self.dim, generator=generator)
        return (2.0 * torch.rand(self.size, self.dim, generator=generator) - 1.0) / self.size

    def _draw(self, total: int, wanted: int) -> Int[Tensor, " R"]:
        """Row indices in [0, total), none twice before all came once: a function of the seed and the update count."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + int(self.updates))
        return torch.randperm(total, generator=generator)[torch.arange(wanted) % total]

    def _follow(self, rows: Float[Tensor, "M D"], ids: Int[Tensor, " M"], hits: Float[Tensor, " K"]) -> None:
        """Move the entries after these rows, of which ``hits`` chose each; nothing where a gradient does it."""

    def _place(self, which: Tensor, entries: Float[Tensor, "K D"], count: float) -> None:
        """Put the marked entries where told and reset everything remembered of them."""
        self.entries.data.copy_(torch.where(which[:, None], entries, self.entries.data))
        self.counts.copy_(torch.where(which, torch.full_like(self.counts, count), self.counts))


class EmaCodebook(Codebook):
    """Entries are the moving mean of the rows that choose them; no gradient, no codebook loss.

    Source:
        van den Oord et al., arXiv:1711.00937, appendix A.1.

    Example:
        >>> book = EmaCodebook(size=2, dim=1, decay=0.5)
        >>> rows = torch.tensor([[0.0], [0.0], [4.0], [4.0]])
        >>> book.start(rows)
        >>> sorted(book.entries.flatten().tolist())
        [0.0, 4.0]
    """

    def __init__(self, size: int, dim: int, **settings: Unpack[CodebookSettings]) -> None:
        super().__init__(size, dim, **settings)
        self.register_buffer("entries", torch.zeros(size, dim))

    def loss(self, rows: Float[Tensor, "M D"], chosen: Float[Tensor, "M D"]) -> Float[Tensor, ""] | None:
        """None: the moving mean needs no loss."""
        return None

    def _follow(self, rows: Float[Tensor, "M D"], ids: Int[Tensor, " M"], hits: Float[Tensor, " K"]) -> None:
        # The moving sum over the moving count, written as a step from the old mean: no second state to keep.
        summed = global_sum(torch.zeros_like(self.entries).index_add_(0, ids, rows))
        step = (1 - self.decay) * (summed - hits[:, None] * self.entries)
        self.entries += torch.where(hits[:, None] > 0, step / self.counts.clamp(min=1e-9)[:, None], 0.0)


class GradientCodebook(Codebook):
    """Entries are a parameter, pulled to the rows that choose them by the codebook loss ‖sg(row) − entry‖².

    Source:
        van den Oord et al., arXiv:1711.00937, equation 3, second term.
    """

    def __init__(self, size: int, dim: int, **settings: Unpack[CodebookSettings]) -> None:
        super().__init__(size, dim, **settings)
        self.entries = nn.Parameter(torch.zeros(size, dim))

    def loss(self, rows: Float[Tensor, "M D"], chosen: Float[Tensor, "M D"]) -> Float[Tensor, ""] | None:
        """Mean squared distance from the chosen entries to the (detached) rows."""
        return F.mse_loss(chosen, rows.detach()) if rows.shape[0] else chosen.sum()
