"""How high: fundamental frequency."""

from importlib import metadata

import numpy as np

from vocable.audio import Audio
from vocable.errors import MissingDependencyError
from vocable.evaluate.judges.base import Pitch

_RATE = 16_000  # Hz
_HOP = 256  # samples
_VOICED = 0.5  # confidence, where SwiftF0 is calibrated
_LOW, _HIGH = 50.0, 600.0  # Hz: speech; without bounds it goes up to 2094 Hz, which is song


class SwiftF0Tracker:
    """SwiftF0: a small convolutional network on spectra, 62.5 frames a second, one thread.

    Pitches from 50 to 600 Hz: what a voice speaks at. A clip that is silent has no voiced frame.

    Attributes:
        name: Package and version.

    Raises:
        MissingDependencyError: swift-f0 is not installed.

    Source:
        Nieradzik, SwiftF0: Fast and Accurate Monophonic Pitch Detection, arXiv:2508.18440; package swift-f0 (MIT).

    Example:
        >>> phase = 2 * np.pi * 200 * np.arange(16_000) / 16_000
        >>> heard = SwiftF0Tracker().track(Audio(0.3 * np.sin(phase) + 0.3 * np.sin(2 * phase), 16_000))
        >>> round(float(np.median(heard.hz[heard.voiced]))), heard.hop
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
        """Pitch of a clip of any rate and length; frame ``n`` is centred on ``n * hop`` seconds."""
        heard = self._detector.detect(clip.resample(_RATE).samples, _RATE, fmin=_LOW, fmax=_HIGH)
        voiced = heard.confidence >= _VOICED
        return Pitch(hz=np.where(voiced, heard.pitch_hz, 0.0), voiced=voiced, hop=_HOP / _RATE)
