"""What is said, read from the sequence: phones or letters, on the manifest's own splits."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from vocable.data.manifest import Utterance
from vocable.evaluate.card import ProbeRow
from vocable.evaluate.probes.network import Reader, Spelling, pace_for, places_needed, read, train
from vocable.evaluate.probes.question import Question
from vocable.evaluate.probes.targets import letters_of, phones_of
from vocable.evaluate.probes.views import Material
from vocable.metrics.score import undefined
from vocable.metrics.text import NORMALISER, ErrorCounts, cer, per, wer

Errors = Callable[[list[str], list[str]], ErrorCounts]


@dataclass(frozen=True, kw_only=True)
class _Alphabet:
    """What is read, and the errors that are counted.

    Attributes:
        says: Symbols of a clip.
        lacking: Why a clip without them takes no part.
        errors: By metric; the first is what dev is judged by.
        note: On the symbols.
    """

    says: Callable[[Utterance], list[str]]
    lacking: str
    errors: dict[str, Errors]
    note: str


_PHONES = _Alphabet(
    says=phones_of, lacking="the manifest has no 'phones' for it", errors={"PER": per}, note="stress removed"
)
_LETTERS = _Alphabet(
    says=letters_of,
    lacking="the manifest has no 'text' for it",
    errors={
        "CER": lambda said, heard: cer("".join(said), "".join(heard), normaliser=str),
        "WER": lambda said, heard: wer("".join(said), "".join(heard), normaliser=str),
    },
    note=NORMALISER,
)


def phone_rows(question: Question, materials: Sequence[Material]) -> list[ProbeRow]:
    """Phone errors of a small BLSTM with CTC that reads the manifest's ``phones``.

    As every sequence probe: fitted on the split ``train``, stopped by ``dev`` (a tenth of train where there is none),
    scored on ``test``, read greedily without a language model, one seed. ``chance`` is the error of saying nothing,
    ``majority`` that of saying the commonest symbol (or word) as often as there are symbols.
    """
    return [row for material in materials for row in _rows(question, material, _PHONES)]


def letter_rows(question: Question, materials: Sequence[Material]) -> list[ProbeRow]:
    """Character and word errors of a small BLSTM with CTC that reads the letters of the text; as :func:`phone_rows`.

    Source:
        The recognition probe of SpeechTokenizer (Zhang et al., arXiv:2308.16692), at a smaller size and less data:
        figures compare between tokenizers probed on the same clips only.
    """
    return [row for material in materials for row in _rows(question, material, _LETTERS)]


@dataclass(frozen=True)
class _Parts:
    """Clips of each split, and why the others of the test take no part."""

    train: list[int]
    dev: list[int]
    test: list[int]
    reasons: list[str]


def _rows(question: Question, material: Material, alphabet: _Alphabet) -> list[ProbeRow]:
    said = [alphabet.says(utterance) for utterance in material.utterances]
    parts = _part(material, said, alphabet.lacking) if not material.refused else _Parts([], [], [], [])
    reason = material.refused or ("one vector of a clip does not say when" if material.whole else _missing(parts))
    if reason:
        return [question.undefined(material, metric, "lower", reason) for metric in alphabet.errors]
    symbols = sorted({symbol for at in parts.train for symbol in said[at]})
    number = {symbol: place for place, symbol in enumerate(symbols, start=1)}
    frames = {at: material.frames(at) for at in (*parts.train, *parts.dev, *parts.test)}
    clips = Spelling(
        frames=[frames[at] for at in parts.train], symbols=[[number[one] for one in said[at]] for at in parts.train]
    )
    pace = pace_for(clips)
    fits = [places_needed(one) <= len(rows) * pace for rows, one in zip(clips.frames, clips.symbols, strict=True)]

    def heard(reader: Reader, where: Sequence[int]) -> list[list[str]]:
        return [[symbols[one - 1] for one in found] for found in read(reader, [frames[at] for at in where])]

    def error(reader: Reader) -> float:
        count = next(iter(alphabet.errors.values()))
        found = heard(reader, parts.dev)
        return _sum([count(said[at], one) for at, one in zip(parts.dev, found, strict=True)]).rate

    reader, passes = train(
        clips, error, classes=len(symbols) + 1, entries=material.codebook_size, seed=question.seed,
        epochs=question.epochs,
    )  # fmt: skip
    found = heard(reader, parts.test)
    note = (
        f"BLSTM-CTC, greedy, {alphabet.note}; fitted on train ({len(parts.train)} clips, {passes} of at most "
        f"{question.epochs} passes by dev, {len(parts.dev)} clips), scored on test; seed {question.seed}"
    )
    note += "" if all(fits) else f"; {fits.count(False)} texts of train are longer than their frames"
    row = partial(_row, question, material, parts, said, found, note)
    return [row(metric, count) for metric, count in alphabet.errors.items()]


def _row(
    question: Question, material: Material, parts: _Parts, said: Sequence[list[str]],
    found: Sequence[list[str]], note: str, metric: str, count: Errors,
) -> ProbeRow:  # fmt: skip
    scores = [count(said[at], one).score() for at, one in zip(parts.test, found, strict=True)]
    scores += [undefined(reason) for reason in parts.reasons]
    speakers = [material.utterances[at].speaker for at in parts.test]
    groups = [*speakers, *("" for _ in parts.reasons)] if all(speakers) and len(set(speakers)) > 1 else None
    units = [unit for at in parts.test for unit in (_words(said[at]) if metric == "WER" else said[at])]
    commonest = max(Counter(units).values()) / len(units)
    return question.row(
        material, metric, "lower", scores, groups=groups, chance=1.0, majority=1.0 - commonest, note=note
    )  # fmt: skip


def _part(material: Material, said: Sequence[list[str]], lacking: str) -> _Parts:
    parts = _Parts([], [], [], [])
    for at, utterance in enumerate(material.utterances):
        usable = bool(said[at]) and len(material.frames(at)) > 0
        if utterance.split in ("train", "dev", "test") and usable:
            getattr(parts, utterance.split).append(at)
        elif utterance.split == "test":
            parts.reasons.append("it has no frames" if said[at] else lacking)
    if not parts.dev and len(parts.train) > 1:
        parts.dev.extend(parts.train[::10])
        parts.train[:] = [at for at in parts.train if at not in set(parts.dev)]
    return parts


def _missing(parts: _Parts) -> str:
    if not parts.train:
        return "there is nothing to fit on: no clip of split 'train' with what it says"
    if not parts.test:
        return "there is nothing to score: no clip of split 'test' with what it says"
    return ""


def _words(letters: Sequence[str]) -> list[str]:
    return "".join(letters).split()


def _sum(counts: Sequence[ErrorCounts]) -> ErrorCounts:
    total = counts[0]
    for one in counts[1:]:
        total += one
    return total
