"""Names to the frozen models that teach: of frames (what is said), and of whole recordings (who says it)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import AudioError, CheckpointError, ConfigError, MissingDependencyError
from vocable.features import ecapa
from vocable.features.ecapa import EcapaTdnn
from vocable.features.hub import fetch
from vocable.features.hubert import KINDS, HubertEncoder
from vocable.features.voice import VoiceEncoder, raise_level
from vocable.features.whisper import WhisperEncoder
from vocable.features.xvector import XVectorEncoder
from vocable.folder import digest_of

RESEMBLYZER = "resemblyzer"


class FrameListener:
    """The mean of some layers of an encoder, frame by frame.

    Args:
        encoder: Frozen.
        layers: 0 to its depth, or from behind; all of them by default.

    Raises:
        ConfigError: There is no such layer.
    """

    def __init__(self, encoder: HubertEncoder | WhisperEncoder, layers: Sequence[int] = ()) -> None:
        there = encoder.depth + 1
        if not all(-there <= layer < there for layer in layers):
            raise ConfigError(f"{encoder.name} has no layer {list(layers)}; it has 0 to {encoder.depth}")
        self._encoder = encoder
        self.layers = sorted({layer % there for layer in layers}) if layers else list(range(there))
        self.name, self.width = encoder.name, encoder.width
        self.sample_rate: int = encoder.sample_rate
        self.frame_rate: float | None = encoder.frame_rate
        self.digest = digest_of({"encoder": encoder.digest, "layers": self.layers}, {})

    def hear(self, clip: Audio) -> Float[Tensor, "N F"]:
        """Frames of the whole clip."""
        return self._encoder.features(clip, layers=self.layers)


class VoiceListener:
    """The voice of a clip, heard as a whole.

    Args:
        encoder: Frozen.
        name: In reports.
    """

    sample_rate: Final = 16_000
    frame_rate: Final = None

    def __init__(self, encoder: VoiceEncoder | EcapaTdnn | XVectorEncoder, name: str) -> None:
        self._encoder, self.name, self.width = encoder, name, int(encoder.width)
        known: dict[str, object] = {"voice": type(encoder).__name__}
        self._shortest = ecapa.SHORTEST
        if isinstance(encoder, XVectorEncoder):
            known["normalise"], self._shortest = encoder.normalise, encoder.shortest
        self.digest = digest_of(known, encoder.state_dict())

    def hear(self, clip: Audio) -> Float[Tensor, " F"]:
        """The vector as the encoder gives it.

        Raises:
            AudioError: The clip is shorter than 0.2 s, or 0.5 s for x-vectors.
        """
        samples = torch.from_numpy(clip.resample(self.sample_rate).samples)[None]
        if samples.shape[1] < self._shortest:
            raise AudioError(f"{samples.shape[1] / self.sample_rate:.2f} s are too short for a voice to be heard")
        with torch.no_grad():
            return self._encoder(raise_level(samples) if isinstance(self._encoder, VoiceEncoder) else samples)[0]


def find_frames(name: str, layers: Sequence[int] = ()) -> FrameListener:
    """A semantic teacher: HuBERT, WavLM, wav2vec 2.0 or the encoder of Whisper.

    Args:
        name: A folder, or a name on the hub, such as ``facebook/hubert-base-ls960``.
        layers: Whose mean is taken; all by default.

    Raises:
        CheckpointError: The model is not at hand, or of another kind.
        ConfigError: It has no such layer.
    """
    if any(Path(name).glob("encoder*.safetensors")):
        return FrameListener(WhisperEncoder.load(name), layers)
    try:
        from transformers import AutoConfig
    except ImportError as error:
        raise MissingDependencyError(f"{name}: needs transformers; run pip install 'vocable[hf]'") from error
    config = fetch(name, lambda place, local: AutoConfig.from_pretrained(place, local_files_only=local))
    if config.model_type == "whisper":
        return FrameListener(WhisperEncoder.load(name), layers)
    if config.model_type in KINDS:
        return FrameListener(HubertEncoder.load(name), layers)
    raise CheckpointError(f"{name}: is a {config.model_type}; a semantic teacher is a whisper, {', '.join(KINDS)}")


def find_voice(name: str) -> VoiceListener:
    """An acoustic teacher: ``resemblyzer``, ECAPA-TDNN, or a model of transformers with x-vectors.

    Args:
        name: ``resemblyzer``; a folder with SpeechBrain's ``embedding_model`` or with transformers' ``config.json``;
            or a name on the hub, where what is not SpeechBrain's is transformers'.

    Raises:
        CheckpointError: The model is not at hand, or of none of these kinds.
        MissingDependencyError: The wheel of resemblyzer, or transformers, is not installed.
    """
    if name == RESEMBLYZER:
        return VoiceListener(VoiceEncoder.pretrained(), RESEMBLYZER)
    there = Path(name)
    of_transformers = (
        (there / "config.json").is_file() and not any((there / file).is_file() for file in ecapa.FILES)
        if there.is_dir() else "/" in name and not name.startswith("speechbrain/")
    )  # fmt: skip
    encoder = XVectorEncoder.load(name) if of_transformers else EcapaTdnn.load(name)
    return VoiceListener(encoder, encoder.name)
