"""Scorers of the voice: speaker encoders and a pitch tracker."""

from importlib import metadata

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import AudioError, MissingDependencyError
from vocable.evaluate.judges.base import SAMPLE_RATE, Pitch, audible_samples
from vocable.features.ecapa import EcapaTdnn
from vocable.features.ge2e import Ge2eEncoder, raise_level
from vocable.features.xvector import XVectorEncoder

_PITCH_HOP = 256  # samples
_MIN_CONFIDENCE = 0.5  # of a voiced frame, where SwiftF0 is calibrated
_MIN_HZ, _MAX_HZ = 50.0, 600.0  # range of speech; without bounds SwiftF0 tracks song up to 2094 Hz


class ResemblyzerEncoder:
    """GE2E speaker encoder of dimension 256. It works offline, as its weights are in the ``resemblyzer`` wheel.

    Quiet clips are raised to -30 dB of full scale before embedding, as in the package. Silences are not removed.

    Of the package, ``pip install --no-deps resemblyzer`` is enough.

    Args:
        device: Torch device of the network.

    Source:
        :class:`vocable.features.ge2e.Ge2eEncoder`.

    Example:
        >>> from vocable.testing import speechlike
        >>> encoder, clip = ResemblyzerEncoder(), speechlike(32_000)
        >>> embedding = encoder.embed(clip)
        >>> embedding.shape, round(float(embedding @ encoder.embed(clip.resample(24_000))), 2)
        ((256,), 1.0)
    """

    def __init__(self, device: str = "cpu") -> None:
        self._encoder = Ge2eEncoder.pretrained().to(device)
        self._device = device
        self.name = f"resemblyzer-{metadata.version('resemblyzer')}"

    def embed(self, clip: Audio) -> Float[ndarray, " V"]:
        """Return the speaker embedding, of length 1 and without negative values, so that no cosine is negative."""
        samples = torch.from_numpy(audible_samples(clip, seconds=0.1))[None].to(self._device)
        with torch.no_grad():  # inference mode would mark the windows that spectra() keeps
            embedding = self._encoder(raise_level(samples))[0].cpu().numpy()
        return _unit_length(embedding)


class TransformersSpeakerEncoder:
    """Speaker verification model with x-vectors, such as WavLM, UniSpeech-SAT, wav2vec 2.0 or HuBERT.

    Args:
        name: Hub name, such as ``microsoft/wavlm-base-plus-sv``, or a folder.
        device: Torch device of the network.

    Source:
        :class:`vocable.features.xvector.XVectorEncoder`.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        self._encoder = XVectorEncoder.load(name, device)
        self.name = self._encoder.name

    def embed(self, clip: Audio) -> Float[ndarray, " V"]:
        """Return the speaker embedding, of length 1."""
        samples = torch.from_numpy(audible_samples(clip, seconds=0.5))[None]
        return _unit_length(self._encoder(samples)[0].cpu().numpy())


class EcapaEncoder:
    """ECAPA-TDNN of dimension 192: weights of SpeechBrain in the network of vocable.

    Args:
        name: Hub name, or a folder with ``embedding_model.ckpt``.
        device: Torch device of the network.

    Source:
        :class:`vocable.features.ecapa.EcapaTdnn`.
    """

    def __init__(self, name: str = "speechbrain/spkrec-ecapa-voxceleb", device: str = "cpu") -> None:
        self._encoder, self._device = EcapaTdnn.load(name, device), device
        self.name = self._encoder.name

    def embed(self, clip: Audio) -> Float[ndarray, " V"]:
        """Return the speaker embedding, of length 1."""
        samples = torch.from_numpy(audible_samples(clip, seconds=0.2))[None].to(self._device)
        with torch.no_grad():
            return _unit_length(self._encoder(samples)[0].cpu().numpy())


def _unit_length(embedding: Float[ndarray, " V"]) -> Float[ndarray, " V"]:
    length = float(np.linalg.norm(embedding))
    if not np.isfinite(length) or length == 0.0:
        raise AudioError("no voice is heard")
    return embedding / np.float32(length)


class SwiftF0Tracker:
    """SwiftF0: a small convolutional network on spectra, 62.5 frames a second, one thread.

    It tracks pitches from 50 to 600 Hz, the range of speech. A silent clip has no voiced frame.

    Attributes:
        name: Package and version.

    Source:
        Nieradzik, SwiftF0: Fast and Accurate Monophonic Pitch Detection, arXiv:2508.18440; package swift-f0 (MIT).

    Example:
        >>> phase = 2 * np.pi * 200 * np.arange(16_000) / 16_000
        >>> pitch = SwiftF0Tracker().track(Audio(0.3 * np.sin(phase) + 0.3 * np.sin(2 * phase), 16_000))
        >>> round(float(np.median(pitch.hz[pitch.voiced]))), pitch.hop
        (200, 0.016)
    """

    def __init__(self) -> None:
        try:
            from swift_f0 import SwiftF0
        except ImportError as error:
            raise MissingDependencyError("pitch needs swift-f0; run pip install 'vocable[evaluate]'") from error
        self.name = f"swift-f0-{metadata.version('swift-f0')}"
        self._detector = SwiftF0(threads=1, spin=False)

    def track(self, clip: Audio) -> Pitch:
        """Track the pitch of a clip of any rate and length; frame ``n`` is centered on ``n * hop`` seconds."""
        result = self._detector.detect(clip.resample(SAMPLE_RATE).samples, SAMPLE_RATE, fmin=_MIN_HZ, fmax=_MAX_HZ)
        voiced = result.confidence >= _MIN_CONFIDENCE
        return Pitch(hz=np.where(voiced, result.pitch_hz, 0.0), voiced=voiced, hop=_PITCH_HOP / SAMPLE_RATE)
