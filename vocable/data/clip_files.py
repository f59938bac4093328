"""Recordings on disk: their lengths, and any part of their samples, without the recordings in memory.

A part of a WAV or FLAC file is read by seeking. Other recordings, and those of another sample rate, are decoded once
into the cache, from which every process reads:

```text
FOLDER/
├── headers/<random>.safetensors   path, size, time of change, sample rate and length of recordings
└── <rate>/<ab>/<SHA-256 of the file>.s16   samples at a rate, 16-bit little-endian
```

An hour takes 115 MB at 16 kHz there. Without a folder, they are decoded again where they are not among the recent ones.
"""

import os
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int16, Int64
from numpy import ndarray
from safetensors.torch import save_file

from vocable.audio import Audio, count_samples, resampled_size
from vocable.audio_files import open_audio, read_range
from vocable.collective import wait_for_all, world
from vocable.data.strings import PackedStrings
from vocable.errors import AudioError
from vocable.files import exists, folder_exists, make_folder, open_regular, reason_of, sha256, write_whole
from vocable.folder import read_tensors

SCALE = 32768.0
"""Full scale of 16-bit samples."""
NO_MEMORY = "there is not enough memory for it; cut it into shorter recordings"
_SEEKABLE, _CHECKED, _HASHED = 1, 2, 4  # flags
_HEADER = np.dtype([
    ("size", "<i8"), ("changed", "<i8"), ("samples", "<i8"), ("sample_rate", "<i4"), ("flags", "<i4"),
    ("key", "u1", (32,)),
])  # fmt: skip
_FLUSH = 5_000  # recordings after which their headers are written


class RecentArrays:
    """Arrays that were used last, up to a number of bytes.

    Args:
        most: Number of bytes; a larger array is not kept.
    """

    def __init__(self, most: int = 32 << 20) -> None:
        self._most, self._bytes = most, 0
        self._arrays: OrderedDict[int, ndarray] = OrderedDict()

    def get(self, index: int) -> ndarray | None:
        """Return an array, or None if it is not kept."""
        if index in self._arrays:
            self._arrays.move_to_end(index)
        return self._arrays.get(index)

    def put(self, index: int, values: ndarray) -> None:
        """Keep an array, and forget those that were used longest ago."""
        self._bytes += values.nbytes - (self._arrays[index].nbytes if index in self._arrays else 0)
        self._arrays[index] = values
        while self._bytes > self._most:
            self._bytes -= self._arrays.popitem(last=False)[1].nbytes


class ClipFiles:
    """Samples of recordings at one sample rate, read from disk.

    Each recording is looked at once before: its size, its time of change and its length. Under several ranks that have
    a folder in common, each looks at its share.

    Args:
        paths: Paths of different recordings.
        sample_rate: Sample rate in Hz; recordings of another rate are resampled.
        folder: Folder that keeps lengths and decoded recordings; None keeps nothing.
        check: Whether each recording is decoded, unless its header shows that it can be. Otherwise a damaged one is
            found when it is read.

    Attributes:
        sizes: Number of samples of each recording at the sample rate; 0 where it cannot be used.
        errors: Reasons why recordings cannot be used, by index.

    Raises:
        OutputError: If the folder cannot be written.
        AudioError: If the folder holds a file that is damaged.
    """

    def __init__(self, paths: Sequence[str], sample_rate: int, *, folder: Path | None, check: bool) -> None:
        self._paths, self._rate, self._folder = PackedStrings(paths), sample_rate, folder
        self._headers = np.zeros(len(paths), dtype=_HEADER)
        self._recent, self._whole = RecentArrays(), RecentArrays()
        self.errors: dict[int, AudioError] = {}
        self._examine_all(check)
        lengths = zip(self._headers["samples"].tolist(), self._headers["sample_rate"].tolist(), strict=True)
        self.sizes: Int64[ndarray, " M"] = np.array(
            [resampled_size(samples, max(rate, 1), sample_rate) for samples, rate in lengths], dtype=np.int64
        )

    def __len__(self) -> int:
        return len(self._paths)

    def path(self, index: int) -> str:
        """Return the path of a recording."""
        return self._paths[index]

    def seconds(self, index: int) -> float:
        """Return the length of a recording in seconds, at its own sample rate."""
        header = self._headers[index]
        return int(header["samples"]) / int(header["sample_rate"])

    def key(self, index: int) -> str:
        """Return the SHA-256 of a recording's file in hexadecimal digits; it is computed once.

        Raises:
            AudioError: If the file cannot be read, or has changed since it was looked at.
        """
        header = self._headers[index]
        if not header["flags"] & _HASHED:
            self._check_unchanged(index)
            header["key"] = np.frombuffer(bytes.fromhex(_digest_of(self._paths[index])), dtype=np.uint8)
            header["flags"] |= _HASHED
        return bytes(header["key"]).hex()

    def read(self, index: int, start: int = 0, stop: int | None = None) -> Float[ndarray, " T"]:
        """Read samples of a recording from ``start`` up to ``stop``, or to its end, in [-1, 1] to 16 bits.

        Raises:
            AudioError: If the recording is missing, damaged, or has changed since it was looked at.
        """
        self._check_unchanged(index)
        size = int(self.sizes[index])
        start, stop, _ = slice(start, stop).indices(size)
        if start >= stop:
            return np.zeros(0, dtype=np.float32)
        recent = self._recent.get(index)
        if recent is not None:
            samples = recent[start:stop]
        elif self._is_direct(index):
            samples = read_range(self._paths[index], start, stop)
            if samples.dtype != np.int16:
                samples = _to_16_bit(Audio(samples, self._rate).samples)
            if stop - start == size:
                self._recent.put(index, samples)
        else:
            samples = self._read_decoded(index, start, stop)
        return samples.astype(np.float32) / np.float32(SCALE)

    def whole(self, index: int) -> Audio:
        """Decode a recording as a whole, without rounding to 16 bits.

        Raises:
            AudioError: If the recording cannot be used, or has changed since it was looked at.
        """
        self._check_unchanged(index)
        samples = self._whole.get(index)
        if samples is None:
            samples = Audio.read(self._paths[index], self._rate).samples
            self._whole.put(index, samples)
        return Audio(samples, self._rate)

    def recorded(self, index: int) -> Audio:
        """Decode a recording as a whole, at its own sample rate; see :meth:`whole`."""
        self._check_unchanged(index)
        return Audio.read(self._paths[index])

    def resampled(self, index: int, sample_rate: int, speed: float = 1.0) -> int:
        """Return the number of samples of a recording that is played at a speed and resampled."""
        header = self._headers[index]
        rate = int(header["sample_rate"])
        return resampled_size(resampled_size(int(header["samples"]), round(rate * speed), rate), rate, sample_rate)

    def forget(self) -> None:
        """Free the memory of the recordings that were decoded as a whole."""
        self._whole = RecentArrays()

    # ---- looking at recordings --------------------------------------------------------------------------------------

    def _examine_all(self, check: bool) -> None:
        if self._folder is None:
            self._examine(range(len(self)), check)
            return
        rank, ranks = world()
        share = self._find_unknown(check)[rank::ranks]
        for start in range(0, len(share), _FLUSH):
            self._examine(share[start : start + _FLUSH], check)
            self._keep(share[start : start + _FLUSH])
        if ranks > 1:
            wait_for_all()
            self._examine(self._find_unknown(check), check)  # what other ranks could not use

    def _examine(self, indices: Sequence[int], check: bool) -> None:
        """Look at recordings. Decoding gives up the interpreter's lock, so that threads share the work."""

        def examine(index: int) -> None:
            try:
                self._headers[index] = self._header_of(index, check)
            except AudioError as error:
                self.errors[index] = error
            except MemoryError:
                self.errors[index] = AudioError(NO_MEMORY)

        pool = ThreadPoolExecutor(_num_threads())
        try:
            for _ in pool.map(examine, indices):
                pass
        finally:  # after Ctrl-C, those that wait are left out
            pool.shutdown(cancel_futures=True)

    def _header_of(self, index: int, check: bool) -> tuple[int, int, int, int, int, ndarray]:
        path, key, flags = self._paths[index], np.zeros(32, dtype=np.uint8), 0
        size, changed = _stat(path)
        file = open_audio(path)
        samples = file.frames or 0
        if samples and (file.is_sound or (file.is_exact and not check)):
            flags = _SEEKABLE * file.is_seekable | _CHECKED * file.is_sound
        elif file.is_seekable and file.sample_rate == self._rate:
            samples = count_samples(file)
            flags = _CHECKED | _SEEKABLE * (samples == file.frames)
        else:
            native = Audio.read(path)
            samples, flags = (
                native.samples.size,
                _CHECKED | _SEEKABLE * (file.is_seekable and native.samples.size == file.frames),
            )
            if self._folder is not None:
                digest = _digest_of(path)
                self._store(digest, _to_16_bit(native.resample(self._rate).samples))
                key, flags = np.frombuffer(bytes.fromhex(digest), dtype=np.uint8), flags | _HASHED
        return size, changed, samples, file.sample_rate, flags, key

    def _find_unknown(self, check: bool) -> list[int]:
        """Fill in the headers that the folder keeps of files that have not changed; return the other indices."""
        assert self._folder is not None
        numbers = {path: index for index, path in enumerate(self._paths)}
        kept = self._folder / "headers"
        parts = sorted(kept.glob("[!.]*.safetensors")) if folder_exists(kept) else []  # hidden ones are not whole
        for part in parts:
            tensors = read_tensors(part, AudioError, advice="remove it, and its recordings are looked at again")
            paths = bytes(tensors["paths"].numpy()).decode(errors="surrogatepass").split("\0")
            headers = tensors["headers"].numpy().tobytes()
            for path, header in zip(paths, np.frombuffer(headers, dtype=_HEADER), strict=True):
                if (index := numbers.get(path)) is not None and index not in self.errors:
                    self._headers[index] = header
        unknown = []
        for index, path in enumerate(self._paths):
            header = self._headers[index]
            try:
                is_known = header["samples"] > 0 and (header["size"], header["changed"]) == _stat(path)
            except AudioError:
                is_known = False
            if not is_known or (check and not header["flags"] & _CHECKED):
                self._headers[index] = np.zeros((), dtype=_HEADER)
                if index not in self.errors:
                    unknown.append(index)
        return unknown

    def _keep(self, indices: Sequence[int]) -> None:
        """Write the headers of recordings that can be used."""
        assert self._folder is not None
        used = [index for index in indices if index not in self.errors]
        if not used:
            return
        paths = "\0".join(self._paths[index] for index in used).encode(errors="surrogatepass")
        tensors = {
            "paths": torch.frombuffer(bytearray(paths), dtype=torch.uint8),
            "headers": torch.frombuffer(bytearray(self._headers[used].tobytes()), dtype=torch.uint8),
        }
        make_folder(self._folder / "headers")
        file = self._folder / "headers" / f"{secrets.token_hex(8)}.safetensors"
        write_whole(file, lambda path: save_file(tensors, path))

    # ---- reading samples --------------------------------------------------------------------------------------------

    def _is_direct(self, index: int) -> bool:
        header = self._headers[index]
        return bool(header["flags"] & _SEEKABLE) and int(header["sample_rate"]) == self._rate

    def _check_unchanged(self, index: int) -> None:
        header, path = self._headers[index], self._paths[index]
        size, changed = _stat(path)
        if size != header["size"]:
            raise AudioError(f"{path}: has {size} bytes, and had {header['size']} before; restore the file")
        if changed != header["changed"]:
            raise AudioError(f"{path}: was written again while it was in use; restore the file")

    def _read_decoded(self, index: int, start: int, stop: int) -> Int16[ndarray, " T"]:
        """Read samples of a recording that is decoded as a whole; decode it if the folder lacks it."""
        size = int(self.sizes[index])
        if self._folder is not None:
            file = self._file_of(self.key(index))
            if exists(file):
                return _read_16_bit(file, size, start, stop)
        samples = _to_16_bit(Audio.read(self._paths[index], self._rate).samples)
        if samples.size != size:
            raise AudioError(
                f"{self._paths[index]}: has {samples.size} samples at {self._rate} Hz, its header promises {size}; "
                "convert it to WAV or FLAC"
            )
        if self._folder is None:
            self._recent.put(index, samples)
        else:
            self._store(self.key(index), samples)
        return samples[start:stop]

    def _file_of(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / str(self._rate) / key[:2] / f"{key}.s16"

    def _store(self, key: str, samples: Int16[ndarray, " T"]) -> None:
        file = self._file_of(key)
        if not exists(file):
            make_folder(file.parent)
            write_whole(file, samples.astype("<i2").tofile)


def _to_16_bit(samples: Float[ndarray, " T"]) -> Int16[ndarray, " T"]:
    return np.clip(samples * SCALE, -SCALE, SCALE - 1).round().astype(np.int16)


def _read_16_bit(file: Path, size: int, start: int, stop: int) -> Int16[ndarray, " T"]:
    try:
        with open_regular(file) as opened:
            if os.fstat(opened.fileno()).st_size != 2 * size:
                raise AudioError(f"{file}: does not hold {size} samples; remove it, and it is made again")
            return np.frombuffer(os.pread(opened.fileno(), 2 * (stop - start), 2 * start), dtype="<i2").astype(np.int16)
    except OSError as error:
        raise AudioError(f"{file}: cannot be read ({reason_of(error)}); remove it, and it is made again") from error


def _digest_of(path: str) -> str:
    try:
        return sha256(Path(path))
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({reason_of(error)}); check the path") from error


def _stat(path: str) -> tuple[int, int]:
    """Return the size of a file in bytes, and when it was changed, in nanoseconds."""
    try:
        found = os.stat(path)  # pathlib takes three times as long  # noqa: PTH116
    except FileNotFoundError as error:
        raise AudioError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise AudioError(f"{path}: cannot be read ({reason_of(error)}); check the path") from error
    return found.st_size, found.st_mtime_ns


def _num_threads() -> int:
    """Return the number of processors for this process, a share of the machine's under several ranks."""
    return max(1, (os.cpu_count() or 1) // world()[1])
