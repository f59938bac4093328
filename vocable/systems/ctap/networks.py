"""Networks of the transcoder: encoders of speech and phonemes into one space, decoders from it, average spectra.

Batches hold windows of equal length with a mask for each token. Nothing after a clip's end is read.
"""

from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.nn.transformer import TransformerBlock, sinusoidal_embedding
from vocable.nn.upsampler import Upsampler
from vocable.systems.ctap.config import TranscoderConfig

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
        """Encode whole windows.

        Args:
            frames: Scaled mel spectra; S = N · reduction.
            mask: True on real tokens.
        """
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
        """Encode whole windows.

        Args:
            phonemes: Phoneme id of each spectrum; S = N · reduction.
            mask: True on real tokens.
        """
        embedded = _mask_frames(self.embedding(phonemes), mask, phonemes.shape[1] // mask.shape[1])
        hidden = torch.relu(self.conv(embedded.transpose(1, 2))).transpose(1, 2)
        return self.out_proj(_apply_blocks(self.blocks, hidden, mask))


class SpeechDecoder(nn.Module):
    """Decoder of vectors of the common space and a voice embedding to mel spectra.

    Args:
        config: Sizes of the transcoder.
        bins: Number of mel filters F.

    Source:
        VQ-CTAP: 6 transformer layers, 5 convolutions, 2 transposed convolutions, 256; the voice is added to every
        token, as in SecoustiCodec.

    Example:
        >>> from vocable.systems.ctap import recipe as ctap
        >>> decoder = SpeechDecoder(ctap.tiny().model.transcoder, bins=80)
        >>> decoder(torch.zeros(2, 3, 32), torch.zeros(2, 8), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 12, 80])
    """

    def __init__(self, config: TranscoderConfig, bins: int) -> None:
        super().__init__()
        width, sizes = config.latent_width, config.decoder
        self.voice_proj = nn.Linear(config.voice.width, width)
        self.blocks = _blocks(sizes.blocks, width, sizes.feedforward, config)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, sizes.kernel, padding=sizes.kernel // 2) for _ in range(sizes.convolutions)
        )
        self.upsampler = Upsampler(width, config.strides, bins)

    def forward(
        self, latents: Float[Tensor, "B N D"], voice: Float[Tensor, "B V"], mask: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B S F"]:
        """Decode whole windows to S = N · reduction scaled spectra.

        Args:
            latents: Vectors of the common space.
            voice: Voice embedding of each row.
            mask: True on real tokens.
        """
        hidden = _apply_blocks(self.blocks, latents + self.voice_proj(voice)[:, None], mask)
        for layer in self.convolutions:
            hidden = hidden + torch.relu(layer(_mask_frames(hidden, mask, 1).transpose(1, 2))).transpose(1, 2)
        return self.upsampler(hidden, mask)


class PhonemeDecoder(nn.Module):
    """Decoder of vectors of the common space to the phoneme at each spectrum.

    Args:
        config: Sizes of the transcoder.
        phonemes: Number of phonemes in the inventory.

    Source:
        VQ-CTAP: 6 transformer layers, 2 transposed convolutions, 256.

    Example:
        >>> from vocable.systems.ctap import recipe as ctap
        >>> decoder = PhonemeDecoder(ctap.tiny().model.transcoder, phonemes=40)
        >>> decoder(torch.zeros(2, 3, 32), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 12, 40])
    """

    def __init__(self, config: TranscoderConfig, phonemes: int) -> None:
        super().__init__()
        width, sizes = config.latent_width, config.decoder
        self.blocks = _blocks(sizes.blocks, width, sizes.feedforward, config)
        self.upsampler = Upsampler(width, config.strides, phonemes)

    def forward(self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B S V"]:
        """Return logits over the inventory at S = N · reduction spectra of whole windows.

        Args:
            latents: Vectors of the common space.
            mask: True on real tokens.
        """
        return self.upsampler(_apply_blocks(self.blocks, latents, mask), mask)


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
    """Set frames of tokens that are not real to 0; every token has ``per_token`` frames."""
    return hidden * mask.repeat_interleave(per_token, dim=1)[..., None]


def _normalize_window(
    frames: Float[Tensor, "B S F"], mask: Bool[Tensor, "B N"], reduction: int
) -> Float[Tensor, "B S F"]:
    """Normalize each filter over the window to mean 0 and deviation 1, which removes the color of voice and room.

    Source:
        Instance normalization against voices in contents: Chou et al., arXiv:1904.05742, section 2.
    """
    weights = mask.repeat_interleave(reduction, dim=1)[..., None].float()
    count = weights.sum(1, keepdim=True).clamp(min=1.0)
    centered = frames - (frames * weights).sum(1, keepdim=True) / count
    return centered / ((centered.square() * weights).sum(1, keepdim=True) / count + _MIN_WINDOW_STD**2).sqrt()


def _strided(in_channels: int, out_channels: int, stride: int) -> nn.Conv1d:
    """Return a convolution from T to T / stride frames; for stride 2 its kernel is Whisper's, 3."""
    return nn.Conv1d(in_channels, out_channels, 2 * stride - 1, stride, padding=stride - 1)
