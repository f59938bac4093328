"""The transcoder's networks: speech and phonemes into one space, and out of it.

Windows of a batch are masked token by token; behind a clip's end nothing is seen, whatever lies there.
"""

from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.nn.rise import Rise
from vocable.nn.transformer import TransformerBlock, sinusoids
from vocable.systems.ctap.config import TranscoderConfig

_FARTHEST = 512  # position that a window begins at in training
_LEAST_SPREAD = 0.2  # standard deviations of the corpus: a window of silence is not blown up


class SpeechEncoder(nn.Module):
    """Spectra to vectors of the common space, one for each token.

    Two strided convolutions and positions as in Whisper, transformer blocks, a linear layer and a layer norm.

    Args:
        sizes: Of the transcoder.
        bins: Mel filters F.

    Source:
        VQ-CTAP, arXiv:2408.05758: 2 convolutions, 6 transformer layers, linear, 256; kernels as in Whisper,
        arXiv:2212.04356, which its authors' later code is laid out like.

    Example:
        >>> encoder = SpeechEncoder(TranscoderConfig(width=16, hidden=16, speech_blocks=1), bins=80)
        >>> encoder(torch.zeros(2, 12, 80), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 3, 256])
    """

    def __init__(self, sizes: TranscoderConfig, bins: int) -> None:
        super().__init__()
        first, second = sizes.strides
        self.stride, self.centred = first, sizes.centred
        self.first, self.second = _strided(bins, sizes.width, first), _strided(sizes.width, sizes.width, second)
        self.blocks = _blocks(sizes.speech_blocks, sizes.width, sizes.heads, sizes.hidden, sizes.dropout)
        self.leave = nn.Sequential(nn.Linear(sizes.width, sizes.latent_width), nn.LayerNorm(sizes.latent_width))

    def forward(self, frames: Float[Tensor, "B S F"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """Vectors of whole windows; S = N · reduction."""
        each = frames.shape[1] // mask.shape[1]
        frames = _centred(frames, mask, each) if self.centred else frames
        hidden = torch.nn.functional.gelu(self.first(_masked(frames, mask, each).transpose(1, 2)))
        between = _masked(hidden.transpose(1, 2), mask, each // self.stride).transpose(1, 2)
        hidden = torch.nn.functional.gelu(self.second(between)).transpose(1, 2)
        return self.leave(_through(self.blocks, hidden, mask))


class PhonemeEncoder(nn.Module):
    """Phonemes, one for each spectrum, to vectors of the common space.

    Args:
        sizes: Of the transcoder.
        phonemes: In the inventory.

    Source:
        VQ-CTAP: 1 convolution, 4 transformer layers, linear, 256. The convolution must reduce as much as the speech
        encoder's two: its kernel is a little wider than its stride, so that it passes over no spectrum.

    Example:
        >>> encoder = PhonemeEncoder(TranscoderConfig(width=16, hidden=16, phoneme_blocks=1), phonemes=40)
        >>> encoder(torch.zeros(2, 12, dtype=torch.int64), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 3, 256])
    """

    def __init__(self, sizes: TranscoderConfig, phonemes: int) -> None:
        super().__init__()
        kernel = sizes.reduction + 1 - sizes.reduction % 2
        self.embedding = nn.Embedding(phonemes, sizes.width)
        self.reduce = nn.Conv1d(sizes.width, sizes.width, kernel, sizes.reduction, padding=kernel // 2)
        self.blocks = _blocks(sizes.phoneme_blocks, sizes.width, sizes.heads, sizes.hidden, sizes.dropout)
        self.leave = nn.Sequential(nn.Linear(sizes.width, sizes.latent_width), nn.LayerNorm(sizes.latent_width))

    def forward(self, phonemes: Int[Tensor, "B S"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """Vectors of whole windows; S = N · reduction."""
        each = phonemes.shape[1] // mask.shape[1]
        embedded = _masked(self.embedding(phonemes), mask, each)
        hidden = torch.relu(self.reduce(embedded.transpose(1, 2))).transpose(1, 2)
        return self.leave(_through(self.blocks, hidden, mask))


class SpeechDecoder(nn.Module):
    """Vectors of the common space and a voice to spectra.

    Args:
        sizes: Of the transcoder.
        bins: Mel filters F.

    Source:
        VQ-CTAP: 6 transformer layers, 5 convolutions, 2 transposed convolutions, 256; the voice is added to every
        token, as in SecoustiCodec.

    Example:
        >>> decoder = SpeechDecoder(TranscoderConfig(decoder_blocks=1), bins=80)
        >>> decoder(torch.zeros(2, 3, 256), torch.zeros(2, 64), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 12, 80])
    """

    def __init__(self, sizes: TranscoderConfig, bins: int) -> None:
        super().__init__()
        width = sizes.latent_width
        self.voice = nn.Linear(sizes.voice_width, width)
        self.blocks = _blocks(sizes.decoder_blocks, width, sizes.heads, sizes.decoder_hidden, sizes.dropout)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, sizes.kernel, padding=sizes.kernel // 2) for _ in range(sizes.convolutions)
        )
        self.rise = Rise(width, sizes.strides, bins)

    def forward(
        self, latents: Float[Tensor, "B N D"], voice: Float[Tensor, "B V"], mask: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B S F"]:
        """Spectra of whole windows; S = N · reduction."""
        hidden = _through(self.blocks, latents + self.voice(voice)[:, None], mask)
        for layer in self.convolutions:
            hidden = hidden + torch.relu(layer(_masked(hidden, mask, 1).transpose(1, 2))).transpose(1, 2)
        return self.rise(hidden, mask)


class PhonemeDecoder(nn.Module):
    """Vectors of the common space to the phoneme at each spectrum.

    Args:
        sizes: Of the transcoder.
        phonemes: In the inventory.

    Source:
        VQ-CTAP: 6 transformer layers, 2 transposed convolutions, 256.

    Example:
        >>> decoder = PhonemeDecoder(TranscoderConfig(decoder_blocks=1), phonemes=40)
        >>> decoder(torch.zeros(2, 3, 256), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 12, 40])
    """

    def __init__(self, sizes: TranscoderConfig, phonemes: int) -> None:
        super().__init__()
        width = sizes.latent_width
        self.blocks = _blocks(sizes.decoder_blocks, width, sizes.heads, sizes.decoder_hidden, sizes.dropout)
        self.rise = Rise(width, sizes.strides, phonemes)

    def forward(self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B S V"]:
        """Logits of whole windows; S = N · reduction."""
        return self.rise(_through(self.blocks, latents, mask), mask)


def _blocks(count: int, width: int, heads: int, hidden: int, dropout: float) -> nn.ModuleList:
    return nn.ModuleList(TransformerBlock(width, heads, hidden, dropout=dropout) for _ in range(count))


def _through(blocks: nn.ModuleList, hidden: Tensor, mask: Tensor) -> Tensor:
    places = torch.arange(hidden.shape[1], device=hidden.device)
    if blocks.training:  # elsewhere in every row and network: where a window is cut says nothing of what is in it
        places = places + torch.randint(_FARTHEST, (len(hidden), 1), device=hidden.device)
    hidden = hidden + sinusoids(places, hidden.shape[2])
    for block in cast("list[TransformerBlock]", list(blocks)):
        hidden = block(hidden, mask)
    return hidden


def _masked(hidden: Float[Tensor, "B S D"], mask: Bool[Tensor, "B N"], each: int) -> Float[Tensor, "B S D"]:
    """Zero where the token is no real one; each token has so many positions."""
    return hidden * mask.repeat_interleave(each, dim=1)[..., None]


def _centred(frames: Float[Tensor, "B S F"], mask: Bool[Tensor, "B N"], each: int) -> Float[Tensor, "B S F"]:
    """Each filter with mean 0 and deviation 1 over the window: what is the same all along, a voice or a room, is gone.

    Source:
        Instance normalization against voices in contents: Chou et al., arXiv:1904.05742, section 2.
    """
    real = mask.repeat_interleave(each, dim=1)[..., None].float()
    count = real.sum(1, keepdim=True).clamp(min=1.0)
    away = frames - (frames * real).sum(1, keepdim=True) / count
    return away / ((away.square() * real).sum(1, keepdim=True) / count + _LEAST_SPREAD**2).sqrt()


def _strided(before: int, behind: int, stride: int) -> nn.Conv1d:
    """T to T / stride; for stride 2 Whisper's kernel of 3."""
    return nn.Conv1d(before, behind, 2 * stride - 1, stride, padding=stride - 1)
