"""Sums, means and row choices that come out alike on one process and on many.

Every function does the plain thing when torch.distributed is not running. With it, "the batch" means the
global batch: the rows of rank 0, then those of rank 1, and so on.
"""

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn


def is_distributed() -> bool:
    """True inside a process group of two or more ranks."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def world() -> tuple[int, int]:
    """This process's rank and the number of ranks: (0, 1) alone."""
    return (dist.get_rank(), dist.get_world_size()) if is_distributed() else (0, 1)


def global_sum(values: Tensor) -> Tensor:
    """Sum over ranks; the tensor itself when alone. No gradient passes."""
    if not is_distributed():
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total


def row_offsets(rows: int, device: torch.device) -> tuple[int, int]:
    """Index of this rank's first row in the global batch, and the global number of rows.

    Example:
        >>> row_offsets(7, torch.device("cpu"))
        (0, 7)
    """
    if not is_distributed():
        return 0, rows
    rank, size = world()
    counts = torch.zeros(size, dtype=torch.int64, device=device)
    counts[rank] = rows
    dist.all_reduce(counts)
    return int(counts[:rank].sum()), int(counts.sum())


def global_rows(rows: Float[Tensor, "M D"], wanted: Int[Tensor, " R"], offset: int) -> Float[Tensor, "R D"]:
    """Fetch rows of the global batch by their global index, on every rank.

    Args:
        rows: This rank's rows.
        wanted: Global row indices, the same on every rank.
        offset: Global index of this rank's first row.
    """
    local = wanted - offset
    mine = (local >= 0) & (local < rows.shape[0])
    found = torch.zeros(wanted.shape[0], rows.shape[1], dtype=rows.dtype, device=rows.device)
    found[mine] = rows.detach()[local[mine]]
    return global_sum(found)


def all_finite(values: Tensor) -> bool:
    """True where no rank has a NaN or an infinity: the same answer on every rank."""
    return int(global_sum((~values.detach().isfinite()).sum())) == 0


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Replace gradients by their mean over ranks, in one message. What has no gradient on any rank keeps none."""
    if not is_distributed() or not parameters:
        return
    known = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = global_sum(torch.cat([known, *(gradient.reshape(-1) for gradient in gradients)])) / world()[1]
    known, *parts = flat.split([len(parameters), *(p.numel() for p in parameters)])
    for parameter, part, anywhere in zip(parameters, parts, known.tolist(), strict=True):
        parameter.grad = part.reshape(parameter.shape) if anywhere else None
