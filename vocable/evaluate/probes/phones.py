"""Which phone a single frame tells, of speakers not fitted on."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray

from vocable.evaluate.card import ProbeRow
from vocable.evaluate.probes.framewise import Labelled, Model, Wanted, answers, labelled, refused
from vocable.evaluate.probes.question import Question, library, shares, spread
from vocable.evaluate.probes.splits import by_speaker
from vocable.evaluate.probes.targets import centres, marks_of, phones_at
from vocable.evaluate.probes.views import Material
from vocable.metrics.score import Score, undefined

METRIC = "frame top-1 accuracy"
_RARE = 10  # frames a phone must have to be fitted
_FLOOR = 1e-3  # added to each variance, of standardised values, so that a covariance can be inverted


def phone_frame_rows(question: Question, materials: Sequence[Material]) -> list[ProbeRow]:
    """Linear classification of the phone at each frame's middle, from that frame alone.

    Linear discriminant analysis of vectors, naive Bayes of ids: both linear, fitted in closed form, with nothing
    left to chance but the folds. Needs the manifest's ``phone_marks``; a phone not fitted on counts as an error.
    """
    return [_row(question, material) for material in materials]


def _row(question: Question, material: Material) -> ProbeRow:
    undefined_row = partial(question.undefined, material, METRIC, "higher")
    if material.refused:
        return undefined_row(material.refused)
    if material.whole:
        return undefined_row("one vector of a clip does not say when")
    if material.seconds is None:
        return undefined_row("these tokens do not follow the clock")
    clips = labelled(material, [_known(material, at) for at in range(len(material.utterances))])
    if reason := refused(material, clips):
        return undefined_row(reason)
    told = [material.utterances[at] for at in clips.kept]
    splits = by_speaker(told, None, question.seed, question.seeds)
    rounds = answers(clips, splits, partial(_fit, ids=material.codebook_size is not None))
    return _scored(question, material, clips, rounds, splits.note)


def _scored(
    question: Question, material: Material, clips: Labelled, rounds: Sequence[dict[int, ndarray]], note: str
) -> ProbeRow:
    scored = list(rounds[0])
    right = [[said[at] == clips.wanted[at] for at in scored] for said in rounds]
    hits = np.mean([[clip.mean() for clip in each] for each in right], axis=0)
    phones = np.concatenate([clips.wanted[at] for at in scored]).tolist()
    chance, majority = shares(phones)
    scores = [Score(float(hit), weight=float(clips.wanted[at].size)) for hit, at in zip(hits, scored, strict=True)]
    scores += [undefined(reason) for reason in clips.reasons]
    groups = [*(material.utterances[clips.kept[at]].speaker for at in scored), *("" for _ in clips.reasons)]
    note = f"linear, from one frame; {note}; {len(set(phones))} phones, {len(phones)} frames"
    if len(rounds) > 1:
        note += f"; by seed {spread([float(np.concatenate(each).mean()) for each in right])}"
    return question.row(
        material, METRIC, "higher", scores, groups=groups, chance=chance, majority=majority, note=note
    )  # fmt: skip


def _known(material: Material, at: int) -> Wanted | str:
    marks = marks_of(material.utterances[at])
    if not marks or material.seconds is None:
        return "the manifest has no 'phone_marks' for it"
    phones = np.array(phones_at(marks, centres(len(material.frames(at)), material.seconds)))
    return phones, phones != ""


def _fit(rows: Any, phones: ndarray, *, ids: bool) -> Model:
    common = [phone for phone, times in Counter(phones.tolist()).items() if times >= _RARE]
    held = np.isin(phones, common)
    if len(common) < 2:
        always = common[0] if common else ""
        return lambda frames: np.repeat(always, frames.shape[0])
    if ids:
        model = library("naive_bayes").MultinomialNB(alpha=0.1)
    else:
        linear = library("discriminant_analysis").LinearDiscriminantAnalysis(
            solver="lsqr", covariance_estimator=_Covariance()
        )
        model = library("pipeline").make_pipeline(library("preprocessing").StandardScaler(), linear)
    return model.fit(rows[held], phones[held]).predict


class _Covariance:
    """A class's covariance for scikit-learn; its own shrinkage leaves frames of one and the same vector singular."""

    covariance_: ndarray

    def fit(self, rows: ndarray) -> None:
        apart = rows - rows.mean(0)
        self.covariance_ = apart.T @ apart / len(rows) + _FLOOR * np.eye(rows.shape[1])
