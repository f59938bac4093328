"""Collective operations that give the same result on one process and on several.

Without torch.distributed every function works on the local values. With it, the global batch consists of the rows of
rank 0, then those of rank 1, and so on. A micro-batch is a rank that takes its turn later: see :class:`MicroBatches`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor

from vocable.errors import TrainingError


def is_distributed() -> bool:
    """Return whether this process is in a group of two or more ranks."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def world() -> tuple[int, int]:
    """Return the rank of this process and the number of ranks: (0, 1) without a group."""
    rank, size = (dist.get_rank(), dist.get_world_size()) if is_distributed() else (0, 1)
    return (rank, size) if _micro_batches is None else _micro_batches.place(rank, size)


def global_sum(values: Tensor) -> Tensor:
    """Return the sum over ranks, without a gradient; on one process the tensor itself."""
    if _micro_batches is not None:
        return _micro_batches.sum(values)
    if not is_distributed():
        return values
    total = values.detach().clone()
    _reduce(total)
    return total


def global_max(values: Tensor) -> Tensor:
    """Return the maximum over ranks, element by element; on one process the tensor itself."""
    if not is_distributed():
        return values
    largest = values.detach().clone()
    _reduce(largest, "MAX")
    return largest


def wait_for_all() -> None:
    """Wait until every rank is here; on one process do nothing.

    Raises:
        TrainingError: If another process is lost.
    """
    if is_distributed():
        with naming_lost_processes():
            dist.barrier()


def row_offsets(rows: int, device: torch.device) -> tuple[int, int]:
    """Return the index of this rank's first row in the global batch, and the number of rows of the global batch.

    Example:
        >>> row_offsets(7, torch.device("cpu"))
        (0, 7)
    """
    rank, size = world()
    if size == 1:
        return 0, rows
    counts = torch.zeros(size, dtype=torch.int64, device=device)
    counts[rank] = rows
    counts = global_sum(counts)
    return int(counts[:rank].sum()), int(counts.sum())


def global_mean(values: Float[Tensor, "*any"], mask: Tensor) -> Float[Tensor, ""]:
    """Return this rank's part of the mean over the True positions of the global batch; 0 if there are none.

    The mean of the parts over ranks is the mean over all positions, however they are spread over the ranks.

    Args:
        values: Values of this rank.
        mask: True on the positions that count; broadcasts to the values.

    Example:
        >>> float(global_mean(torch.tensor([1.0, 3.0, 9.0]), torch.tensor([True, True, False])))
        2.0
    """
    return world()[1] * (values * mask).sum() / global_sum(mask.sum()).clamp(min=1)


def share_of(count: Int[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Return the factor of a mean over this rank's items that makes the mean over ranks the mean over all items.

    Args:
        count: Number of items of this rank.

    Example:
        >>> float(share_of(torch.tensor(7)))
        1.0
    """
    return count * world()[1] / global_sum(count).clamp(min=1)


def gather_rows(rows: Float[Tensor, "M D"]) -> Float[Tensor, "G D"]:
    """Return the rows of all ranks in order, with a gradient through those of this rank; on one process the tensor.

    Example:
        >>> gather_rows(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """
    if world()[1] == 1:
        return rows
    everything, offset = _micro_batches.gather(rows.detach()) if _micro_batches else _gather(rows.detach())
    return everything.index_copy(0, torch.arange(offset, offset + len(rows), device=rows.device), rows)


def _gather(rows: Float[Tensor, "M D"]) -> tuple[Float[Tensor, "G D"], int]:
    """Return the rows of all processes, and the index of the first row of this one."""
    offset, total = row_offsets(len(rows), rows.device)
    padded = rows.new_zeros(total, rows.shape[1])
    padded[offset : offset + len(rows)] = rows
    return global_sum(padded), offset


def global_rows(rows: Float[Tensor, "M D"], indices: Int[Tensor, " R"], offset: int) -> Float[Tensor, "R D"]:
    """Return rows of the global batch on every rank.

    Args:
        rows: Rows of this rank.
        indices: Indices in the global batch, the same on every rank.
        offset: Global index of this rank's first row.
    """
    local = indices - offset
    is_local = (local >= 0) & (local < rows.shape[0])
    selected = torch.zeros(indices.shape[0], rows.shape[1], dtype=rows.dtype, device=rows.device)
    selected[is_local] = rows.detach()[local[is_local]]
    return global_sum(selected)


def all_finite(values: Tensor) -> bool:
    """Return whether no rank has a NaN or an infinity; the result is the same on every rank."""
    return int(global_sum((~values.detach().isfinite()).sum())) == 0


def postpone(update: Callable[..., None], *rows: Tensor) -> bool:
    """Return whether an update of a buffer has to wait for the other micro-batches of the step, and keep its rows.

    If so, :meth:`MicroBatches.apply` calls it with the rows of all of them.

    Args:
        update: Method that changes buffers by rows of the batch.
        rows: Arguments of the method for this micro-batch; rows are joined along the first axis.
    """
    return _micro_batches is not None and _micro_batches.postpone(update, rows)


def needs_whole_batch() -> None:
    """Stop a micro-batch whose result depends on the whole batch, such as an initialization by its rows.

    Raises:
        WholeBatchNeededError: If this is a micro-batch. The trainer then computes the whole batch once, without a
            gradient.
    """
    if _micro_batches is not None and not _micro_batches.is_whole:
        raise WholeBatchNeededError


class WholeBatchNeededError(Exception):
    """A module has to see the whole batch before it can compute a micro-batch. It never reaches a user."""


class MicroBatches:
    """Micro-batches of one step, computed one after the other as if each were a rank of a group.

    A collective needs what later micro-batches hold. So they are computed twice with the same random numbers. The first
    time, under :meth:`record`, the values of every operation are kept, and its result is as if all others were equal to
    them. The second time, under :meth:`replay`, it gets the result over all micro-batches and all processes. Operations
    have to come in the same order in each micro-batch, as on ranks, and must not depend on results of one another.

    Args:
        count: Number of micro-batches of this process.

    Attributes:
        is_whole: Whether the whole batch is computed at present.

    Example:
        >>> parts, micro_batches = [torch.tensor(1.0), torch.tensor(2.0)], MicroBatches(2)
        >>> for index, part in enumerate(parts):
        ...     with micro_batches.record(index):
        ...         _ = global_sum(part)
        >>> micro_batches.reduce()
        >>> with micro_batches.replay(0):
        ...     float(global_sum(parts[0])), world()
        (3.0, (0, 2))
    """

    def __init__(self, count: int) -> None:
        self.count, self.is_whole = count, False
        self._index, self._call, self._is_recording = 0, 0, True
        self._kept: list[list[Tensor]] = []  # by operation: the values of each micro-batch
        self._results: list[tuple[Tensor, list[int]]] = []  # by operation: result, and first row of each micro-batch
        self._gathers: set[int] = set()  # operations that gather rows; the others are sums
        self._postponed: dict[Callable[..., None], list[tuple[Tensor, ...]]] = {}

    @contextmanager
    def record(self, index: int) -> Iterator[None]:
        """Let the body be micro-batch ``index``, and keep the values of its collectives."""
        with self._active(index, is_recording=True):
            yield

    def reduce(self) -> None:
        """Compute the results of the collectives that were recorded."""
        if any(len(parts) != self.count for parts in self._kept):
            raise AssertionError("micro-batches made different numbers of collective operations")
        for call, parts in enumerate(self._kept):
            if call in self._gathers:
                everything, offset = _gather(torch.cat(parts))
                self._results.append(
                    (everything, [offset + sum(map(len, parts[:index])) for index in range(self.count)])
                )
            else:
                self._results.append((global_sum(torch.stack(parts).sum(0)), []))

    @contextmanager
    def replay(self, index: int) -> Iterator[None]:
        """Let the body be micro-batch ``index``, and give its collectives their results."""
        with self._active(index, is_recording=False):
            yield

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Let the body be the whole batch of this process, from which buffers are initialized and not updated."""
        self.is_whole = True
        try:
            with self._active(0, is_recording=True):
                yield
        finally:
            self.is_whole = False

    def apply(self) -> None:
        """Apply the updates that were postponed."""
        for update, parts in self._postponed.items():
            update(*(torch.cat(columns) for columns in zip(*parts, strict=True)))

    def place(self, rank: int, size: int) -> tuple[int, int]:
        """Return the rank of the present micro-batch and the number of ranks, given those of the process."""
        return (rank, size) if self.is_whole else (rank * self.count + self._index, size * self.count)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over micro-batches and processes; while recording, as if all of them had these values."""
        if self.is_whole:
            with _outside():
                return global_sum(values)
        result = self._operate(values)
        return values.detach() * world()[1] if result is None else result[0]

    def gather(self, rows: Float[Tensor, "M D"]) -> tuple[Float[Tensor, "G D"], int]:
        """Return the rows of micro-batches and processes, or while recording these, and the index of the first one."""
        if self.is_whole:
            with _outside():
                return _gather(rows)
        self._gathers.add(self._call)
        result = self._operate(rows)
        return (rows, 0) if result is None else (result[0], result[1][self._index])

    def _operate(self, values: Tensor) -> tuple[Tensor, list[int]] | None:
        """Return the result of the next operation; keep the values and return None while recording."""
        call, self._call = self._call, self._call + 1
        if not self._is_recording:
            return self._results[call]
        if call == len(self._kept):
            self._kept.append([])
        self._kept[call].append(values.detach().clone())
        return None

    def postpone(self, update: Callable[..., None], rows: tuple[Tensor, ...]) -> bool:
        """Keep the rows of an update; see :func:`postpone`."""
        if not self._is_recording:
            self._postponed.setdefault(update, []).append(rows)
        return True

    @contextmanager
    def _active(self, index: int, *, is_recording: bool) -> Iterator[None]:
        global _micro_batches
        self._index, self._call, self._is_recording = index, 0, is_recording
        _micro_batches = self
        try:
            yield
        finally:
            _micro_batches = None


_micro_batches: MicroBatches | None = None


@contextmanager
def _outside() -> Iterator[None]:
    """Let the collectives of the body be those of processes."""
    global _micro_batches
    active, _micro_batches = _micro_batches, None
    try:
        yield
    finally:
        _micro_batches = active


def _reduce(values: Tensor, how: str = "SUM") -> None:
    with naming_lost_processes():
        dist.all_reduce(values, getattr(dist.ReduceOp, how))


@contextmanager
def naming_lost_processes() -> Iterator[None]:
    """Raise a TrainingError in place of what the backends raise if another process has ended or does not answer."""
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:120]
        raise TrainingError(
            f"rank {dist.get_rank()} of {dist.get_world_size()}: another process has ended or does not answer "
            f"({reason}); see its message, then start all of them again with --resume"
        ) from error
