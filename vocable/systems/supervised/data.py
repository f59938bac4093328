"""Whole utterances with what a frozen model hears in them, and the phones said where they are known, as batches.

A batch is a function of the seed and the step and nothing else (see ``vocable.data.batches``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vocable.audio import Audio
from vocable.data.alignment.phones import words_of
from vocable.data.batches import Batch, BatchConfig, ClipStore
from vocable.data.manifest import Utterance
from vocable.data.targets import TargetCache
from vocable.errors import AlignmentError, AudioError, ConfigError
from vocable.shapes import frames_for, mask_from_lengths
from vocable.text.phonemes import PhonemeSet
from vocable.text.pronounce import ArpabetPronouncer, Pronouncer

_NEIGHBOURS = 4  # batches of clips of like length that the rows of one are drawn from
_Seen = tuple[int, Path, tuple[int, ...]]  # samples, where its frames are kept, ids of its phones


@dataclass(frozen=True)
class WholeBatch(Batch):
    """Utterances of like length, zero behind their ends.

    Attributes:
        samples: In [-1, 1]; T = N · hop.
        frames: What the frozen model hears: S / N of them in a token.
        mask: True on tokens that hold any of the clip.
        phones: (B, L) ids of what is said, in order; 0 behind the last.
        sizes: How many phones are known of each; 0 where none is.
        voices: (B, T_voice) samples of the same clip, from anywhere in it; a shorter clip is repeated.
        names: The files.
    """

    samples: Float[Tensor, "B T"]
    frames: Float[Tensor, "B S F"]
    mask: Bool[Tensor, "B N"]
    phones: Int[Tensor, "B L"]
    sizes: Int[Tensor, " B"]
    voices: Float[Tensor, "B T_voice"]
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WholeConfig(BatchConfig):
    """Which utterances are taken.

    Attributes:
        longest: Seconds; longer ones are left out, and none is cut. At most 30.

    Raises:
        ConfigError: A value is out of range.
    """

    kind: ClassVar[str] = "utterances"

    longest: float = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("longest", 0, 30)
        if self.gain_db != (0.0, 0.0):
            raise ConfigError(f"{self.kind}: gain_db is {self.gain_db}: frames are kept, and with them their loudness")


class Whole:
    """Utterances drawn so that each is about equally likely, together with others of like length.

    Args:
        utterances: What to draw from; what is said is known of those with ``phones`` or ``text``.
        config: Which of them.
        targets: Keeps what the frozen model hears.
        hop: Samples of a token at the model's rate; it hears a whole number of frames in one.
        voice: Samples of the piece that the voice is heard from.
        phonemes: The inventory; its silence stands for no phone.
        most: Phones that may be said in one token.

    Attributes:
        problems: Why recordings were left out.

    Raises:
        ManifestError: No utterance can be used.
        ConfigError: A token is no whole number of frames.
    """

    def __init__(
        self, utterances: Sequence[Utterance], config: WholeConfig, *, targets: TargetCache, hop: int, voice: int,
        phonemes: PhonemeSet, most: int,
    ) -> None:  # fmt: skip
        self.config, self.targets, self.phonemes = config, targets, phonemes
        self.hop, self.voice, self.most = hop, voice, most
        self.sample_rate = targets.extractor.sample_rate
        each = hop * (targets.extractor.frame_rate or 0.0) / self.sample_rate
        if each < 1 or each % 1:
            raise ConfigError(f"{targets.extractor.name} says {each:g} frames in a token of {hop} samples: not whole")
        self.each = int(each)
        self._store = ClipStore(utterances, self.sample_rate, self._look)
        self.problems = self._store.problems
        self._order = sorted(range(len(self._store)), key=lambda at: self._store.seen[at][0])

    @property
    def hours(self) -> float:
        """Speech to draw from."""
        return sum(size for size, _, _ in self._store.seen) / self.sample_rate / 3600

    @property
    def labelled_hours(self) -> float:
        """Speech whose phones are known."""
        return sum(size for size, _, phones in self._store.seen if phones) / self.sample_rate / 3600

    def __len__(self) -> int:
        return len(self._store)

    def samples_of(self, index: int) -> Float[ndarray, " T"]:
        """A clip in whole tokens: what scales are measured on."""
        samples = self._store.samples(index)
        return np.pad(samples, (0, -samples.size % self.hop))

    def batch(self, step: int, rank: int = 0, world: int = 1) -> WholeBatch:
        """This rank's slice of the global batch of a step.

        Raises:
            ConfigError: The batch cannot be shared evenly.
            CheckpointError: What the frozen model heard is no longer there.
        """
        near = min(_NEIGHBOURS * self.config.batch_size, len(self))
        middle = int(np.random.default_rng((self.config.seed, step)).integers(len(self)))
        first = min(max(middle - near // 2, 0), len(self) - near)
        rows = [
            self._row(self._order[first + int(random.integers(near))], random)
            for random in self.config.draws(step, rank, world)
        ]
        samples, frames, phones, voices, names = zip(*rows, strict=True)
        tokens = torch.tensor([frames_for(len(one), self.hop) for one in samples])
        most = int(tokens.max())
        return WholeBatch(
            samples=torch.stack([_padded(one, most * self.hop) for one in samples]),
            frames=torch.stack([_padded(one, most * self.each) for one in frames]),
            mask=mask_from_lengths(tokens, most), phones=pad_sequence(list(phones), batch_first=True),
            sizes=torch.tensor([len(one) for one in phones]), voices=torch.stack(list(voices)), names=names,
        )  # fmt: skip

    def _row(self, at: int, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, str]:
        size, kept, phones = self._store.seen[at]
        start = int(random.integers(0, max(size - self.voice, 0) + 1))
        voice = np.resize(self._store.samples(at, start, start + self.voice), self.voice)
        return (
            torch.from_numpy(self._store.samples(at)), self.targets.all_frames(kept),
            torch.tensor(phones, dtype=torch.int64), torch.from_numpy(voice),
            str(self._store.utterances[at].audio_path),
        )  # fmt: skip

    def _look(self, utterance: Utterance, samples: Float[ndarray, " T"]) -> _Seen:
        """How long a clip is, where its frames are, and what is said; hears it where that was not done before."""
        seconds = samples.size / self.sample_rate
        if not 0 < seconds <= self.config.longest:
            raise AudioError(f"{seconds:.2f} s long: whole utterances of up to {self.config.longest:g} s are taken")
        phones: list[int] = []
        if utterance.text or utterance.extra.get("phones") is not None:
            words = words_of(utterance, lambda: self._pronouncer)
            phones = self.phonemes.ids([phone for word in words for phone in word])
            room = self.most * frames_for(samples.size, self.hop)
            needed = len(phones) + sum(
                one == two for one, two in pairwise(phones)
            )  # a blank between two that are alike
            if needed > room:
                raise AlignmentError(f"{len(phones)} phones want {needed} places; in {seconds:.2f} s there are {room}")
        return samples.size, self.targets.store(utterance.audio_path, Audio(samples, self.sample_rate)), tuple(phones)

    @cached_property
    def _pronouncer(self) -> Pronouncer:
        return ArpabetPronouncer()


def _padded(values: Tensor, size: int) -> Tensor:
    """Zero behind the end."""
    return torch.cat([values, values.new_zeros(size - len(values), *values.shape[1:])])
