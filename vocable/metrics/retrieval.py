"""Retrieval between two paired sets of frames: how often a frame's nearest counterpart is its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vocable.metrics.score import Score, undefined

_BLOCK = 512  # queries compared at a time: memory grows with the number of frames, not with its square


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Result of comparing every query with every key.

    Attributes:
        ranks: (M,) Number of other keys that match the query at least as well as its own key; 0 is the best rank.
        nearest: (M,) Index of the best matching key.
    """

    ranks: Int[Tensor, " M"]
    nearest: Int[Tensor, " M"]

    def hits(self, k: int = 1) -> Bool[Tensor, " M"]:
        """Return for each query whether its own key is among the ``k`` best; a tie is a miss."""
        return self.ranks < k


@torch.no_grad()
def retrieve(queries: Float[Tensor, "M D"], keys: Float[Tensor, "M D"]) -> Retrieval:
    """Rank each query's own key, that of the same row, among all keys, by dot product.

    Source:
        Top-1 of the contrastive classification of CLIP, arXiv:2103.00020, and VQ-CTAP, arXiv:2408.05758.

    Example:
        >>> retrieve(torch.eye(4), torch.eye(4)[[0, 1, 3, 2]]).hits().tolist()
        [True, True, False, False]
    """
    count = len(queries)
    ranks, nearest = (torch.empty(count, dtype=torch.int64, device=queries.device) for _ in range(2))
    buffers = queries.new_empty(2, min(count, _BLOCK), count)  # used again: buffers made anew fragment the memory
    for start in range(0, count, _BLOCK):
        rows = slice(start, min(start + _BLOCK, count))
        similarities, worse = buffers[:, : rows.stop - start]
        torch.mm(queries[rows], keys.T, out=similarities)
        torch.lt(similarities, similarities.diagonal(start)[:, None], out=worse)  # NaN is never worse, so no hit
        ranks[rows] = count - 1 - worse.sum(1).long()
        nearest[rows] = similarities.argmax(1)
    return Retrieval(ranks=ranks, nearest=nearest)


def retrieval_scores(
    queries: Float[Tensor, "M D"], keys: Float[Tensor, "M D"], labels: Int[Tensor, " M"], ks: Sequence[int] = (1, 5)
) -> dict[str, Score]:  # fmt: skip
    """Score the retrieval of paired frames; see :func:`retrieve`.

    Args:
        queries: Frames of one kind.
        keys: Frames of the other kind, paired by row.
        labels: Label of each pair, such as the id of its phoneme.
        ks: Numbers of best keys among which the query's own key counts as found.

    Returns:
        ``top1``, ``top5`` and so on for ``ks``; ``phoneme``: the best key has the query's label; ``chance``: 1 / M.
        All have weight M. ``times_chance`` has weight 1, so that its mean over batches is the mean of top1 over that of
        chance. All are undefined for fewer than 2 frames or values that are not finite.

    Example:
        >>> labels = torch.tensor([1, 1, 2, 2, 3, 3])
        >>> found = retrieval_scores(torch.eye(6), torch.eye(6), labels)
        >>> {name: score.value for name, score in found.items() if name != "chance"}
        {'top1': 1.0, 'top5': 1.0, 'phoneme': 1.0, 'times_chance': 6.0}
        >>> shifted = retrieval_scores(torch.eye(6), torch.eye(6).roll(1, 0), labels)
        >>> shifted["top1"].value, shifted["phoneme"].value
        (0.0, 0.5)
    """
    count = len(queries)
    invalid = int((~(queries.isfinite().all(dim=1) & keys.isfinite().all(dim=1))).sum())
    if count < 2 or invalid:
        reason = f"{invalid} of {count} frames hold NaN or infinity" if invalid else "fewer than 2 frames"
        return dict.fromkeys((*(f"top{k}" for k in ks), "phoneme", "chance", "times_chance"), undefined(reason))
    found = retrieve(queries, keys)
    shares = {f"top{k}": found.hits(k) for k in ks} | {"phoneme": labels[found.nearest] == labels}
    scores = {name: Score(float(hits.double().mean()), weight=float(count)) for name, hits in shares.items()}
    scores["chance"] = Score(1.0 / count, weight=float(count))
    return scores | {"times_chance": Score(float(found.hits().sum()))}
