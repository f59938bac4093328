"""Vocoders: from mel spectra to waveforms."""

from vocable.vocoders.base import MelSpec, Vocoder, VoiceConfig
from vocable.vocoders.find import find_vocoder
from vocable.vocoders.griffin_lim import GriffinLim
from vocable.vocoders.istft import IstftVocoder

__all__ = ["GriffinLim", "IstftVocoder", "MelSpec", "Vocoder", "VoiceConfig", "find_vocoder"]
