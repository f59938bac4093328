"""Beam search for the ids of residual codebooks."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

_PREFIX_WEIGHT = 0.3  # keeps what a few levels decode to; beams of equal width without it lose there
_BLOCK_PATHS = 512  # bounds the distances to 512 × K values, which fit a processor's cache
_GROUP = 32  # values of which the smallest is looked at first


def search_ids(
    rows: Float[Tensor, "M D"], codebooks: Sequence[Float[Tensor, "K D"]], beam: int,
    prefix_weight: float = _PREFIX_WEIGHT,
) -> Int[Tensor, "M Q"]:  # fmt: skip
    """Return ids whose vectors sum up near each row, from the best ``beam`` paths at each level.

    A path costs its squared error, plus ``prefix_weight`` times the squared errors of its prefixes, so that the first
    levels alone stay near the row. Every row is searched by itself. The lowest index wins a tie: of the path first,
    then of the entry.

    Args:
        rows: Vectors to approximate.
        codebooks: Entries of each level, all of one size.
        beam: Number of paths kept at each level, at least 1. With 1 the search is greedy.
        prefix_weight: Cost of a prefix's squared error, at least 0.

    Source:
        Beam search over stages: multistage vector quantization with M-best search, LeBlanc et al., "Efficient Search
        and Design Procedures for Robust Multi-Stage VQ of LPC Parameters", IEEE Trans. Speech and Audio Processing 1
        (1993). Weighting prefixes is vocable's.

    Example:
        >>> codebooks = [torch.tensor([[0.0], [10.0]]), torch.tensor([[0.0], [6.0]])]
        >>> [search_ids(torch.tensor([[5.5]]), codebooks, beam, prefix_weight=0.0).tolist() for beam in (1, 2)]
        [[[1, 0]], [[0, 1]]]
    """
    blocks = rows.split(max(1, _BLOCK_PATHS // beam))
    found = [_search_block(block, codebooks, beam, prefix_weight) for block in blocks]
    return torch.cat(found) if found else torch.zeros(0, len(codebooks), dtype=torch.int64, device=rows.device)


def _search_block(rows: Tensor, codebooks: Sequence[Tensor], beam: int, prefix_weight: float) -> Tensor:
    count, dim = rows.shape
    residual = rows[:, None]  # (M, P, D) of P paths
    prefix_cost = rows.new_zeros(count, 1)
    paths = torch.zeros(count, 1, 0, dtype=torch.int64, device=rows.device)
    for level, entries in enumerate(codebooks, 1):
        products = torch.addmm(entries.square().sum(1), residual.reshape(-1, dim), entries.t(), alpha=-2)
        costs = products.unflatten(0, (count, -1)) + (residual.square().sum(2) + prefix_cost)[..., None]
        kept = beam if level < len(codebooks) else 1
        chosen = _smallest(costs.flatten(1), min(kept, costs[0].numel()))
        parents, ids = chosen // len(entries), chosen % len(entries)
        residual = _take(residual, parents) - entries[ids]
        prefix_cost = prefix_cost.gather(1, parents) + prefix_weight * residual.square().sum(2)
        paths = torch.cat([_take(paths, parents), ids[..., None]], dim=2)
    return paths[:, 0]


def _take(values: Tensor, parents: Tensor) -> Tensor:
    """Return the values (M, P, F) of some paths of each row."""
    return values.gather(1, parents[..., None].expand(-1, -1, values.shape[2]))


def _smallest(values: Float[Tensor, "M C"], count: int) -> Int[Tensor, "M count"]:
    """Return the indices of the smallest values of each row in order; the lowest index wins a tie.

    The smallest values lie in the groups with the smallest minima, whose search takes a fraction of a search of all.
    """
    if values.shape[1] % _GROUP or values.shape[1] <= count * _GROUP:
        return _sorted_smallest(values, count)
    grouped = values.unflatten(1, (-1, _GROUP))
    groups = _sorted_smallest(grouped.amin(2), count).sort(dim=1).values
    chosen = _sorted_smallest(_take(grouped, groups).flatten(1), count)
    return groups.gather(1, chosen // _GROUP) * _GROUP + chosen % _GROUP


def _sorted_smallest(values: Float[Tensor, "M C"], count: int) -> Int[Tensor, "M count"]:
    if count == 1:
        return values.argmin(1, keepdim=True)
    smallest, indices = values.topk(min(count + 1, values.shape[1]), largest=False)
    is_tied = (smallest[:, 1:] == smallest[:, :-1]).any(1)
    if bool(is_tied.any()):  # topk leaves the order of equal values open
        indices[is_tied] = values[is_tied].sort(dim=1, stable=True).indices[:, : indices.shape[1]]
    return indices[:, :count]
