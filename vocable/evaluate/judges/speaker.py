"""Who speaks: voices as vectors, compared by their cosine."""

from importlib import metadata

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import AudioError
from vocable.evaluate.judges.base import audible
from vocable.features.ecapa import EcapaTdnn
from vocable.features.voice import Ge2eEncoder, raise_level
from vocable.features.xvector import XVectorEncoder

_RATE = 16_000  # Hz, of all three


class ResemblyzerEncoder:
    """GE2E speaker encoder, 256 numbers: offline, as its weights lie in the ``resemblyzer`` wheel.

    Quiet clips are raised to -30 dB of full scale as the package does before it embeds; silences are not cut out.

    Args:
        device: Where the network runs.

    Raises:
        MissingDependencyError: The wheel is not installed (``pip install --no-deps resemblyzer`` is enough).
        CheckpointError: Its weights have changed.

    Source:
        :class:`vocable.features.voice.Ge2eEncoder`.

    Example:
        >>> from vocable.testing import speechlike
        >>> encoder, clip = ResemblyzerEncoder(), speechlike(32_000)
        >>> voice = encoder.embed(clip)
        >>> voice.shape, round(float(voice @ encoder.embed(clip.resample(24_000))), 2)
        ((256,), 1.0)
    """

    def __init__(self, device: str = "cpu") -> None:
        self._encoder = Ge2eEncoder.pretrained().to(device)
        self._device = device
        self.name = f"resemblyzer-{metadata.version('resemblyzer')}"

    def embed(self, clip: Audio) -> Float[ndarray, " V"]:
        """The voice as a vector of length 1; all its numbers are 0 or more, so that no cosine is negative."""
        samples = torch.from_numpy(audible(clip, _RATE, seconds=0.1))[None].to(self._device)
        with torch.no_grad():  # inference mode would mark the windows that spectra() keeps
            voice = self._encoder(raise_level(samples))[0].cpu().numpy()
        return _checked(voice)


class TransformersSpeakerEncoder:
    """A speaker verification model with x-vectors: WavLM, UniSpeech-SAT, wav2vec 2.0, HuBERT's kin.

    Args:
        name: On the hub, such as ``microsoft/wavlm-base-plus-sv``, or a folder.
        device: Where the network runs.

    Raises:
        MissingDependencyError: transformers is not installed.
        CheckpointError: The model is not at hand, or has no head for speakers.

    Source:
        :class:`vocable.features.xvector.XVectorEncoder`.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        self._encoder = XVectorEncoder.load(name, device)
        self.name = self._encoder.name

    def embed(self, clip: Audio) -> Float[ndarray, " V"]:
        """The voice as a vector of length 1."""
        samples = torch.from_numpy(audible(clip, _RATE, seconds=0.5))[None]
        return _checked(self._encoder(samples)[0].cpu().numpy())


class EcapaEncoder:
    """ECAPA-TDNN, 192 numbers: SpeechBrain's weights in our own network.

    Args:
        name: On the hub, or a folder with ``embedding_model.ckpt``.
        device: Where the network runs.

    Raises:
        CheckpointError: The model is not at hand, or is no ECAPA-TDNN.

    Source:
        :class:`vocable.features.ecapa.EcapaTdnn`.
    """

    def __init__(self, name: str = "speechbrain/spkrec-ecapa-voxceleb", device: str = "cpu") -> None:
        self._encoder, self._device = EcapaTdnn.load(name, device), device
        self.name = self._encoder.name

    def embed(self, clip: Audio) -> Float[ndarray, " V"]:
        """The voice as a vector of length 1."""
        samples = torch.from_numpy(audible(clip, _RATE, seconds=0.2))[None].to(self._device)
        with torch.no_grad():
            return _checked(self._encoder(samples)[0].cpu().numpy())


def _checked(voice: Float[ndarray, " V"]) -> Float[ndarray, " V"]:
    length = float(np.linalg.norm(voice))
    if not np.isfinite(length) or length == 0.0:
        raise AudioError("no voice is heard")
    return voice / np.float32(length)
