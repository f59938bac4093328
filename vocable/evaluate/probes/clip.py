"""Probes of whole clips: speaker, gender, emotion, digit, or any other key of a manifest."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from vocable.evaluate.card import ProbeRow
from vocable.evaluate.probes.base import (
    NO_SPEAKER,
    ProbeTask,
    Splits,
    format_seeds,
    inner_folds,
    split_by_clip,
    split_by_speaker,
)
from vocable.evaluate.probes.views import ProbeInput
from vocable.metrics.classification import guess_accuracies, recall_weights
from vocable.metrics.score import Score, undefined

_STRENGTHS = (1e-3, 1e-2, 1e-1)  # C of the logistic regression, the strongest regularization first
_MAX_STEPS, _TOLERANCE = 300, 1e-3  # the fit ends when no weight moves by more than the tolerance
_ACCURACY, _RECALL = "top-1 accuracy", "mean recall of classes"


def classify_clips(task: ProbeTask, inputs: Sequence[ProbeInput], key: str) -> list[ProbeRow]:
    """Classify clips by a key of the manifest, with logistic regression of pooled frames.

    The features are mean and standard deviation over the frames of a clip; for ids, the frequency of each.
    They are standardized by the clips fitted on. Folds within those choose the strength of the regularization.
    Speakers are a closed set: other clips of the same speakers are scored. All other keys are scored on speakers that
    were not fitted on. ``emotion`` also reports the mean recall of the classes (unweighted average recall).

    Source:
        Pooling and splits: the protocol of SUPERB (Yang et al., arXiv:2105.01051).
    """
    return [row for one in inputs for row in _rows(task, one, key)]


@dataclass(frozen=True)
class _Labels:
    """Index and class of each clip that takes part, and the reason for each that does not, by index."""

    clips: Sequence[int]
    classes: Sequence[str]
    reasons: dict[int, str]


def _rows(task: ProbeTask, inputs: ProbeInput, key: str) -> list[ProbeRow]:
    metrics = [_ACCURACY, *([_RECALL] if key == "emotion" else [])]
    labels = _Labels([], [], {}) if inputs.refused else _find_labels(inputs, key)
    reason = inputs.refused or _reason_against(labels, key)
    if reason:
        return [task.undefined_row(inputs, metric, "higher", reason) for metric in metrics]
    utterances = [inputs.utterances[at] for at in labels.clips]
    if key == "speaker":
        splits = split_by_clip(labels.classes, task.seed, task.seeds)
    else:
        splits = split_by_speaker(utterances, labels.classes, task.seed, task.seeds)
    features = _pool(inputs, labels.clips)
    speakers = None if key == "speaker" else [utterance.speaker or "" for utterance in utterances]
    hits, by_seed = _hit_rates(features, labels.classes, speakers, splits, task.seed)
    scored = np.flatnonzero(~np.isnan(hits))
    targets = [labels.classes[at] for at in scored.tolist()]
    chance, majority = guess_accuracies(targets)
    note = f"{splits.note}; {len(set(targets))} classes, {len(targets)} clips"
    note += f"; by seed {format_seeds(by_seed)}" if len(by_seed) > 1 else ""
    left_out = [undefined(reason) for reason in labels.reasons.values()]
    groups = None if speakers is None else [*(speakers[at] for at in scored), *("" for _ in left_out)]
    rows = []
    for metric in metrics:
        weights = [1.0] * len(targets) if metric == _ACCURACY else recall_weights(targets)
        scores = [Score(float(hits[at]), weight=weight) for at, weight in zip(scored, weights, strict=True)]
        rows.append(
            task.row(
                inputs, metric, "higher", [*scores, *left_out], groups=groups, chance=chance,
                majority=majority if metric == _ACCURACY else chance, note=note,
            )
        )  # fmt: skip
    return rows


def _find_labels(inputs: ProbeInput, key: str) -> _Labels:
    reasons: dict[int, str] = {}
    found: dict[int, str] = {}
    for at, utterance in enumerate(inputs.utterances):
        value = utterance.value(key)
        if value is None:
            reasons[at] = f"the manifest has no '{key}' for it"
        elif utterance.speaker is None:
            reasons[at] = NO_SPEAKER
        elif not len(inputs.frames(at)):
            reasons[at] = "it has no frames"
        else:
            found[at] = value
    pairs = {(value, at if key == "speaker" else inputs.utterances[at].speaker) for at, value in found.items()}
    counts = Counter(value for value, _ in pairs)
    for at, value in list(found.items()):
        if counts[value] < 2:
            reasons[at] = f"the only {'clip' if key == 'speaker' else 'speaker'} of its class"
            del found[at]
    return _Labels(list(found), list(found.values()), reasons)


def _reason_against(labels: _Labels, key: str) -> str:
    """Return the reason why these labels cannot be probed; empty if they can."""
    classes = set(labels.classes)
    if not classes:
        return f"no clip can be used: {Counter(labels.reasons.values()).most_common(1)[0][0]}"
    if len(classes) == 1:
        unseen = "clips" if key == "speaker" else "speakers"
        return f"there is one class of '{key}' only ({classes.pop()}) that can be told on unseen {unseen}"
    return ""


def _pool(inputs: ProbeInput, clips: Sequence[int]) -> Float[ndarray, "n D"]:
    """Return one feature vector per clip: mean and standard deviation of vectors, frequencies of ids."""
    frames = [inputs.frames(at) for at in clips]
    if inputs.codebook_size is None:
        vectors = [one.astype(np.float64) for one in frames]
        if inputs.utterance_level:
            return np.stack([one[0] for one in vectors])
        return np.stack([np.concatenate([one.mean(0), one.std(0)]) for one in vectors])
    columns = [ids + np.arange(ids.shape[1]) * inputs.codebook_size for ids in frames]
    used = np.unique(np.concatenate([ids.ravel() for ids in columns]))
    pooled = np.zeros((len(clips), used.size))
    for row, ids in zip(pooled, columns, strict=True):
        np.add.at(row, np.searchsorted(used, ids.ravel()), 1 / len(ids))
    return pooled


def _hit_rates(
    features: Float[ndarray, "n D"], classes: Sequence[str], speakers: Sequence[str] | None, splits: Splits, seed: int
) -> tuple[Float[ndarray, " n"], list[float]]:
    """Return the share of seeds that classify each clip correctly (NaN if never scored), and each seed's accuracy."""
    labels = np.asarray(classes)
    names = None if speakers is None else np.asarray(speakers)
    rounds = []
    for folds in splits.rounds:
        hits = np.full(labels.size, np.nan)
        for fit, scored in folds:
            groups = None if names is None else names[fit]
            hits[scored] = _predict(features[fit], labels[fit], groups, features[scored], seed) == labels[scored]
        rounds.append(hits)
    return np.mean(rounds, axis=0), [float(np.nanmean(hits)) for hits in rounds]


def _predict(
    rows: Float[ndarray, "n D"], labels: ndarray, speakers: ndarray | None, unseen: Float[ndarray, "m D"], seed: int
) -> ndarray:
    """Fit on ``rows`` and return the predicted labels of ``unseen``."""
    if len(set(labels)) == 1:
        return np.repeat(labels[:1], len(unseen))
    rows, unseen = _standardize(rows, unseen)
    names, ids = np.unique(labels, return_inverse=True)
    hits = np.zeros(len(_STRENGTHS))
    for fit, scored in inner_folds(labels.tolist(), None if speakers is None else speakers.tolist(), seed):
        path = fit_logistic_path(rows[fit], ids[fit], len(names), _STRENGTHS)
        hits += [np.sum(_most_likely(rows[scored], weights) == ids[scored]) for weights in path]
    chosen = _STRENGTHS[: int(np.argmax(hits)) + 1]
    return names[_most_likely(unseen, fit_logistic_path(rows, ids, len(names), chosen)[-1])]


def _standardize(rows: Float[ndarray, "n D"], unseen: Float[ndarray, "m D"]) -> tuple[ndarray, ndarray]:
    """Standardize both by the first, and rotate them into its span: the same fit with fewer features."""
    mean, scale = rows.mean(0), rows.std(0)
    scale[scale < 1e-12] = np.inf  # a constant feature becomes 0
    rows, unseen = (rows - mean) / scale, (unseen - mean) / scale
    if rows.shape[1] > rows.shape[0]:
        rotation = np.linalg.svd(rows, full_matrices=False)[2].T
        rows, unseen = rows @ rotation, unseen @ rotation
    return rows, unseen


def fit_logistic_path(
    rows: Float[ndarray, "n D"], ids: Int[ndarray, " n"], classes: int, strengths: Sequence[float]
) -> list[Float[ndarray, "D1 k"]]:
    """Fit multinomial logistic regression at several strengths, each started from the weights of the one before.

    It minimizes C × the sum of cross-entropies + half the squared weights, as scikit-learn's ``LogisticRegression``.
    That class takes many times as long on a few dozen clips, and a probe fits hundreds of times.

    Args:
        rows: Standardized features of n samples.
        ids: Class of each row, in [0, classes).
        classes: Number of classes k.
        strengths: Values of C, the strongest regularization first.

    Returns:
        Weights for each strength, with the bias as the last row.

    Source:
        Böhning, Multinomial logistic regression algorithm (1992): steps under a fixed bound of the curvature, each
        of which lowers the loss.

    Example:
        >>> weights = fit_logistic_path(np.array([[-1.0], [1.0]]), np.array([0, 1]), 2, (1.0,))[0]
        >>> bool(weights[0, 1] > 0 > weights[0, 0])
        True
    """
    padded = np.hstack([rows, np.ones((len(rows), 1))])
    targets = np.eye(classes)[ids]
    penalty = np.append(np.ones(rows.shape[1]), 0.0)[:, None]
    weights = np.zeros((padded.shape[1], classes))
    path = []
    for strength in strengths:
        bound = np.linalg.inv(strength / 2 * padded.T @ padded + np.diag(penalty[:, 0]))
        for _ in range(_MAX_STEPS):
            logits = padded @ weights
            probabilities = np.exp(logits - logits.max(1, keepdims=True))
            probabilities /= probabilities.sum(1, keepdims=True)
            step = bound @ (strength * (padded.T @ (probabilities - targets)) + penalty * weights)
            weights = weights - step
            if np.abs(step).max() < _TOLERANCE:
                break
        path.append(weights)
    return path


def _most_likely(rows: Float[ndarray, "n D"], weights: Float[ndarray, "D1 k"]) -> Int[ndarray, " n"]:
    return np.argmax(rows @ weights[:-1] + weights[-1], axis=1)
