"""Viterbi search for the likeliest path of connectionist temporal classification (CTC)."""

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.errors import AlignmentError

BLANK = 0
"""Class of the blank."""


def viterbi(
    log_probs: Float[ndarray, "N k"], ids: Sequence[int], optional: Collection[int] = ()
) -> tuple[list[int], float]:
    """Find the likeliest path that spells a sequence.

    A path assigns a class to each frame. Runs of one class are merged, then blanks are dropped; what remains is the
    spelled sequence. Two equal neighbors of the sequence need a blank between them.

    Args:
        log_probs: Log-probabilities of each class at each frame; class 0 is the blank. They need not be normalized.
        ids: Sequence of classes, without blanks.
        optional: Places of the sequence that may be skipped; no two neighbors.

    Returns:
        For each frame its place in ``ids``, or -1 for a blank; and the log-probability of the path.

    Raises:
        AlignmentError: If the sequence is empty, or needs more frames than there are.

    Source:
        Graves et al., Connectionist Temporal Classification, ICML 2006, with the maximum in place of the sum.

    Example:
        >>> log_probs = np.log([[0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
        >>> viterbi(log_probs, [1, 2])[0], viterbi(log_probs, [2, 1], optional={0})[0]
        ([0, -1, 1], [1, -1, -1])
    """
    if not len(ids):
        raise AlignmentError("there is nothing to align: the sequence is empty")
    labels = np.full(2 * len(ids) + 1, BLANK)  # a blank before, between and after
    labels[1::2] = ids
    steps = _transitions(labels, frozenset(optional))
    emitted = log_probs[:, labels].astype(np.float64)
    scores = np.full(len(labels), -np.inf)
    scores[:2] = emitted[0, :2]
    if 0 in optional:
        scores[2:4] = emitted[0, 2:4]
    back = np.zeros(emitted.shape, dtype=np.int8)  # number of states that the best path advanced by
    padded = np.full((len(steps), len(labels)), -np.inf)
    for frame in range(1, len(emitted)):
        for step, allowed in enumerate(steps):
            padded[step, step:] = scores[: len(labels) - step]
            padded[step] += allowed
        back[frame] = padded.argmax(0)
        scores = padded[back[frame], np.arange(len(labels))] + emitted[frame]
    ends = [len(labels) - 1, len(labels) - 2]
    if len(ids) - 1 in optional:
        ends += [len(labels) - 3, len(labels) - 4]
    state = max((end for end in ends if end >= 0), key=lambda end: scores[end])
    total = float(scores[state])
    if not np.isfinite(total):
        raise AlignmentError(f"{len(ids)} symbols do not fit into {len(emitted)} frames; compare them with the speech")
    path = []
    for frame in range(len(emitted) - 1, -1, -1):
        path.append(state // 2 if state % 2 else -1)
        state -= int(back[frame, state])
    return path[::-1], total


def spans(path: Sequence[int]) -> list[tuple[int, float, float]]:
    """Return the span of each symbol in frames; runs of blanks are halved between the symbols on either side.

    Args:
        path: Path of :func:`viterbi`: places, or -1.

    Returns:
        Place, start and end of every place in the path, adjacent from 0 to the last frame.

    Example:
        >>> spans([-1, 0, -1, 2, 2])
        [(0, 0.0, 2.5), (2, 2.5, 5.0)]
    """
    last = {place: frame for frame, place in enumerate(path) if place >= 0}
    edges = [(last[before] + 1 + path.index(after)) / 2 for before, after in pairwise(last)]
    return list(zip(last, [0.0, *edges], [*edges, float(len(path))], strict=True))


def places_needed(ids: Sequence[int]) -> int:
    """Return the smallest number of frames that spell a sequence: one per symbol, and one between equal neighbors."""
    return len(ids) + sum(a == b for a, b in pairwise(ids))


def _transitions(labels: ndarray, optional: frozenset[int]) -> list[Float[ndarray, " state"]]:
    """Return for steps of 0, 1, … states: 0 if a state may be reached by the step, else minus infinity."""
    reach = min(5 if optional else 3, len(labels))
    allowed = np.full((reach, len(labels)), -np.inf)
    allowed[:2] = 0.0
    for state in range(3, len(labels), 2):
        if labels[state] != labels[state - 2]:
            allowed[2, state] = 0.0  # from symbol to symbol, skipping a blank
    for place in optional:  # skip it: from the symbol or blank before it to the symbol or blank after it
        symbol = 2 * place + 1
        if symbol - 1 >= 0 and symbol + 2 < len(labels):
            allowed[3, symbol + 2] = 0.0
        if symbol - 2 >= 0 and symbol + 2 < len(labels) and labels[symbol - 2] != labels[symbol + 2]:
            allowed[4, symbol + 2] = 0.0
        if symbol - 2 >= 0:
            allowed[3, symbol + 1] = 0.0
    return list(allowed)
