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

from vocable.audio import resampled_size
from vocable.data.alignment.words import words_of
from vocable.data.batches import BatchConfig, TensorBatch
from vocable.data.clip_targets import ClipTargets, Drawn
from vocable.data.clips import Clip, ClipStore
from vocable.data.manifest import Utterance
from vocable.data.targets import TargetCache
from vocable.errors import AlignmentError, AudioError, ConfigError
from vocable.schema import config
from vocable.shapes import frames_for, mask_from_lengths
from vocable.systems.supervised.config import SupervisedConfig
from vocable.text.letters import labels_of_words
from vocable.text.normalize import to_words
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
        letters: (B, L_letters) Letters and spaces in order, as 1 + their position in
            :data:`~vocable.text.letters.LABELS`; 0 after the last.
        num_letters: Number of letters and spaces of each row; 0 where they are not known, or not recognized.
        voices: (B, T_voice) Samples from a random place of the same clip; a shorter clip is repeated.
        names: Files of the utterances.
    """

    samples: Float[Tensor, "B T"]
    frames: Float[Tensor, "B S F"]
    mask: Bool[Tensor, "B N"]
    phones: Int[Tensor, "B L"]
    num_phones: Int[Tensor, " B"]
    letters: Int[Tensor, "B L_letters"]
    num_letters: Int[Tensor, " B"]
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
        targets: Frames of Whisper, kept on disk; missing ones are computed when a batch needs them.
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
        self._phones, self._letters = _Labels(), _Labels()
        self._store = ClipStore(utterances, self.sample_rate, self._inspect, check=config.check, cache=cache)
        self.problems, self.corpus = self._store.problems, self._store.corpus
        self._clip_targets = ClipTargets(
            [targets], len(self._store), file_of=lambda cache, clip: cache.file_of(self._store.key(clip)),
            read=self._store.audio, error_of=self._store.error, problems=self.problems,
        )  # fmt: skip
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
        rows = [self._load_row(clip, random) for clip, random in self._draw(step, rank, world)]
        samples, frames, phones, letters, voices, names = zip(*rows, strict=True)
        tokens = torch.tensor([frames_for(len(row), self.hop) for row in samples])
        longest = int(tokens.max())
        return UtteranceBatch(
            samples=torch.stack([_pad(row, longest * self.hop) for row in samples]),
            frames=torch.stack([_pad(row, longest * self.model.encoder.frames_per_token) for row in frames]),
            mask=mask_from_lengths(tokens, longest), phones=pad_sequence(list(phones), batch_first=True),
            num_phones=torch.tensor([len(row) for row in phones]),
            letters=pad_sequence(list(letters), batch_first=True),
            num_letters=torch.tensor([len(row) for row in letters]), voices=torch.stack(list(voices)), names=names,
        )  # fmt: skip

    def prepare(self, step: int, rank: int = 0, world: int = 1) -> list[AudioError]:
        """Compute the missing frames of a batch; return errors of recordings that are left out from now on."""
        self._draw(step, rank, world)
        return self._clip_targets.news()

    def _draw(self, step: int, rank: int, world: int) -> list[Drawn]:
        """Draw clips, whose frames are there then, among those of similar length to a clip that the step draws."""
        pool = min(_POOL_BATCHES * self.config.batch_size, len(self))
        middle = int(np.random.default_rng((self.config.seed, step)).integers(len(self)))
        first = min(max(middle - pool // 2, 0), len(self) - pool)

        def pick(random: np.random.Generator) -> int:
            return int(self._by_length[first + int(random.integers(pool))])

        return self._clip_targets.draw(lambda: self.config.draws(step, rank, world), pick)

    def _load_row(self, clip: int, random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, str]:
        """Return samples, frames, phones, letters, voice and file of a clip."""
        size = int(self._store.sizes[clip])
        frames = self.targets.file_of(self._store.key(clip))
        length = self.model.voice.frames * self.model.mel.hop
        start = int(random.integers(0, max(size - length, 0) + 1))
        voice = np.resize(self._store.samples(clip, start, start + length), length)
        return (
            torch.from_numpy(self._store.samples(clip)), self.targets.all_frames(frames),
            self._phones.of(clip), self._letters.of(clip), torch.from_numpy(voice), self._store.path(clip),
        )  # fmt: skip

    def _inspect(self, utterance: Utterance, clip: Clip) -> None:
        """Keep the phones of a clip."""
        seconds = clip.size / self.sample_rate
        if not 0 < seconds <= self.config.max_seconds:
            raise AudioError(f"{seconds:.2f} s long: whole utterances of up to {self.config.max_seconds:g} s are taken")
        phones: list[int] = []
        letters: list[int] = []
        if utterance.text or utterance.extra.get("phones") is not None:
            words = words_of(utterance, lambda: self._pronouncer)
            phones = self.phonemes.ids([phone for word in words for phone in word])
            available = self.model.recognizer.phones_per_token * frames_for(clip.size, self.hop)
            needed = len(phones) + sum(one == two for one, two in pairwise(phones))  # a blank between equal phones
            if needed > available:
                raise AlignmentError(
                    f"{len(phones)} phones need {needed} CTC positions; {seconds:.2f} s have {available}"
                )  # fmt: skip
        if utterance.text and self.model.recognizer.letters:
            letters = [1 + label for label in labels_of_words(to_words(utterance.text))]
        self.targets.check_length(resampled_size(clip.size, self.sample_rate, self.targets.extractor.sample_rate))
        self._phones.append(phones)
        self._letters.append(letters)

    @cached_property
    def _pronouncer(self) -> Pronouncer:
        return ArpabetPronouncer()


class _Labels:
    """Labels of many clips, one after another in one array."""

    def __init__(self) -> None:
        self._values, self._starts = array("i"), array("q", [0])

    def append(self, labels: Sequence[int]) -> None:
        self._values.extend(labels)
        self._starts.append(len(self._values))

    def of(self, clip: int) -> Int[Tensor, " L"]:
        return torch.tensor(self._values[slice(*self._starts[clip : clip + 2])], dtype=torch.int64)


def _pad(values: Tensor, size: int) -> Tensor:
    """Append zeros along the first axis."""
    return torch.cat([values, values.new_zeros(size - len(values), *values.shape[1:])])
