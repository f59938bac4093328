"""Windows of speech with the phoneme at every spectrum, as training batches; and some more of the same voice.

A batch is a function of the seed and the step and nothing else (see ``vocable.data.batches``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.audio import Audio
from vocable.data.alignment import alignment_of
from vocable.data.batches import Batch, BatchConfig, ClipStore
from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError, ConfigError, ManifestError, TextError
from vocable.shapes import frames_for, mask_from_lengths
from vocable.text.phonemes import PhonemeSet

_Marks = tuple[Float[ndarray, " L"], Int[ndarray, " L"]]  # where segments end, in samples, and which phonemes they are


@dataclass(frozen=True)
class AlignedBatch(Batch):
    """Windows of equal length, zero behind the end of clips that are shorter.

    Attributes:
        samples: In [-1, 1]; T = N · hop.
        mask: True on tokens that hold any of the clip.
        phonemes: (B, S) of each spectrum; silence where nothing is known.
        labelled: Whose phonemes are known.
        voices: (B, T_voice) samples of the same clip, from anywhere in it; a shorter clip is repeated.
        names: Where each window is from: ``file@seconds``.
    """

    samples: Float[Tensor, "B T"]
    mask: Bool[Tensor, "B N"]
    phonemes: Int[Tensor, "B S"]
    labelled: Bool[Tensor, " B"]
    voices: Float[Tensor, "B T_voice"]
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AlignedConfig(BatchConfig):
    """How windows are cut.

    Attributes:
        gain_db: As of every batch, but what would exceed full scale is kept under it.
        unlabelled: Share of windows from recordings without phonemes, where there are any.
        speeds: Between which factors a clip is played slower or faster, voice and all, as a tape is.

    Raises:
        ConfigError: A value is out of range.
    """

    kind: ClassVar[str] = "windows"

    gain_db: tuple[float, float] = (-6.0, 3.0)
    unlabelled: float = 0.25
    speeds: tuple[float, float] = (0.88, 1.14)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("unlabelled", 0, 1)
        low, high = self.speeds
        if not 0.5 <= low <= high <= 2:
            raise ConfigError(f"{self.kind}: speeds is {self.speeds}: between 0.5 and 2, the lower first")


class Aligned:
    """Windows drawn so that every second of speech of either kind is equally likely.

    Args:
        utterances: What to draw from; phonemes are known of those whose line has an ``alignment``.
        config: How.
        sample_rate: Hz; recordings of another rate are resampled.
        hop: Samples of a spectrum.
        reduction: Spectra of a token.
        window: Tokens of a window.
        voice: Spectra of the piece that the voice is heard from.
        phonemes: The inventory. An alignment with symbols outside it leaves its recording out.

    Attributes:
        problems: Why recordings were left out.

    Raises:
        ManifestError: No utterance can be used, or none has an alignment that says more than silence.
    """

    def __init__(
        self, utterances: Sequence[Utterance], config: AlignedConfig, *, sample_rate: int, hop: int, reduction: int,
        window: int, voice: int, phonemes: PhonemeSet,
    ) -> None:  # fmt: skip
        self.config, self.phonemes = config, phonemes
        self.sample_rate, self.hop, self.reduction, self.window, self.voice = sample_rate, hop, reduction, window, voice
        self._store = ClipStore(utterances, sample_rate, self._look)
        self.problems = self._store.problems
        sizes = np.array([size for size, _ in self._store.seen], dtype=np.float64)
        known = np.array([marks is not None for _, marks in self._store.seen])
        if not any(marks is not None and marks[1].any() for _, marks in self._store.seen):
            raise ManifestError(
                f"none of {len(known)} recordings has an 'alignment' with a phoneme in it; make them with "
                "`vocable data align MANIFEST`"
            )
        self._kinds = [(np.flatnonzero(kind), np.cumsum(sizes[kind])) for kind in (known, ~known)]

    @property
    def hours(self) -> float:
        """Speech to draw from."""
        return sum(float(ends[-1]) for _, ends in self._kinds if len(ends)) / self.sample_rate / 3600

    @property
    def labelled_hours(self) -> float:
        """Speech whose phonemes are known."""
        return float(self._kinds[0][1][-1]) / self.sample_rate / 3600

    def spectra_of(self, index: int) -> Float[ndarray, " T"]:
        """The first ten seconds of a clip, in whole tokens: what scales are measured on."""
        samples = self._store.samples(index, 0, 10 * self.sample_rate)
        return np.pad(samples, (0, -samples.size % (self.hop * self.reduction)))

    def __len__(self) -> int:
        return len(self._store)

    def durations(self) -> Int[ndarray, " L"]:
        """How many spectra each phoneme of the corpus lasts, rounded."""
        lasting = [
            np.diff(marks[0], prepend=0.0)[marks[1] > 0] for _, marks in self._store.seen if marks is not None
        ]  # fmt: skip
        return np.maximum(1, np.concatenate(lasting) / self.hop).round().astype(np.int64)

    def batch(self, step: int, rank: int = 0, world: int = 1) -> AlignedBatch:
        """This rank's slice of the global batch of a step.

        Raises:
            ConfigError: The batch cannot be shared evenly.
        """
        rows = [self._window(random) for random in self.config.draws(step, rank, world)]
        samples, sizes, phonemes, labelled, voices, names = zip(*rows, strict=True)
        tokens = torch.tensor([frames_for(size, self.hop * self.reduction) for size in sizes])
        return AlignedBatch(
            torch.from_numpy(np.stack(samples)), mask_from_lengths(tokens, self.window),
            torch.from_numpy(np.stack(phonemes)), torch.tensor(labelled), torch.from_numpy(np.stack(voices)), names,
        )  # fmt: skip

    def _look(self, utterance: Utterance, samples: Float[ndarray, " T"]) -> tuple[int, _Marks | None]:
        """How long a clip is, and where its phonemes end."""
        alignment = alignment_of(utterance, samples.size / self.sample_rate)
        if alignment is None:
            return samples.size, None
        try:
            ids = self.phonemes.ids(alignment.symbols, "the alignment")
        except TextError as error:
            raise AlignmentError(str(error)) from error
        return samples.size, (np.array([one.end for one in alignment.segments]) * self.sample_rate, np.array(ids))

    def _window(
        self, random: np.random.Generator
    ) -> tuple[ndarray, int, Int[ndarray, " S"], bool, ndarray, str]:  # fmt: skip
        other = len(self._kinds[1][0]) > 0 and random.random() < self.config.unlabelled
        places, ends = self._kinds[int(other)]
        at = int(places[np.searchsorted(ends, random.random() * ends[-1], side="right")])
        speed = float(random.uniform(*self.config.speeds))
        gain = 10.0 ** (random.uniform(*self.config.gain_db) / 20.0)
        size = self.window * self.reduction * self.hop
        piece, start = self._piece(at, size, speed, random)
        window = np.zeros(size, dtype=np.float32)
        window[: piece.size] = piece
        voice, _ = self._piece(at, self.voice * self.hop, speed, random)
        voice = np.resize(voice, self.voice * self.hop)
        gain = min(gain, 1.0 / max(float(np.abs(window).max()), float(np.abs(voice).max()), 1e-3))
        marks = self._store.seen[at][1]
        phonemes = np.zeros(self.window * self.reduction, dtype=np.int64)
        if marks is not None:
            middles = start + (np.arange(phonemes.size) + 0.5) * self.hop * speed
            inside = middles < marks[0][-1]
            phonemes[inside] = marks[1][np.searchsorted(marks[0], middles[inside], side="right")]
        name = f"{self._store.utterances[at].audio_path}@{start / self.sample_rate:.2f}s"
        return window * np.float32(gain), piece.size, phonemes, marks is not None, voice * np.float32(gain), name

    def _piece(
        self, at: int, size: int, speed: float, random: np.random.Generator
    ) -> tuple[Float[ndarray, " T"], int]:  # fmt: skip
        """At most so many samples of a clip played at a speed, and where in the clip they begin."""
        wanted = int(size * speed)
        start = int(random.integers(0, max(self._store.seen[at][0] - wanted, 0) + 1))
        piece = self._store.samples(at, start, start + wanted)
        return Audio(piece, self.sample_rate).played(speed).samples[:size], start
