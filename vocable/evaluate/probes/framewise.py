"""Single frames and what is wanted of each, fitted on some speakers and told for others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped
from numpy import ndarray

from vocable.evaluate.probes.splits import Splits
from vocable.evaluate.probes.views import Material

_MOST = 200_000  # frames to fit on: more are thinned out evenly

Wanted = tuple[Shaped[ndarray, " N"], Bool[ndarray, " N"]]  # of each frame, and whether it is known
Model = Callable[[Any], ndarray]  # columns to a value for each frame
Fit = Callable[[Any, ndarray], Model]


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Clips with something known of their frames.

    Attributes:
        kept: Their numbers.
        columns: What a linear model is given of each clip's known frames: vectors, or ones where an id is.
        wanted: What is known of these frames.
        reasons: Why the other clips take no part.
    """

    kept: Sequence[int]
    columns: Sequence[Any]
    wanted: Sequence[ndarray]
    reasons: Sequence[str]


def labelled(material: Material, known: Sequence[Wanted | str]) -> Labelled:
    """The known frames of each clip.

    Args:
        material: One vector of a whole clip stands for each of its frames.
        known: Of each clip's frames; or a reason why nothing is.
    """
    kept, columns, wanted, reasons = [], [], [], []
    for at, (utterance, values) in enumerate(zip(material.utterances, known, strict=True)):
        if isinstance(values, str):
            reasons.append(values)
            continue
        if utterance.speaker is None:
            reasons.append("the manifest has no 'speaker' for it")
            continue
        frames = material.frames(at)
        if material.whole:
            frames = np.repeat(frames[:1], len(values[0]), axis=0)
        shared = min(len(frames), len(values[0]))
        where = np.flatnonzero(values[1][:shared])
        if not where.size:
            reasons.append("none of its frames can be used")
            continue
        kept.append(at)
        columns.append(_columns(material, frames[where]))
        wanted.append(values[0][where])
    return Labelled(kept=kept, columns=columns, wanted=wanted, reasons=reasons)


def refused(material: Material, clips: Labelled) -> str:
    """Why these clips cannot be parted by speaker; empty if they can."""
    if not clips.kept:
        return f"no clip can be used: {max(sorted(set(clips.reasons)), key=clips.reasons.count)}"
    speakers = {material.utterances[at].speaker for at in clips.kept}
    return f"there is one speaker only ({speakers.pop()}), so none is unseen" if len(speakers) == 1 else ""


def answers(clips: Labelled, splits: Splits, fit: Fit) -> list[dict[int, ndarray]]:
    """What is said of each scored clip's frames, by its place in ``clips.kept``; one answer for each seed."""
    rounds = []
    for folds in splits.rounds:
        said: dict[int, ndarray] = {}
        for train, scored in folds:
            rows, wanted = _gather(clips, train)
            model = fit(rows, wanted)
            said |= {int(at): model(clips.columns[at]) for at in scored}
        rounds.append(said)
    return rounds


def _gather(clips: Labelled, train: ndarray) -> tuple[Any, ndarray]:
    from scipy import sparse

    parts = [clips.columns[at] for at in train]
    stack = sparse.vstack(parts, "csr") if sparse.issparse(parts[0]) else np.concatenate(parts)
    wanted = np.concatenate([clips.wanted[at] for at in train])
    step = -(-wanted.size // _MOST)
    return stack[::step], wanted[::step]


def _columns(material: Material, frames: ndarray) -> Any:
    from scipy import sparse

    if material.codebook_size is None:
        return frames.astype(np.float64)
    count, levels = frames.shape
    places = (frames + np.arange(levels) * material.codebook_size).ravel()
    starts = np.arange(0, count * levels + 1, levels)
    return sparse.csr_matrix(
        (np.ones(places.size), places, starts), shape=(count, levels * material.codebook_size)
    )  # fmt: skip
