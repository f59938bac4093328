"""Lyra v2, a neural codec, from its TFLite files."""

import importlib.util
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import ConfigError, MissingDependencyError
from vocable.evaluate.codecs.base import Coded, Kind, like

_RATE = 16_000  # Hz
_HOP = 320  # samples of a frame
_ENTRIES_BITS = 4  # of a stage: it has 16 entries
_STAGES = {3.2: 16, 6.0: 30, 9.2: 46}  # by kbit/s
_FILES = ("soundstream_encoder.tflite", "quantizer.tflite", "lyragan.tflite")


@dataclass(frozen=True)
class Lyra:
    """Lyra v2: 64 values a frame of 20 ms, residual quantizer of 46 stages of 16 entries, generative decoder.

    There is no delay to remove: encoder and decoder look only back, and were trained to answer in place.

    Attributes:
        folder: With ``soundstream_encoder.tflite``, ``quantizer.tflite`` and ``lyragan.tflite``.
        kilobits: A second: 3.2, 6 or 9.2.

    Raises:
        ConfigError: There is no such bit rate, or the folder lacks a file.
        MissingDependencyError: ai-edge-litert is not installed.

    Source:
        google/lyra, ``lyra/model_coeffs``; SoundStream, arXiv:2107.03312.
    """

    folder: Path
    kilobits: float = 3.2
    kind: ClassVar[Kind] = "codec"
    family: ClassVar[str] = "Lyra v2"

    def __post_init__(self) -> None:
        if self.kilobits not in _STAGES:
            raise ConfigError(f"Lyra at {self.kilobits:g} kbit/s: there are {', '.join(f'{k:g}' for k in _STAGES)}")
        for name in _FILES:
            if not (self.folder / name).is_file():
                raise ConfigError(f"{self.folder / name}: no such file; give the folder of Lyra v2's TFLite models")
        if importlib.util.find_spec("ai_edge_litert") is None:
            raise MissingDependencyError("needs ai-edge-litert: pip install 'vocable[evaluate]'")

    @property
    def name(self) -> str:
        """With the bit rate: ``Lyra v2 3.2k``."""
        return f"Lyra v2 {self.kilobits:g}k"

    @property
    def note(self) -> str:
        """Version and settings."""
        return f"{_STAGES[self.kilobits]} of 46 stages of 16 entries, ai-edge-litert {version('ai-edge-litert')}"

    def code(self, clip: Audio, key: str) -> Coded:
        """Code and decode; nothing surrounds the stages' bits.

        Raises:
            ConfigError: The files are not Lyra's.
        """
        made, ids = _code(self.folder, clip.resample(_RATE).samples, _STAGES[self.kilobits])
        return Coded(audio=like(clip, made, _RATE), payload_bits=ids * _ENTRIES_BITS, container_bits=0)


def _code(folder: Path, samples: Float[ndarray, " T"], stages: int) -> tuple[Float[ndarray, " T"], int]:
    """The sound made again, and how many ids it took.

    The networks are loaded for every clip (20 ms): encoder and decoder remember what they heard, and TFLite's
    ``reset_all_variables`` does not make them forget it, as their memory lies in resource variables.
    """
    encoder, quantizer, decoder = (_interpreter(folder / name) for name in _FILES)
    to_latents, to_sound = encoder.get_signature_runner(), decoder.get_signature_runner()
    to_ids, from_ids = quantizer.get_signature_runner("encode"), quantizer.get_signature_runner("decode")
    count = np.array(stages, dtype=np.int32)
    made, used = [], 0
    for frame in np.pad(samples, (0, -samples.size % _HOP)).reshape(-1, 1, _HOP):
        answer = to_ids(input_frames=to_latents(input_audio=frame)["output_0"], num_quantizers=count)
        ids = next(value for value in answer.values() if value.size > 1)  # beside it: how many bits an id has
        used += int((ids >= 0).sum())
        made.append(to_sound(input_audio=from_ids(encoding_indices=ids)["output_0"])["output_0"])
    return np.concatenate(made, axis=None)[: samples.size], used


def _interpreter(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"{path}: is no usable TFLite model ({reason}); copy it again from google/lyra") from error
    return interpreter
