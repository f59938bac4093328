"""Writing of audio files, block by block, in the formats and at the sample rates that each format has."""

import filecmp
import os
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float
from numpy import ndarray

from vocable.audio_files.mark import SyntheticMark
from vocable.audio_files.reader import open_audio, read_comment
from vocable.errors import AudioError, OutputError
from vocable.files import write_whole

_CONTAINERS = MappingProxyType({".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"})
WRITTEN_SUFFIXES = tuple(_CONTAINERS)
_BLOCK = 1 << 16  # samples: libsndfile's Vorbis encoder overflows its stack when it gets minutes at once
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_MAX_VORBIS_RATE = 200_000  # above it, the encoder crashes
_MAX_FLAC_RATE = 655_350
_MAX_WAV_BYTES = (1 << 32) - (1 << 16)  # a header counts bytes in 32 bits


def check_format(path: str | os.PathLike[str], sample_rate: int) -> str:
    """Return libsndfile's name of the format in which a file is written, by its suffix.

    Raises:
        OutputError: If no such format is written, or not at this sample rate.

    Example:
        >>> check_format("clip.flac", 16_000)
        'FLAC'
        >>> check_format("clip.ogg", 201_000)
        Traceback (most recent call last):
        vocable.errors.OutputError: clip.ogg: an .ogg file has at most 200000 Hz, not 201000 Hz; resample the clip...
    """
    suffix = Path(path).suffix
    container = _CONTAINERS.get(suffix.lower())
    if container is None:
        raise OutputError(
            f"{path}: '{suffix}' is not an audio format vocable writes; use {', '.join(WRITTEN_SUFFIXES)}"
        )
    allowed = ""
    if container == "MP3" and sample_rate not in _MP3_RATES:
        allowed = f"has {', '.join(map(str, _MP3_RATES[:-1]))} or {_MP3_RATES[-1]} Hz"
    elif container == "OGG" and sample_rate > _MAX_VORBIS_RATE:
        allowed = f"has at most {_MAX_VORBIS_RATE} Hz"
    elif container == "FLAC" and sample_rate > _MAX_FLAC_RATE:
        allowed = f"has at most {_MAX_FLAC_RATE} Hz"
    elif container == "FLAC" and sample_rate > 0xFFFF and sample_rate % 10:
        allowed = "has a rate above 65535 Hz only if it is a multiple of 10 Hz"
    if allowed:
        article = "a" if container in ("WAV", "FLAC") else "an"
        raise OutputError(
            f"{path}: {article} {suffix} file {allowed}, not {sample_rate} Hz; resample the clip, or write .wav"
        )
    return container


def write_audio(
    path: str | os.PathLike[str], blocks: Iterable[Float[ndarray, " T"]], sample_rate: int, comment: str = "", *,
    kilobits: int | None = None, mark: SyntheticMark | None = None,
) -> None:  # fmt: skip
    """Write 16-bit WAV or FLAC, OGG (Vorbis) or MP3, atomically and block by block: memory does not grow with the file.

    Args:
        path: Path of the file; its suffix decides the format.
        blocks: Samples in blocks of any size, which do not change the file. Samples beyond full scale are clipped.
        sample_rate: Sample rate in Hz.
        comment: Comment in the file's metadata, in ASCII.
        kilobits: Constant bit rate of an MP3 in kbit/s; by default the encoder varies it.
        mark: Mark of synthetic speech, which follows the comment.

    Raises:
        OutputError: If the suffix, the sample rate or the bit rate is not written, the file cannot be written,
            or is too long for a WAV.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_audio(f"{folder}/a.flac", (np.zeros(100, np.float32) for _ in range(8)), 16_000)
        ...     soundfile.info(f"{folder}/a.flac").frames
        800
    """
    target = Path(path)
    container = check_format(target, sample_rate)
    settings = {} if kilobits is None else _constant_rate(target, container, sample_rate, kilobits)
    remark = " ".join(part for part in (comment, mark and mark.comment) if part)

    def put(temporary: Path) -> None:
        count = 0
        with soundfile.SoundFile(temporary, "w", sample_rate, channels=1, format=container, **settings) as file:
            if remark:
                file.comment = remark
            for block in _even_blocks(blocks):
                count += block.size
                if container == "WAV" and 2 * count > _MAX_WAV_BYTES:
                    raise OutputError(f"{target}: a .wav file holds at most 4 GiB; write .flac")
                file.write(np.clip(block, -1.0, 1.0))

    write_whole(target, put, same=_same_samples if container == "OGG" else None)


def _constant_rate(target: Path, container: str, sample_rate: int, kilobits: int) -> dict[str, Any]:
    """Return the settings of libsndfile that give an MP3 a constant bit rate."""
    least, most = (8, 160) if sample_rate < 32_000 else (32, 320)  # kbit/s: the range that the level spans
    if container != "MP3" or not least <= kilobits <= most:
        raise OutputError(
            f"{target}: cannot have {kilobits} kbit/s; at {sample_rate} Hz an .mp3 has {least} to {most}, and no other "
            " format has a constant bit rate"
        )
    return {"bitrate_mode": "CONSTANT", "compression_level": (most - kilobits) / (most - least)}


def _same_samples(made: Path, other: Path) -> bool:
    """Return whether two Ogg files hold the same samples and comment: those of the same samples differ in bytes."""
    if filecmp.cmp(made, other, shallow=False):
        return True
    try:
        one, two = open_audio(made), open_audio(other)
        if read_comment(made) != read_comment(other):
            return False
        blocks = zip_longest(_even_blocks(one.blocks(_BLOCK)), _even_blocks(two.blocks(_BLOCK)))
        return one.sample_rate == two.sample_rate and all(np.array_equal(left, right) for left, right in blocks)
    except AudioError:
        return False


def _even_blocks(blocks: Iterable[Float[ndarray, " T"]]) -> Iterator[Float[ndarray, " T"]]:
    """Yield blocks of one size: what an encoder makes of samples may depend on how many it gets at once."""
    rest = np.zeros(0, dtype=np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block]) if rest.size else block
        full = rest.size - rest.size % _BLOCK
        for start in range(0, full, _BLOCK):
            yield rest[start : start + _BLOCK]
        rest = rest[full:]
    if rest.size:
        yield rest
