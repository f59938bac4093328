"""Utterances with their text as training batches: subwords, frames of Whisper, and the units to predict.

A batch is a function of the seed and the step alone (see :mod:`vocable.data.batches`). Features are extracted once and
kept on disk (:mod:`vocable.data.targets`), from which they are read. What is missing is computed when a batch needs it.
A recording played at several speeds is one example at each of them.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from pydantic import Field
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vocable.audio import Audio
from vocable.data.alignment import Alignment, alignment_of
from vocable.data.alignment.doubts import find_doubtful
from vocable.data.alignment.words import estimate_spans, subword_spans, word_spans, words_of
from vocable.data.batches import BatchConfig, TensorBatch
from vocable.data.clip_files import ClipFiles
from vocable.data.clip_targets import ClipTargets, Drawn
from vocable.data.clips import describe_corpus
from vocable.data.manifest import Utterance, recordings_of, select, select_share
from vocable.data.targets import FeatureExtractor, TargetCache
from vocable.errors import AlignmentError, AudioError, ConfigError, ManifestError, TextError
from vocable.schema import Width, config
from vocable.shapes import frames_for
from vocable.text.pronounce import ArpabetPronouncer
from vocable.text.subwords import Subwords, SubwordTokenizer

UNITS, FRAMES, VOICES = "units", "frames", "voices"
"""Folders of the features in the cache."""


@config
class TasteBatchConfig(BatchConfig):
    """Selection of utterances and size of batches.

    Attributes:
        max_seconds: Maximal duration in seconds; longer recordings are left out, never cut. At a lower speed a
            recording may become too long.
        voice_width: Dimension of the zeros that stand for a voice where no voice is extracted.
        speeds: Playback speeds, 1 is as recorded; each recording is one example at each of them. Pitch changes along.
        share: Share of the recordings to train on, see :func:`select_share`.
    """

    kind: ClassVar[str] = "utterances"

    max_seconds: Annotated[float, Field(ge=1, le=3600)] = 30.0
    voice_width: Width = 1
    speeds: tuple[Annotated[float, Field(ge=0.5, le=2)], ...] = (1.0,)
    share: Annotated[float, Field(gt=0, le=1)] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.speeds or len({*self.speeds}) < len(self.speeds):
            raise ConfigError(f"{self.kind}: speeds is {self.speeds}; give one or more, each once")
        if any(self.gain_db):
            raise ConfigError(f"{self.kind}: gain_db is {self.gain_db}; it must be (0, 0), as features are kept")


def split_layers(
    frames: Float[Tensor, "F D_all"], layers: int
) -> tuple[Float[Tensor, "F D"], Float[Tensor, "F D_values"]]:
    """Return the keys, the first of some layers side by side, and the values, the others.

    Example:
        >>> keys, values = split_layers(torch.zeros(5, 12), layers=3)
        >>> keys.shape, values.shape
        (torch.Size([5, 4]), torch.Size([5, 8]))
    """
    width = frames.shape[1] // layers
    return frames[:, :width], frames[:, width:]


@dataclass(frozen=True, kw_only=True)
class TasteExample:
    """One utterance: its text, ``units`` that are empty if unknown, and the rest as in :class:`TasteBatch`."""

    subwords: Subwords
    keys: Float[Tensor, "F D"]
    values: Float[Tensor, "F D_values"]
    units: Int[Tensor, " N"]
    spans: Float[Tensor, "U 2"]
    aligned: bool
    voice: Float[Tensor, " V"]
    name: str


@dataclass(frozen=True)
class TasteBatch(TensorBatch):
    """Utterances side by side, padded with 0 to the longest: U subwords, F frames, N units.

    Attributes:
        subword_ids: Subword ids.
        subword_mask: True on subwords.
        word_ids: Index of the word that each subword belongs to.
        keys: Frames of the deep layer, which tell where a subword is spoken.
        values: Frames of the shallow layer, and of those mixed with it, which tell how it sounds.
        frame_mask: True on frames.
        units: Unit ids.
        unit_mask: True on units.
        spans: Start and end of each subword in units. The spans of an utterance cover it without gaps.
        aligned: Whether an utterance's spans come from an alignment; otherwise they are estimated.
        voices: Voice vectors, or zeros.
        names: Paths of the recordings, for messages.
    """

    subword_ids: Int[Tensor, "B U"]
    subword_mask: Bool[Tensor, "B U"]
    word_ids: Int[Tensor, "B U"]
    keys: Float[Tensor, "B F D"]
    values: Float[Tensor, "B F D_values"]
    frame_mask: Bool[Tensor, "B F"]
    units: Int[Tensor, "B N"]
    unit_mask: Bool[Tensor, "B N"]
    spans: Float[Tensor, "B U 2"]
    aligned: Bool[Tensor, " B"]
    voices: Float[Tensor, "B V"]
    names: tuple[str, ...]

    @classmethod
    def of(cls, examples: Sequence[TasteExample]) -> "TasteBatch":
        """Collate at least one example."""

        def pad(rows: list[Tensor]) -> Tensor:
            return pad_sequence(rows, batch_first=True)

        def mask(rows: list[Tensor]) -> Tensor:
            return pad([torch.ones(len(row), dtype=torch.bool) for row in rows])

        ids = [torch.tensor(one.subwords.ids) for one in examples]
        keys, units = [one.keys for one in examples], [one.units for one in examples]
        return cls(
            subword_ids=pad(ids), subword_mask=mask(ids),
            word_ids=pad([torch.tensor(one.subwords.word_ids) for one in examples]),
            keys=pad(keys), values=pad([one.values for one in examples]), frame_mask=mask(keys),
            units=pad(units), unit_mask=mask(units), spans=pad([one.spans for one in examples]),
            aligned=torch.tensor([one.aligned for one in examples]),
            voices=torch.stack([one.voice for one in examples]), names=tuple(one.name for one in examples),
        )  # fmt: skip


@dataclass(frozen=True)
class _Entry:
    """An utterance at a speed: its text, number of units, and spans."""

    file: int
    speed: float
    seconds: float
    subword_ids: Sequence[int]
    word_ids: Sequence[int]
    num_units: int
    spans: Float[ndarray, "U 2"]
    aligned: bool


class _Entries:
    """Entries of a corpus in arrays: an hour takes some hundred kilobytes."""

    def __init__(self) -> None:
        self._files, self._speeds, self.seconds, self._aligned = array("i"), array("d"), array("d"), array("b")
        self._subwords, self._words, self._spans, self._units = array("i"), array("i"), array("f"), array("i")
        self._starts = array("q", [0])

    def __len__(self) -> int:
        return len(self._files)

    def append(self, entry: _Entry) -> None:
        self._files.append(entry.file)
        self._speeds.append(entry.speed)
        self.seconds.append(entry.seconds)
        self._aligned.append(entry.aligned)
        self._subwords.extend(entry.subword_ids)
        self._words.extend(entry.word_ids)
        self._spans.extend(entry.spans.ravel().tolist())
        self._units.append(entry.num_units)
        self._starts.append(len(self._subwords))

    def __getitem__(self, index: int) -> _Entry:
        start, stop = self._starts[index : index + 2]
        spans = np.array(self._spans[2 * start : 2 * stop], dtype=np.float32).reshape(-1, 2)
        return _Entry(
            self._files[index], self._speeds[index], self.seconds[index], self._subwords[start:stop],
            self._words[start:stop], self._units[index], spans, bool(self._aligned[index]),
        )  # fmt: skip

    def lengths(self) -> Int[ndarray, " M"]:
        """Return the number of units of each entry."""
        return np.array(self._units, dtype=np.int64)


class TasteData:
    """Training data of TASTE: utterances that are equally likely to be drawn.

    Args:
        utterances: Utterances with texts. An ``alignment`` in their line gives subwords their spans.
        config: Selection and batch size.
        subword_tokenizer: Tokenizer of the texts.
        units: Extractor of units.
        frames: Extractor of the layer of keys and the layers of values side by side, (F, layers · D).
        layers: Number of these layers.
        cache: Folder that keeps the features, in ``units``, ``frames`` and ``voices``.
        voice: Extractor of one voice vector per recording; None for zeros.
        audio_cache: Folder of the lengths of recordings; see :mod:`vocable.data.clip_files`.

    Attributes:
        utterances: Utterances that can be used, in order, once for each speed.
        problems: Reasons why the others were left out; each names its manifest's line and its file.
        corpus: What draws depend on; see :class:`vocable.data.clips.ClipStore`.
        doubts: Reasons why the text of some that are used may be wrong, named alike.

    Raises:
        ManifestError: If no utterance can be used.
        ConfigError: If an extractor gives another kind of features than its part needs.
        CheckpointError: If the cache holds features of other extractors.
        OutputError: If the cache cannot be written.
    """

    def __init__(
        self, utterances: Sequence[Utterance], config: TasteBatchConfig, *, subword_tokenizer: SubwordTokenizer,
        units: FeatureExtractor, frames: FeatureExtractor, cache: Path, voice: FeatureExtractor | None = None,
        audio_cache: Path | None = None, layers: int = 2,
    ) -> None:  # fmt: skip
        if not units.frame_rate or not frames.frame_rate or frames.width % layers or (voice and voice.frame_rate):
            raise ConfigError(
                f"units come from {units.name} and frames from {frames.name}: both must have a frame rate, frames "
                f"{layers} layers of one width, and a voice must be one vector; exchange them"
            )
        self._layers = layers
        self.config, self.subword_tokenizer = config, subword_tokenizer
        self._unit_rate, self._mismatches = units.frame_rate, Counter[str]()
        self._units, self._frames = TargetCache(units, cache / UNITS), TargetCache(frames, cache / FRAMES)
        self._voices = None if voice is None else TargetCache(voice, cache / VOICES)
        self._caches = [cache for cache in (self._units, self._frames, self._voices) if cache is not None]
        self._pronouncer = once(ArpabetPronouncer)  # loaded at the first line with an alignment and without phones
        self.problems: list[AudioError | AlignmentError | TextError] = []
        self._entries = _Entries()
        chosen = select_share(utterances, config.share)
        paths, numbers = recordings_of(chosen)
        self._files = ClipFiles(paths, frames.sample_rate, folder=audio_cache, check=config.check)
        kept = array("q")
        for index, file in enumerate(numbers.tolist()):
            problems: dict[str, AudioError | AlignmentError | TextError] = {}  # often the same at every speed
            utterance = chosen[index]
            for speed in config.speeds:
                try:
                    self._entries.append(self._load(utterance, file, speed))
                    kept.append(index)
                except (AudioError, AlignmentError, TextError) as error:  # which need not know the file
                    problems.setdefault(str(named := utterance.locate_error(error)), named)
            self.problems += problems.values()
        self.utterances = select(chosen, kept)
        self._clip_targets = ClipTargets(
            self._caches, len(self._entries), file_of=self._file_of, read=self._read, error_of=self._error,
            problems=self.problems,
        )  # fmt: skip
        self.corpus = describe_corpus(self._entries.lengths(), self._unit_rate)
        self.doubts = [*find_doubtful(self.utterances), *map(AlignmentError, self._mismatches)]
        if not self._entries:
            first = f"; the first: {self.problems[0]}" if self.problems else ""
            raise ManifestError(f"none of {len(utterances)} recordings can be used{first}")

    @property
    def hours(self) -> float:
        """Hours of speech; a recording that is listed twice, or at two speeds, counts twice."""
        return sum(self._entries.seconds) / 3600

    def __len__(self) -> int:
        return len(self._entries)

    def batch(self, step: int, rank: int = 0, world: int = 1) -> TasteBatch:
        """Return this rank's slice of the global batch of a step; see :class:`~vocable.train.objective.Batches`."""
        return TasteBatch.of([self._example(index) for index, _ in self._draw(step, rank, world)])

    def prepare(self, step: int, rank: int = 0, world: int = 1) -> list[AudioError]:
        """Compute the missing features of a batch; return errors of utterances that are left out from now on."""
        self._draw(step, rank, world)
        return self._clip_targets.news()

    def rows(self, indices: Sequence[int]) -> Iterator[TasteBatch]:
        """Yield some examples as batches of one, without those that an extractor refuses."""
        for index in self._clip_targets.usable(indices):
            yield TasteBatch.of([self._example(index)])

    def row(self, index: int) -> TasteBatch:
        """Return one example as a batch of one.

        Raises:
            AudioError: If an extractor refuses it.
        """
        for row in self.rows([index]):
            return row
        raise self._error(index, "a feature extractor refuses it; leave it out")

    def _draw(self, step: int, rank: int, world: int) -> list[Drawn]:
        """Draw examples, whose features are there then."""

        def pick(random: np.random.Generator) -> int:
            return int(random.integers(len(self)))

        return self._clip_targets.draw(lambda: self.config.draws(step, rank, world), pick)

    def _file_of(self, cache: TargetCache, index: int) -> Path:
        entry = self._entries[index]
        return cache.file_of(self._files.key(entry.file), entry.speed)

    def _read(self, index: int) -> Audio:
        entry = self._entries[index]
        return self._files.recorded(entry.file).played(entry.speed)

    def _error(self, index: int, reason: str) -> AudioError:
        return self.utterances[index].locate_error(AudioError(reason))

    def _example(self, index: int) -> TasteExample:
        entry = self._entries[index]
        keys, values = split_layers(self._frames.all_frames(self._file_of(self._frames, index)), self._layers)
        voice = torch.zeros(self.config.voice_width)
        if self._voices is not None:
            voice = self._voices.vector(self._file_of(self._voices, index))
        units = self._units.ids(self._file_of(self._units, index))
        if len(units) != entry.num_units:
            raise self._error(
                index, f"has {len(units)} units, its length promises {entry.num_units}; convert it to WAV or FLAC"
            )
        ids, words = tuple(entry.subword_ids), tuple(entry.word_ids)
        return TasteExample(
            subwords=Subwords(ids, words, ("",) * len(ids)), keys=keys, values=values, units=units,
            spans=torch.from_numpy(entry.spans), aligned=entry.aligned, voice=voice,
            name=f"{self._files.path(entry.file)}{_describe_speed(entry.speed)}",
        )  # fmt: skip

    def _load(self, utterance: Utterance, file: int, speed: float) -> _Entry:
        """Check an utterance, by its line and by the length of its recording."""
        if file in self._files.errors:
            raise self._files.errors[file]
        recorded = self._files.seconds(file)
        seconds, at_speed = recorded / speed, _describe_speed(speed)
        if seconds > self.config.max_seconds:
            raise AudioError(
                f"lasts {seconds:.1f} s{at_speed}, longer than {self.config.max_seconds:g} s; cut it between words"
            )
        if not utterance.text:
            raise TextError("its line has no 'text'; add the transcript")
        subwords = self.subword_tokenizer.tokenize(utterance.text)
        alignment = alignment_of(utterance, recorded)
        for cache in self._caches:
            cache.check_length(self._files.resampled(file, cache.extractor.sample_rate, speed))
        rate = self._units.extractor.sample_rate
        num_units = frames_for(self._files.resampled(file, rate, speed), round(rate / self._unit_rate))
        if len(subwords.ids) > num_units:
            raise AlignmentError(
                f"its text has {len(subwords.ids)} subwords, its audio {num_units} units{at_speed}; give it the text "
                "of this recording"
            )
        aligned = None if alignment is None else self._align(utterance, alignment, subwords, num_units, speed)
        spans = estimate_spans(subwords, num_units) if aligned is None else aligned
        return _Entry(
            file, speed, seconds, subwords.ids, subwords.word_ids, num_units, spans.astype(np.float32),
            aligned is not None,
        )  # fmt: skip

    def _align(
        self, utterance: Utterance, alignment: Alignment, subwords: Subwords, units: int, speed: float
    ) -> ndarray | None:  # fmt: skip
        """Return the aligned spans of the subwords, or None where the alignment has other words than the text."""
        try:
            spans = word_spans(alignment, words_of(utterance, self._pronouncer))
            return subword_spans(spans, subwords, units, self._unit_rate / speed)  # units per second as recorded
        except AlignmentError as error:
            self._mismatches[f"{utterance.locate_error(error)}; until then its subwords' spans are estimated"] += 1
            return None


def _describe_speed(speed: float) -> str:
    return "" if speed == 1 else f" at speed {speed:g}"
