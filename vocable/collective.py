"""Collective operations that give the same result on one process and on several.

Without torch.distributed every function works on the local values. With it, the global batch consists of the rows of
rank 0, then those of rank 1, and so on.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.errors import TrainingError


def is_distributed() -> bool:
    """Return whether this process is in a group of two or more ranks."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def world() -> tuple[int, int]:
    """Return the rank of this process and the number of ranks: (0, 1) without a group."""
    return (dist.get_rank(), dist.get_world_size()) if is_distributed() else (0, 1)


def global_sum(values: Tensor) -> Tensor:
    """Return the sum over ranks, without a gradient; on one process the tensor itself."""
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
        with _naming_lost_processes():
            dist.barrier()


def row_offsets(rows: int, device: torch.device) -> tuple[int, int]:
    """Return the index of this rank's first row in the global batch, and the number of rows of the global batch.

    Example:
        >>> row_offsets(7, torch.device("cpu"))
        (0, 7)
    """
    if not is_distributed():
        return 0, rows
    rank, size = world()
    counts = torch.zeros(size, dtype=torch.int64, device=device)
    counts[rank] = rows
    _reduce(counts)
    return int(counts[:rank].sum()), int(counts.sum())


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


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Replace gradients by their mean over ranks, in one message; None stays where no rank has a gradient."""
    if not is_distributed() or not parameters:
        return
    is_present = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = global_sum(torch.cat([is_present, *(gradient.reshape(-1) for gradient in gradients)])) / world()[1]
    is_present, *parts = flat.split([len(parameters), *(p.numel() for p in parameters)])
    for parameter, part, present in zip(parameters, parts, is_present.tolist(), strict=True):
        parameter.grad = part.reshape(parameter.shape) if present else None


def _reduce(values: Tensor, how: str = "SUM") -> None:
    with _naming_lost_processes():
        dist.all_reduce(values, getattr(dist.ReduceOp, how))


@contextmanager
def _naming_lost_processes() -> Iterator[None]:
    """Raise a TrainingError in place of what the backends raise if another process has ended or does not answer."""
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:120]
        raise TrainingError(
            f"rank {dist.get_rank()} of {dist.get_world_size()}: another process has ended or does not answer "
            f"({reason}); see its message, then start all of them again with --resume"
        ) from error
