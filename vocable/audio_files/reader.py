"""Reading of audio files: by libsndfile, part by part, and by PyAV where libsndfile does not know the format."""

import os
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import soundfile
from jaxtyping import Float, Int16
from numpy import ndarray

from vocable.audio_files import pyav
from vocable.audio_files.chunked import walk_aiff, walk_au, walk_caf, walk_riff, walk_w64
from vocable.audio_files.framed import mp3_frame, walk_flac, walk_mp3, walk_ogg
from vocable.audio_files.limits import current_limits
from vocable.audio_files.parts import Bytes, Part, PartStream, Walker, find_parts, is_unknown_length, skip_tags
from vocable.errors import AudioError
from vocable.files import check_regular, open_regular, reason_of

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf"})
CONVERTIBLE_SUFFIXES = frozenset({
    ".3gp", ".aac", ".ac3", ".amr", ".ape", ".avi", ".dts", ".m4a", ".m4b", ".mka", ".mkv", ".mov", ".mp4", ".mpc",
    ".mpg", ".ra", ".rm", ".tta", ".webm", ".wma", ".wv",
})  # fmt: skip
"""Suffixes of recordings that libsndfile cannot read. PyAV reads them where it is installed."""

EMPTY = "the file holds no samples; record or export it again"
_BLOCK_VALUES = 1 << 22  # samples times channels that are decoded at once: 16 MiB
_UNKNOWN = 1 << 62  # samples: libsndfile's length of a FLAC without one in its header
_LENGTHS = re.compile(r"^ *(?:data|SSND|Data Size|Riff size|riff) +: (\d+) \(should be (\d+)\)", re.MULTILINE)
_SEEKABLE = frozenset({"WAV", "WAVEX", "RF64", "AIFF", "AU", "W64", "CAF", "FLAC"})
_INTEGERS = frozenset({"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "ULAW", "ALAW"})
_FLOATS = frozenset({"FLOAT", "DOUBLE"})
_MAGICS = MappingProxyType({
    b"RIFF": "riff", b"RIFX": "riff", b"RF64": "riff", b"BW64": "riff", b"FORM": "aiff", b".snd": "au", b"dns.": "au",
    b"riff": "w64", b"caff": "caf", b"OggS": "ogg", b"fLaC": "flac",
    b"\x1a\x45\xdf\xa3": "av", b"\x30\x26\xb2\x75": "av", b"#!AM": "av", b"wvpk": "av", b"MAC ": "av", b"TTA1": "av",
})  # fmt: skip
_WALKERS: "MappingProxyType[str, Walker]" = MappingProxyType({
    "riff": walk_riff, "aiff": walk_aiff, "au": walk_au, "w64": walk_w64, "caf": walk_caf, "ogg": walk_ogg,
    "flac": walk_flac, "mp3": walk_mp3,
})  # fmt: skip


@dataclass(frozen=True)
class AudioFile:
    """An audio file whose header has been read and checked.

    Attributes:
        path: Path of the file.
        sample_rate: Sample rate in Hz.
        frames: Number of samples of each channel by the header, an estimate for an MP3; None where it is unknown.
        is_exact: Whether a whole file has exactly ``frames`` samples.
        is_seekable: Whether :func:`read_range` gives the samples that decoding the whole file gives.
        is_sound: Whether the header shows that decoding cannot fail: integers without compression, none missing.
    """

    path: Path
    sample_rate: int
    frames: int | None
    _read: Callable[[int], Iterator[Float[ndarray, "T C"]]]
    is_exact: bool = False
    is_seekable: bool = False
    is_sound: bool = False

    def blocks(self, size: int) -> Iterator[Float[ndarray, " T"]]:
        """Decode the file.

        Args:
            size: Number of samples of a block; less where there are many channels.

        Yields:
            Samples of shape (T,), float32: the mean of the channels; never empty.

        Raises:
            AudioError: If the file cannot be decoded, is truncated, empty or too long.
        """
        limits, count = current_limits(), 0
        with _reading(self.path):
            for block in self._read(size):
                count += len(block)
                limits.check_duration(str(self.path), count, self.sample_rate)
                yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        if count == 0:
            raise AudioError(f"{self.path}: {EMPTY}")


def open_audio(path: str | os.PathLike[str]) -> AudioFile:
    """Read and check the header of an audio file, and find the parts that it consists of.

    Args:
        path: Path of a file; its contents decide about the format, not its suffix.

    Raises:
        AudioError: If the file is missing, no regular file, no audio, beyond a limit, or has parts of several rates.
    """
    path = Path(path)
    with _reading(path):
        check_regular(path)
        with open_regular(path) as file:
            data = Bytes(file, str(path))
            kind = _kind_at(data, 0)
            parts = [] if kind == "av" else find_parts(data, _kind_at, _WALKERS) or [Part(0, data.size)]
        if kind == "av" or (kind is None and path.suffix.lower() in CONVERTIBLE_SUFFIXES):
            rate, frames, read = pyav.open_file(path)
            return AudioFile(path, rate, frames, read)
        return _open_parts(path, parts)


def read_comment(path: str | os.PathLike[str]) -> str:
    """Return the comment in an audio file's metadata; "" where there is none, or the format has none.

    Raises:
        AudioError: If the file cannot be opened.
    """
    with _reading(Path(path)):
        check_regular(path)
        with open_regular(path) as file, suppress(soundfile.LibsndfileError), soundfile.SoundFile(file) as sound:
            return str(sound.comment)
    return ""


def read_range(path: str | os.PathLike[str], start: int, stop: int) -> Float[ndarray, " T"] | Int16[ndarray, " T"]:
    """Read a range of samples from a file that is seekable (:class:`AudioFile`), without decoding what is before it.

    Args:
        path: Path of the file.
        start: First sample.
        stop: Sample after the last; the end of the file at most.

    Returns:
        Mean of the channels, float32; of one channel of 16-bit samples these themselves, int16.

    Raises:
        AudioError: If the file is missing, or cannot be decoded there.
    """
    path = Path(path)
    with _reading(path), ExitStack() as stack:
        file = stack.enter_context(open_regular(path))
        sound = stack.enter_context(_Forward(os.dup(file.fileno()), closefd=True))
        sound.seek(start)
        is_16_bit = sound.channels == 1 and sound.subtype == "PCM_16"
        block = sound.read(stop - start, dtype="int16" if is_16_bit else "float32", always_2d=True)
        if len(block) < stop - start:
            raise AudioError(
                f"{path}: the file is truncated after {(start + len(block)) / sound.samplerate:.2f} s; copy or export "
                "it again"
            )
        return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)


def _open_parts(path: Path, parts: list[Part]) -> AudioFile:
    limits, rate, total = current_limits(), 0, 0
    is_known, is_exact, is_seekable, is_sound = True, True, False, False
    for number, part in enumerate(parts, start=1):
        with _opened(path, part) as sound:
            frames = sound.frames if 0 <= sound.frames < _UNKNOWN else None
            limits.check_header(str(path), sound.samplerate, sound.channels, frames)
            if rate not in (0, sound.samplerate):
                raise AudioError(
                    f"{path}: part {number} of {len(parts)} has {sound.samplerate} Hz, those before have {rate} Hz; "
                    "write each part to a file of its own"
                )
            rate, total, is_known = sound.samplerate, total + (frames or 0), is_known and frames is not None
            is_exact = is_exact and is_known and sound.format != "MP3"
            if len(parts) == 1 and is_exact and isinstance(sound.name, int):  # by its descriptor: the file as it lies
                is_seekable = sound.format in _SEEKABLE and sound.subtype in _INTEGERS | _FLOATS
                is_sound = (
                    is_seekable and sound.format != "FLAC" and sound.subtype in _INTEGERS and not _is_cut(sound, total)
                )
    return AudioFile(
        path,
        rate,
        total if is_known else None,
        lambda size: _decode(path, parts, size),
        is_exact,
        is_seekable,
        is_sound,
    )


def _decode(path: Path, parts: list[Part], size: int) -> Iterator[Float[ndarray, "T C"]]:
    seconds = 0.0
    for part in parts:
        with _opened(path, part) as sound:
            read, block_size = 0, max(1, min(size, _BLOCK_VALUES // sound.channels))
            while (block := sound.read(block_size, dtype="float32", always_2d=True)).shape[0]:
                read += len(block)
                yield block
            seconds += read / sound.samplerate
            if _is_cut(sound, read):
                raise AudioError(f"{path}: the file is truncated after {seconds:.2f} s; copy or export it again")
            if read < part.least:
                raise AudioError(
                    f"{path}: the decoder stops after {seconds:.2f} s, before the end of the file; convert it with "
                    "ffmpeg -i FILE OUT.wav"
                )


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A file that is read forwards only.

    soundfile seeks after each block of a seekable file. An MP3 decoder then loses the bits that it keeps from frame to
    frame, and decodes wrong samples; a FLAC without a length in its header fails.
    """

    def seekable(self) -> bool:
        return False


@contextmanager
def _opened(path: Path, part: Part) -> Iterator[soundfile.SoundFile]:
    """Open a part of a file; the whole file by its descriptor, which is faster than through Python."""
    with ExitStack() as stack:
        file = stack.enter_context(open_regular(path))
        is_whole = not part.header and (part.start, part.stop) == (0, os.fstat(file.fileno()).st_size)
        source = os.dup(file.fileno()) if is_whole else PartStream(file, part)
        yield stack.enter_context(_Forward(source, closefd=True))


def _kind_at(data: Bytes, position: int) -> str | None:
    """Return the kind of container that begins at a position, behind tags; None if it is unknown."""
    after = skip_tags(data, position) if data.at(position, 3) == b"ID3" else position
    head = data.at(after, 12)
    if head[4:8] == b"ftyp" or (head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xF6 == 0xF0):  # MP4, AAC
        return "av"
    if (kind := _MAGICS.get(head[:4])) is not None:
        return kind
    return "mp3" if mp3_frame(head[:4]) is not None or after > position else None


def _is_cut(sound: soundfile.SoundFile, read: int) -> bool:
    """Return whether the header promises more samples than the file has.

    For formats whose length libsndfile takes from the file size (WAV, AIFF, AU, OGG), only its log shows that.
    """
    lengths = ((int(promised), int(actual)) for promised, actual in _LENGTHS.findall(sound.extra_info))
    return (
        any(actual < promised and not is_unknown_length(promised) for promised, actual in lengths)
        or "Ogg: Last page lacks an end-of-stream bit" in sound.extra_info
        or "Ogg: Junk after the last page" in sound.extra_info  # an incomplete page
        or (sound.format != "MP3" and read < sound.frames < _UNKNOWN)  # an MP3's length is an estimate
    )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Convert errors of libsndfile, of PyAV and of the system into an AudioError with advice."""
    try:
        yield
    except FileNotFoundError as error:
        raise AudioError(f"{path}: no such file") from error
    except MemoryError as error:
        raise AudioError(f"{path}: there is not enough memory to read it; cut it into shorter files") from error
    except OSError as error:
        raise AudioError(
            f"{path}: cannot be read as audio ({reason_of(error)}); give an audio file that you may read"
        ) from error
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        reason = getattr(error, "error_string", None) or str(error)
        raise AudioError(
            f"{path}: cannot be read as audio ({reason.removeprefix('Error : ').rstrip('.')}); copy it again, convert "
            f"it to WAV or FLAC (ffmpeg -i {shlex.quote(str(path))} OUT.wav), or remove it"
        ) from error
