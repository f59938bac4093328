"""CosyVoice's flow and vocoder: S3 units and a voice to speech.

Package and weights are CosyVoice's own. The tests replace the package by one of the same names, so they check what goes
in and comes out, not the sound. The names are those of github.com/FunAudioLLM/CosyVoice (Apache-2.0) at the end of
2025. The package reads its weights with ``torch.load``: give it only folders that you trust.
"""

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import CheckpointError, MissingDependencyError
from vocable.files import check_regular, is_file

WEIGHTS: Final = ("flow.pt", "hift.pt", "campplus.onnx", "cosyvoice.yaml")
_INSTALL = (
    "clone github.com/FunAudioLLM/CosyVoice with its submodules, install its requirements, and put it and its "
    "third_party/Matcha-TTS on PYTHONPATH"
)


class CosyVoiceDecoder:
    """Decoder from units to a waveform by flow matching and HiFT. A voice is an x-vector of CAM++.

    Args:
        folder: Folder of a CosyVoice-300M as published.

    Attributes:
        voice_width: Dimension of a voice vector.

    Raises:
        CheckpointError: If the folder lacks a file.
        MissingDependencyError: (of the methods) If the package cannot be imported.

    Source:
        CosyVoice, arXiv:2407.05407, section 3.3; ``cosyvoice/cli/model.py`` and ``frontend.py`` of its repository.
    """

    voice_width: Final = 192

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if missing := [name for name in WEIGHTS if not is_file(self.folder / name)]:
            raise CheckpointError(f"{folder}: no CosyVoice: {', '.join(missing)} missing; give CosyVoice-300M's folder")

    @cached_property
    def _model(self) -> Any:
        try:
            from cosyvoice.cli.cosyvoice import CosyVoice
        except ImportError as error:
            raise MissingDependencyError(f"{self.folder}: needs the cosyvoice package ({error}); {_INSTALL}") from error
        for name in WEIGHTS:
            check_regular(self.folder / name)
        return CosyVoice(str(self.folder))

    def voice(self, clip: Audio) -> Float[Tensor, " V"]:
        """Return the voice vector of a recording."""
        with tempfile.TemporaryDirectory() as folder:  # the package takes a file
            path = Path(folder) / "voice.wav"
            clip.resample(16_000).write(path)
            return self._model.frontend._extract_spk_embedding(str(path)).flatten().float().cpu()

    def speech(self, units: Int[Tensor, " N"], voice: Float[Tensor, " V"]) -> Audio:
        """Decode at least one unit to speech at the package's sample rate (22,050 Hz), without a prompt."""
        inputs = {"source_speech_token": units[None].int(), "flow_embedding": voice[None].float()}
        parts = [part["tts_speech"].float().cpu() for part in self._model.model.tts(**inputs, stream=False)]
        return Audio(torch.cat(parts, dim=1)[0].clamp(-1, 1).numpy(), int(self._model.sample_rate))
