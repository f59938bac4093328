"""How much of the pitch a single frame tells by a straight line, of speakers not fitted on."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import AudioError
from vocable.evaluate.card import ProbeRow
from vocable.evaluate.judges.base import Pitch, PitchTracker
from vocable.evaluate.judges.find import find_judge
from vocable.evaluate.probes.framewise import Labelled, Model, Wanted, answers, labelled, refused
from vocable.evaluate.probes.question import Question, library
from vocable.evaluate.probes.splits import Splits, by_speaker
from vocable.evaluate.probes.targets import centres, log_pitch_at
from vocable.evaluate.probes.views import Material
from vocable.metrics.score import Score, undefined

CORRELATION, ERROR = "F0 correlation within clips", "F0 error (cents)"
_RIDGE = 10.0  # on standardised values, or on ids: as if each had ten frames more, of mean pitch
_CENTS = 1200 / math.log(2)
_FEW = 10  # voiced frames a clip must have for a correlation


def pitch_rows(question: Question, materials: Sequence[Material]) -> list[ProbeRow]:
    """Ridge regression from single frames to log F0, on voiced frames.

    Two figures: the mean over clips of the correlation within the clip, which a speaker's register does not help,
    and the root mean square error in cents over all frames, which it does. ``majority`` of the second is the error
    of always saying the mean of who was fitted on.
    """
    usable = [material for material in materials if not material.refused and material.seconds]
    heard: list[Pitch | str] = []
    if usable:
        tracker = question.tracker or find_judge("pitch")
        heard = [_hear(tracker, utterance) for utterance in usable[0].utterances]
    return [row for material in materials for row in _rows(question, material, heard)]


def _rows(question: Question, material: Material, heard: Sequence[Pitch | str]) -> list[ProbeRow]:
    reason = material.refused or ("" if material.seconds else "these tokens do not follow the clock")
    if not reason:
        clips = labelled(material, [_known(material, at, pitch) for at, pitch in enumerate(heard)])
        reason = refused(material, clips)
    if reason:
        return [
            question.undefined(material, CORRELATION, "higher", reason),
            question.undefined(material, ERROR, "lower", reason),
        ]
    told = [material.utterances[at] for at in clips.kept]
    splits = by_speaker(told, None, question.seed, question.seeds)
    rounds = answers(clips, splits, partial(_fit, ids=material.codebook_size is not None))
    return _scored(question, material, clips, splits, rounds)


def _scored(
    question: Question, material: Material, clips: Labelled, splits: Splits, rounds: Sequence[dict[int, ndarray]]
) -> list[ProbeRow]:
    scored = list(rounds[0])
    wanted = [clips.wanted[at] for at in scored]
    left_out = [undefined(reason) for reason in clips.reasons]
    groups = [*(material.utterances[clips.kept[at]].speaker for at in scored), *("" for _ in left_out)]
    same = _mean_square(answers(clips, splits, _fit_mean), scored, wanted)
    weights = [float(values.size) for values in wanted]
    square = [Score(value, weight=w) for value, w in zip(_mean_square(rounds, scored, wanted), weights, strict=True)]
    alike = [_alike([said[at] for said in rounds], clips.wanted[at]) for at in scored]
    ridge = f"ridge regression, from one frame; {splits.note}; {int(sum(weights))} voiced frames"
    tracker = (question.tracker or find_judge("pitch")).name
    correlations = question.row(
        material, CORRELATION, "higher", [*alike, *left_out], groups=groups, chance=0.0, note=f"{ridge}; {tracker}"
    )  # fmt: skip
    errors = question.row(
        material, ERROR, "lower", [*square, *left_out], groups=groups, note=f"{ridge}; {tracker}",
        majority=_CENTS * math.sqrt(float(np.average(same, weights=weights))),
    )  # fmt: skip
    return [correlations, question.root(errors, _CENTS)]


def _mean_square(rounds: Sequence[dict[int, ndarray]], scored: Sequence[int], wanted: Sequence[ndarray]) -> list[float]:
    return [
        float(np.mean([np.square(said[at] - values).mean() for said in rounds]))
        for at, values in zip(scored, wanted, strict=True)
    ]


def _alike(said: Sequence[ndarray], wanted: ndarray) -> Score:
    if wanted.size < _FEW:
        return undefined(f"fewer than {_FEW} voiced frames")
    if float(np.ptp(wanted)) < 1e-9:
        return undefined("its pitch never changes")
    if any(float(np.ptp(values)) < 1e-9 for values in said):
        return undefined("the probe says one pitch throughout")
    return Score(float(np.mean([np.corrcoef(values, wanted)[0, 1] for values in said])))


def _hear(tracker: PitchTracker, utterance: Utterance) -> Pitch | str:
    try:
        return tracker.track(Audio.read(utterance.audio_path))
    except AudioError as error:
        return f"no pitch: {str(error).removeprefix(f'{utterance.audio_path}: ')}"


def _known(material: Material, at: int, pitch: Pitch | str) -> Wanted | str:
    if isinstance(pitch, str):
        return pitch
    assert material.seconds is not None
    frames = int(pitch.hz.size * pitch.hop / material.seconds) if material.whole else len(material.frames(at))
    return log_pitch_at(pitch, centres(frames, material.seconds))


def _fit(rows: Any, logs: ndarray, *, ids: bool) -> Model:
    parts = [library("linear_model").Ridge(alpha=_RIDGE, solver="sparse_cg" if ids else "cholesky")]
    if not ids:
        parts.insert(0, library("preprocessing").StandardScaler())
    return library("pipeline").make_pipeline(*parts).fit(rows, logs).predict


def _fit_mean(rows: Any, logs: ndarray) -> Model:
    return lambda frames: np.repeat(logs.mean(), frames.shape[0])
