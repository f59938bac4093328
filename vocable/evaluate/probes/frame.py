"""Probes of single frames: phone and pitch, by linear models that are scored on speakers they were not fitted on."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped
from numpy import ndarray
from pydantic import RootModel

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import AudioError, ManifestError
from vocable.evaluate.card import ProbeRow
from vocable.evaluate.judges.base import Pitch, PitchTracker
from vocable.evaluate.judges.find import find_scorer
from vocable.evaluate.probes.base import (
    NO_SPEAKER,
    ProbeTask,
    Splits,
    format_seeds,
    import_sklearn,
    split_by_speaker,
)
from vocable.evaluate.probes.views import ProbeInput
from vocable.metrics.classification import guess_accuracies
from vocable.metrics.pitch import predicted_pitch_correlation
from vocable.metrics.score import Score, undefined
from vocable.schema import parse

ACCURACY = "frame top-1 accuracy"
CORRELATION, ERROR = "F0 correlation within clips", "F0 error (cents)"
_MAX_FRAMES = 200_000  # frames to fit on; longer material is subsampled evenly
_MIN_PHONE_FRAMES = 10  # frames that a phone needs to be fitted
_COVARIANCE_FLOOR = 1e-3  # added to each variance of standardized features, so that a covariance can be inverted
_RIDGE = 10.0  # penalty on standardized features; on ids: as if each occurred in ten more frames, of mean pitch
_CENTS = 1200 / math.log(2)

Target = tuple[Shaped[ndarray, " N"], Bool[ndarray, " N"]]  # value of each frame, and mask of the frames that have one
Predictor = Callable[[Any], ndarray]  # features of frames to their predicted values
Fit = Callable[[Any, ndarray], Predictor]


def classify_phones(task: ProbeTask, inputs: Sequence[ProbeInput]) -> list[ProbeRow]:
    """Classify the phone at the middle of each frame from that frame alone.

    The classifiers are linear and fitted in closed form: linear discriminant analysis of vectors, naive Bayes of ids.
    The manifest must have ``phone_marks``. A phone that was not fitted on counts as an error.
    """
    return [_phone_row(task, one) for one in inputs]


def predict_pitch(task: ProbeTask, inputs: Sequence[ProbeInput]) -> list[ProbeRow]:
    """Predict log F0 from single voiced frames with ridge regression.

    The first figure is the correlation within a clip, mean over clips; it does not depend on a speaker's register.
    The second is the root mean square error in cents over all frames; it does. ``majority`` of the second is the error
    of predicting the mean of the frames fitted on.
    """
    available = [one for one in inputs if not one.refused and one.seconds]
    pitches: list[Pitch | str] = []
    if available:
        tracker = task.tracker or find_scorer("pitch")
        task = replace(task, tracker=tracker)
        pitches = [_track(tracker, utterance) for utterance in available[0].utterances]
    return [row for one in inputs for row in _pitch_rows(task, one, pitches)]


# ---- targets --------------------------------------------------------------------------------------------------------


class _Marks(RootModel[list[tuple[float, str]]]):
    """Value of a manifest's key ``phone_marks``: rows of a start in seconds and a label."""


def phone_marks(utterance: Utterance) -> list[tuple[float, str]]:
    r"""Return the start of each phone in seconds and its label, from the key ``phone_marks``; the last is the end.

    EmoDB's labels are reduced to the phone. A label without a phone (``-sth``: voicing ends) continues the phone
    before. The parts of a stop (``_d`` closure, ``!d`` burst, ``dasp`` aspiration) are the stop. A label in brackets
    and ``.`` are no phone and become ``""``.

    Raises:
        ManifestError: If the key is no list of pairs of a number and a text.

    Example:
        >>> marks = [[0.1, "_t"], [0.15, "!t\t+asp"], [0.2, "E6"], [0.3, "\t-sth"], [0.4, "."]]
        >>> phone_marks(Utterance(audio_path="a.flac", extra={"phone_marks": marks}))
        [(0.1, 't'), (0.15, 't'), (0.2, 'E6'), (0.3, 'E6'), (0.4, '')]
    """
    marks: list[tuple[float, str]] = []
    values = utterance.extra.get("phone_marks") or []
    for start, label in parse(_Marks, values, f"{utterance.name}: 'phone_marks'", ManifestError).root:
        first = label.split("\t")[0]
        if not first or first[0] in "+-":
            phone = marks[-1][1] if marks else ""
        elif first[0] in "(.":
            phone = ""
        else:
            phone = re.sub(r"^[_!]+|(?<=.)asp$", "", first)
        marks.append((start, phone))
    return marks


def phones_at(marks: Sequence[tuple[float, str]], times: Float[ndarray, " N"]) -> list[str]:
    """Return the phone at each time in seconds; ``""`` if there is none.

    Example:
        >>> phones_at([(0.1, "t"), (0.2, "E"), (0.4, "")], np.array([0.05, 0.1, 0.3, 0.5]))
        ['', 't', 'E', '']
    """
    starts = np.array([start for start, _ in marks])
    phones = ["", *(phone for _, phone in marks)]
    return [phones[at] for at in np.searchsorted(starts, times, side="right")]


def frame_centers(frames: int, seconds: float) -> Float[ndarray, " N"]:
    """Return the middle of each frame in seconds.

    Example:
        >>> frame_centers(3, 0.02).round(3).tolist()
        [0.01, 0.03, 0.05]
    """
    return (np.arange(frames) + 0.5) * seconds


def log_pitch_at(pitch: Pitch, times: Float[ndarray, " N"]) -> tuple[Float[ndarray, " N"], Bool[ndarray, " N"]]:
    """Interpolate the natural logarithm of F0 at times in seconds; also return a mask of the times that have a value.

    A time has a value if the frames of the tracker before and after it are both voiced.

    Example:
        >>> pitch = Pitch(hz=np.array([100.0, 100.0, 0.0]), voiced=np.array([True, True, False]), hop=0.01)
        >>> values, mask = log_pitch_at(pitch, np.array([0.005, 0.015]))
        >>> round(float(np.exp(values[0]))), mask.tolist()
        (100, [True, False])
    """
    if not pitch.hz.size:
        return np.zeros(times.size), np.zeros(times.size, dtype=bool)
    place = times / pitch.hop
    before, after = np.floor(place).astype(int), np.ceil(place).astype(int)
    inside = after < pitch.hz.size
    before, after = before.clip(0, pitch.hz.size - 1), after.clip(0, pitch.hz.size - 1)
    mask = inside & pitch.voiced[before] & pitch.voiced[after]
    logs = np.log(np.where(pitch.voiced, pitch.hz, 1.0))
    fraction = place - np.floor(place)
    return (1 - fraction) * logs[before] + fraction * logs[after], mask


# ---- features and folds ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _FrameData:
    """Frames that have a target, of the clips that take part; one entry per clip, and a reason for each left out."""

    clips: Sequence[int]
    features: Sequence[Any]
    targets: Sequence[ndarray]
    speakers: Sequence[str]
    reasons: Sequence[str]
    splits: Splits

    def predict(self, fit: Fit) -> list[dict[int, ndarray]]:
        """Return the predicted values of each scored clip, by its place in ``clips``; one mapping per seed."""
        rounds = []
        for folds in self.splits.rounds:
            predictions: dict[int, ndarray] = {}
            for train, scored in folds:
                predictor = fit(*self._stack(train))
                predictions |= {int(at): predictor(self.features[at]) for at in scored}
            rounds.append(predictions)
        return rounds

    def groups(self, scored: Sequence[int]) -> list[str]:
        """Return the speaker of each scored clip, and an empty name for each clip that is left out."""
        return [*(self.speakers[at] for at in scored), *("" for _ in self.reasons)]

    def _stack(self, train: ndarray) -> tuple[Any, ndarray]:
        from scipy import sparse

        parts = [self.features[at] for at in train]
        rows = sparse.vstack(parts, "csr") if sparse.issparse(parts[0]) else np.concatenate(parts)
        targets = np.concatenate([self.targets[at] for at in train])
        step = -(-targets.size // _MAX_FRAMES)
        return rows[::step], targets[::step]


def _frame_data(task: ProbeTask, inputs: ProbeInput, targets: Sequence[Target | str]) -> _FrameData | str:
    """Collect the frames that have a target; return the reason if they cannot be split by speaker.

    A single vector of a clip stands for each of its frames.
    """
    clips, features, values, reasons = [], [], [], []
    for at, (utterance, target) in enumerate(zip(inputs.utterances, targets, strict=True)):
        if isinstance(target, str) or utterance.speaker is None:
            reasons.append(target if isinstance(target, str) else NO_SPEAKER)
            continue
        frames = inputs.frames(at)
        if inputs.utterance_level:
            frames = np.repeat(frames[:1], len(target[0]), axis=0)
        where = np.flatnonzero(target[1][: min(len(frames), len(target[0]))])
        if not where.size:
            reasons.append("none of its frames can be used")
            continue
        clips.append(at)
        features.append(_features(inputs, frames[where]))
        values.append(target[0][where])
    if not clips:
        return f"no clip can be used: {max(sorted(set(reasons)), key=reasons.count)}"
    utterances = [inputs.utterances[at] for at in clips]
    speakers = [utterance.speaker or "" for utterance in utterances]
    if len(set(speakers)) == 1:
        return f"there is one speaker only ({speakers[0]}), so none is unseen"
    splits = split_by_speaker(utterances, None, task.seed, task.seeds)
    return _FrameData(
        clips=clips, features=features, targets=values, speakers=speakers, reasons=reasons, splits=splits
    )  # fmt: skip


def _features(inputs: ProbeInput, frames: ndarray) -> Any:
    """Return vectors as float64, ids as sparse one-hot rows."""
    from scipy import sparse

    if inputs.codebook_size is None:
        return frames.astype(np.float64)
    count, levels = frames.shape
    columns = (frames + np.arange(levels) * inputs.codebook_size).ravel()
    starts = np.arange(0, count * levels + 1, levels)
    return sparse.csr_matrix((np.ones(columns.size), columns, starts), shape=(count, levels * inputs.codebook_size))


def _pipeline(model: Any) -> Any:
    """Return a model of scikit-learn on standardized features."""
    return import_sklearn("pipeline").make_pipeline(import_sklearn("preprocessing").StandardScaler(), model)


# ---- phones ---------------------------------------------------------------------------------------------------------


def _phone_row(task: ProbeTask, inputs: ProbeInput) -> ProbeRow:
    reason = inputs.refused
    if not reason and inputs.utterance_level:
        reason = "one vector of a clip does not say when"
    if not reason and inputs.seconds is None:
        reason = "these tokens do not follow the clock"
    data = reason or _frame_data(task, inputs, [_phone_target(inputs, at) for at in range(len(inputs.utterances))])
    if isinstance(data, str):
        return task.undefined_row(inputs, ACCURACY, "higher", data)
    rounds = data.predict(partial(_fit_phones, ids=inputs.codebook_size is not None))
    scored = list(rounds[0])
    hits = [[predictions[at] == data.targets[at] for at in scored] for predictions in rounds]
    rates = np.mean([[clip.mean() for clip in each] for each in hits], axis=0)
    phones = np.concatenate([data.targets[at] for at in scored]).tolist()
    chance, majority = guess_accuracies(phones)
    scores = [Score(float(rate), weight=float(data.targets[at].size)) for rate, at in zip(rates, scored, strict=True)]
    note = f"linear, from one frame; {data.splits.note}; {len(set(phones))} phones, {len(phones)} frames"
    if len(rounds) > 1:
        note += f"; by seed {format_seeds([float(np.concatenate(each).mean()) for each in hits])}"
    return task.row(
        inputs, ACCURACY, "higher", [*scores, *map(undefined, data.reasons)], groups=data.groups(scored),
        chance=chance, majority=majority, note=note,
    )  # fmt: skip


def _phone_target(inputs: ProbeInput, at: int) -> Target | str:
    marks = phone_marks(inputs.utterances[at])
    if not marks or inputs.seconds is None:
        return "the manifest has no 'phone_marks' for it"
    phones = np.array(phones_at(marks, frame_centers(len(inputs.frames(at)), inputs.seconds)))
    return phones, phones != ""


def _fit_phones(rows: Any, phones: ndarray, *, ids: bool) -> Predictor:
    frequent = [phone for phone, count in Counter(phones.tolist()).items() if count >= _MIN_PHONE_FRAMES]
    if len(frequent) < 2:
        constant = frequent[0] if frequent else ""
        return lambda frames: np.repeat(constant, frames.shape[0])
    if ids:
        model = import_sklearn("naive_bayes").MultinomialNB(alpha=0.1)
    else:
        linear = import_sklearn("discriminant_analysis").LinearDiscriminantAnalysis
        model = _pipeline(linear(solver="lsqr", covariance_estimator=_FlooredCovariance()))
    kept = np.isin(phones, frequent)
    return model.fit(rows[kept], phones[kept]).predict


class _FlooredCovariance:
    """Covariance estimator for scikit-learn, whose own shrinkage leaves a class of identical frames singular."""

    covariance_: ndarray

    def fit(self, rows: ndarray) -> None:
        centered = rows - rows.mean(0)
        self.covariance_ = centered.T @ centered / len(rows) + _COVARIANCE_FLOOR * np.eye(rows.shape[1])


# ---- pitch ----------------------------------------------------------------------------------------------------------


def _pitch_rows(task: ProbeTask, inputs: ProbeInput, pitches: Sequence[Pitch | str]) -> list[ProbeRow]:
    reason = inputs.refused or ("" if inputs.seconds else "these tokens do not follow the clock")
    targets = [] if reason else [_pitch_target(inputs, at, pitch) for at, pitch in enumerate(pitches)]
    data = reason or _frame_data(task, inputs, targets)
    if isinstance(data, str):
        return [
            task.undefined_row(inputs, CORRELATION, "higher", data), task.undefined_row(inputs, ERROR, "lower", data)
        ]  # fmt: skip
    assert task.tracker is not None
    rounds = data.predict(partial(_fit_ridge, ids=inputs.codebook_size is not None))
    scored = list(rounds[0])
    weights = [float(data.targets[at].size) for at in scored]
    squares = [Score(one, weight=weight) for one, weight in zip(_square_errors(data, rounds), weights, strict=True)]
    correlations = [predicted_pitch_correlation(data.targets[at], [one[at] for one in rounds]) for at in scored]
    mean_error = float(np.average(_square_errors(data, data.predict(_fit_mean)), weights=weights))
    left_out, groups = [undefined(reason) for reason in data.reasons], data.groups(scored)
    note = (
        f"ridge regression, from one frame; {data.splits.note}; {int(sum(weights))} voiced frames; {task.tracker.name}"
    )
    correlation = task.row(
        inputs, CORRELATION, "higher", [*correlations, *left_out], groups=groups, chance=0.0, note=note
    )
    error = task.row(
        inputs, ERROR, "lower", [*squares, *left_out], groups=groups, majority=_CENTS * math.sqrt(mean_error), note=note
    )
    return [correlation, replace(error, figure=error.figure.root(_CENTS))]


def _square_errors(data: _FrameData, rounds: Sequence[dict[int, ndarray]]) -> list[float]:
    """Return the mean square error of each scored clip, mean over seeds."""
    return [
        float(np.mean([np.square(predictions[at] - data.targets[at]).mean() for predictions in rounds]))
        for at in rounds[0]
    ]  # fmt: skip


def _track(tracker: PitchTracker, utterance: Utterance) -> Pitch | str:
    try:
        return tracker.track(Audio.read(utterance.audio_path))
    except AudioError as error:
        return f"no pitch: {str(error).removeprefix(f'{utterance.audio_path}: ')}"


def _pitch_target(inputs: ProbeInput, at: int, pitch: Pitch | str) -> Target | str:
    if isinstance(pitch, str):
        return pitch
    assert inputs.seconds is not None
    by_tracker = int(pitch.hz.size * pitch.hop / inputs.seconds)
    frames = by_tracker if inputs.utterance_level else len(inputs.frames(at))
    return log_pitch_at(pitch, frame_centers(frames, inputs.seconds))


def _fit_ridge(rows: Any, logs: ndarray, *, ids: bool) -> Predictor:
    ridge = import_sklearn("linear_model").Ridge(alpha=_RIDGE, solver="sparse_cg" if ids else "cholesky")
    return (ridge if ids else _pipeline(ridge)).fit(rows, logs).predict


def _fit_mean(rows: Any, logs: ndarray) -> Predictor:
    return lambda frames: np.repeat(logs.mean(), frames.shape[0])
