"""What a whole clip tells: speaker, gender, emotion, digit, or any other key of a manifest."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from vocable.evaluate.card import ProbeRow
from vocable.evaluate.probes.question import Question, shares, spread
from vocable.evaluate.probes.splits import Splits, by_clip, by_speaker, inner
from vocable.evaluate.probes.views import Material
from vocable.metrics.score import Score, undefined

_STRENGTHS = (1e-3, 1e-2, 1e-1)  # C of the logistic regression, the strongest regularisation first
_STEPS, _STILL = 300, 1e-3  # at most so many, and no more once no weight moves by more than this
_METRIC = "top-1 accuracy"


def pooled_rows(question: Question, materials: Sequence[Material], key: str) -> list[ProbeRow]:
    """Logistic regression from pooled frames to a key of the manifest.

    Mean and standard deviation over a clip's frames (of ids: how often each occurs), standardised by what is fitted
    on, multinomial logistic regression whose strength is chosen by folds within what is fitted on. A speaker is told
    among known speakers, on other clips of theirs; everything else on speakers not fitted on. ``emotion`` also gives
    the mean recall of the classes, its field's second figure.

    Source:
        Pooling and split: the usual protocol of SUPERB-like probes (Yang et al., arXiv:2105.01051).
    """
    return [row for material in materials for row in _rows(question, material, key)]


@dataclass(frozen=True)
class _Labels:
    """Which clips take part, with their classes; why the others do not."""

    kept: Sequence[int]
    classes: Sequence[str]
    reasons: dict[int, str]


def _rows(question: Question, material: Material, key: str) -> list[ProbeRow]:
    metrics = [_METRIC, *(["mean recall of classes"] if key == "emotion" else [])]
    named = _Labels([], [], {}) if material.refused else _labels(material, key)
    refused = material.refused or _refused(material, named, key)
    if refused:
        return [question.undefined(material, metric, "higher", refused) for metric in metrics]
    told = [material.utterances[at] for at in named.kept]
    if key == "speaker":
        splits = by_clip(named.classes, question.seed, question.seeds)
    else:
        splits = by_speaker(told, named.classes, question.seed, question.seeds)
    pooled = _pool(material, named.kept)
    speakers = None if key == "speaker" else [utterance.speaker or "" for utterance in told]
    hits, each = _hits(pooled, named.classes, speakers, splits, question.seed)
    scored = np.flatnonzero(~np.isnan(hits))
    said = [named.classes[at] for at in scored.tolist()]
    chance, majority = shares(said)
    counts = Counter(said)
    note = f"{splits.note}; {len(counts)} classes, {len(said)} clips"
    note += f"; by seed {spread(each)}" if len(each) > 1 else ""
    left_out = [undefined(reason) for reason in named.reasons.values()]
    groups = None if speakers is None else [*(speakers[at] for at in scored), *("" for _ in left_out)]
    rows = []
    for metric in metrics:
        weights = [1.0 if metric == _METRIC else len(said) / len(counts) / counts[name] for name in said]
        scores = [Score(float(hits[at]), weight=weight) for at, weight in zip(scored, weights, strict=True)]
        anchor = majority if metric == _METRIC else chance
        rows.append(
            question.row(
                material, metric, "higher", [*scores, *left_out],
                groups=groups, chance=chance, majority=anchor, note=note,
            )
        )  # fmt: skip
    return rows


def _labels(material: Material, key: str) -> _Labels:
    reasons: dict[int, str] = {}
    found: dict[int, str] = {}
    for at, utterance in enumerate(material.utterances):
        value = utterance.value(key)
        if value is None:
            reasons[at] = f"the manifest has no '{key}' for it"
        elif utterance.speaker is None:
            reasons[at] = "the manifest has no 'speaker' for it"
        elif not len(material.frames(at)):
            reasons[at] = "it has no frames"
        else:
            found[at] = value
    spoken = {(value, at if key == "speaker" else material.utterances[at].speaker) for at, value in found.items()}
    times = Counter(value for value, _ in spoken)
    for at, value in list(found.items()):
        if times[value] < 2:
            once = "clip" if key == "speaker" else "speaker"
            reasons[at] = f"the only {once} of its class"
            del found[at]
    return _Labels(list(found), list(found.values()), reasons)


def _refused(material: Material, named: _Labels, key: str) -> str:
    classes = set(named.classes)
    if not classes:
        return f"no clip can be used: {Counter(named.reasons.values()).most_common(1)[0][0]}"
    if len(classes) == 1:
        return f"there is one class of '{key}' only ({classes.pop()}) that can be told on unseen " + (
            "clips" if key == "speaker" else "speakers"
        )
    return ""


def _pool(material: Material, kept: Sequence[int]) -> Float[ndarray, "n D"]:
    if material.codebook_size is None:
        rows = [material.frames(at).astype(np.float64) for at in kept]
        if material.whole:
            return np.stack([row[0] for row in rows])
        return np.stack([np.concatenate([row.mean(0), row.std(0)]) for row in rows])
    clips = [material.frames(at) for at in kept]
    columns = [ids + np.arange(ids.shape[1]) * material.codebook_size for ids in clips]
    used = np.unique(np.concatenate([ids.ravel() for ids in columns]))
    pooled = np.zeros((len(clips), used.size))
    for row, ids in zip(pooled, columns, strict=True):
        np.add.at(row, np.searchsorted(used, ids.ravel()), 1 / len(ids))
    return pooled


def _hits(
    pooled: Float[ndarray, "n D"], classes: Sequence[str], speakers: Sequence[str] | None, splits: Splits, seed: int
) -> tuple[Float[ndarray, " n"], list[float]]:
    """How often each clip was told right, over seeds (NaN where never scored), and each seed's accuracy."""
    labels = np.asarray(classes)
    known = None if speakers is None else np.asarray(speakers)
    rounds = []
    for folds in splits.rounds:
        right = np.full(labels.size, np.nan)
        for fit, scored in folds:
            group = None if known is None else known[fit]
            right[scored] = _predict(pooled[fit], labels[fit], group, pooled[scored], seed) == labels[scored]
        rounds.append(right)
    return np.mean(rounds, axis=0), [float(np.nanmean(right)) for right in rounds]


def _predict(
    rows: Float[ndarray, "n D"], labels: ndarray, speakers: ndarray | None, unseen: Float[ndarray, "m D"], seed: int
) -> ndarray:
    """Labels of unseen rows."""
    if len(set(labels)) == 1:
        return np.repeat(labels[:1], len(unseen))
    rows, unseen = _turn(rows, unseen)
    names, ids = np.unique(labels, return_inverse=True)
    right = np.zeros(len(_STRENGTHS))
    for fit, scored in inner(labels.tolist(), None if speakers is None else speakers.tolist(), seed):
        path = logistic_path(rows[fit], ids[fit], len(names), _STRENGTHS)
        right += [np.sum(_best(rows[scored], weights) == ids[scored]) for weights in path]
    chosen = _STRENGTHS[: int(np.argmax(right)) + 1]
    return names[_best(unseen, logistic_path(rows, ids, len(names), chosen)[-1])]


def _turn(rows: Float[ndarray, "n D"], unseen: Float[ndarray, "m D"]) -> tuple[ndarray, ndarray]:
    """Both standardised by the first, in the directions the first spans: the same fit in fewer numbers."""
    mean, scale = rows.mean(0), rows.std(0)
    scale[scale < 1e-12] = np.inf  # a value that never varied says nothing
    rows, unseen = (rows - mean) / scale, (unseen - mean) / scale
    if rows.shape[1] > rows.shape[0]:
        turn = np.linalg.svd(rows, full_matrices=False)[2].T
        rows, unseen = rows @ turn, unseen @ turn
    return rows, unseen


def logistic_path(
    rows: Float[ndarray, "n D"], ids: Int[ndarray, " n"], classes: int, strengths: Sequence[float]
) -> list[Float[ndarray, "D1 k"]]:
    """Multinomial logistic regression at several strengths, each started where the one before ended.

    Minimises C × the sum of cross-entropies + half the squared weights, as scikit-learn's ``LogisticRegression``
    does; that one takes many times as long on clips by the dozen, and a probe fits hundreds of times.

    Args:
        rows: Standardised.
        ids: Class of each row, in [0, classes).
        classes: How many.
        strengths: C, the strongest regularisation first.

    Returns:
        Weights with the bias as the last row, one for each strength.

    Source:
        Böhning, Multinomial logistic regression algorithm (1992): steps under a fixed bound of the curvature, each
        of which lowers the loss.

    Example:
        >>> weights = logistic_path(np.array([[-1.0], [1.0]]), np.array([0, 1]), 2, (1.0,))[0]
        >>> bool(weights[0, 1] > 0 > weights[0, 0])
        True
    """
    padded = np.hstack([rows, np.ones((len(rows), 1))])
    wanted = np.eye(classes)[ids]
    penalty = np.append(np.ones(rows.shape[1]), 0.0)[:, None]
    weights = np.zeros((padded.shape[1], classes))
    found = []
    for strength in strengths:
        bound = np.linalg.inv(strength / 2 * padded.T @ padded + np.diag(penalty[:, 0]))
        for _ in range(_STEPS):
            logits = padded @ weights
            shares = np.exp(logits - logits.max(1, keepdims=True))
            shares /= shares.sum(1, keepdims=True)
            step = bound @ (strength * (padded.T @ (shares - wanted)) + penalty * weights)
            weights = weights - step
            if np.abs(step).max() < _STILL:
                break
        found.append(weights)
    return found


def _best(rows: Float[ndarray, "n D"], weights: Float[ndarray, "D1 k"]) -> Int[ndarray, " n"]:
    return np.argmax(rows @ weights[:-1] + weights[-1], axis=1)
