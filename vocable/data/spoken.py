"""Whole utterances with their text, as training batches: pieces of words, what is heard, and the units that are said.

A batch is a function of the seed and the step and nothing else (see ``vocable.data.batches``). What listeners say is
computed once and kept (``vocable.data.targets``); units stay in memory, frames are read from their files.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache as once
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vocable.audio import Audio, header_seconds
from vocable.data.alignment import Alignment, alignment_of
from vocable.data.alignment.phones import words_of
from vocable.data.alignment.words import guessed_spans, spans_of_pieces, word_spans
from vocable.data.batches import BatchConfig
from vocable.data.manifest import Utterance
from vocable.data.targets import Listener, Targets
from vocable.errors import AlignmentError, AudioError, ConfigError, ManifestError, TextError
from vocable.shapes import mask_from_lengths
from vocable.text.pronounce import ArpabetPronouncer
from vocable.text.split import Pieces, Split


@dataclass(frozen=True, kw_only=True)
class SpokenRow:
    """One utterance: U pieces of text, F frames that were heard, N units.

    Attributes:
        split: The text.
        keys: Of the deep layer.
        values: Of the shallow layer.
        units: What is said, as another tokenizer has it.
        spans: Of the pieces, in units.
        aligned: Whether the spans were aligned, not guessed.
        voice: Of the speaker, or zeros.
        name: The recording's.
    """

    split: Split
    keys: Float[Tensor, "F D"]
    values: Float[Tensor, "F D"]
    units: Int[Tensor, " N"]
    spans: Float[Tensor, "U 2"]
    aligned: bool
    voice: Float[Tensor, " V"]
    name: str


@dataclass(frozen=True)
class SpokenBatch:
    """Utterances side by side, as long as the longest: U pieces, F frames, N units; 0 behind the end of each.

    Attributes:
        pieces: Ids of the pieces of the text.
        piece_mask: True on pieces.
        words: Which word each piece belongs to.
        keys: Frames of the deep layer: where something is said.
        values: Frames of the shallow layer: what it sounds like.
        frame_mask: True on frames.
        units: Ids of another tokenizer.
        unit_mask: True on units.
        spans: Start and end of each piece in units; those of an utterance lie one behind the other from 0 to its end.
        aligned: Whose spans were aligned; those of the others are guessed.
        voices: Vectors of the speakers, or zeros.
        names: The recordings.
    """

    pieces: Int[Tensor, "B U"]
    piece_mask: Bool[Tensor, "B U"]
    words: Int[Tensor, "B U"]
    keys: Float[Tensor, "B F D"]
    values: Float[Tensor, "B F D"]
    frame_mask: Bool[Tensor, "B F"]
    units: Int[Tensor, "B N"]
    unit_mask: Bool[Tensor, "B N"]
    spans: Float[Tensor, "B U 2"]
    aligned: Bool[Tensor, " B"]
    voices: Float[Tensor, "B V"]
    names: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[SpokenRow]) -> "SpokenBatch":
        """Utterances as one batch, one at least."""
        return cls(
            pieces=_padded([torch.tensor(row.split.ids) for row in rows]),
            piece_mask=_mask([len(row.split.ids) for row in rows]),
            words=_padded([torch.tensor(row.split.words) for row in rows]),
            keys=_padded([row.keys for row in rows]),
            values=_padded([row.values for row in rows]),
            frame_mask=_mask([len(row.keys) for row in rows]),
            units=_padded([row.units for row in rows]),
            unit_mask=_mask([len(row.units) for row in rows]),
            spans=_padded([row.spans for row in rows]),
            aligned=torch.tensor([row.aligned for row in rows]),
            voices=torch.stack([row.voice for row in rows]),
            names=tuple(row.name for row in rows),
        )

    def to(self, device: torch.device) -> "SpokenBatch":
        """The same batch on a device."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items() if name != "names"})


@dataclass(frozen=True, kw_only=True)
class SpokenConfig(BatchConfig):
    """Which utterances are taken.

    Attributes:
        longest: Seconds; longer recordings are left out, never cut.
        least_score: Recordings whose ``alignment_score`` is lower are left out: their text may not be what is said. By
            default all stay.
        voice_width: Of the zeros that stand for a voice where nobody listens to voices.

    Raises:
        ConfigError: A value is out of range.
    """

    kind: ClassVar[str] = "utterances"

    longest: float = 30.0
    least_score: float | None = None
    voice_width: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("longest", 1, 3600)
        self._check("voice_width", 1, 1 << 16)
        if self.least_score is not None and not math.isfinite(self.least_score):
            raise ConfigError(f"{self.kind}: least_score is {self.least_score}: give a number, or None to keep all")
        if any(self.gain_db):
            raise ConfigError(
                f"{self.kind}: gain_db is {self.gain_db}: what listeners say is kept, so it must be (0, 0)"
            )


@dataclass(frozen=True)
class _Known:
    """What is kept in memory of an utterance, and where the rest is."""

    seconds: float
    split: Split
    units: Int[Tensor, " N"]
    spans: Float[Tensor, "U 2"]
    aligned: bool
    frames: Path
    voice: Path | None


class Spoken:
    """Utterances drawn so that each is equally likely.

    Args:
        utterances: With texts. Where a line has an ``alignment``, pieces have their place from it.
        config: How.
        pieces: What becomes of the text.
        units: Says ids, ``frame_rate`` of them a second.
        frames: Says the deep and the shallow layer side by side, (F, 2 · D).
        cache: Folder where what they say is kept: ``units``, ``frames`` and ``voices`` in it.
        voice: Says one vector of a recording.

    Attributes:
        utterances: Those that can be used, in order.
        splits: Their texts in pieces.
        problems: Why the others were left out; each names its file.
        unmatched: Utterances whose alignment has other words than their text (numbers, hyphens), so that the places of
            their pieces are guessed.

    Raises:
        ManifestError: No utterance can be used.
        ConfigError: A listener does not say what its part wants.
        CheckpointError: The cache holds what other listeners say.
        OutputError: The cache cannot be written.
    """

    def __init__(
        self, utterances: Sequence[Utterance], config: SpokenConfig, *, pieces: Pieces, units: Listener,
        frames: Listener, cache: Path, voice: Listener | None = None,
    ) -> None:  # fmt: skip
        if not units.frame_rate or not frames.frame_rate or frames.width % 2 or (voice and voice.frame_rate):
            raise ConfigError(
                f"{units.name} and {frames.name} must say something of each frame, {frames.name} of two layers of one "
                "width, and who listens to voices one vector; exchange them"
            )
        self.config, self.pieces = config, pieces
        self._rate, self._unmatched = units.frame_rate, 0
        self._units, self._frames = Targets(units, cache / "units"), Targets(frames, cache / "frames")
        self._voices = None if voice is None else Targets(voice, cache / "voices")
        self._pronouncer = once(ArpabetPronouncer)  # made when a line with an alignment has no phones
        self.problems: list[AudioError | AlignmentError | TextError] = []
        self.utterances: list[Utterance] = []
        self._known: list[_Known] = []
        for utterance in utterances:
            try:
                self._known.append(self._look(utterance))
                self.utterances.append(utterance)
            except (AudioError, AlignmentError, TextError) as error:  # which need not know the file
                path = str(utterance.audio_path)
                self.problems.append(error if str(error).startswith(path) else type(error)(f"{path}: {error}"))
        if not self._known:
            first = f"; the first: {self.problems[0]}" if self.problems else ""
            raise ManifestError(f"none of {len(utterances)} recordings can be used{first}")

    @property
    def splits(self) -> list[Split]:
        """The texts in pieces."""
        return [known.split for known in self._known]

    @property
    def unmatched(self) -> int:
        """Utterances that are aligned, but with other words than their text has."""
        return self._unmatched

    @property
    def hours(self) -> float:
        """Speech to draw from; what is listed twice counts twice."""
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
        """One utterance as a batch of one.

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
        return SpokenRow(
            split=known.split, keys=keys, values=values, units=known.units.long(), spans=known.spans,
            aligned=known.aligned, voice=voice, name=str(self.utterances[index].audio_path),
        )  # fmt: skip

    def _look(self, utterance: Utterance) -> _Known:
        """What has to be known of an utterance; listeners are asked last, as they take longest."""
        path, seconds = utterance.audio_path, header_seconds(utterance.audio_path)
        if seconds > self.config.longest:
            raise AudioError(f"lasts {seconds:.1f} s, and {self.config.longest:g} s are the most; cut it between words")
        if not utterance.text:
            raise TextError("its line has no 'text'; add what is said")
        split = self.pieces.split(utterance.text)
        _check_score(utterance, self.config.least_score)
        alignment = alignment_of(utterance, seconds)
        files = self._heard(path)
        units = self._units.ids(files[0]).int()
        if len(split.ids) > len(units):
            raise AlignmentError(
                f"its text has {len(split.ids)} pieces, its audio {len(units)} units: they do not belong together"
            )
        spans = None if alignment is None else self._aligned(utterance, alignment, split, len(units))
        found = guessed_spans(split, len(units)) if spans is None else spans
        return _Known(
            seconds, split, units, torch.from_numpy(found).float(), spans is not None, files[1], files[2]
        )  # fmt: skip

    def _heard(self, path: Path) -> tuple[Path, Path, Path | None]:
        """Where what the listeners say is kept; the audio is read once, if any of them has not heard it."""
        own = once(lambda: Audio.read(path))

        def heard(targets: Targets) -> Path:
            file = targets.kept(path)
            return file if file.exists() else targets.keep(path, own().resample(targets.listener.sample_rate))

        return heard(self._units), heard(self._frames), None if self._voices is None else heard(self._voices)

    def _aligned(self, utterance: Utterance, alignment: Alignment, split: Split, units: int) -> ndarray | None:
        try:
            spans = word_spans(alignment, words_of(utterance, self._pronouncer))
            return spans_of_pieces(spans, split, units, self._rate)
        except AlignmentError:
            self._unmatched += 1
            return None


def _check_score(utterance: Utterance, least: float | None) -> None:
    """Refuse an utterance whose alignment says that something else is spoken."""
    score = utterance.extra.get("alignment_score")
    if least is None or score is None:
        return
    if isinstance(score, bool) or not isinstance(score, int | float) or not score >= least:  # NaN is not
        raise AlignmentError(
            f"its alignment_score is {str(score)[:20]}, under {least:g}: its text may not be what is said; correct it"
        )


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return pad_sequence(list(rows), batch_first=True)


def _mask(lengths: Sequence[int]) -> Tensor:
    return mask_from_lengths(torch.tensor(lengths), max(lengths))
