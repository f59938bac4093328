"""Audio clips: reading, writing and resampling, which happen here and nowhere else.

Files are read and written by libsndfile (WAV, FLAC, OGG, MP3 and more), and resampled by soxr in its "HQ" setting. A
whole file and a file read in blocks take the same path, and give the same samples.
"""

import filecmp
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from jaxtyping import Float
from numpy import ndarray

from vocable.errors import AudioError, OutputError
from vocable.files import check_regular, find_rooted, write_whole

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf"})
CONVERTIBLE_SUFFIXES = frozenset({
    ".3gp", ".aac", ".ac3", ".amr", ".ape", ".avi", ".dts", ".m4a", ".m4b", ".mka", ".mkv", ".mov", ".mp4", ".mpc",
    ".mpg", ".ra", ".rm", ".tta", ".webm", ".wma", ".wv",
})  # fmt: skip
"""Suffixes of recordings that libsndfile cannot read, and that other programs convert."""
_CONTAINERS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}  # formats that are written
_BLOCK = 1 << 16  # samples: libsndfile's Vorbis encoder overflows its stack when it gets minutes at once
_STREAM = 0x7FFF0000  # bytes: larger lengths in a header mean that its writer did not know the length
_UNKNOWN = 1 << 62  # samples: libsndfile's length of a FLAC without one in its header
_LENGTHS = re.compile(r"^ *(?:data|SSND|Data Size|Riff size|riff) +: (\d+) \(should be (\d+)\)", re.MULTILINE)
_EMPTY = "the file holds no samples; record or export it again"
_MAX_PEAK = 8.0  # resampling and mixing may overshoot full scale; integers stored as floats are far larger


@dataclass(frozen=True)
class Audio:
    """One clip of mono audio.

    Attributes:
        samples: Samples of shape (T,), float32, nominally in [-1, 1]; T is at least 1, and all are finite.
        sample_rate: Sample rate in Hz.

    Raises:
        AudioError: If there are no samples, one is not finite or far out of range, or the rate is not positive.

    Example:
        >>> clip = Audio(np.zeros(8000, dtype=np.float32), 16_000)
        >>> clip.duration
        0.5
        >>> clip.resample(8_000).samples.shape
        (4000,)
    """

    samples: Float[ndarray, " T"]
    sample_rate: int

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples, dtype=np.float32)
        object.__setattr__(self, "samples", samples)
        if self.sample_rate <= 0:
            raise AudioError(f"sample rate is {self.sample_rate} Hz: it must be positive")
        if samples.ndim != 1:
            raise AudioError(f"samples have shape {samples.shape}, expected (T,); average the channels first")
        if samples.size == 0:
            raise AudioError("the audio is empty: it has no samples")
        _check_values(samples, "the audio")

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples.size / self.sample_rate

    @classmethod
    def read(cls, path: str | os.PathLike[str], sample_rate: int | None = None) -> "Audio":
        """Read an audio file of any sample rate and number of channels; channels are averaged.

        Args:
            path: Path of an audio file.
            sample_rate: Sample rate to resample to, in Hz; that of the file by default.

        Raises:
            AudioError: If the file is missing, unreadable, empty or truncated (which an MP3 does not show), or holds
                NaN, infinity or integers stored as floats.
        """
        rate = _open_info(path).samplerate if sample_rate is None else sample_rate
        return cls(np.concatenate(list(read_blocks(path, rate))), rate)

    def resample(self, sample_rate: int) -> "Audio":
        """Return the clip at another sample rate; the clip itself if the rate is the same."""
        if sample_rate == self.sample_rate:
            return self
        return Audio(np.concatenate(list(_resampled(iter([self.samples]), self.sample_rate, sample_rate))), sample_rate)

    def played(self, speed: float) -> "Audio":
        """Return the clip played faster or slower like a tape, so that pitch and formants change, too.

        Args:
            speed: Speed factor; it is rounded to 1 Hz of the sample rate.

        Source:
            Ko et al., Audio Augmentation for Speech Recognition, Interspeech 2015.

        Example:
            >>> Audio(np.zeros(9_900, dtype=np.float32), 16_000).played(1.1).samples.shape
            (9000,)
        """
        return Audio(self.samples, round(self.sample_rate * speed)).resample(self.sample_rate)

    def write(self, path: str | os.PathLike[str], comment: str = "") -> None:
        """Write 16-bit WAV or FLAC, OGG (Vorbis) or MP3, atomically. Samples beyond full scale are clipped.

        Args:
            path: Path of the file; its suffix decides the format.
            comment: Comment in the file's metadata, in ASCII.

        Raises:
            OutputError: If the suffix is none of .wav, .flac, .ogg, .mp3, or the file cannot be written.
        """
        target = Path(path)
        container = _CONTAINERS.get(target.suffix.lower())
        if container is None:
            raise OutputError(
                f"{target}: '{target.suffix}' is not an audio format vocable writes; use {', '.join(_CONTAINERS)}"
            )

        def put(temporary: Path) -> None:
            with soundfile.SoundFile(temporary, "w", self.sample_rate, channels=1, format=container) as file:
                if comment:
                    file.comment = comment
                for start in range(0, self.samples.size, _BLOCK):
                    file.write(np.clip(self.samples[start : start + _BLOCK], -1.0, 1.0))

        write_whole(target, put, same=_same_samples)


def read_blocks(
    path: str | os.PathLike[str], sample_rate: int, *, seconds: float = 10.0
) -> Iterator[Float[ndarray, " T"]]:
    """Read an audio file in blocks, in mono, at a sample rate: memory does not grow with the file.

    Args:
        path: Path of an audio file.
        sample_rate: Sample rate of the blocks in Hz.
        seconds: Length of a block in seconds; the joined samples do not depend on it.

    Yields:
        Samples of shape (T,), float32, never empty.

    Raises:
        AudioError: If the file cannot be used; see :meth:`Audio.read`.
    """
    rate = _open_info(path).samplerate
    yield from _resampled(_file_blocks(Path(path), max(1, int(seconds * rate))), rate, sample_rate)


def header_seconds(path: str | os.PathLike[str]) -> float:
    """Return the length of a file in seconds by its header. Nothing is decoded: a truncated file may be shorter.

    Raises:
        AudioError: If the file is missing or unreadable, or its header has no length or the length 0.
    """
    info = _open_info(path)
    if info.frames <= 0:
        raise AudioError(f"{path}: {_EMPTY}")
    if info.frames >= _UNKNOWN:
        raise AudioError(f"{path}: the header has no length; export it again")
    return info.frames / info.samplerate


def find_audio(inputs: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return the audio files that files, folders and glob patterns stand for; see :func:`find_rooted_audio`.

    Example:
        >>> [str(path) for path in find_audio(["some.wav"])]
        ['some.wav']
    """
    return [path for path, _ in find_rooted_audio(inputs)]


def find_rooted_audio(inputs: Sequence[str | os.PathLike[str]]) -> list[tuple[Path, Path]]:
    """Return the audio files that inputs stand for, each with its root; see :func:`vocable.files.find_rooted`.

    Recordings in formats that must be converted first are among them, so that reading them says so. They are left out
    where a file of the same name in another format lies beside them.

    Raises:
        InputError: If a folder or a pattern has no audio.
    """
    found = find_rooted(inputs, AUDIO_SUFFIXES | CONVERTIBLE_SUFFIXES, "audio")
    readable = {path.with_suffix("") for path, _ in found if path.suffix.lower() in AUDIO_SUFFIXES}
    return [
        (path, root) for path, root in found
        if path.suffix.lower() not in CONVERTIBLE_SUFFIXES or path.with_suffix("") not in readable
    ]  # fmt: skip


def _open_info(path: str | os.PathLike[str]) -> soundfile._SoundFileInfo:
    with _reading(Path(path)):
        return soundfile.info(_name(Path(path)))


def _name(path: Path) -> str | bytes:
    return os.fsencode(path) if os.name == "posix" else str(path)  # a POSIX name need not be valid text


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A file that is read forwards only.

    soundfile seeks after each block of a seekable file. An MP3 decoder then loses the bits that it keeps from frame to
    frame, and decodes wrong samples; a FLAC without a length in its header fails.
    """

    def seekable(self) -> bool:
        return False


def _file_blocks(path: Path, size: int) -> Iterator[Float[ndarray, " T"]]:
    """Yield checked mono blocks at the file's sample rate; a truncated file raises an error."""
    read = 0
    with _reading(path), _Forward(_name(path)) as file:
        while (block := file.read(size, dtype="float32", always_2d=True)).shape[0]:
            mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
            _check_values(mono, str(path), read)
            read += mono.size
            yield mono
        if read == 0:
            raise AudioError(f"{path}: {_EMPTY}")
        if _is_cut(file, read):
            raise AudioError(
                f"{path}: the file is truncated after {read / file.samplerate:.2f} s; copy or export it again"
            )


def _is_cut(file: soundfile.SoundFile, read: int) -> bool:
    """Return whether the header promises more samples than the file has.

    For formats whose length libsndfile takes from the file size (WAV, AIFF, AU, OGG), only its log shows that.
    """
    lengths = ((int(promised), int(actual)) for promised, actual in _LENGTHS.findall(file.extra_info))
    return (
        any(actual < promised < _STREAM for promised, actual in lengths)
        or "Ogg: Last page lacks an end-of-stream bit" in file.extra_info
        or "Ogg: Junk after the last page" in file.extra_info  # an incomplete page
        or (file.format != "MP3" and read < file.frames < _UNKNOWN)  # an MP3's length is an estimate
    )


def _resampled(blocks: Iterator[Float[ndarray, " T"]], old: int, new: int) -> Iterator[Float[ndarray, " T"]]:
    """Yield blocks at another sample rate; T samples become ceil(T · new / old), for any block sizes."""
    if new <= 0:
        raise AudioError(f"sample rate is {new} Hz: it must be positive")
    if old == new:
        yield from blocks
        return
    stream = soxr.ResampleStream(old, new, 1, dtype="float32", quality="HQ")
    consumed = produced = 0
    for block in blocks:
        consumed += block.size
        out = stream.resample_chunk(block)
        produced += out.size
        if out.size:
            yield out
    last = stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
    missing = -(-consumed * new // old) - produced
    last = np.pad(last[:missing], (0, max(0, missing - last.size)))
    if last.size:
        yield last


def _same_samples(made: Path, other: Path) -> bool:
    """Return whether two files hold the same samples: Ogg files of the same samples have different bytes."""
    if filecmp.cmp(made, other, shallow=False):
        return True
    try:
        one, two = Audio.read(made), Audio.read(other)
    except AudioError:
        return False
    return one.sample_rate == two.sample_rate and np.array_equal(one.samples, two.samples)


def _check_values(samples: Float[ndarray, " T"], where: str, first: int = 0) -> None:
    if not np.isfinite(samples).all():
        at = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise AudioError(f"{where}: sample {first + at} is {samples[at]}; repair or remove the recording")
    peak = float(np.abs(samples).max())
    if peak > _MAX_PEAK:
        raise AudioError(f"{where}: the peak is {peak:g} but full scale is 1.0; divide 16-bit integers by 32768")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Convert errors of libsndfile and the system into an AudioError with advice."""
    try:
        check_regular(path)
        yield
    except FileNotFoundError as error:
        raise AudioError(f"{path}: no such file") from error
    except (soundfile.SoundFileError, OSError, RuntimeError, TypeError) as error:  # TypeError: raw samples
        if path.suffix.lower() in CONVERTIBLE_SUFFIXES and path.is_file():
            raise AudioError(
                f"{path}: {path.suffix} files cannot be read; convert it: ffmpeg -i {shlex.quote(str(path))} "
                f"{shlex.quote(str(path.with_suffix('.flac')))}"
            ) from error
        reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
        raise AudioError(
            f"{path}: cannot be read as audio ({reason.removeprefix('Error : ').rstrip('.')}); "
            "copy it again, convert it to WAV or FLAC, or remove it"
        ) from error
