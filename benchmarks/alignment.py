"""Compare forced alignments with hand-made marks, and with one another.

The phones of EmoDB were marked by ear and are German. The aligners get the nearest English phone of each
(``_ENGLISH``), so all work outside the language they were made for. Syllables stand for words: pauses are allowed
between them. The starts of phones and the end of speech are measured. The layer and the prior of the CTC aligner and
the delay of hama were chosen on the speakers of the split train, so their figures are those of dev and test.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from anchors import RESULTS, main, need, record
from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import track
from rich.table import Table

from vocable.audio import Audio
from vocable.errors import AlignmentError, ConfigError

_ENGLISH = {  # marks of EmoDB, similar to X-SAMPA → the nearest English phone
    mark: phone
    for phone, marks in {
        "P": "p", "B": "b", "T": "t", "D": "d", "K": "k", "G": "g G", "M": "m mm", "N": "n nn J", "NG": "N NN",
        "F": "f", "V": "v V B", "DH": "D", "S": "s ss", "Z": "z", "SH": "S C", "HH": "x X h H", "Y": "j", "L": "l L",
        "R": "R 4", "IY": "i i6 i@ y", "IH": "I I6 I@", "UH": "U Y Y6", "UW": "u", "EY": "e", "EH": "E E6 e@",
        "ER": "9 8", "AH": "@ @6 @E 6", "AA": "a a6", "AO": "O @O", "OW": "o OU", "AY": "aI", "AW": "aU AU AO aO ao",
        "OY": "OY",
    }.items()
    for mark in marks.split()
}  # fmt: skip
_PAUSES = frozenset({"(", "(gef", "?"})  # silence, filled pause, glottal stop
_STOPS = frozenset("pbtdkg")
_NEAR = 0.015  # seconds between the marks of a syllable and of its first phone
_TOLERANCES = (0.02, 0.05)  # seconds
_BOOTSTRAPS = 2000
_FEW = 5  # speakers: below, intervals are drawn over recordings
Findings = dict[str, Any]


@dataclass(frozen=True)
class Marked:
    """Recording with hand-made marks.

    Attributes:
        path: Path of the audio file.
        speaker: Name of the speaker.
        words: English phones of each syllable.
        starts: Start of each phone in seconds, and the end of speech.
    """

    path: Path
    speaker: str
    words: list[list[str]]
    starts: list[float]


def alignment(
    marked: Annotated[Path, typer.Argument(help="EmoDB's manifest with 'phone_marks' and 'syllable_marks'.")],
    read: Annotated[
        Path, typer.Argument(help="Manifest with 'phones': split train for the head, test for the comparison.")
    ],
    whisper: Annotated[str, typer.Option(help="Folder or hub name of the encoder of the CTC aligner.")],
    head: Annotated[Path, typer.Option(help="Folder of the CTC head, which is trained if missing.")],
    seed: Annotated[int, typer.Option(help="Seed of the head and of the bootstrap.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Compare aligners with hand marks, and with one another."""
    need("pocketsphinx", "pocketsphinx", "vocable[evaluate]")
    need("hama", "hama", "vocable[evaluate]")
    from vocable.data.alignment.make import find_aligner
    from vocable.data.manifest import read_manifest

    utterances = read_manifest(read)
    cpu_start = time.process_time()
    ctc = find_aligner("ctc", read, whisper=whisper, head=head, seed=seed, say=typer.echo)
    cost = round(time.process_time() - cpu_start, 1)
    aligners = {
        "pocketsphinx": find_aligner("pocketsphinx").phones,
        "ctc": ctc.phones,
        "hama": find_aligner("hama").phones,
        "uniform": _uniform,
    }
    parts = {"train": _recordings(marked, ("train",)), "dev and test": _recordings(marked, ("dev", "test"))}
    values = {
        part: {name: _compare_with_marks(align, recordings, seed) for name, align in aligners.items()}
        for part, recordings in parts.items()
    }
    test = [one for one in utterances if one.split == "test"]
    agreement = {name: _agreement(aligners["pocketsphinx"], aligners[name], test, seed) for name in ("ctc", "hama")}
    console = Console(width=160)
    for part, findings in values.items():
        console.print(f"EmoDB, {part}")
        console.print(_table(findings))
    console.print(agreement)
    target = record(
        "alignment", None, None, folder=out, seed=seed,
        data={
            "marked": marked.parent.name, "read": read.parent.name,
            "speakers": {part: sorted({one.speaker for one in recordings}) for part, recordings in parts.items()},
        },
        ctc={"encoder": ctc.encoder.digest, "trained_or_read_in_cpu_seconds": cost},
        values=values, agreement=agreement,
    )  # fmt: skip
    console.print(f"written: {target}", markup=False)


def _recordings(manifest: Path, splits: Sequence[str]) -> list[Marked]:
    from vocable.data.manifest import read_manifest

    chosen = [one for one in read_manifest(manifest) if one.split in splits]
    recordings = [one for one in map(_marked, chosen) if one is not None]
    if not recordings:
        raise ConfigError(
            f"{manifest}: no line of split {' or '.join(splits)} has 'phone_marks'; give EmoDB's manifest"
        )
    return recordings


def _marked(utterance: Any) -> Marked | None:
    """Return the hand-made marks of an utterance, or None if it has none."""
    marks = utterance.extra.get("phone_marks")
    if not marks:
        return None
    syllables = [at for at, _ in utterance.extra.get("syllable_marks") or []]
    words: list[list[str]] = [[]]
    starts: list[float] = []
    before = ""
    for at, label in marks:
        name = re.split(r"[\s+-]", label)[0]  # the rest describes the voice quality
        if name == ".":
            return Marked(utterance.audio_path, str(utterance.speaker), [word for word in words if word], [*starts, at])
        sound = _sound(name, before)
        if sound is None:
            continue
        before = sound
        if sound in _PAUSES or (words[-1] and any(abs(at - one) < _NEAR for one in syllables)):
            words.append([])
        if sound not in _PAUSES:
            words[-1].append(_ENGLISH[sound])
            starts.append(at)
    raise ConfigError(f"{utterance.audio_path}: no mark '.' at the end of speech; use EmoDB's manifest")


def _sound(name: str, before: str) -> str | None:
    """Return the sound that begins at a mark, or None if the one before continues.

    Closure (``t``, at the very beginning ``_t``), burst (``!t``) and aspiration (``tasp``) of a stop are one sound.
    """
    if not name or (before in _STOPS and name[0] == "!"):  # even if voicing of burst and closure differ
        return None
    sound = name.strip("_!").removesuffix("asp").removesuffix("sap")
    if sound == before and name.endswith(("asp", "sap")):
        return None
    if sound not in _ENGLISH and sound not in _PAUSES:
        raise ConfigError(f"no English phone is known for the mark {name!r}; add it to the table")
    return sound


def _uniform(clip: Audio, words: Sequence[Sequence[str]]) -> Any:
    """Return the floor: phones of equal length over the whole clip."""
    from vocable.data.alignment.record import Alignment, ScoredAlignment, Segment

    phones = [phone for word in words for phone in word]
    step = clip.duration / len(phones)
    return ScoredAlignment(
        Alignment(tuple(Segment(phone, at * step, (at + 1) * step) for at, phone in enumerate(phones))), 0.0
    )


def _starts(result: Any) -> list[float]:
    """Return the starts of phones, and the end of the last."""
    spoken = [segment for segment in result.alignment.segments if segment.symbol != "SIL"]
    return [*(segment.start for segment in spoken), spoken[-1].end]


def _compare_with_marks(align: Callable[..., Any], recordings: Sequence[Marked], seed: int) -> Findings:
    errors, seconds, cpu_start = [], 0.0, time.process_time()
    failed: dict[str, str] = {}
    for one in track(recordings, "hand marks"):
        clip = Audio.read(one.path)
        seconds += clip.duration
        try:
            starts = _starts(align(clip, one.words))
        except AlignmentError as error:
            failed[one.path.name] = str(error)
            continue
        errors.append((one.speaker, np.array(starts) - np.array(one.starts)))
    cost = (time.process_time() - cpu_start) / seconds
    return {
        "recordings": len(recordings), "aligned": len(errors), "failed": failed, "cpu_seconds_a_second": round(cost, 4),
        **_statistics(errors, seed),
    }  # fmt: skip


def _agreement(one: Callable[..., Any], other: Callable[..., Any], test: Sequence[Any], seed: int) -> Findings:
    from vocable.data.alignment.words import words_of

    gaps = []
    for utterance in track(test, "agreement"):
        clip, words = Audio.read(utterance.audio_path), words_of(utterance)
        try:
            pair = [_starts(align(clip, words)) for align in (one, other)]
        except AlignmentError:
            continue
        gaps.append((str(utterance.speaker), np.array(pair[1]) - np.array(pair[0])))
    return {"recordings": len(test), "aligned_by_both": len(gaps), **_statistics(gaps, seed)}


def _statistics(errors: Sequence[tuple[str, Any]], seed: int) -> Findings:
    """Return statistics of boundary errors with 95 % bootstrap intervals.

    They are drawn over speakers, or over recordings if there are few speakers.
    """
    speakers = sorted({speaker for speaker, _ in errors})
    few = len(speakers) < _FEW
    names = [str(at) if few else speaker for at, (speaker, _) in enumerate(errors)]
    drawable = sorted(set(names))
    pools = {one: np.concatenate([rows for name, (_, rows) in zip(names, errors, strict=True) if name == one])
             for one in drawable}  # fmt: skip
    measures: Mapping[str, Callable[[Any], float]] = {
        "median_ms": lambda rows: 1000 * float(np.median(np.abs(rows))),
        "p90_ms": lambda rows: 1000 * float(np.quantile(np.abs(rows), 0.9)),
        "bias_ms": lambda rows: 1000 * float(np.median(rows)),
        **{f"within_{1000 * most:.0f}_ms": lambda rows, most=most: float((np.abs(rows) <= most).mean())
           for most in _TOLERANCES},
    }  # fmt: skip
    random = np.random.default_rng(seed)
    whole = np.concatenate(list(pools.values()))
    drawn = [
        np.concatenate([pools[name] for name in random.choice(drawable, len(drawable))]) for _ in range(_BOOTSTRAPS)
    ]
    values = {}
    for name, measure in measures.items():
        low, high = np.quantile([measure(rows) for rows in drawn], [0.025, 0.975])
        values[name] = {"value": round(measure(whole), 4), "low": round(float(low), 4), "high": round(float(high), 4)}
    return {"boundaries": len(whole), "speakers": len(speakers), "drawn": "recordings" if few else "speakers", **values}


def _table(values: Mapping[str, Findings]) -> Table:
    table = Table("aligner", "aligned", box=MARKDOWN)
    for name in ("median, ms ↓", "90 %, ms ↓", "bias, ms", "within 20 ms ↑", "within 50 ms ↑", "CPU s/s"):
        table.add_column(name)
    for name, found in values.items():
        cells = [
            f"{found[key]['value']:.3g} [{found[key]['low']:.3g}, {found[key]['high']:.3g}]"
            for key in ("median_ms", "p90_ms", "bias_ms", "within_20_ms", "within_50_ms")
        ]
        table.add_row(
            name, f"{found['aligned']} of {found['recordings']}", *cells, f"{found['cpu_seconds_a_second']:.3f}"
        )
    return table


if __name__ == "__main__":
    main(alignment)
