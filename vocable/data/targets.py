"""Cache of what frozen feature extractors compute of whole recordings.

```text
FOLDER/
├── teacher.json             the feature extractor: name, digest, sample rate, frames per second, width
├── 000000.safetensors …     packs that ``vocable data features`` made ahead (see vocable/data/feature_packs.py)
├── <SHA-256 of the audio>.safetensors   of a recording that is in no pack, computed by a training: "target"
└── <SHA-256 of the audio>.refused.json  reason why the extractor refuses a recording
```

A target is (N, F) frames or (F,) one vector in float16, or (N,) ids in int32. The file of a recording played at another
speed is called ``…@0.9.safetensors``. Other weights, other layers or another width make another feature extractor,
which needs another folder. An hour of 768 numbers 50 times per second takes 276 MB.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor

from vocable.audio import Audio
from vocable.data.feature_packs import PATTERN, FeaturePack, is_being_packed
from vocable.errors import AudioError, CheckpointError, OutputError, VocableError, is_out_of_memory, name_failure
from vocable.files import exists, make_folder, reason_of, sha256, write_json, write_whole
from vocable.folder import open_tensors
from vocable.locks import claim
from vocable.schema import config, read_json

GROUP_SECONDS = 240.0
"""Seconds of speech that go through a network together on a GPU, at most."""
_GROUP_CLIPS = 32  # that go through a network together on a GPU, at most
_CARD = "teacher.json"
_WAIT, _LONGEST_WAIT = 0.02, 0.5  # seconds between two questions whether another process has computed a target


@runtime_checkable
class FeatureExtractor(Protocol):
    """A frozen model that computes features or ids of a whole recording."""

    @property
    def name(self) -> str:
        """Name in reports."""

    @property
    def digest(self) -> str:
        """Digest of the weights and of how they are used: equal digests mean equal results."""

    @property
    def sample_rate(self) -> int:
        """Sample rate of the audio that it takes, in Hz."""

    @property
    def frame_rate(self) -> float | None:
        """Frames per second, or None if it computes one vector of a recording."""

    @property
    def width(self) -> int:
        """Dimension of a frame or of the vector; for ids, the number of different ids."""

    def extract(self, clip: Audio) -> Float[Tensor, "*N F"] | Int[Tensor, " N"]:
        """Compute frames (N, F), one vector (F,), or ids (N,).

        Raises:
            AudioError: If the clip cannot be used.
        """


@runtime_checkable
class BatchExtractor(Protocol):
    """A feature extractor that takes several clips together."""

    def extract_batch(self, clips: Sequence[Audio]) -> list[Tensor]:
        """Compute the features of each clip; see :meth:`FeatureExtractor.extract`."""


@runtime_checkable
class LimitedExtractor(Protocol):
    """A feature extractor that does not take clips of every length."""

    def check_length(self, samples: int) -> None:
        """Raise an AudioError if a clip of so many samples at the extractor's rate is too short or too long."""


@config
class _Refusal:
    """Contents of ``….refused.json``.

    Attributes:
        reason: Message of the extractor.
    """

    reason: str


@config
class _Card:
    """Contents of ``teacher.json``; the attributes are those of :class:`FeatureExtractor`."""

    name: str
    digest: str
    sample_rate: int
    frame_rate: float | None
    width: int


def describe_extractor(extractor: FeatureExtractor) -> dict[str, Any]:
    """Return the identity of a feature extractor as JSON values."""
    return {name: getattr(extractor, name) for name in ("name", "digest", "sample_rate", "frame_rate", "width")}


class TargetCache:
    """Results of one feature extractor, computed once and kept in a folder.

    Args:
        extractor: Feature extractor whose results are kept.
        folder: Folder of the cache; created if missing.

    Raises:
        CheckpointError: If the folder belongs to another feature extractor, or a file that is read is not one that
            :meth:`store` wrote.
        OutputError: If the folder cannot be written.
    """

    def __init__(self, extractor: FeatureExtractor, folder: Path) -> None:
        self.extractor, self.folder = extractor, folder
        make_folder(folder)
        path, card = folder / _CARD, describe_extractor(extractor)
        if not exists(path):
            write_json(path, card)
        stored = read_json(path, _Card, advice="remove the folder, and its targets are computed again")
        if any(getattr(stored, name) != value for name, value in card.items() if name != "name"):
            raise CheckpointError(
                f"{folder}: keeps the targets of another teacher ({stored.name}), not of {extractor.name}, "
                f"{extractor.digest[:23]}; give another folder, or remove it"
            )
        self._packs: dict[Path, FeaturePack] = {}
        self._pack_of: dict[str, FeaturePack] = {}
        self._find_packs()

    def has(self, file: Path) -> bool:
        """Return whether there are results of a recording, by its file: in a pack, or in that file itself.

        Packs that were finished since the last question are found, too.
        """
        if file.stem in self._pack_of or exists(file):
            return True
        self._find_packs()
        return file.stem in self._pack_of

    def refusal(self, file: Path) -> str | None:
        """Return why the extractor refuses a recording, by its file; None if it did not, or was not asked yet."""
        path = _refusal_path(file)
        if not exists(path):
            return None
        return read_json(path, _Refusal, advice="remove it, and the recording is tried again").reason

    def check_length(self, samples: int) -> None:
        """Raise an AudioError if the extractor takes no clip of so many samples at its sample rate."""
        if isinstance(self.extractor, LimitedExtractor):
            self.extractor.check_length(samples)

    @property
    def group_size(self) -> int:
        """Number of clips that go through the network together: on a CPU one, for the same bits in any order."""
        device = getattr(self.extractor, "device", torch.device("cpu"))
        return _GROUP_CLIPS if device.type != "cpu" and isinstance(self.extractor, BatchExtractor) else 1

    def complete(self, clips: Mapping[Path, Callable[[], Audio]]) -> None:
        """Compute and keep what is missing of some recordings, in batches where the extractor is on a GPU.

        Each recording is computed by one process alone: a claim of another one is waited for, also that of a pack. If
        the extractor refuses a recording, the reason is kept; see :meth:`refusal`.

        Args:
            clips: Function that reads a recording, by its file.

        Raises:
            AudioError: If a recording cannot be read.
            OutputError: If the folder cannot be written, or a clip does not fit into the memory of the device.
        """
        missing, pause = list(clips), _WAIT
        while missing := [file for file in missing if not self._is_settled(file)]:
            with ExitStack() as held:
                mine = list(self._claim(missing, held))
                results = self.compute_all([clips[file]() for file in mine])
                for file, result in zip(mine, results, strict=True):
                    if isinstance(result, Tensor):
                        self._write(file, result)
                    elif isinstance(result, AudioError):
                        write_json(_refusal_path(file), {"reason": str(result)})
                    else:
                        raise result
            if not mine:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_WAIT)

    def results(self, clips: Mapping[Path, Audio]) -> Iterator[tuple[Path, Tensor | VocableError]]:
        """Yield what is to be kept of clips, by their files, or their errors, without writing it.

        What a training has computed is read from its file, and what it is computing is waited for.
        """
        missing = list(clips)
        while missing:
            with ExitStack() as held:
                mine = [file for file in missing if not exists(file) and held.enter_context(claim(file))]
                mine = [file for file in mine if not exists(file)]
                yield from zip(mine, self.compute_all([clips[file] for file in mine]), strict=True)
            found = [file for file in missing if file not in mine and exists(file)]
            for file in found:
                yield file, self._stored(file)
            missing = [file for file in missing if file not in mine and file not in found]
            if not mine and not found:
                time.sleep(_WAIT)

    def store(self, recording: Path, clip: Audio, speed: float = 1.0) -> Path:
        """Return the file that stands for a recording played at a speed; compute it if there are no results of it.

        Args:
            recording: Path of the audio file.
            clip: Audio of the file, played at this speed.
            speed: Speed; 1 is as recorded.

        Raises:
            AudioError: If the feature extractor refuses the clip, or its result cannot be stored.
        """
        file = self.path_of(recording, speed)
        while not self.has(file):  # another rank may be computing it
            with ExitStack() as held:
                is_mine = bool([*self._claim([file], held)])
                if is_mine:
                    self._write(file, self.compute(clip))
            if not is_mine:
                time.sleep(_WAIT)
        return file

    def compute_all(self, clips: Sequence[Audio]) -> list[Tensor | VocableError]:
        """Return what is kept of each clip, or its error. A batch that fails, as for lack of memory, is halved.

        Raises:
            OutputError: If one clip alone does not fit into the memory of the device.
        """
        if not clips:
            return []
        try:
            with name_failure("the clip"):
                if len(clips) > 1 and isinstance(self.extractor, BatchExtractor):
                    return [self.to_storage(one) for one in self.extractor.extract_batch(clips)]
                return [self.compute(clip) for clip in clips]
        except VocableError as error:
            if len(clips) == 1:
                if is_out_of_memory(error):
                    raise OutputError(
                        f"{self.extractor.name}: a clip of {clips[0].duration:.1f} s does not fit into the memory of "
                        "the device; cut long recordings, or run `vocable data features` with --device cpu"
                    ) from error
                return [error]
        half = len(clips) // 2
        return [*self.compute_all(clips[:half]), *self.compute_all(clips[half:])]

    def compute(self, clip: Audio) -> Tensor:
        """Compute what is kept of a clip, and do not keep it; see :meth:`store`."""
        return self.to_storage(self.extractor.extract(clip))

    def path_of(self, recording: Path, speed: float = 1.0) -> Path:
        """Return the path of a recording's file, which may not exist yet.

        Raises:
            AudioError: If the recording cannot be read.
        """
        try:
            return self.file_of(sha256(recording), speed)
        except OSError as error:
            raise AudioError(f"{recording}: cannot be read ({reason_of(error)}); check the path") from error

    def file_of(self, key: str, speed: float = 1.0) -> Path:
        """Return the path of a recording's file by the SHA-256 of the recording's own file."""
        return self.folder / f"{key}{'' if speed == 1 else f'@{speed}'}.safetensors"

    def vector(self, file: Path) -> Float[Tensor, " F"]:
        """Read the vector of a recording."""
        return self._read(file, (self.extractor.width,), slice(None))

    def frames(self, file: Path, first: int, count: int) -> Float[Tensor, "N F"]:
        """Read ``count`` frames from ``first`` on; frames past the end are 0."""
        return self.read_frames(file, first, torch.empty(count, self.extractor.width))

    def read_frames(self, file: Path, first: int, frames: Float[Tensor, "N F"]) -> Float[Tensor, "N F"]:
        """Read N frames from ``first`` on into a tensor, which is returned; frames past the end are 0."""
        return self._read(file, (None, self.extractor.width), slice(first, first + len(frames)), into=frames)

    def all_frames(self, file: Path) -> Float[Tensor, "N F"]:
        """Read all frames of a recording."""
        return self._read(file, (None, self.extractor.width), slice(None))

    def ids(self, file: Path) -> Int[Tensor, " N"]:
        """Read the ids of a recording, in [0, width)."""
        return self._read(file, (None,), slice(None), "I32").long()

    def to_storage(self, target: Tensor) -> Tensor:
        """Return frames as float16 and ids as int32, on the CPU; an AudioError says that they cannot be."""
        target = target.contiguous().cpu()
        if target.is_floating_point():
            half = target.half()
            if not bool(half.isfinite().all()):
                raise AudioError(f"{self.extractor.name} computes values that float16 cannot hold")
            return half
        if not self._in_range(target):
            raise AudioError(f"{self.extractor.name} computes ids that are not in [0, {self.extractor.width})")
        return target.int()

    def _is_settled(self, file: Path) -> bool:
        return self.has(file) or exists(_refusal_path(file))

    def _claim(self, files: Iterable[Path], held: ExitStack) -> Iterator[Path]:
        """Claim files whose results are missing and that no other process computes, as many as go together."""
        count = 0
        for file in files:
            with ExitStack() as one:
                is_mine = one.enter_context(claim(file))
                if is_mine and not self._is_settled(file) and not is_being_packed(self.folder, file.stem):
                    held.push(one.pop_all())
                    count += 1
                    yield file
            if count == self.group_size:
                return

    def _in_range(self, ids: Tensor) -> bool:
        return not ids.numel() or (int(ids.min()) >= 0 and int(ids.max()) < self.extractor.width)

    def _write(self, file: Path, target: Tensor) -> None:
        metadata = {"digest": self.extractor.digest}
        write_whole(file, lambda path: save_file({"target": target}, path, metadata=metadata))

    def _find_packs(self) -> None:
        """Open the packs of the folder that are not open yet."""
        for path in sorted(self.folder.glob(PATTERN)):
            if path not in self._packs:
                pack = self._packs[path] = FeaturePack(path, self.extractor.digest)
                self._pack_of |= dict.fromkeys(pack, pack)

    def _read(
        self, file: Path, shape: tuple[int | None, ...], rows: slice, dtype: str = "F16", into: Tensor | None = None
    ) -> Tensor:
        if file.stem not in self._pack_of and not exists(file):
            self._find_packs()  # another process has made the pack since
        pack = self._pack_of.get(file.stem)
        if pack is not None:
            return self._take(pack.slice(file.stem), shape, rows, dtype, f"{pack.path}, {file.stem}", into)
        with self._opened(file) as stored:
            return self._take(stored.get_slice("target"), shape, rows, dtype, str(file), into)

    def _stored(self, file: Path) -> Tensor:
        """Read the results in a file of their own, as they are kept."""
        with self._opened(file) as stored:
            target: Tensor = stored.get_tensor("target")
            return target

    @contextmanager
    def _opened(self, file: Path) -> Iterator[Any]:
        with open_tensors(file, advice="remove it, and it is computed again") as stored:
            if (stored.metadata() or {}).get("digest") != self.extractor.digest:
                raise CheckpointError(f"{file}: is of another teacher than {self.extractor.name}; remove it")
            yield stored

    def _take(
        self, part: Any, shape: tuple[int | None, ...], rows: slice, dtype: str, where: str, into: Tensor | None
    ) -> Tensor:
        """Return rows of a target as float32 or ids; raise a CheckpointError if they cannot be of this extractor."""
        sizes, kind = part.get_shape(), part.get_dtype()
        fits = len(sizes) == len(shape) and all(b in (None, a) for a, b in zip(sizes, shape, strict=True))
        stored = part[rows] if fits and kind == dtype else None
        value = stored if stored is None or dtype == "I32" else _to_float(stored, into)
        if value is None or (dtype == "F16" and not math.isfinite(value.sum())):  # which cannot overflow
            raise CheckpointError(f"{where}: holds {sizes} of {kind}, or numbers that are not finite; remove it")
        if dtype == "I32" and not self._in_range(value):
            raise CheckpointError(f"{where}: holds ids that are not in [0, {self.extractor.width}); remove it")
        return value


def _to_float(stored: Tensor, into: Tensor | None) -> Tensor:
    """Return float16 values as float32: a new tensor, or one that they are copied into, followed by zeros."""
    if into is None:
        return stored.float()
    into[: len(stored)] = stored
    into[len(stored) :] = 0
    return into


def _refusal_path(file: Path) -> Path:
    return file.with_suffix(".refused.json")
