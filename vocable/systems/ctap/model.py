"""All networks of VQ-CTAP in one module, with the scale of the spectra and of the durations."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vocable.nn.voice import VoiceEncoder
from vocable.quantizers import FiniteScalarQuantizer, VectorQuantizer
from vocable.quantizers.codebook import EmaCodebook, GradientCodebook
from vocable.systems.ctap.config import CtapConfig, TranscoderConfig
from vocable.systems.ctap.diffusion import Diffusion, DurationDiffusion
from vocable.systems.ctap.networks import (
    PhonemeDecoder,
    PhonemeEncoder,
    SpeechDecoder,
    SpeechEncoder,
    long_term_spectrum,
    match_long_term_spectrum,
)
from vocable.systems.voiced import VoicedModel

MAX_LOGIT_SCALE = 100.0
"""Largest factor of the similarities, as in CLIP."""


class Transcoder(nn.Module):
    """Encoders of speech and phonemes into one space, its codebook, and decoders from it.

    Args:
        config: Configuration of the whole system.

    Attributes:
        logit_scale: Natural logarithm of the factor τ of the similarities: logits are τ · S · Pᵀ / √D.
    """

    def __init__(self, config: CtapConfig) -> None:
        super().__init__()
        sizes, bins, phonemes = config.transcoder, config.mel.bins, len(config.phonemes)
        self.speech_encoder = SpeechEncoder(sizes, bins)
        self.phoneme_encoder = PhonemeEncoder(sizes, phonemes)
        self.voice_encoder = VoiceEncoder(bins=bins, channels=sizes.voice.channels, width=sizes.voice.width)
        self.quantizer = _build_quantizer(sizes)
        self.speech_decoder = SpeechDecoder(sizes, bins)
        self.phoneme_decoder = PhonemeDecoder(sizes, phonemes)
        self.logit_scale = nn.Parameter(torch.zeros(()))

    def similarity_scale(self) -> Float[Tensor, ""]:
        """Clamp τ to :data:`MAX_LOGIT_SCALE` and return τ / √D."""
        with torch.no_grad():  # the parameter, not its use, as in CLIP: its gradient can then lower it again
            self.logit_scale.clamp_(max=math.log(MAX_LOGIT_SCALE))
        return self.logit_scale.exp() / math.sqrt(self.quantizer.dim)


class CtapModel(VoicedModel):
    """All trained networks of VQ-CTAP.

    Args:
        config: Configuration.

    Attributes:
        trained: Number of steps that connector and durations were trained; text to speech needs at least one.

    Example:
        >>> from vocable.systems.ctap import recipe as ctap
        >>> model = CtapModel(ctap.tiny().model)
        >>> model.frames(torch.zeros(1, 64 * 4 * 5)).shape
        torch.Size([1, 20, 32])
    """

    trained: Tensor

    def __init__(self, config: CtapConfig) -> None:
        super().__init__(config.mel, config.voice)
        self.config = config
        latent_width, voice_width = config.transcoder.latent_width, config.voice.width
        self.transcoder = Transcoder(config)
        self.connector = Diffusion(config.connector, width=latent_width, condition=latent_width, voice=voice_width)
        self.durations = DurationDiffusion(config.durations, len(config.phonemes), voice_width)
        self.register_buffer("trained", torch.zeros((), dtype=torch.int64))

    def embed_voice(self, frames: Float[Tensor, "B S F"]) -> Float[Tensor, "B V"]:
        """Return the learned voice embedding, then the long-term average spectrum where the model uses it."""
        mean, _ = self.transcoder.voice_encoder(frames)
        return torch.cat([mean, self.average_spectrum(frames)], dim=1)

    def average_spectrum(self, frames: Float[Tensor, "B S F"]) -> Float[Tensor, "B A"]:
        """Return the long-term average spectrum of a voice; A is 0 where the model does not use it."""
        if not self.config.transcoder.instance_norm:
            return frames.new_zeros(len(frames), 0)
        return long_term_spectrum(frames, torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device))

    def match_spectrum(
        self, frames: Float[Tensor, "B S F"], mask: Bool[Tensor, "B S"], average: Float[Tensor, "B A"]
    ) -> Float[Tensor, "B S F"]:
        """Give decoded spectra of whole clips the long-term average spectrum of a voice, where the model uses it."""
        return match_long_term_spectrum(frames, mask, average) if self.config.transcoder.instance_norm else frames


def _build_quantizer(sizes: TranscoderConfig) -> VectorQuantizer | FiniteScalarQuantizer:
    if sizes.codebook.kind == "fsq":
        return FiniteScalarQuantizer(levels=sizes.codebook.fsq_levels, dim=sizes.latent_width)
    kind = EmaCodebook if sizes.codebook.kind == "ema" else GradientCodebook
    return VectorQuantizer(codebook_size=sizes.codebook.size, dim=sizes.latent_width, codebook=kind)
