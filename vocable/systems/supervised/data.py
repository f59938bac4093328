"""Training batches of the supervised units: whole utterances with frames of Whisper, and phones where known.

A batch is a function of seed and step alone; see :mod:`vocable.data.batches`.
"""

from array import array
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

from vocable.data.alignment.words import words_of
from vocable.data.batches import BatchConfig, TensorBatch
from vocable.data.clips import Clip, ClipStore
from vocable.data.manifest import Utterance
from vocable.data.targets import TargetCache
from vocable.errors import AlignmentError, AudioError, ConfigError
from vocable.schema import config
from vocable.shapes import frames_for, mask_from_lengths
from vocable.systems.supervised.config import SupervisedConfig
from vocable.text.phonemes import PhonemeSet
from vocable.text.pronounce import ArpabetPronouncer, Pronouncer

_POOL_BATCHES = 4  # the rows of a batch are drawn from this many batches of clips of similar length


@dataclass(frozen=True)
class UtteranceBatch(TensorBatch):
    """Utterances of similar length, each followed by zeros.

    Attributes:
        samples: Samples in [-1, 1]; T = N · hop.
        frames: Frames of Whisper; S / N of them belong to a token.
        mask: True on tokens that hold any sample of the clip.
        phones: (B, L) Phone ids in order; 0 after the last.
        num_phones: Number of phones of each row; 0 where they are not known.
        voices: (B, T_voice) Samples from a random place of the same clip; a shorter clip is repeated.
        names: Files of the utterances.
    """

    samples: Float[Tensor, "B T"]
    frames: Float[Tensor, "B S F"]
    mask: Bool[Tensor, "B N"]
    phones: Int[Tensor, "B L"]
    num_phones: Int[Tensor, " B"]
    voices: Float[Tensor, "B T_voice"]
    names: tuple[str, ...]


@config
class UtteranceConfig(BatchConfig):
    """Configuration of batches of whole utterances.

    Attributes:
        max_seconds: Longest utterance; longer ones are left out. At most 30.
    """

    kind: ClassVar[str] = "utterances"

    max_seconds: float = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("max_seconds", 0, 30)
        if self.gain_db != (0.0, 0.0):
            raise ConfigError(
                f"{self.kind}: gain_db is {self.gain_db}: frames are kept on disk, so their loudness cannot change"
            )


class UtteranceData:
    """Training data of the supervised units. Each utterance is about equally likely, among others of similar length.

    Args:
        utterances: Recordings; those with ``phones`` or ``text`` are labeled.
        config: Configuration of the batches.
        model: Configuration of the networks.
        targets: Frames of Whisper, kept on disk.
        cache: Folder of lengths and decoded recordings; see :mod:`vocable.data.clip_files`.

    Attributes:
        problems: Reasons why recordings were left out.
        corpus: What draws depend on; see :class:`vocable.data.clips.ClipStore`.

    Raises:
        ManifestError: If no utterance can be used.
    """

    def __init__(
        self, utterances: Sequence[Utterance], config: UtteranceConfig, model: SupervisedConfig, targets: TargetCache,
        *, cache: Path | None = None,
    ) -> None:  # fmt: skip
        self.config, self.targets, self.phonemes = config, targets, PhonemeSet(model.phonemes)
        self.model, self.hop, self.sample_rate = model, model.hop, model.mel.sample_rate
        self._phones, self._phone_starts = array("i"), array("q", [0])
        self._store = ClipStore(utterances, self.sample_rate, self._inspect, check=config.check, cache=cache)
        self.problems, self.corpus = self._store.problems, self._store.corpus
        self._by_length = np.argsort(self._store.sizes, kind="stable")

    @property
    def hours(self) -> float:
        """Length of all recordings, in hours."""
        return int(self._store.sizes.sum()) / self.sample_rate / 3600

    def __len__(self) -> int:
        return len(self._store)

    def scale_samples(self, index: int) -> Float[ndarray, " T"]:
        """Return the samples of a clip, padded to whole tokens."""
        samples = self._store.samples(index)
        return np.pad(samples, (0, -samples.size % self.hop))

    def batch(self, step: int, rank: int = 0, world: int = 1) -> UtteranceBatch:
        """Return this rank's slice of the global batch of a step."""
        pool = min(_POOL_BATCHES * self.config.batch_size, len(self))
        middle = int(np.random.default_rng((self.config.seed, step)).integers(len(self)))
        first = min(max(middle - pool // 2, 0), len(self) - pool)
        rows = [
            self._load_row(int(self._by_length[first + int(random.integers(pool))]), random)
            for random in self.config.draws(step, rank, world)
        ]
        samples, frames, phones, voices, names = zip(*rows, strict=True)
        tokens = torch.tensor([frames_for(len(row), self.hop) for row in samples])
        longest = int(tokens.max())
        return UtteranceBatch(
            samples=torch.stack([_pad(row, longest * self.hop) for row in samples]),
            frames=torch.stack([_pad(row, longest * self.model.encoder.frames_per_token) for row in frames]),
            mask=mask_from_lengths(tokens, longest), phones=pad_sequence(list(phones), batch_first=True),
            num_phones=torch.tensor([len(row) for row in phones]), voices=torch.stack(list(voices)), names=names,
        )  # fmt: skip

    def _load_row(self, clip: int, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, str]:
        """Return samples, frames, phones, voice and file of a clip."""
        size, phones = int(self._store.sizes[clip]), self._phones[slice(*self._phone_starts[clip : clip + 2])]
        frames = self.targets.file_of(self._store.key(clip))
        length = self.model.voice.frames * self.model.mel.hop
        start = int(random.integers(0, max(size - length, 0) + 1))
        voice = np.resize(self._store.samples(clip, start, start + length), length)
        return (
            torch.from_numpy(self._store.samples(clip)), self.targets.all_frames(frames),
            torch.tensor(phones, dtype=torch.int64), torch.from_numpy(voice),
            self._store.path(clip),
        )  # fmt: skip

    def _inspect(self, utterance: Utterance, clip: Clip) -> None:
        """Keep the phones of a clip; compute its frames if they are not on disk."""
        seconds = clip.size / self.sample_rate
        if not 0 < seconds <= self.config.max_seconds:
            raise AudioError(f"{seconds:.2f} s long: whole utterances of up to {self.config.max_seconds:g} s are taken")
        phones: list[int] = []
        if utterance.text or utterance.extra.get("phones") is not None:
            words = words_of(utterance, lambda: self._pronouncer)
            phones = self.phonemes.ids([phone for word in words for phone in word])
            available = self.model.recognizer.phones_per_token * frames_for(clip.size, self.hop)
            needed = len(phones) + sum(one == two for one, two in pairwise(phones))  # a blank between equal phones
            if needed > available:
                raise AlignmentError(
                    f"{len(phones)} phones need {needed} CTC positions; {seconds:.2f} s have {available}"
                )  # fmt: skip
        if not self.targets.has(self.targets.file_of(clip.key)):
            self.targets.store(utterance.audio_path, clip.audio())
        self._phones.extend(phones)
        self._phone_starts.append(len(self._phones))

    @cached_property
    def _pronouncer(self) -> Pronouncer:
        return ArpabetPronouncer()


def _pad(values: Tensor, size: int) -> Tensor:
    """Append zeros along the first axis."""
    return torch.cat([values, values.new_zeros(size - len(values), *values.shape[1:])])
