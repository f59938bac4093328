"""Audio files: their containers, the limits of what is read, and the formats that are written."""

from vocable.audio_files.reader import AUDIO_SUFFIXES, CONVERTIBLE_SUFFIXES, AudioFile, open_audio, read_range
from vocable.audio_files.writer import WRITTEN_SUFFIXES, check_format, write_audio

__all__ = [
    "AUDIO_SUFFIXES",
    "CONVERTIBLE_SUFFIXES",
    "WRITTEN_SUFFIXES",
    "AudioFile",
    "check_format",
    "open_audio",
    "read_range",
    "write_audio",
]
