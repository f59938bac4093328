"""CosyVoice's flow and vocoder, by path: S3 units and a voice to speech.

Package and weights are another's. Here the package was replaced by one of the same names: what goes in and comes out
is tested, the sound is not. The names are those of github.com/FunAudioLLM/CosyVoice (Apache-2.0) at the end of 2025.
The package reads its weights with ``torch.load``: give it only folders that you trust.
"""

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import CheckpointError, MissingDependencyError, ShapeError

WEIGHTS: Final = ("flow.pt", "hift.pt", "campplus.onnx", "cosyvoice.yaml")
_HOW = (
    "clone github.com/FunAudioLLM/CosyVoice with its submodules, install its requirements, and put it and its "
    "third_party/Matcha-TTS on PYTHONPATH"
)


class CosyVoiceDecoder:
    """Units to a waveform by flow matching and HiFT; a voice is an x-vector of CAM++.

    Args:
        folder: Of a CosyVoice-300M as published.

    Attributes:
        voice_width: Numbers of a voice.

    Raises:
        CheckpointError: The folder lacks a file.

    Source:
        CosyVoice, arXiv:2407.05407, §3.3; ``cosyvoice/cli/model.py`` and ``frontend.py`` of its repository.
    """

    voice_width: Final = 192

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        missing = [name for name in WEIGHTS if not (self.folder / name).is_file()]
        if missing:
            raise CheckpointError(f"{folder}: no CosyVoice: {', '.join(missing)} missing; give CosyVoice-300M's folder")

    @cached_property
    def _model(self) -> Any:
        try:
            from cosyvoice.cli.cosyvoice import CosyVoice
        except ImportError as error:
            raise MissingDependencyError(f"{self.folder}: needs the cosyvoice package ({error}); {_HOW}") from error
        return CosyVoice(str(self.folder))

    def voice(self, clip: Audio) -> Float[Tensor, " V"]:
        """The voice heard in a recording, as CosyVoice hears it.

        Raises:
            MissingDependencyError: The package cannot be imported.
        """
        with tempfile.TemporaryDirectory() as folder:  # it takes a file
            clip.resample(16_000).write(Path(folder) / "voice.wav")
            return self._model.frontend._extract_spk_embedding(str(Path(folder) / "voice.wav")).flatten().float().cpu()

    def speech(self, units: Int[Tensor, " N"], voice: Float[Tensor, " V"]) -> Audio:
        """Speech at the package's rate (22,050 Hz), without a prompt.

        Raises:
            MissingDependencyError: The package cannot be imported.
            ShapeError: There are no units, or the voice has another width.
        """
        if not len(units) or voice.shape != (self.voice_width,):
            raise ShapeError(f"{len(units)} units in a voice of {tuple(voice.shape)}: some, and ({self.voice_width},)")
        given = {"source_speech_token": units[None].int(), "flow_embedding": voice[None].float()}
        parts = [made["tts_speech"].float().cpu() for made in self._model.model.tts(**given, stream=False)]
        return Audio(torch.cat(parts, dim=1)[0].clamp(-1, 1).numpy(), int(self._model.sample_rate))
