"""Settings of a probe, the rows it reports, and its cross-validation folds."""

import importlib
import math
import warnings
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from vocable.data.manifest import Utterance
from vocable.errors import MissingDependencyError
from vocable.evaluate.card import Better, ProbeRow
from vocable.evaluate.judges.base import PitchTracker
from vocable.evaluate.probes.views import ProbeInput
from vocable.metrics.score import Figure, Score, summarize

NUM_FOLDS = 5
MAX_LEAVE_ONE_OUT = 10  # speakers up to which each is left out in turn; fewest of a test split that is used alone
NO_SPEAKER = "the manifest has no 'speaker' for it"

Fold = tuple[Int[ndarray, " _"], Int[ndarray, " _"]]  # indices of the clips to fit on, and of those to score


@dataclass(frozen=True, kw_only=True)
class ProbeTask:
    """Name and settings of one probe of one tokenizer.

    Attributes:
        entry: Name of the tokenizer.
        probe: Name of the probe.
        seed: First seed of the folds and of the weights, and seed of the bootstrap.
        seeds: Number of repetitions of a clip probe whose folds are drawn at random.
        epochs: Most passes of a sequence probe over its training clips; early stopping on ``dev`` may end it before.
        tracker: Pitch tracker; None takes the default one.
    """

    entry: str
    probe: str
    seed: int = 0
    seeds: int = 3
    epochs: int = 30
    tracker: PitchTracker | None = None

    def row(
        self, inputs: ProbeInput, metric: str, better: Better, scores: Sequence[Score], *,
        groups: Sequence[Hashable] | None = None, chance: float = math.nan, majority: float = math.nan, note: str = "",
    ) -> ProbeRow:  # fmt: skip
        """Return the row of one score per clip, with a bootstrap interval over clips or over ``groups`` of them."""
        figure = summarize(scores, seed=self.seed, groups=groups)
        over = "clips" if groups is None else "speakers"
        note = "; ".join(part for part in (note, inputs.representation, f"interval over {over}") if part)
        return self._row(inputs, metric, better, figure, note, chance, majority)

    def undefined_row(self, inputs: ProbeInput, metric: str, better: Better, reason: str) -> ProbeRow:
        """Return the row of a figure that cannot be computed, with its reason."""
        clips = len(inputs.utterances)
        figure = Figure(mean=math.nan, low=math.nan, high=math.nan, n=0, excluded=clips, reasons={reason: clips})
        return self._row(inputs, metric, better, figure, f"undefined: {reason}")

    def _row(
        self, inputs: ProbeInput, metric: str, better: Better, figure: Figure, note: str,
        chance: float = math.nan, majority: float = math.nan,
    ) -> ProbeRow:  # fmt: skip
        return ProbeRow(
            entry=self.entry, probe=self.probe, view=inputs.view, metric=metric, better=better, figure=figure,
            chance=chance, majority=majority, note=note,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Cross-validation folds of some clips.

    Attributes:
        rounds: One list of folds per seed; a single list where the folds do not depend on chance.
        note: Description of the folds, for a report.
    """

    rounds: Sequence[Sequence[Fold]]
    note: str


def import_sklearn(module: str) -> Any:
    """Import a module of scikit-learn; without the package, raise :class:`MissingDependencyError`."""
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise MissingDependencyError("probes need scikit-learn; run pip install 'vocable[evaluate]'") from error


def format_seeds(values: Sequence[float]) -> str:
    """Format the figures of several seeds for a note."""
    return " ".join(f"{value:.3f}" for value in values)


def split_by_clip(labels: Sequence[str], seed: int, seeds: int) -> Splits:
    """Return stratified folds of clips, each class at least twice: a closed set, such as known speakers.

    Example:
        >>> split_by_clip(["a", "a", "b", "b"], 0, 3).note
        '2 folds of clips, stratified, seeds 0 to 2'
    """
    folds = min(NUM_FOLDS, *Counter(labels).values())
    rounds = [_stratified(labels, folds, each) for each in range(seed, seed + seeds)]
    return Splits(rounds=rounds, note=f"{folds} folds of clips, stratified, {_seed_range(seed, seeds)}")


def split_by_speaker(utterances: Sequence[Utterance], labels: Sequence[str] | None, seed: int, seeds: int) -> Splits:
    """Return folds in which no speaker is both fitted on and scored.

    The splits ``train`` and ``test`` of the manifest are used if test has ten speakers or more, none of them in train.
    Otherwise each speaker is left out in turn if there are at most ten; this depends on no seed.
    Otherwise five folds of speakers are drawn for each seed.

    Args:
        utterances: Clips of at least two speakers; every clip has a speaker.
        labels: Class of each clip, to be distributed evenly over the folds; None if there are no classes.
        seed: First seed.
        seeds: Number of seeds.

    Example:
        >>> clips = [Utterance(audio_path=f"{speaker}.flac", speaker=speaker) for speaker in "abab"]
        >>> split_by_speaker(clips, None, 0, 3).note
        'each of 2 speakers left out in turn'
    """
    speakers = np.array([utterance.speaker or "" for utterance in utterances])
    splits = np.array([utterance.split or "" for utterance in utterances])
    fit, test = np.flatnonzero((splits == "train") | (splits == "dev")), np.flatnonzero(splits == "test")
    unseen = set(speakers[test]) - set(speakers[fit])
    if fit.size and len(unseen) >= MAX_LEAVE_ONE_OUT and len(unseen) == len(set(speakers[test])):
        note = f"fitted on the manifest's train and dev, scored on the {len(unseen)} speakers of its test"
        return Splits(rounds=[[(fit, test)]], note=note)
    count, numbers = len(set(speakers)), range(seed, seed + seeds)
    pairs = Counter(label for label, _ in set(zip(labels or speakers, speakers, strict=True)))
    if labels is not None and sum(pairs.values()) == count:  # a class is a set of speakers, such as gender
        num_folds = min(NUM_FOLDS, *pairs.values())
        rounds = [_balanced(labels, speakers, num_folds, each) for each in numbers]
        note = f"{num_folds} folds of {count} speakers, every class in each, {_seed_range(seed, seeds)}"
        return Splits(rounds=rounds, note=note)
    if count <= MAX_LEAVE_ONE_OUT:
        folds = [(np.flatnonzero(speakers != one), np.flatnonzero(speakers == one)) for one in sorted(set(speakers))]
        return Splits(rounds=[folds], note=f"each of {count} speakers left out in turn")
    classes = np.asarray(labels) if labels is not None else np.zeros(len(speakers))
    rounds = [_grouped(classes, speakers, NUM_FOLDS, each) for each in numbers]
    return Splits(rounds=rounds, note=f"{NUM_FOLDS} folds of {count} speakers, {_seed_range(seed, seeds)}")


def inner_folds(labels: Sequence[str], speakers: Sequence[str] | None, seed: int) -> Sequence[Fold]:
    """Return two or three folds of the clips fitted on, to choose a hyperparameter; none if there are too few clips.

    Example:
        >>> len(inner_folds(["a", "b"] * 4, None, 0)), inner_folds(["a", "b"], None, 0)
        (3, [])
    """
    rarest = min(Counter(labels).values())
    folds = min(3, rarest if speakers is None else len(set(speakers)), len(labels))
    if folds < 2 or len(set(labels)) < 2:
        return []
    if speakers is None:
        return _stratified(labels, folds, seed)
    return [
        (fit, scored)
        for fit, scored in _grouped(np.asarray(labels), np.asarray(speakers), folds, seed)
        if len({labels[at] for at in fit}) > 1 and scored.size
    ]  # fmt: skip


def _stratified(labels: Sequence[str], folds: int, seed: int) -> list[Fold]:
    splitter = import_sklearn("model_selection").StratifiedKFold(folds, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(len(labels)), np.asarray(labels)))


def _grouped(classes: ndarray, speakers: ndarray, folds: int, seed: int) -> Sequence[Fold]:
    splitter = import_sklearn("model_selection").StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class in y", category=UserWarning)
        return list(splitter.split(np.zeros(len(classes)), classes, speakers))


def _balanced(labels: Sequence[str], speakers: ndarray, folds: int, seed: int) -> Sequence[Fold]:
    """Return folds of speakers that hold every class in like shares."""
    class_of = dict(zip(speakers.tolist(), labels, strict=True))
    names = sorted(class_of)
    parts = _stratified([class_of[name] for name in names], folds, seed)
    scored = [np.isin(speakers, [names[at] for at in part]) for _, part in parts]
    return [(np.flatnonzero(~part), np.flatnonzero(part)) for part in scored]


def _seed_range(seed: int, seeds: int) -> str:
    return f"seed {seed}" if seeds == 1 else f"seeds {seed} to {seed + seeds - 1}"
