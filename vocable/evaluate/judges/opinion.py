"""How good, with nothing to compare with: mean opinion scores as people would give them."""

from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import ConfigError, MissingDependencyError
from vocable.evaluate.judges.base import audible
from vocable.features.spectrogram import mel_filters

_RATE = 16_000  # Hz
_SECONDS = 9.01  # that the networks hear at a time
_WINDOW, _HOP, _MELS = 321, 160, 120  # of P.808's spectra; the odd window is the package's
_SCALES = ("ovrl", "sig", "bak", "p808")
_CURVES = {  # from what the network says to opinions, highest power first: speechmos, dnsmos.py
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}


class DnsmosPredictor:
    """DNSMOS: quality as a network predicts it.

    ``p808`` is one figure for all; ``sig``, ``bak`` and ``ovrl`` (P.835) are the speech, the background and both.

    Never use it alone. It was trained on noise suppression: it hears noise and not what is missing (speech without
    anything above 2 kHz passes), nor other words, nor another speaker.

    The networks are those in the ``speechmos`` wheel; the figures equal that package's. As there, clips shorter than
    9.01 s are repeated, and windows lie a second apart. Samples outside [-1, 1] are clipped. ``p808`` costs 0.1 CPU
    seconds for a clip of 8 s; any of the other three costs 2 to 3.

    Args:
        scales: Which are wanted.

    Attributes:
        name: Package and version.
        scales: Which it gives.

    Raises:
        ConfigError: There is no such scale.
        MissingDependencyError: onnxruntime or speechmos is not installed.

    Source:
        Reddy et al., DNSMOS, arXiv:2010.15258, and DNSMOS P.835, arXiv:2110.01763.

    Example:
        >>> from vocable.testing import speechlike
        >>> sorted(DnsmosPredictor(("p808",)).rate(speechlike(16_000)))
        ['p808']
    """

    def __init__(self, scales: Sequence[str] = _SCALES) -> None:
        unknown = [scale for scale in scales if scale not in _SCALES]
        if unknown or not scales:
            raise ConfigError(f"'{', '.join(unknown)}' is no scale of DNSMOS; there are {', '.join(_SCALES)}")
        self.scales = tuple(scales)
        self.name = f"speechmos-{_version()}"
        self._p808 = _session("model_v8.onnx") if "p808" in scales else None
        self._p835 = _session("sig_bak_ovr.onnx") if set(scales) - {"p808"} else None

    def rate(self, clip: Audio) -> dict[str, float]:
        """Opinions, 1 to 5, of a clip of any rate and at least a quarter of a second."""
        samples = np.clip(audible(clip, _RATE, seconds=0.25), -1.0, 1.0)
        said: dict[str, list[float]] = {scale: [] for scale in self.scales}
        for window in _windows(samples):
            if self._p808 is not None:
                said["p808"].append(float(self._p808(_p808_mel(window[:-_HOP]))[0]))
            if self._p835 is not None:
                for scale, raw in zip(("sig", "bak", "ovrl"), self._p835(window), strict=True):
                    if scale in said:
                        said[scale].append(float(np.polyval(_CURVES[scale], raw)))
        return {scale: float(np.mean(values)) for scale, values in said.items()}


def _windows(samples: Float[ndarray, " T"]) -> list[Float[ndarray, " T_window"]]:
    """The windows of the package, with what its arithmetic makes of 9.01: some are a sample short and left out."""
    size = int(_SECONDS * _RATE)
    while samples.size < size:
        samples = np.append(samples, samples)
    count = int(samples.size // _RATE - _SECONDS) + 1
    windows = [samples[at * _RATE : int((at + _SECONDS) * _RATE)] for at in range(count)]
    return [window for window in windows if window.size >= size]


def _p808_mel(samples: Float[ndarray, " T"]) -> Float[ndarray, "S mel"]:
    """Log-mel spectra, 1 at the loudest, -1 at 80 dB under it."""
    padded = np.pad(samples, _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
    power = np.square(np.abs(np.fft.rfft(frames * hann.astype(np.float32))))
    filters = mel_filters(_RATE, 2 * _WINDOW, _MELS)[::2].numpy()  # every other bin of a transform twice as long
    level = 10 * np.log10(np.maximum(power @ filters, 1e-10))
    return ((np.maximum(level - level.max(), -80.0) + 40) / 40).astype(np.float32)


def _version() -> str:
    try:
        return metadata.version("speechmos")
    except metadata.PackageNotFoundError as error:
        raise MissingDependencyError("DNSMOS needs speechmos; run pip install 'vocable[evaluate]'") from error


def _session(file: str) -> Callable[[Float[ndarray, "..."]], Float[ndarray, " values"]]:
    """One network of the package, on one thread, without importing the package (and with it librosa)."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError("DNSMOS needs onnxruntime; run pip install 'vocable[evaluate]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = Path(str(metadata.distribution("speechmos").locate_file("speechmos"))) / "dnsmos_models" / file
    session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda values: session.run(None, {"input_1": values[None]})[0][0]
