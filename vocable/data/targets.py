"""What a frozen model says of whole recordings, computed once and kept: one safetensors file a recording.

```text
FOLDER/
├── teacher.json             who says it: name, digest, sample rate, frames a second, width
└── <SHA-256 of the audio>.safetensors   "target": (N, F) frames or (F,) one vector, float16; or (N,) ids, int32
```

Of a recording played at another speed, ``…@0.9.safetensors``.

Other weights, other layers or another width are another teacher, whose folder this is not. An hour of 768 numbers 50
times a second takes 276 MB.
"""

import json
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import AudioError, CheckpointError
from vocable.files import make_folder, sha256, write_json, write_whole

_CARD = "teacher.json"


@runtime_checkable
class Listener(Protocol):
    """A frozen model that says something of a whole recording."""

    @property
    def name(self) -> str:
        """In reports."""
        ...

    @property
    def digest(self) -> str:
        """Of its weights and of how they are used: equal digests, equal answers."""
        ...

    @property
    def sample_rate(self) -> int:
        """Of the audio it hears, in Hz."""
        ...

    @property
    def frame_rate(self) -> float | None:
        """Frames a second; None where it says one vector of a recording."""
        ...

    @property
    def width(self) -> int:
        """Of a frame, or of the vector; where it says ids, how many different ones there are."""
        ...

    def hear(self, clip: Audio) -> Float[Tensor, "*N F"] | Int[Tensor, " N"]:
        """What it says of a clip: numbers, or one id a frame.

        Raises:
            AudioError: Nothing can be said of it.
        """
        ...


def facts_of(listener: Listener) -> dict[str, Any]:
    """Who a listener is, as values of JSON."""
    return {name: getattr(listener, name) for name in ("name", "digest", "sample_rate", "frame_rate", "width")}


class Targets:
    """What one listener says of recordings.

    Args:
        listener: Who says it.
        folder: Where it is kept; created if missing.

    Raises:
        CheckpointError: The folder holds what another teacher says.
        OutputError: The folder cannot be written.
    """

    def __init__(self, listener: Listener, folder: Path) -> None:
        self.listener, self.folder = listener, folder
        make_folder(folder)
        card = folder / _CARD
        if not card.exists():
            write_json(card, facts_of(listener))
        try:
            known = json.loads(card.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise CheckpointError(f"{card}: cannot be read ({error}); remove the folder, to hear all again") from error
        if not isinstance(known, dict) or {**known, "name": ""} != {**facts_of(listener), "name": ""}:
            other = known.get("name") if isinstance(known, dict) else None
            raise CheckpointError(
                f"{folder}: keeps what another teacher says ({other}), not {listener.name} of {listener.digest[:23]}; "
                "give another folder, or remove it"
            )

    def keep(self, recording: Path, clip: Audio, speed: float = 1.0) -> Path:
        """The file of a recording, made if it is not there.

        Args:
            recording: The audio file.
            clip: What is in it, at this speed.
            speed: At which it is played.

        Raises:
            AudioError: Nothing can be said of it, or nothing that can be kept.
        """
        file = self.kept(recording, speed)
        if not file.exists():
            target = self._small(self.listener.hear(clip).contiguous().cpu())
            facts = {"digest": self.listener.digest}
            write_whole(file, lambda path: save_file({"target": target}, path, metadata=facts))
        return file

    def kept(self, recording: Path, speed: float = 1.0) -> Path:
        """Where what is said of a recording, played at a speed, is kept, or will be.

        Raises:
            AudioError: The recording cannot be read.
        """
        try:
            return self.folder / f"{sha256(recording)}{'' if speed == 1 else f'@{speed}'}.safetensors"
        except OSError as error:
            raise AudioError(f"{recording}: cannot be read ({error.strerror}); check the path") from error

    def vector(self, file: Path) -> Float[Tensor, " F"]:
        """What is said of a whole recording.

        Raises:
            CheckpointError: The file is not what :meth:`keep` wrote.
        """
        return self._read(file, (self.listener.width,), slice(None))

    def frames(self, file: Path, first: int, count: int) -> Float[Tensor, "N F"]:
        """So many frames from ``first`` on; 0 where nothing is said, as behind the end.

        Raises:
            CheckpointError: The file is not what :meth:`keep` wrote.
        """
        found = self._read(file, (None, self.listener.width), slice(first, first + count))
        return torch.nn.functional.pad(found, (0, 0, 0, count - len(found)))

    def all_frames(self, file: Path) -> Float[Tensor, "N F"]:
        """The frames of a whole recording.

        Raises:
            CheckpointError: The file is not what :meth:`keep` wrote.
        """
        return self._read(file, (None, self.listener.width), slice(None))

    def ids(self, file: Path) -> Int[Tensor, " N"]:
        """The ids of a whole recording, in [0, width).

        Raises:
            CheckpointError: The file is not what :meth:`keep` wrote.
        """
        return self._read(file, (None,), slice(None), "I32").long()

    def _small(self, target: Tensor) -> Tensor:
        """What is said in the type it is kept in."""
        if target.is_floating_point():
            small = target.half()
            if not bool(small.isfinite().all()):
                raise AudioError(f"{self.listener.name} says of it what no float16 holds")
            return small
        if not self._are_ids(target):
            raise AudioError(f"{self.listener.name} says ids of it that are not in [0, {self.listener.width})")
        return target.int()

    def _are_ids(self, target: Tensor) -> bool:
        return not target.numel() or (int(target.min()) >= 0 and int(target.max()) < self.listener.width)

    def _read(self, file: Path, shape: tuple[int | None, ...], where: slice, wanted: str = "F16") -> Tensor:
        try:
            with safe_open(file, "pt") as kept:
                digest, part = (kept.metadata() or {}).get("digest"), kept.get_slice("target")
                sizes, kind = part.get_shape(), part.get_dtype()
                fits = len(sizes) == len(shape) and all(b in (None, a) for a, b in zip(sizes, shape, strict=True))
                value = part[where] if fits and kind == wanted else None
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{file}: cannot be read ({error}); remove it, to hear it again") from error
        if digest != self.listener.digest:
            raise CheckpointError(f"{file}: is of another teacher than {self.listener.name}; remove it")
        if value is None or not bool(value.isfinite().all()):
            raise CheckpointError(f"{file}: holds {sizes} of {kind}, or numbers that are not finite; remove it")
        if wanted == "I32" and not self._are_ids(value):
            raise CheckpointError(f"{file}: holds ids that are not in [0, {self.listener.width}); remove it")
        return value.float() if value.is_floating_point() else value
