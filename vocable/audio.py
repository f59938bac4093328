"""Speech as samples with their rate. Reading, writing and resampling live here and nowhere else.

Formats are libsndfile's (WAV, FLAC, OGG, MP3 and more), through soundfile; resampling is soxr's at its "HQ"
setting. Whole files and files read block by block go the same way, so both give the same samples.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from jaxtyping import Float
from numpy import ndarray

from vocable.errors import AudioError, OutputError
from vocable.files import find_files, write_whole

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf"})
_CONTAINERS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}  # what can be written
_BLOCK = 1 << 16  # libsndfile's Vorbis encoder overflows its stack when it gets minutes at once
_STREAM = 0x7FFF0000  # bytes: a length this large in a header means that its writer did not know the length
_UNKNOWN = 1 << 62  # samples: what libsndfile says of a FLAC whose header does not tell
_LENGTHS = re.compile(r"^ *(?:data|SSND|Data Size|Riff size|riff) +: (\d+) \(should be (\d+)\)", re.MULTILINE)
_LOUDEST = 8.0  # resampling and mixing may overshoot full scale; integers stored as floats go far beyond this


@dataclass(frozen=True)
class Audio:
    """One clip of mono sound.

    Attributes:
        samples: (T,) float32, nominally in [-1, 1]; at least one sample, all finite.
        sample_rate: Hz.

    Raises:
        AudioError: No samples, samples that are not finite or far out of range, or a rate that is not positive.

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
            raise AudioError(f"samples have shape {samples.shape}: (T,) is wanted; average the channels first")
        if samples.size == 0:
            raise AudioError("the audio is empty: there are no samples to work on")
        _check_values(samples, "the audio")

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.samples.size / self.sample_rate

    @classmethod
    def read(cls, path: str | os.PathLike[str], sample_rate: int | None = None) -> "Audio":
        """Read a file of any rate and any number of channels; channels are averaged.

        Args:
            path: An audio file.
            sample_rate: Rate wanted in Hz; the file's own by default.

        Raises:
            AudioError: The file is missing, unreadable, empty, cut short (an MP3 does not tell), or holds NaN,
                infinity or integers stored as floats.
        """
        rate = _open_info(path).samplerate if sample_rate is None else sample_rate
        return cls(np.concatenate(list(read_blocks(path, rate))), rate)

    def resample(self, sample_rate: int) -> "Audio":
        """This clip at another rate (itself if the rate is the same)."""
        if sample_rate == self.sample_rate:
            return self
        return Audio(np.concatenate(list(_resampled(iter([self.samples]), self.sample_rate, sample_rate))), sample_rate)

    def played(self, speed: float) -> "Audio":
        """This clip played faster or slower as a tape is: pitch and formants move along.

        Args:
            speed: Times as fast; to 1 Hz of the sample rate.

        Source:
            Ko et al., Audio Augmentation for Speech Recognition, Interspeech 2015.

        Example:
            >>> Audio(np.zeros(9_900, dtype=np.float32), 16_000).played(1.1).samples.shape
            (9000,)
        """
        return Audio(self.samples, round(self.sample_rate * speed)).resample(self.sample_rate)

    def write(self, path: str | os.PathLike[str], comment: str = "") -> None:
        """Write 16-bit WAV or FLAC, OGG (Vorbis) or MP3; whole or not at all. Louder than full scale is clipped.

        Args:
            path: Its suffix decides.
            comment: What the file says of itself, in ASCII.

        Raises:
            OutputError: The suffix is none of .wav, .flac, .ogg, .mp3, or the place cannot be written.
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

        write_whole(target, put)


def read_blocks(
    path: str | os.PathLike[str], sample_rate: int, *, seconds: float = 10.0
) -> Iterator[Float[ndarray, " T"]]:
    """Read a file piece by piece, in mono, at the rate wanted: constant memory however long the file is.

    Args:
        path: An audio file.
        sample_rate: Rate wanted in Hz.
        seconds: Length of a piece in the file. The samples do not depend on it.

    Yields:
        (T,) float32 pieces, never empty.

    Raises:
        AudioError: As :meth:`Audio.read`.
    """
    rate = _open_info(path).samplerate
    yield from _resampled(_file_blocks(Path(path), max(1, int(seconds * rate))), rate, sample_rate)


def header_seconds(path: str | os.PathLike[str]) -> float:
    """Seconds that a file has by its header. Nothing is decoded: a file that was cut short may have less.

    Raises:
        AudioError: The file is missing or unreadable, or its header tells of no samples or not of how many.
    """
    info = _open_info(path)
    if info.frames <= 0:
        raise AudioError(f"{path}: the file holds no samples; record or export it again")
    if info.frames >= _UNKNOWN:
        raise AudioError(f"{path}: the header does not tell the length; export it again")
    return info.frames / info.samplerate


def find_audio(inputs: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Audio files meant by files, folders and glob patterns (see :func:`vocable.files.find_files`).

    Raises:
        InputError: A folder or a pattern without audio.

    Example:
        >>> [str(path) for path in find_audio(["some.wav"])]
        ['some.wav']
    """
    return find_files(inputs, AUDIO_SUFFIXES, "audio")


def _open_info(path: str | os.PathLike[str]) -> soundfile._SoundFileInfo:
    with _Reading(Path(path)):
        return soundfile.info(_name(Path(path)))


def _name(path: Path) -> str | bytes:
    return os.fsencode(path) if os.name == "posix" else str(path)  # a POSIX name need not be text


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A file read from its start to its end.

    soundfile seeks after each block of what can be sought in: that costs an MP3 decoder the bits it keeps from
    frame to frame (the samples come out wrong), and fails for a FLAC whose header does not tell its length.
    """

    def seekable(self) -> bool:
        return False


def _file_blocks(path: Path, size: int) -> Iterator[Float[ndarray, " T"]]:
    """Mono blocks at the file's own rate, checked: an altered or cut file must not pass for a shorter one."""
    read = 0
    with _Reading(path), _Forward(_name(path)) as file:
        while (block := file.read(size, dtype="float32", always_2d=True)).shape[0]:
            mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
            _check_values(mono, str(path), read)
            read += mono.size
            yield mono
        if read == 0:
            raise AudioError(f"{path}: the file holds no samples; record or export it again")
        if _is_cut(file, read):
            raise AudioError(
                f"{path}: the file is truncated after {read / file.samplerate:.2f} s; copy or export it again"
            )


def _is_cut(file: soundfile.SoundFile, read: int) -> bool:
    """Whether the header promises more samples than there are.

    Where libsndfile goes by the size of the file (WAV and its kin, AIFF, AU, OGG), it tells only its log.
    """
    lengths = ((int(promised), int(there)) for promised, there in _LENGTHS.findall(file.extra_info))
    return (
        any(there < promised < _STREAM for promised, there in lengths)
        or "Ogg: Last page lacks an end-of-stream bit" in file.extra_info
        or "Ogg: Junk after the last page" in file.extra_info  # what is left of a page
        or (file.format != "MP3" and read < file.frames < _UNKNOWN)  # an MP3's length is an estimate
    )


def _resampled(blocks: Iterator[Float[ndarray, " T"]], old: int, new: int) -> Iterator[Float[ndarray, " T"]]:
    """Blocks at another rate; T samples become ceil(T · new / old), however they were cut into blocks."""
    if new <= 0:
        raise AudioError(f"sample rate is {new} Hz: it must be positive")
    if old == new:
        yield from blocks
        return
    stream = soxr.ResampleStream(old, new, 1, dtype="float32", quality="HQ")
    taken = made = 0
    last = np.zeros(0, dtype=np.float32)
    for block in blocks:
        taken += block.size
        out = stream.resample_chunk(block)
        made += out.size
        if out.size:
            yield out
    last = stream.resample_chunk(last, last=True)
    wanted = -(-taken * new // old) - made
    last = np.pad(last[:wanted], (0, max(0, wanted - last.size)))
    if last.size:
        yield last


def _check_values(samples: Float[ndarray, " T"], where: str, first: int = 0) -> None:
    if not np.isfinite(samples).all():
        at = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise AudioError(f"{where}: sample {first + at} is {samples[at]}; repair or remove the recording")
    loudest = float(np.abs(samples).max())
    if loudest > _LOUDEST:
        raise AudioError(
            f"{where}: samples reach {loudest:g} but full scale is 1.0; are these integers? Divide them by 32768"
        )


class _Reading:
    """Turns what libsndfile and the system say of a file into an AudioError with a remedy."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        if not self.path.exists():
            raise AudioError(f"{self.path}: no such file")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, soundfile.SoundFileError | OSError | RuntimeError | TypeError):  # TypeError: raw samples
            reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
            raise AudioError(
                f"{self.path}: cannot be read as audio ({reason.removeprefix('Error : ').rstrip('.')}); "
                "copy it again, convert it to WAV or FLAC, or remove it"
            ) from error
