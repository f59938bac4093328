"""Cache of what frozen feature extractors compute of whole recordings.

```text
FOLDER/
├── teacher.json             the feature extractor: name, digest, sample rate, frames per second, width
├── 000000.safetensors …     packs that ``vocable data features`` made ahead (see vocable/data/feature_packs.py)
└── <SHA-256 of the audio>.safetensors   of a recording that is in no pack, computed by a training: "target"
```

A target is (N, F) frames or (F,) one vector in float16, or (N,) ids in int32. The file of a recording played at another
speed is called ``…@0.9.safetensors``. Other weights, other layers or another width make another feature extractor,
which needs another folder. An hour of 768 numbers 50 times per second takes 276 MB.
"""

import time
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor

from vocable.audio import Audio
from vocable.data.feature_packs import PATTERN, FeaturePack
from vocable.errors import AudioError, CheckpointError
from vocable.files import exists, make_folder, reason_of, sha256, write_json, write_whole
from vocable.folder import open_tensors
from vocable.locks import claim
from vocable.schema import config, read_json

_CARD = "teacher.json"
_WAIT = 0.02  # seconds between two questions whether another process has computed a target


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
            with claim(file) as is_mine:
                if is_mine and not self.has(file):
                    self._write(file, self.compute(clip))
            if not is_mine:
                time.sleep(_WAIT)
        return file

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
        frames = self._read(file, (None, self.extractor.width), slice(first, first + count))
        return torch.nn.functional.pad(frames, (0, 0, 0, count - len(frames)))

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

    def _read(self, file: Path, shape: tuple[int | None, ...], rows: slice, dtype: str = "F16") -> Tensor:
        pack = self._pack_of.get(file.stem)
        if pack is not None:
            return self._take(pack.slice(file.stem), shape, rows, dtype, f"{pack.path}, {file.stem}")
        with open_tensors(file, advice="remove it, and it is computed again") as stored:
            if (stored.metadata() or {}).get("digest") != self.extractor.digest:
                raise CheckpointError(f"{file}: is of another teacher than {self.extractor.name}; remove it")
            return self._take(stored.get_slice("target"), shape, rows, dtype, str(file))

    def _take(self, part: Any, shape: tuple[int | None, ...], rows: slice, dtype: str, where: str) -> Tensor:
        """Return rows of a target as float32 or ids; raise a CheckpointError if they cannot be of this extractor."""
        sizes, kind = part.get_shape(), part.get_dtype()
        fits = len(sizes) == len(shape) and all(b in (None, a) for a, b in zip(sizes, shape, strict=True))
        value = part[rows] if fits and kind == dtype else None
        if value is None or not bool(value.isfinite().all()):
            raise CheckpointError(f"{where}: holds {sizes} of {kind}, or numbers that are not finite; remove it")
        if dtype == "I32" and not self._in_range(value):
            raise CheckpointError(f"{where}: holds ids that are not in [0, {self.extractor.width}); remove it")
        return value.float() if value.is_floating_point() else value
