"""Networks of the supervised units: from Whisper's frames to the codebook, and from there to phones and to spectra.

All are made of ConvNeXt blocks: a token depends on a fixed number of neighbors, and on nothing after a clip's end.
The ``mask`` (B, N) of a batch is True on real tokens.
"""

from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vocable.nn.convnext import Block, ConvNext
from vocable.nn.upsampler import Upsampler
from vocable.nn.voice import VoiceEncoder
from vocable.quantizers import FiniteScalarQuantizer, VectorQuantizer
from vocable.systems.supervised.config import SupervisedConfig
from vocable.systems.voiced import VoicedModel
from vocable.text.letters import LABELS


class FrameEncoder(nn.Module):
    """Encoder of Whisper's frames, one latent vector for each token.

    Layers of Whisper are normalized one by one, as their scales differ a hundredfold. A strided convolution joins the
    frames of a token.

    Args:
        config: Configuration of the whole system.

    Example:
        >>> from vocable.systems.supervised import recipe as supervised
        >>> config = supervised.tiny().model
        >>> FrameEncoder(config)(torch.zeros(2, 6, 2 * config.whisper.width), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 3, 16])
    """

    def __init__(self, config: SupervisedConfig) -> None:
        super().__init__()
        sizes, width, num_layers = config.encoder, config.encoder.width, len(config.encoder.layers)
        self.layer_width = config.whisper.width
        self.norms = nn.ModuleList(nn.LayerNorm(self.layer_width) for _ in range(num_layers))
        self.in_proj = nn.Linear(self.layer_width * num_layers, width)
        self.dropout = nn.Dropout(config.dropout)
        self.pool = nn.Conv1d(width, width, sizes.frames_per_token, sizes.frames_per_token)
        self.blocks = _blocks(sizes.blocks, width, config)
        self.out_proj = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, config.latent_width), nn.LayerNorm(config.latent_width)
        )

    def forward(self, frames: Float[Tensor, "B S F"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """Encode layers of Whisper side by side; S = N · frames_per_token."""
        layers = frames.split(self.layer_width, dim=2)
        joined = torch.cat([norm(layer) for norm, layer in zip(self.norms, layers, strict=True)], dim=2)
        frame_mask = mask.repeat_interleave(frames.shape[1] // mask.shape[1], dim=1)[..., None]
        hidden = nn.functional.gelu(self.in_proj(self.dropout(joined))) * frame_mask
        return self.out_proj(_apply_blocks(self.blocks, self.pool(hidden.transpose(1, 2)).transpose(1, 2), mask))


class CtcRecognizer(nn.Module):
    """Recognizer of phones, and of letters, in quantized vectors, with some positions to a token, trained by CTC.

    Args:
        config: Configuration of the whole system.

    Source:
        Graves et al., Connectionist temporal classification, ICML 2006. In CosyVoice, arXiv:2407.05407, section 2.1,
        the upper layers of a large recognizer of words take this place.

    Example:
        >>> from vocable.systems.supervised import recipe as supervised
        >>> recognizer = CtcRecognizer(supervised.tiny().model)
        >>> recognizer(torch.zeros(2, 3, 16), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 6, 40])
    """

    def __init__(self, config: SupervisedConfig) -> None:
        super().__init__()
        width = config.recognizer.width
        self.positions = config.recognizer.phones_per_token
        self.in_proj = nn.Linear(config.latent_width, width)
        self.blocks = _blocks(config.recognizer.blocks, width, config)
        self.out_proj = self._head(len(config.phonemes), config)
        if config.recognizer.letters:
            self.letter_proj = self._head(1 + len(LABELS), config)

    def forward(self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B P V"]:
        """Return log-probabilities of the phonemes at P = N · phones_per_token positions; id 0 is the blank."""
        return self.phone_scores(self.transform(latents, mask))

    def transform(self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N W"]:
        """Return the hidden states that all heads read."""
        return _apply_blocks(self.blocks, self.in_proj(latents), mask)

    def phone_scores(self, hidden: Float[Tensor, "B N W"]) -> Float[Tensor, "B P V"]:
        """Return log-probabilities of the phonemes; id 0, silence, is the blank."""
        return self._scores(self.out_proj(hidden))

    def letter_scores(self, hidden: Float[Tensor, "B N W"]) -> Float[Tensor, "B P V_letters"]:
        """Return log-probabilities of the blank, id 0, and of :data:`~vocable.text.letters.LABELS`, from id 1."""
        return self._scores(self.letter_proj(hidden))

    def _head(self, labels: int, config: SupervisedConfig) -> nn.Sequential:
        width = config.recognizer.width
        return nn.Sequential(nn.LayerNorm(width), nn.Dropout(config.dropout), nn.Linear(width, self.positions * labels))

    def _scores(self, logits: Float[Tensor, "B N X"]) -> Float[Tensor, "B P V"]:
        return logits.unflatten(2, (self.positions, -1)).flatten(1, 2).float().log_softmax(2)


class SpectrumDecoder(nn.Module):
    """Decoder of quantized vectors and a voice embedding to mel spectra.

    Args:
        config: Configuration of the whole system.

    Example:
        >>> from vocable.systems.supervised import recipe as supervised
        >>> decoder = SpectrumDecoder(supervised.tiny().model)
        >>> decoder(torch.zeros(2, 3, 16), torch.zeros(2, 8), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 12, 32])
    """

    def __init__(self, config: SupervisedConfig) -> None:
        super().__init__()
        width = config.decoder.width
        self.in_proj, self.voice_proj = nn.Linear(config.latent_width, width), nn.Linear(config.voice.width, width)
        self.blocks = _blocks(config.decoder.blocks, width, config)
        self.upsampler = Upsampler(width, config.decoder.strides, config.mel.bins)
        self.refinement = None
        if config.decoder.fine_blocks:
            self.refinement = SpectrumRefinement(config)

    def forward(
        self, latents: Float[Tensor, "B N D"], voice: Float[Tensor, "B V"], mask: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B S F"]:
        """Decode to S = N · reduction scaled spectra in the voice of each row."""
        hidden = self.in_proj(latents) + self.voice_proj(voice)[:, None]
        spectra = self.upsampler(_apply_blocks(self.blocks, hidden, mask), mask)
        if self.refinement is None:
            return spectra
        return spectra + self.refinement(spectra, mask.repeat_interleave(spectra.shape[1] // mask.shape[1], dim=1))


class SpectrumRefinement(ConvNext):
    """Correction of decoded spectra by blocks that see each spectrum and its neighbors.

    Args:
        config: Configuration of the whole system.
    """

    def __init__(self, config: SupervisedConfig) -> None:
        bins, sizes = config.mel.bins, config.decoder
        super().__init__(
            bins, bins, width=sizes.fine_width, blocks=sizes.fine_blocks, kernel=config.kernel,
            expansion=config.expansion,
        )  # fmt: skip

    def forward(self, spectra: Float[Tensor, "B S F"], mask: Bool[Tensor, "B S"]) -> Float[Tensor, "B S F"]:
        """Return what to add to scaled spectra."""
        return self.transform(spectra, mask)


class SupervisedModel(VoicedModel):
    """All trained networks, with the scale of their spectra. Whisper is no part of it.

    Args:
        config: Configuration.

    Example:
        >>> from vocable.systems.supervised import recipe as supervised
        >>> model = SupervisedModel(supervised.tiny().model)
        >>> model.frames(torch.zeros(1, 16_000)).shape
        torch.Size([1, 100, 32])
    """

    def __init__(self, config: SupervisedConfig) -> None:
        super().__init__(config)
        self.encoder = FrameEncoder(config)
        self.quantizer = _build_quantizer(config)
        self.recognizer = CtcRecognizer(config)
        voice = config.voice
        self.voice_encoder = VoiceEncoder(bins=config.mel.bins, channels=voice.channels, width=voice.width)
        self.decoder = SpectrumDecoder(config)

    def embed_voice(self, frames: Float[Tensor, "B S F"]) -> Float[Tensor, "B V"]:
        """Return the mean of the voice embedding."""
        mean, _ = self.voice_encoder(frames)
        return mean


def _build_quantizer(config: SupervisedConfig) -> VectorQuantizer | FiniteScalarQuantizer:
    if config.fsq_levels:
        return FiniteScalarQuantizer(levels=config.fsq_levels, dim=config.latent_width)
    return VectorQuantizer(
        codebook_size=config.codebook_size, dim=config.latent_width, restart_below=config.restart_below
    )


def _blocks(count: int, width: int, config: SupervisedConfig) -> nn.ModuleList:
    return nn.ModuleList(Block(width, config.kernel, config.expansion) for _ in range(count))


def _apply_blocks(blocks: nn.ModuleList, hidden: Tensor, mask: Tensor) -> Tensor:
    for block in cast("list[Block]", list(blocks)):
        hidden = block(hidden, mask)
    return hidden
