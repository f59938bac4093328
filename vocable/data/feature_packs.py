"""Packs of features: what a frozen feature extractor computes of many recordings, in one file.

A pack is a safetensors file. Its tensors are called after the recordings, by the SHA-256 of their files: frames (N, F)
or one vector (F,) in float16, or ids (N,) in int32. A recording at another speed is ``…@0.9``. The metadata has one
key, ``pack``: JSON with the digest of the extractor, the CRC-32 of each tensor, and the recordings that failed. The
same contents give the same bytes.
"""

import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from vocable.errors import CheckpointError
from vocable.files import open_regular, remove_leftovers, write_text, write_whole
from vocable.folder import open_tensors
from vocable.locks import claim, claim_path, is_claimed
from vocable.schema import config, parse, parse_object, to_bytes

PATTERN = "[0-9][0-9][0-9][0-9][0-9][0-9].safetensors"
"""Glob pattern of the packs in a folder."""

_FORMAT = 1
_KEY = "pack"
_NAMES = ".names"  # suffix of the hidden file with the names of a pack that is being made
_RETRY = 0.01  # seconds until a claim is tried again that another process only asked about
_ADVICE = "remove it, and it is computed again"


@config
class _PackHeader:
    """Metadata of a pack.

    Attributes:
        digest: Digest of the feature extractor.
        format: Version of the layout.
        checksums: CRC-32 of each tensor's bytes.
        failed: Reason of each recording that failed, by its path.
    """

    digest: str
    checksums: Mapping[str, int]
    format: int = _FORMAT
    failed: Mapping[str, str] = field(default_factory=dict)


def pack_name(number: int) -> str:
    """Return the file name of a pack.

    Example:
        >>> pack_name(12)
        '000012.safetensors'
    """
    return f"{number:06d}.safetensors"


def write_pack(path: Path, targets: Mapping[str, Tensor], digest: str, failed: Mapping[str, str] | None = None) -> None:
    """Write a pack, completely or not at all.

    Args:
        path: Path of the file.
        targets: Tensor of each recording.
        digest: Digest of the feature extractor.
        failed: Reason of each recording that failed.

    Raises:
        OutputError: If the file cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / pack_name(0)
        ...     write_pack(path, {"a": torch.ones(3, 2).half()}, "sha256:1")
        ...     FeaturePack(path, "sha256:1").slice("a")[1:]
        tensor([[1., 1.],
                [1., 1.]], dtype=torch.float16)
    """
    kept = {name: targets[name].contiguous().cpu() for name in sorted(targets)}
    checksums = {name: _checksum(target) for name, target in kept.items()}
    header = to_bytes(_PackHeader(digest=digest, checksums=checksums, failed=dict(failed or {}))).decode()
    # one key: safetensors writes several in no fixed order
    write_whole(path, lambda hidden: save_file(kept, hidden, metadata={_KEY: header}))


@contextmanager
def announce_pack(path: Path, names: Iterable[str]) -> Iterator[None]:
    """Tell other processes which tensors a pack will hold, while the body makes it; see :func:`is_being_packed`.

    Args:
        path: Path of the pack, which this process has claimed.
        names: Names of its tensors.
    """
    file = _names_path(path)
    while True:
        with claim(file) as is_mine:
            if is_mine:
                write_text(file, "\n".join(names))
                try:
                    yield
                finally:
                    file.unlink(missing_ok=True)
                return
        time.sleep(_RETRY)


def clean_up(path: Path) -> None:
    """Remove what a process left that was killed while it made a pack.

    Args:
        path: Path of the pack, which is there or which this process has claimed.
    """
    names = _names_path(path)
    for file in (path, names):
        remove_leftovers(file.parent, file.name)
    for leftover in (names, claim_path(names)):
        leftover.unlink(missing_ok=True)


def is_being_packed(folder: Path, name: str) -> bool:
    """Return whether a process makes a pack at present that will hold a tensor.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, announce_pack(Path(folder) / pack_name(0), ["a"]):
        ...     is_being_packed(Path(folder), "a"), is_being_packed(Path(folder), "b")
        (True, False)
    """
    for file in folder.glob(f".*{_NAMES}"):
        with suppress(OSError), open_regular(file) as announced:  # OSError: the pack was finished meanwhile
            if name in announced.read().decode(errors="replace").split("\n") and is_claimed(file):
                return True
    return False


class FeaturePack:
    """A pack, memory-mapped: a tensor is checked when some of it is first read.

    Args:
        path: Path of the file.
        digest: Digest of the feature extractor that the features must be of.

    Attributes:
        names: Names of the tensors, in order.
        failed: Reason of each recording that failed, by its path.

    Raises:
        CheckpointError: If the file is damaged, or of another feature extractor.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self.path, self._digest = path, digest
        self._held = ExitStack()
        self._stored = self._held.enter_context(open_tensors(path, advice=_ADVICE))
        text = (self._stored.metadata() or {}).get(_KEY)
        if text is None:
            raise CheckpointError(f"{path}: is no pack of features; {_ADVICE}")
        number = parse_object(text, str(path), CheckpointError, _ADVICE).get("format", _FORMAT)
        if number != _FORMAT:
            raise CheckpointError(f"{path}: feature format {str(number)[:20]}, this vocable reads {_FORMAT}; update it")
        header = parse(_PackHeader, text.encode(), str(path), CheckpointError)
        if header.digest != digest:
            raise CheckpointError(
                f"{path}: is of another teacher ({header.digest[:23]}) than {digest[:23]}; remove it, or take another "
                "folder"
            )
        self.names = tuple(sorted(self._stored.keys()))
        if set(self.names) != header.checksums.keys():
            raise CheckpointError(f"{path}: its tensors are not those that its header names; {_ADVICE}")
        self.failed = dict(header.failed)
        self._checksums, self._checked = header.checksums, set[str]()

    def __reduce__(self) -> tuple[type["FeaturePack"], tuple[Path, str]]:
        """Open the file again where a copy is made, as for the workers of a data loader."""
        return type(self), (self.path, self._digest)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def slice(self, name: str) -> Any:
        """Return a tensor to read some rows of: the object of safetensors' ``get_slice``.

        Raises:
            CheckpointError: If the tensor is damaged.
        """
        if name not in self._checked:
            if _checksum(self._stored.get_tensor(name)) != self._checksums[name]:
                raise CheckpointError(f"{self.path}: {name} is altered (wrong checksum); {_ADVICE}")
            self._checked.add(name)
        return self._stored.get_slice(name)

    def close(self) -> None:
        """Close the file."""
        self._held.close()


def _checksum(target: Tensor) -> int:
    return zlib.crc32(target.contiguous().view(torch.uint8).numpy().tobytes() if target.numel() else b"")


def _names_path(path: Path) -> Path:
    return path.with_name(f".{path.stem}{_NAMES}")
