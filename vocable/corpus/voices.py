"""Voices that users name: the path of a recording, or a voice that comes with the model."""

import os
from pathlib import Path

from torch import Tensor

from vocable.audio import Audio, check_audible
from vocable.errors import AudioError, ConfigError
from vocable.files import exists
from vocable.interfaces import HasNamedVoices, HasVoice
from vocable.systems.named_voices import is_voice_name


def find_voice(tokenizer: object, voice: str | os.PathLike[str] | None) -> Audio | Tensor:
    """Return the voice that a user names. A recording of that path is taken before a voice of that name.

    Args:
        tokenizer: Tokenizer that is to use the voice.
        voice: Path of a recording, or name of one of the tokenizer's voices; None takes the first of these.

    Returns:
        Recording, which is long enough for the tokenizer, or voice vector (V,).

    Raises:
        AudioError: If the recording cannot be read, is silent, or is too short for the tokenizer.
        ConfigError: If there is no such voice, or none is named and the tokenizer brings none.
    """
    voices = tokenizer.voices if isinstance(tokenizer, HasNamedVoices) else {}
    if voice is None:
        if not voices:
            raise ConfigError("this model comes with no voice; give a recording of the speaker (--voice FILE)")
        return next(iter(voices.values()))
    if not exists(Path(voice)):
        if str(voice) in voices:
            return voices[str(voice)]
        if voices and is_voice_name(str(voice)):
            raise ConfigError(f"there is no recording '{voice}', and no voice of this name in the model, which has "
                              f"{', '.join(voices)}; take one of these or the path of a recording")  # fmt: skip
    recording = read_voice(voice)
    if isinstance(tokenizer, HasVoice):
        try:
            tokenizer.voice_of(recording)
        except AudioError as error:
            raise AudioError(f"{voice}: {error}") from error
    return recording


def read_voice(voice: str | os.PathLike[str]) -> Audio:
    """Read the recording of a voice.

    Raises:
        AudioError: If it cannot be read, or is silent.
    """
    recording = Audio.read(voice)
    check_audible(recording, f"{voice}: the voice")
    return recording


def recordings_of(voice: str | os.PathLike[str] | None) -> list[Path]:
    """Return the recording that a voice is, if it is one: an input that no output may replace."""
    return [Path(voice)] if voice is not None and exists(Path(voice)) else []
