"""Reading of M4A, MP4, WebM and other formats by PyAV, which is optional: ``pip install 'vocable[av]'``."""

import shlex
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from vocable.audio_files.limits import current_limits
from vocable.errors import AudioError
from vocable.files import open_regular

_ESTIMATES = frozenset({"aac", "ac3", "amr", "dts", "mp3", "mpeg", "wv"})  # formats without a length of their own
_SLACK = 0.25  # seconds that a header may be longer than what is decoded: an encoder's padding, a longer video

Blocks = Callable[[int], Iterator[Float[ndarray, "T C"]]]


def open_file(path: Path) -> tuple[int, int | None, Blocks]:
    """Read the header of a file of any format that PyAV knows.

    Args:
        path: Path of a regular file. Of several audio tracks, the one that FFmpeg takes for the best is read.

    Returns:
        Sample rate in Hz, number of samples of each channel or None, and the function that decodes blocks.

    Raises:
        AudioError: If PyAV is not installed, or the file has no sound, is damaged, or is beyond a limit.
    """
    try:
        import av
    except ImportError as error:
        raise AudioError(
            f"{path}: {path.suffix or 'such'} files need PyAV; run pip install 'vocable[av]', or convert the file: "
            f"ffmpeg -i {shlex.quote(str(path))} {shlex.quote(str(path.with_suffix('.flac')))}"
        ) from error
    try:
        with open_regular(path) as file, _open(file) as container:
            stream = _audio_stream(container, path)
            frame = next(iter(container.decode(stream)), None)
            if frame is None:
                raise AudioError(f"{path}: the file holds no samples; record or export it again")
            rate, seconds = int(frame.sample_rate), _header_seconds(container, stream)
            frames = None if seconds is None else round(seconds * rate)
            current_limits().check_header(str(path), rate, len(frame.layout.channels), frames)
    except (av.FFmpegError, ValueError) as error:
        raise _damaged(path, error) from error

    def decode(size: int) -> Iterator[Float[ndarray, "T C"]]:
        count = 0
        try:
            with open_regular(path) as file, _open(file) as container:
                to_float = av.AudioResampler(format="fltp")
                for frame in container.decode(_audio_stream(container, path)):
                    if frame.sample_rate != rate:
                        raise AudioError(f"{path}: the sample rate changes from {rate} Hz to {frame.sample_rate} Hz")
                    for converted in to_float.resample(frame):
                        samples = converted.to_ndarray().T
                        count += len(samples)
                        yield from (samples[start : start + size] for start in range(0, len(samples), size))
        except (av.FFmpegError, ValueError) as error:
            raise _damaged(path, error) from error
        if seconds is not None and count < (seconds - _SLACK) * rate:
            raise AudioError(f"{path}: the file is truncated after {count / rate:.2f} s; copy or export it again")

    return rate, frames, decode


def _open(file: BufferedReader) -> Any:
    import av

    return av.open(file, metadata_errors="ignore")


def _audio_stream(container: Any, path: Path) -> Any:
    stream = container.streams.best("audio")
    if stream is None:
        raise AudioError(f"{path}: the file has no sound; leave it out")
    return stream


def _header_seconds(container: Any, stream: Any) -> float | None:
    """Return the duration of the sound that the header names, or None if it names none."""
    if set(container.format.name.split(",")) & _ESTIMATES:
        return None
    if stream.duration:
        return float(stream.duration * stream.time_base)
    is_sound_alone = all(other.type == "audio" for other in container.streams)
    return float(container.duration) / 1e6 if container.duration and is_sound_alone else None


def _damaged(path: Path, error: Exception) -> AudioError:
    reason = getattr(error, "strerror", None) or str(error)
    return AudioError(f"{path}: cannot be read as audio ({reason[:200]}); copy it again, or convert it to WAV or FLAC")
