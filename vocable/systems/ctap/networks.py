"""Networks of VQ-CTAP: encoders of speech and phonemes into one space, decoders from it, average spectra.

Batches hold windows of equal length. Their ``mask`` (B, N) is True on real tokens; nothing after a clip's end is read.
A token has S / N = ``config.reduction`` scaled mel spectra.
"""

import math
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.nn.transformer import TransformerBlock, sinusoidal_embedding
from vocable.nn.upsampler import Upsampler
from vocable.nn.voice import VoiceEncoder
from vocable.quantizers import FiniteScalarQuantizer, VectorQuantizer
from vocable.quantizers.codebook import EmaCodebook, GradientCodebook
from vocable.systems.ctap.config import CtapConfig, TranscoderConfig
from vocable.systems.ctap.diffusion import Diffusion, DurationDiffusion
from vocable.systems.voiced import VoicedModel

MAX_LOGIT_SCALE = 100.0
"""Largest factor of the similarities, as in CLIP."""

_MAX_OFFSET = 512  # exclusive upper bound of the position at which a window begins in training
_MIN_WINDOW_STD = 0.2  # corpus standard deviations: instance normalization must not amplify a window of silence
_LOUD_SHARE = 0.7  # share of a clip's spectra that count as speech; the share of pauses differs from clip to clip
_MIN_FILTER_STD = 0.1  # corpus standard deviations: a steady sound must not be amplified


class SpeechEncoder(nn.Module):
    """Encoder of mel spectra into the common space, one vector for each token.

    Two strided convolutions and sinusoidal positions as in Whisper, transformer blocks, a linear layer, a layer norm.

    Args:
        config: Sizes of the transcoder.
        bins: Number of mel filters F.

    Source:
        VQ-CTAP, arXiv:2408.05758: 2 convolutions, 6 transformer layers, linear, 256; kernels as in Whisper,
        arXiv:2212.04356, whose layout its authors' later code follows.

    Example:
        >>> from vocable.systems.ctap import recipe as ctap
        >>> encoder = SpeechEncoder(ctap.tiny().model.transcoder, bins=80)
        >>> encoder(torch.zeros(2, 12, 80), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 3, 32])
    """

    def __init__(self, config: TranscoderConfig, bins: int) -> None:
        super().__init__()
        first, second = config.strides
        self.stride, self.instance_norm = first, config.instance_norm
        self.conv1, self.conv2 = _strided(bins, config.width, first), _strided(config.width, config.width, second)
        self.blocks = _blocks(config.speech_blocks, config.width, config.feedforward, config)
        self.out_proj = nn.Sequential(nn.Linear(config.width, config.latent_width), nn.LayerNorm(config.latent_width))

    def forward(self, frames: Float[Tensor, "B S F"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """Encode the spectra of whole windows."""
        reduction = frames.shape[1] // mask.shape[1]
        frames = _normalize_window(frames, mask, reduction) if self.instance_norm else frames
        hidden = torch.nn.functional.gelu(self.conv1(_mask_frames(frames, mask, reduction).transpose(1, 2)))
        halfway = _mask_frames(hidden.transpose(1, 2), mask, reduction // self.stride).transpose(1, 2)
        hidden = torch.nn.functional.gelu(self.conv2(halfway)).transpose(1, 2)
        return self.out_proj(_apply_blocks(self.blocks, hidden, mask))


class PhonemeEncoder(nn.Module):
    """Encoder of phonemes, one for each spectrum, into the common space.

    Args:
        config: Sizes of the transcoder.
        phonemes: Number of phonemes in the inventory.

    Source:
        VQ-CTAP: 1 convolution, 4 transformer layers, linear, 256. The convolution reduces as much as the speech
        encoder's two. Its kernel is a little wider than its stride, so that it covers every spectrum.

    Example:
        >>> from vocable.systems.ctap import recipe as ctap
        >>> encoder = PhonemeEncoder(ctap.tiny().model.transcoder, phonemes=40)
        >>> encoder(torch.zeros(2, 12, dtype=torch.int64), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 3, 32])
    """

    def __init__(self, config: TranscoderConfig, phonemes: int) -> None:
        super().__init__()
        kernel = config.reduction + 1 - config.reduction % 2
        self.embedding = nn.Embedding(phonemes, config.width)
        self.conv = nn.Conv1d(config.width, config.width, kernel, config.reduction, padding=kernel // 2)
        self.blocks = _blocks(config.phoneme_blocks, config.width, config.feedforward, config)
        self.out_proj = nn.Sequential(nn.Linear(config.width, config.latent_width), nn.LayerNorm(config.latent_width))

    def forward(self, phonemes: Int[Tensor, "B S"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """Encode the phoneme ids of whole windows."""
        embedded = _mask_frames(self.embedding(phonemes), mask, phonemes.shape[1] // mask.shape[1])
        hidden = torch.relu(self.conv(embedded.transpose(1, 2))).transpose(1, 2)
        return self.out_proj(_apply_blocks(self.blocks, hidden, mask))


class Decoder(nn.Module):
    """Decoder of vectors of the common space to an output at each spectrum: mel filters, or logits of phonemes.

    Args:
        config: Sizes of the transcoder.
        out: Number of outputs F at each spectrum.
        voice_width: Dimension of the voice embedding that is added to every token; 0 for a decoder without one.
        convolutions: Number of convolutions after the transformer blocks.

    Source:
        VQ-CTAP: 6 transformer layers, for speech 5 convolutions, 2 transposed convolutions, 256; the voice is added to
        every token, as in SecoustiCodec.

    Example:
        >>> from vocable.systems.ctap import recipe as ctap
        >>> decoder = Decoder(ctap.tiny().model.transcoder, 80, voice_width=8, convolutions=1)
        >>> decoder(torch.zeros(2, 3, 32), torch.ones(2, 3, dtype=torch.bool), torch.zeros(2, 8)).shape
        torch.Size([2, 12, 80])
    """

    def __init__(self, config: TranscoderConfig, out: int, *, voice_width: int = 0, convolutions: int = 0) -> None:
        super().__init__()
        width, sizes = config.latent_width, config.decoder
        self.voice_proj = nn.Linear(voice_width, width) if voice_width else None
        self.blocks = _blocks(sizes.blocks, width, sizes.feedforward, config)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, sizes.kernel, padding=sizes.kernel // 2) for _ in range(convolutions)
        )
        self.upsampler = Upsampler(width, config.strides, out)

    def forward(
        self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"], voice: Float[Tensor, "B V"] | None = None
    ) -> Float[Tensor, "B S F"]:
        """Decode whole windows, in the voice of each row."""
        if self.voice_proj is not None:
            latents = latents + self.voice_proj(voice)[:, None]
        hidden = _apply_blocks(self.blocks, latents, mask)
        for layer in self.convolutions:
            hidden = hidden + torch.relu(layer(_mask_frames(hidden, mask, 1).transpose(1, 2))).transpose(1, 2)
        return self.upsampler(hidden, mask)


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
        self.speech_decoder = Decoder(
            sizes, bins, voice_width=sizes.voice.width, convolutions=sizes.decoder.convolutions
        )
        self.phoneme_decoder = Decoder(sizes, phonemes)
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
        super().__init__(config)
        latent_width, voice_width = config.transcoder.latent_width, config.voice.width
        self.transcoder = Transcoder(config)
        self.connector = Diffusion(config.connector, width=latent_width, condition=latent_width, voice=voice_width)
        self.durations = DurationDiffusion(config.durations, len(config.phonemes), voice_width)
        self.register_buffer("trained", torch.zeros((), dtype=torch.int64))

    @property
    def quantizer(self) -> VectorQuantizer | FiniteScalarQuantizer:  # type: ignore[override]
        """Quantizer of the common space."""
        return self.transcoder.quantizer

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


def long_term_spectrum(frames: Float[Tensor, "B S F"], mask: Bool[Tensor, "B S"]) -> Float[Tensor, "B F*2"]:
    """Return the long-term average spectrum: mean, then standard deviation, of each mel filter over loud spectra.

    It holds what speaker, room and microphone leave on speech, whatever the words.

    Args:
        frames: Log-mel spectra, standardized over a corpus.
        mask: True on spectra that belong to the clip, at least one in each row.

    Source:
        The long-term average spectrum tells speakers apart (Furui, 1981, of cepstra); mean and variance of a voice put
        on converted spectra: Toda, Black and Tokuda, IEEE TASLP 15(8), 2007, section V.

    Example:
        >>> frames = torch.tensor([[[1.0, 4.0], [3.0, 4.0], [1.0, 4.0], [3.0, 4.0], [-9.0, -9.0]]])
        >>> long_term_spectrum(frames, torch.ones(1, 5, dtype=torch.bool))
        tensor([[2.0000, 4.0000, 1.0050, 0.1000]])
    """
    levels = frames.detach().mean(2).masked_fill(~mask, -torch.inf)
    last_loud = (mask.sum(1) * _LOUD_SHARE).ceil().long().clamp(min=1) - 1
    loud = mask & (levels >= levels.sort(dim=1, descending=True).values.gather(1, last_loud[:, None]))
    weights = loud.float()[..., None]
    count = weights.sum(1).clamp(min=1.0)
    mean = (frames * weights).sum(1) / count
    variance = ((frames - mean[:, None]).square() * weights).sum(1) / count
    return torch.cat([mean, (variance + _MIN_FILTER_STD**2).sqrt()], dim=1)


def match_long_term_spectrum(
    frames: Float[Tensor, "B S F"], mask: Bool[Tensor, "B S"], target: Float[Tensor, "B F*2"]
) -> Float[Tensor, "B S F"]:
    """Shift and scale each mel filter so that the spectra have another long-term average spectrum.

    Args:
        frames: Log-mel spectra of whole clips.
        mask: True on spectra that belong to the clip.
        target: Result of :func:`long_term_spectrum` for another recording.

    Example:
        >>> frames, mask = torch.randn(1, 9, 4), torch.ones(1, 9, dtype=torch.bool)
        >>> matched = match_long_term_spectrum(frames, mask, long_term_spectrum(frames, mask))
        >>> torch.allclose(matched, frames, atol=1e-5)
        True
    """
    mean, std = long_term_spectrum(frames, mask)[:, None].chunk(2, dim=2)
    target_mean, target_std = target[:, None].chunk(2, dim=2)
    return (frames - mean) / std * target_std + target_mean


def _build_quantizer(sizes: TranscoderConfig) -> VectorQuantizer | FiniteScalarQuantizer:
    if sizes.codebook.kind == "fsq":
        return FiniteScalarQuantizer(levels=sizes.codebook.fsq_levels, dim=sizes.latent_width)
    kind = EmaCodebook if sizes.codebook.kind == "ema" else GradientCodebook
    return VectorQuantizer(codebook_size=sizes.codebook.size, dim=sizes.latent_width, codebook=kind)


def _blocks(count: int, width: int, feedforward: int, config: TranscoderConfig) -> nn.ModuleList:
    return nn.ModuleList(
        TransformerBlock(width, config.heads, feedforward, dropout=config.dropout) for _ in range(count)
    )  # fmt: skip


def _apply_blocks(blocks: nn.ModuleList, hidden: Tensor, mask: Tensor) -> Tensor:
    positions = torch.arange(hidden.shape[1], device=hidden.device)
    if blocks.training:  # random in every row and network: equal positions would give a frame's counterpart away
        positions = positions + torch.randint(_MAX_OFFSET, (len(hidden), 1), device=hidden.device)
    hidden = hidden + sinusoidal_embedding(positions, hidden.shape[2])
    for block in cast("list[TransformerBlock]", list(blocks)):
        hidden = block(hidden, mask)
    return hidden


def _mask_frames(hidden: Float[Tensor, "B S D"], mask: Bool[Tensor, "B N"], per_token: int) -> Float[Tensor, "B S D"]:
    """Set frames of tokens that are not real to 0."""
    return hidden * mask.repeat_interleave(per_token, dim=1)[..., None]


def _normalize_window(frames: Tensor, mask: Tensor, reduction: int) -> Float[Tensor, "B S F"]:
    """Normalize each filter over the window, against voices in contents (Chou et al., arXiv:1904.05742, section 2)."""
    weights = mask.repeat_interleave(reduction, dim=1)[..., None].float()
    count = weights.sum(1, keepdim=True).clamp(min=1.0)
    centered = frames - (frames * weights).sum(1, keepdim=True) / count
    return centered / ((centered.square() * weights).sum(1, keepdim=True) / count + _MIN_WINDOW_STD**2).sqrt()


def _strided(in_channels: int, out_channels: int, stride: int) -> nn.Conv1d:
    """Return a convolution from T to T / stride frames; for stride 2 its kernel is Whisper's, 3."""
    return nn.Conv1d(in_channels, out_channels, 2 * stride - 1, stride, padding=stride - 1)
