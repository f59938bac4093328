"""Whole utterances with their text, as training batches: subwords of words, what is heard, and the units that are said.

A batch is a function of the seed and the step and nothing else (see ``vocable.data.batches``). Features and targets are
computed once and kept (``vocable.data.targets``); units stay in memory, frames are read from their files. A recording
played at other speeds is a row of its own at each: that sound is what is heard, and its words lie closer or wider.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache as once
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.audio import Audio, header_seconds
from vocable.data.alignment import Alignment, alignment_of
from vocable.data.alignment.phones import words_of
from vocable.data.alignment.words import estimate_spans, subword_spans, word_spans
from vocable.data.batches import BatchConfig
from vocable.data.manifest import Utterance
from vocable.data.targets import FeatureExtractor, TargetCache
from vocable.errors import AlignmentError, AudioError, ConfigError, ManifestError, TextError
from vocable.systems.taste.batch import SpokenBatch, SpokenRow
from vocable.text.pronounce import ArpabetPronouncer
from vocable.text.subwords import Subwords, SubwordTokenizer

_FAR = 4  # median distances under the median: there lie 78 % of recordings with another one's text, 1 % with their own
_FEW = 20  # scores that a median says nothing of
_LARGEST = 1e300  # of a score; a manifest may hold whole numbers that no float does


@dataclass(frozen=True, kw_only=True)
class SpokenConfig(BatchConfig):
    """Which utterances are taken.

    Attributes:
        longest: Seconds; longer recordings are left out, never cut. One that is played slower may become too long.
        least_score: Recordings whose ``alignment_score`` is lower are left out: their text may not be what is said. By
            default all stay.
        voice_width: Of the zeros that stand for a voice where nobody listens to voices.
        speeds: Times as fast as it was recorded; each recording is there once at each of them, pitch and all.
        share: Of the recordings that are learnt from, see :func:`part_of`.

    Raises:
        ConfigError: A value is out of range.
    """

    kind: ClassVar[str] = "utterances"

    longest: float = 30.0
    least_score: float | None = None
    voice_width: int = 1
    speeds: tuple[float, ...] = (1.0,)
    share: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("longest", 1, 3600)
        self._check("voice_width", 1, 1 << 16)
        if self.least_score is not None and not math.isfinite(self.least_score):
            raise ConfigError(f"{self.kind}: least_score is {self.least_score}: give a number, or None to keep all")
        if not self.speeds or len({*self.speeds}) < len(self.speeds) or not all(0.5 <= one <= 2 for one in self.speeds):
            raise ConfigError(f"{self.kind}: speeds is {self.speeds}: give one or more between 0.5 and 2, each once")
        if not 0 < self.share <= 1:
            raise ConfigError(f"{self.kind}: share is {self.share}: it must be over 0 and at most 1")
        if any(self.gain_db):
            raise ConfigError(
                f"{self.kind}: gain_db is {self.gain_db}: what feature extractors say is kept, so it must be (0, 0)"
            )


@dataclass(frozen=True)
class _Known:
    """What is kept in memory of an utterance at a speed, and where the rest is."""

    speed: float
    seconds: float
    subwords: Subwords
    units: Int[Tensor, " N"]
    spans: Float[Tensor, "U 2"]
    aligned: bool
    frames: Path
    voice: Path | None


class Spoken:
    """Utterances drawn so that each is equally likely.

    Args:
        utterances: With texts. Where a line has an ``alignment``, subwords have their place from it.
        config: How.
        subword_tokenizer: What becomes of the text.
        units: Says ids, ``frame_rate`` of them a second.
        frames: Says the deep and the shallow layer side by side, (F, 2 · D).
        cache: Folder where what they say is kept: ``units``, ``frames`` and ``voices`` in it.
        voice: Says one vector of a recording.

    Attributes:
        utterances: Those that can be used, in order; once for each speed.
        splits: Their texts in subwords.
        problems: Why the others were left out; each names its manifest's line and its file.
        doubts: Why some that stay may say something else than their text, named alike.
        unmatched: Rows whose alignment has other words than their text (numbers, hyphens), so that the places of
            their subwords are guessed.

    Raises:
        ManifestError: No utterance can be used.
        ConfigError: A feature extractor does not say what its part wants.
        CheckpointError: The cache holds what other feature extractors say.
        OutputError: The cache cannot be written.
    """

    def __init__(
        self, utterances: Sequence[Utterance], config: SpokenConfig, *, subword_tokenizer: SubwordTokenizer,
        units: FeatureExtractor, frames: FeatureExtractor, cache: Path, voice: FeatureExtractor | None = None,
    ) -> None:  # fmt: skip
        if not units.frame_rate or not frames.frame_rate or frames.width % 2 or (voice and voice.frame_rate):
            raise ConfigError(
                f"{units.name} and {frames.name} must say something of each frame, {frames.name} of two layers of one "
                "width, and who listens to voices one vector; exchange them"
            )
        self.config, self.subword_tokenizer = config, subword_tokenizer
        self._rate, self._unmatched = units.frame_rate, Counter[str]()
        self._units, self._frames = TargetCache(units, cache / "units"), TargetCache(frames, cache / "frames")
        self._voices = None if voice is None else TargetCache(voice, cache / "voices")
        self._pronouncer = once(ArpabetPronouncer)  # made when a line with an alignment has no phones
        self.problems: list[AudioError | AlignmentError | TextError] = []
        self.utterances: list[Utterance] = []
        self._known: list[_Known] = []
        for utterance in part_of(utterances, config.share):
            problems: dict[str, AudioError | AlignmentError | TextError] = {}  # which may be the same at every speed
            for speed in config.speeds:
                try:
                    self._known.append(self._look(utterance, speed))
                    self.utterances.append(utterance)
                except (AudioError, AlignmentError, TextError) as error:  # which need not know the file
                    named = utterance.blamed(error)
                    problems.setdefault(str(named), named)
            self.problems += problems.values()
        self.doubts = [*doubtful(self.utterances), *map(AlignmentError, self._unmatched)]
        if not self._known:
            first = f"; the first: {self.problems[0]}" if self.problems else ""
            raise ManifestError(f"none of {len(utterances)} recordings can be used{first}")

    @property
    def splits(self) -> list[Subwords]:
        """The texts in subwords."""
        return [known.subwords for known in self._known]

    @property
    def unmatched(self) -> int:
        """Rows that are aligned, but with other words than their text has."""
        return self._unmatched.total()

    @property
    def hours(self) -> float:
        """Speech to draw from; what is listed twice, or played at two speeds, counts twice."""
        return sum(known.seconds for known in self._known) / 3600

    def __len__(self) -> int:
        return len(self._known)

    def batch(self, step: int, rank: int = 0, world: int = 1) -> SpokenBatch:
        """This rank's slice of the global batch of a step.

        Raises:
            ConfigError: The batch cannot be shared evenly.
            CheckpointError: A file of the cache was altered.
        """
        draws = self.config.draws(step, rank, world)
        return SpokenBatch.of([self._row(int(random.integers(len(self)))) for random in draws])

    def row(self, index: int) -> SpokenBatch:
        """One utterance, at one speed, as a batch of one.

        Raises:
            CheckpointError: A file of the cache was altered.
        """
        return SpokenBatch.of([self._row(index)])

    def _row(self, index: int) -> SpokenRow:
        known = self._known[index]
        keys, values = self._frames.all_frames(known.frames).chunk(2, dim=1)
        voice = torch.zeros(self.config.voice_width)
        if self._voices is not None and known.voice is not None:
            voice = self._voices.vector(known.voice)
        name = str(self.utterances[index].audio_path)
        return SpokenRow(
            subwords=known.subwords, keys=keys, values=values, units=known.units.long(), spans=known.spans,
            aligned=known.aligned, voice=voice, name=name if known.speed == 1 else f"{name} at speed {known.speed:g}",
        )  # fmt: skip

    def _look(self, utterance: Utterance, speed: float) -> _Known:
        """What has to be known of an utterance; extractors are asked last, as they take longest."""
        recorded = header_seconds(utterance.audio_path)
        seconds, played = recorded / speed, "" if speed == 1 else f" at speed {speed:g}"
        if seconds > self.config.longest:
            raise AudioError(
                f"lasts {seconds:.1f} s{played}, and {self.config.longest:g} s are the most; cut it between words"
            )
        if not utterance.text:
            raise TextError("its line has no 'text'; add what is said")
        subwords = self.subword_tokenizer.tokenize(utterance.text)
        _check_score(utterance, self.config.least_score)
        alignment = alignment_of(utterance, recorded)
        files = self._heard(utterance.audio_path, speed)
        units = self._units.ids(files[0]).int()
        if len(subwords.ids) > len(units):
            raise AlignmentError(
                f"its text has {len(subwords.ids)} pieces, its audio {len(units)} units{played}: they do not belong "
                "together"
            )
        spans = None if alignment is None else self._aligned(utterance, alignment, subwords, len(units), speed)
        found = estimate_spans(subwords, len(units)) if spans is None else spans
        return _Known(
            speed, seconds, subwords, units, torch.from_numpy(found).float(), spans is not None, files[1], files[2]
        )  # fmt: skip

    def _heard(self, path: Path, speed: float) -> tuple[Path, Path, Path | None]:
        """Where what the feature extractors say is kept; the audio is read once, if any of them has not heard it."""
        own = once(lambda: Audio.read(path).played(speed))

        def heard(targets: TargetCache) -> Path:
            file = targets.path_of(path, speed)
            return file if file.exists() else targets.store(path, own().resample(targets.extractor.sample_rate), speed)

        return heard(self._units), heard(self._frames), None if self._voices is None else heard(self._voices)

    def _aligned(
        self, utterance: Utterance, alignment: Alignment, subwords: Subwords, units: int, speed: float
    ) -> ndarray | None:  # fmt: skip
        try:
            spans = word_spans(alignment, words_of(utterance, self._pronouncer))
            return subword_spans(spans, subwords, units, self._rate / speed)  # units in a second as it was recorded
        except AlignmentError as error:
            self._unmatched[f"{utterance.blamed(error)}; where its subwords are said is guessed until then"] += 1
            return None


def part_of(utterances: Sequence[Utterance], share: float) -> list[Utterance]:
    """A share of the recordings, whole speakers at a time.

    Speakers are taken in the order of their names' SHA-256 until the share is reached, so a smaller part lies inside a
    larger one. Where no speaker is named, a recording has its own.

    Args:
        utterances: Any.
        share: Over 0, at most 1.

    Returns:
        In the order they came in.

    Example:
        >>> said = [Utterance(audio_path=f"{number}.flac", speaker=f"s{number % 4}") for number in range(8)]
        >>> [len(part_of(said, share)) for share in (0.25, 0.3, 1.0)]
        [2, 4, 8]
    """
    speakers = [one.speaker or one.audio_path.name for one in utterances]
    sizes, taken, count = Counter(speakers), set[str](), 0
    for speaker in sorted(sizes, key=lambda name: sha256(name.encode(errors="surrogatepass")).digest()):
        if count >= share * len(utterances):
            break
        taken.add(speaker)
        count += sizes[speaker]
    return [one for one, speaker in zip(utterances, speakers, strict=True) if speaker in taken]


def doubtful(utterances: Sequence[Utterance]) -> list[AlignmentError]:
    """Why some utterances may say something else than their text: an ``alignment_score`` far under most of the others.

    What is far, the scores themselves tell, as every aligner has its own scale.
    """
    scores = {one.name: score for one in utterances if (score := _score(one)) is not None}
    if len(scores) < _FEW:
        return []
    middle = np.median(list(scores.values()))
    least = middle - _FAR * np.median([abs(score - middle) for score in scores.values()])
    return [
        AlignmentError(
            f"{name}: its alignment_score is {score:g}, that of most recordings around {middle:g}: its text may not "
            "be what is said; listen to it"
        ) for name, score in scores.items() if score < least
    ]  # fmt: skip


def _score(utterance: Utterance) -> float | None:
    """How well an utterance was aligned, where its line tells."""
    score = utterance.extra.get("alignment_score")
    if isinstance(score, bool) or not isinstance(score, int | float) or not abs(score) < _LARGEST:
        return None
    return float(score)


def _check_score(utterance: Utterance, least: float | None) -> None:
    """Refuse an utterance whose alignment says that something else is spoken."""
    said, score = utterance.extra.get("alignment_score"), _score(utterance)
    if least is None or said is None:
        return
    if score is None or score < least:
        raise AlignmentError(
            f"its alignment_score is {str(said)[:20]}, under {least:g}: its text may not be what is said; correct it"
        )
