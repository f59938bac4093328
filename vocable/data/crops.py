"""Random crops of recordings as training batches, with the targets of teachers, cut in step with the samples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vocable.audio import Audio
from vocable.collective import world as world_of_processes
from vocable.data.batches import BatchConfig, TensorBatch
from vocable.data.clip_targets import ClipTargets, Drawn
from vocable.data.clips import Clip, ClipStore
from vocable.data.manifest import Utterance
from vocable.data.targets import TargetCache
from vocable.errors import AudioError, ConfigError
from vocable.schema import config
from vocable.shapes import frames_for, mask_from_lengths

_SCALE_CLIPS = 1_000  # recordings that the scale of a teacher is measured on


@dataclass(frozen=True)
class CropBatch(TensorBatch):
    """Crops of equal length; zero after the end of clips that are shorter.

    Attributes:
        samples: Samples in [-1, 1]; T = N · hop.
        mask: True on frames that overlap the clip.
        names: Origin of each crop: ``file@seconds``.
        targets: Targets of each teacher by name: frames (B, N, F), 0 after the end of a clip, or one vector (B, F) for
            each recording.
    """

    samples: Float[Tensor, "B T"]
    mask: Bool[Tensor, "B N"]
    names: tuple[str, ...]
    targets: Mapping[str, Tensor] = field(default_factory=dict)


@config
class CropConfig(BatchConfig):
    """Settings of crops.

    Attributes:
        gain_db: Range of the random gain, in dB; the gain is reduced where samples would exceed full scale.
        frames: Number of token frames of a crop.
        speed_range: Range of the playback speed. Pitch and formants change with it.
    """

    kind: ClassVar[str] = "crops"

    gain_db: tuple[float, float] = (-9.0, 3.0)
    frames: int = 50
    speed_range: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("frames", 1)
        self._check_speeds(self.speed_range)


class Crops:
    """Random crops in which every second of speech is equally likely.

    Args:
        utterances: Utterances to draw from.
        config: Settings of the crops.
        sample_rate: Sample rate of the crops in Hz; recordings of another rate are resampled.
        hop: Samples of a token frame.
        targets: Targets of each teacher by name; missing ones are computed when a batch needs them. If any are frames,
            crops begin on whole frames.
        cache: Folder of lengths and decoded recordings; see :mod:`vocable.data.clip_files`.

    Attributes:
        problems: Errors of the recordings that were left out.
        corpus: What draws depend on; see :class:`vocable.data.clips.ClipStore`.

    Raises:
        ManifestError: If no utterance has readable audio.
        ConfigError: If a teacher takes another sample rate, or has another frame rate than the tokens, or crops are
            played at other speeds and there is a teacher.
    """

    def __init__(
        self, utterances: Sequence[Utterance], config: CropConfig, *, sample_rate: int, hop: int,
        targets: Mapping[str, TargetCache] | None = None, cache: Path | None = None,
    ) -> None:  # fmt: skip
        self.config, self.sample_rate, self.hop, self.targets = config, sample_rate, hop, dict(targets or {})
        for part, target in self.targets.items():
            _check_rates(part, target, sample_rate, hop)
        if self.targets and config.speed_range != (1.0, 1.0):
            raise ConfigError(
                f"the {next(iter(self.targets))} teacher knows recordings at their own speed, and speed_range is "
                f"{config.speed_range}; leave it at 1 to 1, or the teacher out"
            )
        self._store = ClipStore(
            utterances, sample_rate, self._check_length if self.targets else None, check=config.check, cache=cache
        )
        self.problems, self.corpus = self._store.problems, self._store.corpus
        self._clip_targets = self._targets_of(self.targets.values(), self.problems)
        self._ends = np.cumsum(self._store.sizes, dtype=np.float64)
        self._grid = hop if any(target.extractor.frame_rate for target in self.targets.values()) else 1

    @property
    def hours(self) -> float:
        """Hours of speech to draw from; an utterance that is listed twice counts twice."""
        return float(self._ends[-1]) / self.sample_rate / 3600

    def batch(self, step: int, rank: int = 0, world: int = 1) -> CropBatch:
        """Draw this rank's slice of the global batch of a step; see :meth:`BatchConfig.draws`."""
        rows = [self._crop(clip, random) for clip, random in self._draw(step, rank, world)]
        samples, lengths, names, positions = zip(*rows, strict=True)
        frames = torch.tensor([frames_for(length, self.hop) for length in lengths])
        return CropBatch(
            torch.from_numpy(np.stack(samples)), mask_from_lengths(frames, self.config.frames), tuple(names),
            {part: self._read_targets(target, positions) for part, target in self.targets.items()},
        )  # fmt: skip

    def prepare(self, step: int, rank: int = 0, world: int = 1) -> list[AudioError]:
        """Compute the missing targets of a batch; return errors of recordings that are left out from now on."""
        if self.targets:
            self._draw(step, rank, world)
        return self._clip_targets.news()

    def scale(self, part: str) -> tuple[Float[Tensor, " F"], Float[Tensor, " F"]]:
        """Return mean and standard deviation of a teacher's vectors, or of its frames.

        They are those of up to 1,000 recordings, evenly spaced over the corpus, each once. Each rank computes a share
        of the targets that are missing.
        """
        target, count = self.targets[part], len(self._store)
        clips = np.unique(np.linspace(0, count - 1, min(count, _SCALE_CLIPS)).round().astype(int)).tolist()
        rank, ranks = world_of_processes()
        clip_targets = self._targets_of([target], [])
        clip_targets.usable(clips[rank::ranks])
        files = sorted({target.file_of(self._store.key(clip)) for clip in clip_targets.usable(clips)})
        if target.extractor.frame_rate is None:
            vectors = torch.stack([target.vector(file) for file in files]).double()
            return vectors.mean(0).float(), vectors.std(0, correction=0).float()
        count, total, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
        for file in files:  # hours of frames do not fit into memory at once
            frames = target.all_frames(file).double()
            count, total, squares = count + len(frames), total + frames.sum(0), squares + frames.square().sum(0)
        mean = total / max(count, 1)
        return mean.float(), (squares / max(count, 1) - mean.square()).clamp(min=0).sqrt().float()

    def _targets_of(self, caches: Iterable[TargetCache], problems: list[Any]) -> ClipTargets:
        return ClipTargets(
            [*caches], len(self._store), file_of=lambda cache, clip: cache.file_of(self._store.key(clip)),
            read=self._store.audio, error_of=self._store.error, problems=problems,
        )  # fmt: skip

    def _check_length(self, utterance: Utterance, clip: Clip) -> None:
        """Raise an AudioError if a teacher takes no clip of this length."""
        for target in self.targets.values():
            target.check_length(clip.size)

    def _read_targets(self, target: TargetCache, positions: Sequence[tuple[int, int]]) -> Tensor:
        """Read the targets of crops: their frames, or the vectors of their recordings."""
        files = [target.file_of(self._store.key(clip)) for clip, _ in positions]
        if target.extractor.frame_rate is None:
            return torch.stack([target.vector(file) for file in files])
        frames = torch.empty(len(files), self.config.frames, target.extractor.width)
        for row, file, (_, start) in zip(frames, files, positions, strict=True):  # into place: a copy takes as long
            target.read_frames(file, start // self.hop, row)
        return frames

    def _draw(self, step: int, rank: int, world: int) -> list[Drawn]:
        """Draw the clips of a batch, whose targets are there then; every second of speech is equally likely."""

        def pick(random: np.random.Generator) -> int:
            return int(np.searchsorted(self._ends, random.random() * self._ends[-1], side="right"))

        return self._clip_targets.draw(lambda: self.config.draws(step, rank, world), pick)

    def _crop(self, index: int, random: np.random.Generator) -> tuple[np.ndarray, int, str, tuple[int, int]]:
        size, speeds = self.config.frames * self.hop, self.config.speed_range
        speed = float(random.uniform(*speeds)) if speeds != (1.0, 1.0) else 1.0
        length = int(size * speed)
        start = int(random.integers(0, max(int(self._store.sizes[index]) - length, 0) + 1))
        start -= start % self._grid
        samples = self._store.samples(index, start, start + length)
        if speed != 1.0:
            samples = Audio(samples, self.sample_rate).played(speed).samples[:size]
        gain = 10.0 ** (random.uniform(*self.config.gain_db) / 20.0)
        gain = min(gain, 1.0 / max(float(np.abs(samples).max()), 1e-3))
        crop = np.zeros(size, dtype=np.float32)
        crop[: samples.size] = samples * gain
        name = f"{self._store.path(index)}@{start / self.sample_rate:.2f}s"
        return crop, samples.size, name, (index, start)


def _check_rates(part: str, target: TargetCache, sample_rate: int, hop: int) -> None:
    extractor = target.extractor
    if extractor.sample_rate != sample_rate:
        raise ConfigError(
            f"the {part} teacher {extractor.name} takes {extractor.sample_rate} Hz, the tokenizer {sample_rate} Hz; "
            "use one of the same rate"
        )
    if extractor.frame_rate is not None and extractor.frame_rate * hop != sample_rate:
        raise ConfigError(
            f"the {part} teacher {extractor.name} has {extractor.frame_rate:g} frames a second, the tokenizer "
            f"{sample_rate / hop:g}; use one of the same rate"
        )
