"""Scorers of quality: mean opinion scores predicted without a reference (DNSMOS, DistillMOS) and with one (ViSQOL)."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import ConfigError, MissingDependencyError
from vocable.evaluate.judges.base import SAMPLE_RATE, audible_samples, package_version
from vocable.features.distillmos import PACKAGE, DistillMos
from vocable.features.spectrogram import mel_filters
from vocable.metrics.quality import comparable
from vocable.metrics.score import Score, undefined

_SECONDS = 9.01  # input of DNSMOS's networks
_WINDOW, _HOP, _MELS = 321, 160, 120  # of P.808's spectra; the odd window is the package's
_SCALES = ("ovrl", "sig", "bak", "p808")
_CURVES = {  # polynomials from network outputs to opinions, highest power first: speechmos, dnsmos.py
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}
_VISQOL_SECONDS = 0.75  # shortest input of ViSQOL: a patch of 20 windows and the half before it last 0.66 s
_CACHED_SPECTROGRAMS = 64  # a recording is compared with one decoded clip after another


class DnsmosPredictor:
    """DNSMOS: a network that predicts mean opinion scores.

    ``p808`` is one overall score; ``sig``, ``bak`` and ``ovrl`` (P.835) rate the speech, the background and both.

    Never report it alone. It was trained on noise suppression: it detects noise, but not missing parts (speech without
    anything above 2 kHz passes), other words or another speaker.

    The networks are those of the ``speechmos`` wheel; the figures equal that package's. As there, clips shorter than
    9.01 s are repeated, and windows start a second apart. Samples outside [-1, 1] are clipped. ``p808`` costs 0.1 CPU
    seconds for a clip of 8 s; any of the other three costs 2 to 3.

    Args:
        scales: Names of the scores to predict.

    Attributes:
        name: Package and version.
        scales: Names of the predicted scores.

    Raises:
        ConfigError: If there is no such scale.

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
        self.name = f"speechmos-{package_version('speechmos', 'DNSMOS')}"
        self._p808 = _load_dnsmos("model_v8.onnx") if "p808" in scales else None
        self._p835 = _load_dnsmos("sig_bak_ovr.onnx") if set(scales) - {"p808"} else None

    def rate(self, clip: Audio) -> dict[str, float]:
        """Return opinions, 1 to 5, of a clip of any rate that lasts at least a quarter of a second."""
        samples = np.clip(audible_samples(clip, seconds=0.25), -1.0, 1.0)
        ratings: dict[str, list[float]] = {scale: [] for scale in self.scales}
        for window in _windows(samples):
            if self._p808 is not None:
                ratings["p808"].append(float(self._p808(_p808_mel(window[:-_HOP]))[0]))
            if self._p835 is not None:
                for scale, raw in zip(("sig", "bak", "ovrl"), self._p835(window), strict=True):
                    if scale in ratings:
                        ratings[scale].append(float(np.polyval(_CURVES[scale], raw)))
        return {scale: float(np.mean(values)) for scale, values in ratings.items()}


class DistillMosPredictor:
    """DistillMOS: a network that predicts one mean opinion score of speech, distilled from a model of 2 B weights.

    Never report it alone. It rates how natural and clean a voice sounds: other words, another speaker and a wrong
    melody pass. Means over tens of clips order systems; the score of one clip is uncertain by a third of a point.

    It was trained on speech with noise, codecs and transmission errors, in many languages. The level is not rated, and
    a clip under 7.68 s is rated with silence after it. It costs 0.4 CPU seconds for a clip of 8 s, and as much again
    for each further second.

    Attributes:
        name: Package and version.
        scales: Names of the predicted scores.

    Source:
        Stahl and Gamper, DistillMOS, arXiv:2502.05356.

    Example:
        >>> from vocable.testing import speechlike
        >>> 1 <= DistillMosPredictor().rate(speechlike(16_000))["distillmos"] <= 5
        True
    """

    scales = ("distillmos",)

    def __init__(self) -> None:
        self._network = DistillMos.pretrained()
        self.name = f"distillmos-{metadata.version(PACKAGE)}"

    def rate(self, clip: Audio) -> dict[str, float]:
        """Return the opinion, 1 to 5, of a clip of any rate that lasts at least a quarter of a second."""
        return {"distillmos": self._network.rate(torch.from_numpy(audible_samples(clip, seconds=0.25)))}


def _windows(samples: Float[ndarray, " T"]) -> list[Float[ndarray, " T_window"]]:
    """Return the package's windows; its arithmetic with 9.01 makes some a sample short, and it leaves these out."""
    size = int(_SECONDS * SAMPLE_RATE)
    while samples.size < size:
        samples = np.append(samples, samples)
    count = int(samples.size // SAMPLE_RATE - _SECONDS) + 1
    windows = [samples[at * SAMPLE_RATE : int((at + _SECONDS) * SAMPLE_RATE)] for at in range(count)]
    return [window for window in windows if window.size >= size]


def _p808_mel(samples: Float[ndarray, " T"]) -> Float[ndarray, "S mel"]:
    """Return log-mel spectra scaled to 1 at the peak and -1 at 80 dB under it."""
    padded = np.pad(samples, _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
    power = np.square(np.abs(np.fft.rfft(frames * hann.astype(np.float32))))
    filters = mel_filters(SAMPLE_RATE, 2 * _WINDOW, _MELS)[::2].numpy()  # every other bin of a transform twice as long
    level = 10 * np.log10(np.maximum(power @ filters, 1e-10))
    return ((np.maximum(level - level.max(), -80.0) + 40) / 40).astype(np.float32)


def _load_dnsmos(file: str) -> Callable[[Float[ndarray, "..."]], Float[ndarray, " values"]]:
    """Load a network of the package, on one thread, without importing the package (and with it librosa)."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError("DNSMOS needs onnxruntime; run pip install 'vocable[evaluate]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = Path(str(metadata.distribution("speechmos").locate_file("speechmos"))) / "dnsmos_models" / file
    session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda values: session.run(None, {"input_1": values[None]})[0][0]


def visqol(reference: Float[ndarray, " T"], decoded: Float[ndarray, " T_decoded"], sample_rate: int) -> Score:
    """Return ViSQOL v3 in speech mode: a predicted opinion, 1 to about 5; identity itself has 3.9 to 4.7.

    Patches of the recording are searched near their place in the decoded speech, and compared on a gammatone
    spectrogram up to 8 kHz. Words and speakers are not compared.

    Returns:
        A predicted opinion; undefined for silence, NaN, under 0.75 s, and if the recording has no speech.

    Raises:
        MissingDependencyError: If visqol-python, its lattice (ai-edge-litert) or numba is not installed. Without the
            lattice the package gives other figures, without numba it takes minutes per clip.

    Source:
        Chinen et al., ViSQOL v3, arXiv:2004.09584; package visqol-python, with the lattice of the C++ original.

    Example:
        >>> from vocable.testing import speechlike
        >>> clip = speechlike(32_000)
        >>> visqol(clip.samples, clip.samples, 16_000).value > 3.0
        True
    """
    manager, signal = _load_visqol()
    if min(reference.size, decoded.size) < _VISQOL_SECONDS * sample_rate:
        return undefined(f"shorter than {_VISQOL_SECONDS} s")
    pair = comparable(reference, decoded)
    if isinstance(pair, str):
        return undefined(pair)
    signals = []
    for samples in pair:
        peak = max(1.0, float(np.abs(samples).max()))
        resampled = Audio((samples / peak).astype(np.float32), sample_rate).resample(SAMPLE_RATE).samples
        signals.append(signal(resampled.astype(np.float64) * peak, SAMPLE_RATE))
    try:
        value = float(manager.run_from_signals(*signals).moslqo)
    except (ValueError, IndexError) as error:
        return undefined(f"no speech is found ({str(error).splitlines()[0]})")
    return Score(value) if math.isfinite(value) else undefined("no speech is found")


def visqol_name() -> str:
    """Return the package, its version, and the model that turns similarity into an opinion.

    Example:
        >>> visqol_name().startswith("visqol-python-")
        True
    """
    return f"visqol-python-{package_version('visqol-python', 'ViSQOL')}-lattice"


@lru_cache(maxsize=1)
def _load_visqol() -> tuple[Any, Any]:
    """Load the package's manager, once per process, and its class of a signal."""
    try:
        import ai_edge_litert  # noqa: F401
        import numba
        from visqol.audio_utils import AudioSignal
        from visqol.gammatone import GammatoneSpectrogramBuilder
        from visqol.patch_creator import RmsVad, VadPatchCreator
        from visqol.visqol_manager import VisqolManager
    except ImportError as error:
        raise MissingDependencyError(
            f"ViSQOL needs visqol-python with its lattice and numba ({error.name} is missing); "
            "run pip install 'vocable[evaluate]'"
        ) from error

    class Patches(VadPatchCreator):
        """Patches of the package, with a faster voice activity detection; its own took 0.3 s of 0.8 s per clip."""

        def _get_voice_activity(
            self, signal: Any, start_sample: int, total_samples: int, frame_len: int
        ) -> list[float]:
            samples = signal.data[start_sample : start_sample + total_samples] * 32768
            whole = np.trunc(np.clip(samples[: samples.size // frame_len * frame_len], -32768, 32767))
            vad = RmsVad()
            for chunk in whole.reshape(-1, frame_len):
                vad.process_chunk(chunk)
            return vad.get_vad_results()

    cache: dict[Any, Any] = {}

    class Spectrograms(GammatoneSpectrogramBuilder):
        """Spectrograms of the package, with a cache for the latest signals."""

        def build(self, signal: Any, window: Any) -> Any:
            key = (blake2b(np.ascontiguousarray(signal.data).tobytes()).digest(), signal.sample_rate, window.size)
            if key not in cache:
                while len(cache) >= _CACHED_SPECTROGRAMS:
                    del cache[next(iter(cache))]
                cache[key] = super().build(signal, window)
            return cache[key]

    numba.set_num_threads(1)
    manager: Any = VisqolManager()
    manager.init(use_speech_mode=True, use_lattice_model=True)
    manager.patch_creator = Patches(manager.patch_creator.patch_size)
    bank = manager.spect_builder.filter_bank
    manager.spect_builder = Spectrograms(bank.num_bands, bank.min_freq, speech_mode=True)
    return manager, AudioSignal
