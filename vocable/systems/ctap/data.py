"""Training batches of VQ-CTAP: windows of speech with the phoneme at each spectrum, and more speech of each voice.

A batch is a function of seed and step alone; see :mod:`vocable.data.batches`.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.audio import Audio
from vocable.data.alignment import alignment_of
from vocable.data.batches import BatchConfig, TensorBatch
from vocable.data.clips import Clip, ClipStore
from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError, ManifestError, TextError
from vocable.schema import config
from vocable.shapes import frames_for, mask_from_lengths
from vocable.systems.ctap.config import CtapConfig
from vocable.text.phonemes import SILENCE, PhonemeSet

_SCALE_SECONDS = 10  # of a clip, from which scales are measured
_MICRO = 1_000_000.0  # microseconds of a second
_LONGEST = 2_000.0  # seconds that 32 bits hold in microseconds
_Window = tuple[ndarray, int, Int[ndarray, " S"], bool, ndarray, str]


@dataclass(frozen=True)
class AlignedBatch(TensorBatch):
    """Windows of equal length. Shorter clips are followed by zeros.

    Attributes:
        samples: Samples in [-1, 1]; T = N · hop.
        mask: True on tokens that hold any sample of the clip.
        phonemes: (B, S) Phoneme id of each spectrum; silence where nothing is known.
        has_phonemes: True on rows whose phonemes are known.
        voices: (B, T_voice) Samples from a random place of the same clip; a shorter clip is repeated.
        names: Source of each window, as ``file@seconds``.
    """

    samples: Float[Tensor, "B T"]
    mask: Bool[Tensor, "B N"]
    phonemes: Int[Tensor, "B S"]
    has_phonemes: Bool[Tensor, " B"]
    voices: Float[Tensor, "B T_voice"]
    names: tuple[str, ...]


@config
class AlignedConfig(BatchConfig):
    """Configuration of windows.

    Attributes:
        gain_db: Range of the random gain in dB. Samples are kept within full scale.
        unlabeled_share: Share of windows from recordings without phonemes, if there are any.
        speed_range: Range of the playback speed. Pitch and formants change with it.
        inventory: Phonemes of a model that is trained anew: those of the ``recipe``, or every symbol in the alignments
            of the ``corpus``, such as IPA.
    """

    kind: ClassVar[str] = "windows"

    gain_db: tuple[float, float] = (-6.0, 3.0)
    unlabeled_share: float = 0.25
    speed_range: tuple[float, float] = (0.88, 1.14)
    inventory: Literal["recipe", "corpus"] = "recipe"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("unlabeled_share", 0, 1)
        self._check_speeds(self.speed_range)


class _Segments:
    """Phoneme segments of many clips, one after the other: ends in seconds, and phoneme ids below ``num_phonemes``.

    Ends are kept in microseconds, in half of the memory, unless one of them is no whole number of these. The last end
    of a clip is that of its audio, and is kept as it is.
    """

    def __init__(self, num_phonemes: int) -> None:
        self._ends: array[Any] = array("i")
        self._last, self._starts = array("d"), array("q", [0])
        self._ids = array("h" if num_phonemes < 1 << 15 else "i")

    def append(self, ends: Sequence[float], ids: Sequence[int]) -> None:
        """Add the segments of the next clip; none where its phonemes are not known."""
        if self._ends.typecode == "i":
            scaled = [round(end * _MICRO) for end in ends[:-1]] + [0] * len(ends[-1:])
            if all(one / _MICRO == end for one, end in zip(scaled, ends[:-1], strict=False)) and (
                not ends or ends[-1] < _LONGEST
            ):
                self._ends.extend(scaled)
            else:
                self._ends = array("d", (one / _MICRO for one in self._ends))
        if self._ends.typecode == "d":
            self._ends.extend(ends)
        self._last.append(ends[-1] if ends else 0.0)
        self._ids.extend(ids)
        self._starts.append(len(self._ends))

    def row(self, clip: int) -> tuple[Float[ndarray, " L"], Int[ndarray, " L"]]:
        """Return ends and ids of a clip."""
        start, stop = self._starts[clip : clip + 2]
        ends = np.array(self._ends[start:stop], dtype=np.float64)
        if self._ends.typecode == "i":
            ends /= _MICRO
        ends[-1:] = self._last[clip]
        return ends, np.array(self._ids[start:stop], dtype=np.int64)

    def counts(self) -> Int[ndarray, " M"]:
        """Return the number of segments of each clip."""
        return np.diff(np.array(self._starts, dtype=np.int64))

    @property
    def has_phonemes(self) -> bool:
        """True if any segment is a phoneme other than silence."""
        return any(self._ids)


class AlignedWindows:
    """Training data of VQ-CTAP. Every second of speech, labeled or not, is equally likely within its kind.

    Args:
        utterances: Recordings; those whose manifest line has an ``alignment`` are labeled.
        config: Configuration of the windows.
        model: Configuration of the networks. Recordings whose alignment has other phonemes are left out.
        cache: Folder of lengths and decoded recordings; see :mod:`vocable.data.clip_files`.

    Attributes:
        problems: Reasons why recordings were left out.
        corpus: What draws depend on; see :class:`vocable.data.clips.ClipStore`.

    Raises:
        ManifestError: If no utterance can be used, or no alignment has a phoneme other than silence.
    """

    def __init__(
        self, utterances: Sequence[Utterance], config: AlignedConfig, model: CtapConfig, *, cache: Path | None = None
    ) -> None:
        symbols = corpus_phonemes(utterances) if config.inventory == "corpus" else model.phonemes
        self.config, self.phonemes, self.sample_rate = config, PhonemeSet(symbols), model.mel.sample_rate
        self.hop, self.token_hop, self.voice = model.mel.hop, model.hop, model.voice.frames * model.mel.hop
        self.window = model.transcoder.window
        self._segments = _Segments(len(self.phonemes))
        self._store = ClipStore(utterances, self.sample_rate, self._inspect, check=config.check, cache=cache)
        self.problems, self.corpus = self._store.problems, self._store.corpus
        sizes, labeled = self._store.sizes.astype(np.float64), self._segments.counts() > 0
        if not self._segments.has_phonemes:
            raise ManifestError(
                f"none of {len(labeled)} recordings has an 'alignment' with a phoneme in it; make them with "
                "`vocable data align MANIFEST`"
            )
        # clips of either kind, and the cumulative length of each kind, from which a clip is drawn
        self._kinds = [(np.flatnonzero(kind), np.cumsum(sizes[kind])) for kind in (labeled, ~labeled)]

    @property
    def hours(self) -> float:
        """Length of all recordings, in hours."""
        return sum(float(ends[-1]) for _, ends in self._kinds if len(ends)) / self.sample_rate / 3600

    def __len__(self) -> int:
        return len(self._store)

    def scale_samples(self, index: int) -> Float[ndarray, " T"]:
        """Return the first ten seconds of a clip, padded to whole tokens."""
        samples = self._store.samples(index, 0, _SCALE_SECONDS * self.sample_rate)
        return np.pad(samples, (0, -samples.size % self.token_hop))

    def durations(self) -> Int[ndarray, " D"]:
        """Return how often a phoneme of the corpus lasts 0, 1, 2, … spectra, rounded; silences are left out."""
        counts = np.zeros(0, dtype=np.int64)
        for clip in np.flatnonzero(self._segments.counts()).tolist():  # all at once would take hundreds of megabytes
            ends, ids = self._segments.row(clip)
            lengths = np.diff(ends * self.sample_rate, prepend=0.0)[ids > 0]
            found = np.bincount(np.maximum(1, lengths / self.hop).round().astype(np.int64), minlength=len(counts))
            found[: len(counts)] += counts
            counts = found
        return counts

    def batch(self, step: int, rank: int = 0, world: int = 1) -> AlignedBatch:
        """Return this rank's slice of the global batch of a step."""
        rows = [self._draw_window(random) for random in self.config.draws(step, rank, world)]
        samples, sizes, phonemes, has_phonemes, voices, names = zip(*rows, strict=True)
        tokens = torch.tensor([frames_for(size, self.token_hop) for size in sizes])
        return AlignedBatch(
            torch.from_numpy(np.stack(samples)), mask_from_lengths(tokens, self.window),
            torch.from_numpy(np.stack(phonemes)), torch.tensor(has_phonemes), torch.from_numpy(np.stack(voices)), names,
        )  # fmt: skip

    def _inspect(self, utterance: Utterance, clip: Clip) -> None:
        """Keep the phoneme segments of a clip, if it has an alignment."""
        alignment = alignment_of(utterance, clip.size / self.sample_rate)
        if alignment is None:
            self._segments.append((), ())
            return
        try:
            ids = self.phonemes.ids(alignment.symbols, "the alignment")
        except TextError as error:
            raise AlignmentError(str(error)) from error
        self._segments.append([segment.end for segment in alignment.segments], ids)

    def _draw_window(self, random: np.random.Generator) -> _Window:
        """Return samples of a window, how many are real, phonemes, whether they are known, the voice, and a name."""
        unlabeled = len(self._kinds[1][0]) > 0 and random.random() < self.config.unlabeled_share
        clips, ends = self._kinds[int(unlabeled)]
        clip = int(clips[np.searchsorted(ends, random.random() * ends[-1], side="right")])
        speed = float(random.uniform(*self.config.speed_range))
        gain = 10.0 ** (random.uniform(*self.config.gain_db) / 20.0)
        size = self.window * self.token_hop
        excerpt, start = self._draw_excerpt(clip, size, speed, random)
        window = np.zeros(size, dtype=np.float32)
        window[: excerpt.size] = excerpt
        voice = np.resize(self._draw_excerpt(clip, self.voice, speed, random)[0], self.voice)
        gain = min(gain, 1.0 / max(float(np.abs(window).max()), float(np.abs(voice).max()), 1e-3))
        ends, ids = self._segments.row(clip)
        ends *= self.sample_rate
        phonemes = np.zeros(size // self.hop, dtype=np.int64)
        if ends.size:
            centers = start + (np.arange(phonemes.size) + 0.5) * self.hop * speed
            inside = centers < ends[-1]
            phonemes[inside] = ids[np.searchsorted(ends, centers[inside], side="right")]
        name = f"{self._store.path(clip)}@{start / self.sample_rate:.2f}s"
        return window * np.float32(gain), excerpt.size, phonemes, ends.size > 0, voice * np.float32(gain), name

    def _draw_excerpt(
        self, clip: int, size: int, speed: float, random: np.random.Generator
    ) -> tuple[Float[ndarray, " T"], int]:  # fmt: skip
        """Return at most ``size`` samples of a clip, played at a speed, and where in the clip they begin."""
        length = int(size * speed)
        start = int(random.integers(0, max(int(self._store.sizes[clip]) - length, 0) + 1))
        samples = self._store.samples(clip, start, start + length)
        return Audio(samples, self.sample_rate).played(speed).samples[:size], start


def corpus_phonemes(utterances: Sequence[Utterance]) -> tuple[str, ...]:
    """Return every symbol in the alignments of some utterances, sorted, after silence.

    Example:
        >>> line = Utterance(audio_path="a.wav", extra={"alignment": [["h", 0.0, 0.1], ["aɪ", 0.1, 0.4]]})
        >>> corpus_phonemes([line])
        ('SIL', 'aɪ', 'h')
    """
    found: set[str] = set()
    for one in utterances:
        try:
            alignment = alignment_of(one)
        except AlignmentError:
            continue  # the recording is left out, with this reason
        found |= set() if alignment is None else set(alignment.symbols)
    return (SILENCE, *sorted(found - {SILENCE}))
