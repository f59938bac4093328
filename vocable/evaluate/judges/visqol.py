"""How good, compared with the recording, as ViSQOL judges speech."""

import math
from functools import lru_cache
from hashlib import blake2b
from importlib import metadata
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import MissingDependencyError
from vocable.metrics.score import Score, undefined

_RATE = 16_000  # Hz, of speech mode
_SILENCE = 2.0**-24  # of full scale: less than one step of 24-bit audio
_SECONDS = 0.75  # a patch of 20 windows and the half before it: 0.66 s
_SPECTROGRAMS = 64  # kept: a recording is compared with one made from it after the other


def visqol(reference: Float[ndarray, " T"], made: Float[ndarray, " T_made"], sample_rate: int) -> Score:
    """ViSQOL v3 in speech mode: predicted opinion, 1 to about 5; identity itself has 3.9 to 4.7.

    Patches of the recording are looked for near their place in the speech made again, and compared on a gammatone
    spectrogram up to 8 kHz. It compares no words and no voices.

    Args:
        reference: The recording.
        made: The speech made again; both are cut to the shorter.
        sample_rate: Of both, in Hz; resampled to 16 kHz.

    Returns:
        Undefined for silence, NaN, under 0.75 s, and where the recording has no speech.

    Raises:
        MissingDependencyError: visqol-python, its lattice (ai-edge-litert) or numba is not installed. Without the
            lattice the package gives other figures, without numba it takes minutes a clip.

    Source:
        Chinen et al., ViSQOL v3, arXiv:2004.09584; package visqol-python, with the lattice of the C++ original.

    Example:
        >>> from vocable.testing import speechlike
        >>> clip = speechlike(32_000)
        >>> visqol(clip.samples, clip.samples, 16_000).value > 3.0
        True
    """
    manager, signal = _manager()
    length = min(reference.size, made.size)
    if length < _SECONDS * sample_rate:
        return undefined(f"shorter than {_SECONDS} s")
    signals = []
    for name, samples in (("the recording", reference[:length]), ("the speech made again", made[:length])):
        if not np.isfinite(samples).all():
            return undefined(f"{name} holds NaN or infinity")
        if np.ptp(samples) < _SILENCE:
            return undefined(f"{name} is silent")
        peak = max(1.0, float(np.abs(samples).max()))
        resampled = Audio((samples / peak).astype(np.float32), sample_rate).resample(_RATE).samples
        signals.append(signal(resampled.astype(np.float64) * peak, _RATE))
    try:
        value = float(manager.run_from_signals(*signals).moslqo)
    except (ValueError, IndexError) as error:
        return undefined(f"no speech is found ({str(error).splitlines()[0]})")
    return Score(value) if math.isfinite(value) else undefined("no speech is found")


def visqol_name() -> str:
    """Package, version, and what turns similarity into an opinion.

    Example:
        >>> visqol_name().startswith("visqol-python-")
        True
    """
    return f"visqol-python-{_version()}-lattice"


def _version() -> str:
    try:
        return metadata.version("visqol-python")
    except metadata.PackageNotFoundError as error:
        raise MissingDependencyError("ViSQOL needs visqol-python; run pip install 'vocable[evaluate]'") from error


@lru_cache(maxsize=1)
def _manager() -> tuple[Any, Any]:
    """The package's machinery, loaded once a process, and its record of a signal."""
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
        """The package's patches; it looks for speech sample by sample, which took 0.3 s of 0.8 s a clip."""

        def _get_voice_activity(
            self, signal: Any, start_sample: int, total_samples: int, frame_len: int
        ) -> list[float]:
            samples = signal.data[start_sample : start_sample + total_samples] * 32768
            whole = np.trunc(np.clip(samples[: samples.size // frame_len * frame_len], -32768, 32767))
            vad = RmsVad()
            for chunk in whole.reshape(-1, frame_len):
                vad.process_chunk(chunk)
            return vad.get_vad_results()

    kept: dict[Any, Any] = {}

    class Spectrograms(GammatoneSpectrogramBuilder):
        """The package's spectrograms, those of the latest signals kept."""

        def build(self, signal: Any, window: Any) -> Any:
            key = (blake2b(np.ascontiguousarray(signal.data).tobytes()).digest(), signal.sample_rate, window.size)
            if key not in kept:
                while len(kept) >= _SPECTROGRAMS:
                    del kept[next(iter(kept))]
                kept[key] = super().build(signal, window)
            return kept[key]

    numba.set_num_threads(1)
    manager: Any = VisqolManager()
    manager.init(use_speech_mode=True, use_lattice_model=True)
    manager.patch_creator = Patches(manager.patch_creator.patch_size)
    bank = manager.spect_builder.filter_bank
    manager.spect_builder = Spectrograms(bank.num_bands, bank.min_freq, speech_mode=True)
    return manager, AudioSignal
