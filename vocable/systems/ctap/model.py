"""The networks of VQ-CTAP with one state, and what was measured of the speech they learnt from."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.nn.voice import VoiceEncoder
from vocable.quantizers import FiniteScalarQuantizer, VectorQuantizer
from vocable.quantizers.codebook import EmaCodebook, GradientCodebook
from vocable.systems.ctap.config import CtapConfig, DiffusionConfig, TranscoderConfig
from vocable.systems.ctap.diffusion import Diffusion
from vocable.systems.ctap.long_term import brought_to, long_term
from vocable.systems.ctap.networks import PhonemeDecoder, PhonemeEncoder, SpeechDecoder, SpeechEncoder
from vocable.vocoders.scaled import SpectraModel, middle_of

SHARPEST = 100.0  # the largest factor of the similarities, as in CLIP
_LONGEST = 400  # spectra that a phoneme may last


class Transcoder(nn.Module):
    """Speech and phonemes into one space and out of it.

    Args:
        config: Of the whole system.

    Attributes:
        sharpness: Logarithm of the factor τ of the similarities: logits are τ · S · Pᵀ / √D.
    """

    def __init__(self, config: CtapConfig) -> None:
        super().__init__()
        sizes, bins, phonemes = config.transcoder, config.mel.bins, len(config.phonemes)
        self.speech_encoder = SpeechEncoder(sizes, bins)
        self.phoneme_encoder = PhonemeEncoder(sizes, phonemes)
        self.voice_encoder = VoiceEncoder(bins=bins, channels=sizes.voice_channels, width=sizes.voice_width)
        self.quantizer = _quantizer(sizes)
        self.speech_decoder = SpeechDecoder(sizes, bins)
        self.phoneme_decoder = PhonemeDecoder(sizes, phonemes)
        self.sharpness = nn.Parameter(torch.zeros(()))

    def scale(self) -> Float[Tensor, ""]:
        """τ / √D; τ is brought back to :data:`SHARPEST` where a step took it further."""
        with torch.no_grad():  # the parameter and not its use, as in CLIP: its gradient can then lower it again
            self.sharpness.clamp_(max=math.log(SHARPEST))
        return self.sharpness.exp() / math.sqrt(self.quantizer.dim)


class Durations(nn.Module):
    """How long each phoneme of a sequence lasts.

    Args:
        config: Of the diffusion.
        phonemes: In the inventory.
        voice: Width V of a voice.

    Attributes:
        usual: Mean and standard deviation of the logarithm of durations, in spectra.
    """

    usual: Float[Tensor, "2"]

    def __init__(self, config: DiffusionConfig, phonemes: int, voice: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(phonemes, config.channels)
        self.diffusion = Diffusion(config, width=1, condition=config.channels, voice=voice)
        self.register_buffer("usual", torch.tensor([2.0, 0.6]))

    def loss(
        self, phonemes: Int[Tensor, "B L"], spectra: Int[Tensor, "B L"], voice: Float[Tensor, "B V"],
        mask: Bool[Tensor, "B L"], counted: Bool[Tensor, "B L"],
    ) -> Float[Tensor, ""]:  # fmt: skip
        """Of durations in spectra: what telling those that count costs."""
        clean = (spectra.clamp(min=1).float().log() - self.usual[0]) / self.usual[1]
        return self.diffusion.loss(clean[..., None], self.embedding(phonemes), voice, mask, counted)

    @torch.no_grad()
    def sample(
        self, phonemes: Int[Tensor, " L"], voice: Float[Tensor, "1 V"], seed: int, temperature: float = 1.0
    ) -> Float[Tensor, " L"]:
        """Durations in spectra, each at least 1."""
        mask = torch.ones(1, len(phonemes), dtype=torch.bool, device=phonemes.device)
        drawn = self.diffusion.sample(
            self.embedding(phonemes[None]), voice, mask, seeds=[seed], temperature=temperature
        )[0, :, 0]
        return (self.usual[0] + self.usual[1] * drawn).exp().clamp(1.0, _LONGEST)


class CtapModel(SpectraModel):
    """Everything that is trained, and the scale of its spectra.

    Args:
        config: Sizes.

    Attributes:
        trained: How many steps connector and durations have learnt; without any, there is no speech from text.

    Example:
        >>> from vocable.systems.ctap import recipe as ctap
        >>> model = CtapModel(ctap.tiny().model)
        >>> model.frames(torch.zeros(1, 64 * 4 * 5)).shape
        torch.Size([1, 20, 32])
    """

    trained: Tensor

    def __init__(self, config: CtapConfig) -> None:
        super().__init__(config.mel)
        self.config = config
        sizes = config.transcoder
        self.transcoder = Transcoder(config)
        self.connector = Diffusion(
            config.connector, width=sizes.latent_width, condition=sizes.latent_width, voice=sizes.voice_width
        )
        self.durations = Durations(config.durations, len(config.phonemes), sizes.voice_width)
        self.register_buffer("trained", torch.zeros((), dtype=torch.int64))

    def heard(self, frames: Float[Tensor, "B S F"]) -> Float[Tensor, "B S_voice F"]:
        """The middle of some speech, as long as a voice is heard from; shorter speech is repeated."""
        return middle_of(frames, self.config.transcoder.voice_frames)

    def voice(self, frames: Float[Tensor, "B S F"]) -> Float[Tensor, "B V"]:
        """The voice in spectra as :meth:`heard` takes them: the encoder's mean, then the long-term average spectrum."""
        mean, _ = self.transcoder.voice_encoder(frames)
        return torch.cat([mean, self.average(frames)], dim=1)

    def average(self, frames: Float[Tensor, "B S F"]) -> Float[Tensor, "B A"]:
        """The long-term average spectrum of a voice; nothing where the model keeps none."""
        if not self.config.transcoder.centred:
            return frames.new_zeros(len(frames), 0)
        return long_term(frames, torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device))

    def averaged(
        self, frames: Float[Tensor, "B S F"], real: Bool[Tensor, "B S"], average: Float[Tensor, "B A"]
    ) -> Float[Tensor, "B S F"]:
        """What the decoder makes of whole clips, with the long-term average spectrum of a voice."""
        return brought_to(frames, real, average) if self.config.transcoder.centred else frames


def _quantizer(sizes: TranscoderConfig) -> VectorQuantizer | FiniteScalarQuantizer:
    if sizes.codebook == "fsq":
        return FiniteScalarQuantizer(levels=sizes.fsq_levels, dim=sizes.latent_width)
    kind = EmaCodebook if sizes.codebook == "ema" else GradientCodebook
    return VectorQuantizer(codebook_size=sizes.codebook_size, dim=sizes.latent_width, codebook=kind)
