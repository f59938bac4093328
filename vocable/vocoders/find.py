"""Vocoders by name."""

from pathlib import Path

from vocable.errors import ConfigError
from vocable.files import folder_exists
from vocable.folder import bundled
from vocable.train import checkpoint
from vocable.vocoders.base import MelSpec, Vocoder
from vocable.vocoders.griffin_lim import GriffinLim
from vocable.vocoders.istft import SYSTEM, IstftVocoder


def find_vocoder(name: str | None, spec: MelSpec) -> Vocoder:
    """Return a vocoder for some mel spectra.

    Args:
        name: ``griffin-lim``, the name of a bundled vocoder, a vocoder's folder, or a run's folder (its newest
            checkpoint is taken). None takes the bundled vocoder for these spectra, or Griffin-Lim if there is none.
        spec: Spec of the spectra.

    Raises:
        ConfigError: If there is no such vocoder, or it takes other spectra.
        CheckpointError: If its files are missing, altered or of another version.

    Example:
        >>> [find_vocoder(None, MelSpec(sample_rate=8_000, n_fft=384, hop=hop, bins=64)).name for hop in (96, 128)]
        ['istft-8k', 'griffin-lim']
    """
    folders = bundled(SYSTEM)
    if name is None:
        vocoders = (IstftVocoder.load(folder) for folder in folders.values())
        return next((vocoder for vocoder in vocoders if vocoder.spec == spec), None) or GriffinLim(spec)
    if name == GriffinLim.name:
        return GriffinLim(spec)
    folder = folders.get(name, Path(name))
    if not folder_exists(folder):
        raise ConfigError(
            f"there is no vocoder '{name}'; give a folder, or one of: {', '.join([GriffinLim.name, *folders])}"
        )
    newest = checkpoint.steps(folder / "checkpoints")
    vocoder = IstftVocoder.load(newest[-1] if newest else folder)
    if vocoder.spec != spec:
        raise ConfigError(
            f"vocoder '{name}' takes {vocoder.spec}, these spectra are {spec}; take another, or griffin-lim"
        )
    return vocoder
