"""Who is fitted on and who is scored: folds of clips, or of speakers so that every speaker scored is unseen."""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from vocable.data.manifest import Utterance
from vocable.evaluate.probes.question import library

FOLDS = 5
EACH = 10  # speakers up to which each is left out in turn; as many must a manifest's test split have to be used alone

Fold = tuple[Int[ndarray, " _"], Int[ndarray, " _"]]  # fitted on, scored


@dataclass(frozen=True, kw_only=True)
class Splits:
    """How often and where the clips are parted.

    Attributes:
        rounds: One list of folds for each seed; only one where nothing is drawn by chance.
        note: How, in words.
    """

    rounds: Sequence[Sequence[Fold]]
    note: str


def by_clip(labels: Sequence[str], seed: int, seeds: int) -> Splits:
    """Folds in which every class has its share: a closed set, such as known speakers.

    Args:
        labels: One of each clip; every class at least twice.
        seed: The first.
        seeds: How many.

    Example:
        >>> by_clip(["a", "a", "b", "b"], 0, 3).note
        '2 folds of clips, stratified, seeds 0 to 2'
    """
    folds = min(FOLDS, *Counter(labels).values())
    rounds = []
    for each in range(seed, seed + seeds):
        made = library("model_selection").StratifiedKFold(folds, shuffle=True, random_state=each)
        rounds.append(list(made.split(np.zeros(len(labels)), np.asarray(labels))))
    return Splits(rounds=rounds, note=f"{folds} folds of clips, stratified, {_seeds(seed, seeds)}")


def by_speaker(utterances: Sequence[Utterance], labels: Sequence[str] | None, seed: int, seeds: int) -> Splits:
    """Folds in which no speaker is on both sides.

    The manifest's own ``train`` and ``test`` where test has ten speakers or more, and shares none with train. Else
    each speaker left out in turn where they are ten or fewer, with nothing left to chance. Else five folds of
    speakers, drawn anew for each seed.

    Args:
        utterances: At least two speakers in all; all with a speaker.
        labels: Classes that every fold should have in like shares, if there are classes.
        seed: The first.
        seeds: How many.

    Example:
        >>> clips = [Utterance(audio_path=f"{speaker}.flac", speaker=speaker) for speaker in "abab"]
        >>> by_speaker(clips, None, 0, 3).note
        'each of 2 speakers left out in turn'
    """
    speakers = np.array([utterance.speaker or "" for utterance in utterances])
    splits = np.array([utterance.split or "" for utterance in utterances])
    fit, test = np.flatnonzero((splits == "train") | (splits == "dev")), np.flatnonzero(splits == "test")
    unseen = set(speakers[test]) - set(speakers[fit])
    if fit.size and len(unseen) >= EACH and len(unseen) == len(set(speakers[test])):
        note = f"fitted on the manifest's train and dev, scored on the {len(unseen)} speakers of its test"
        return Splits(rounds=[[(fit, test)]], note=note)
    count = len(set(speakers))
    pairs = Counter(label for label, _ in set(zip(labels or speakers, speakers, strict=True)))
    if labels is not None and sum(pairs.values()) == count:  # a class is a set of speakers, such as gender
        folds_ = min(FOLDS, *pairs.values())
        rounds = [_balanced(labels, speakers, folds_, each) for each in range(seed, seed + seeds)]
        note = f"{folds_} folds of {count} speakers, every class in each, {_seeds(seed, seeds)}"
        return Splits(rounds=rounds, note=note)
    if count <= EACH:
        folds = [(np.flatnonzero(speakers != one), np.flatnonzero(speakers == one)) for one in sorted(set(speakers))]
        return Splits(rounds=[folds], note=f"each of {count} speakers left out in turn")
    classes = np.asarray(labels) if labels is not None else np.zeros(len(speakers))
    rounds = [_grouped(classes, speakers, FOLDS, each) for each in range(seed, seed + seeds)]
    return Splits(rounds=rounds, note=f"{FOLDS} folds of {count} speakers, {_seeds(seed, seeds)}")


def inner(labels: Sequence[str], speakers: Sequence[str] | None, seed: int) -> Sequence[Fold]:
    """Three folds, or two, within what is fitted on, to choose settings by; none where the clips are too few.

    Example:
        >>> len(inner(["a", "b"] * 4, None, 0)), inner(["a", "b"], None, 0)
        (3, [])
    """
    scarcest = min(Counter(labels).values())
    folds = min(3, scarcest if speakers is None else len(set(speakers)), len(labels))
    if folds < 2 or len(set(labels)) < 2:
        return []
    if speakers is not None:
        return [
            (fit, scored)
            for fit, scored in _grouped(np.asarray(labels), np.asarray(speakers), folds, seed)
            if len({labels[at] for at in fit}) > 1 and scored.size
        ]  # fmt: skip
    made = library("model_selection").StratifiedKFold(folds, shuffle=True, random_state=seed)
    return list(made.split(np.zeros(len(labels)), np.asarray(labels)))


def _grouped(classes: ndarray, speakers: ndarray, folds: int, seed: int) -> Sequence[Fold]:
    made = library("model_selection").StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class in y", category=UserWarning)
        return list(made.split(np.zeros(len(classes)), classes, speakers))


def _balanced(labels: Sequence[str], speakers: ndarray, folds: int, seed: int) -> Sequence[Fold]:
    """Folds of speakers, each with its share of every class."""
    of = dict(zip(speakers.tolist(), labels, strict=True))
    names = sorted(of)
    made = library("model_selection").StratifiedKFold(folds, shuffle=True, random_state=seed)
    parts = made.split(np.zeros(len(names)), [of[name] for name in names])
    scored = [np.isin(speakers, [names[at] for at in part]) for _, part in parts]
    return [(np.flatnonzero(~part), np.flatnonzero(part)) for part in scored]


def _seeds(seed: int, seeds: int) -> str:
    return f"seed {seed}" if seeds == 1 else f"seeds {seed} to {seed + seeds - 1}"
