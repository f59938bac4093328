"""The networks: from what Whisper hears to the codebook, and from it to phones and to spectra.

Each is of ConvNeXt blocks: a token looks at so many neighbours and no further, and behind a clip's end at nothing.
"""

from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vocable.nn.convnext import Block
from vocable.nn.rise import Rise
from vocable.systems.supervised.config import SupervisedConfig


class FrameEncoder(nn.Module):
    """Frames of Whisper to vectors that are quantized, one for each token.

    Every layer is normalised and projected by itself, as their scales differ a hundredfold; frames of a token are
    joined by a strided convolution.

    Args:
        config: Sizes.

    Example:
        >>> from vocable.systems.supervised import recipe as supervised
        >>> config = supervised.tiny().model
        >>> FrameEncoder(config)(torch.zeros(2, 6, 2 * config.encoder.width), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 3, 16])
    """

    def __init__(self, config: SupervisedConfig) -> None:
        super().__init__()
        each, width = config.encoder.width, config.width
        self.each = each
        self.norms = nn.ModuleList(nn.LayerNorm(each) for _ in config.layers)
        self.enter = nn.Linear(each * len(config.layers), width)
        self.dropout = nn.Dropout(config.dropout)
        self.pool = nn.Conv1d(width, width, config.pooled, config.pooled)
        self.blocks = _blocks(config.blocks, width, config)
        self.leave = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, config.latent_width), nn.LayerNorm(config.latent_width)
        )

    def forward(self, frames: Float[Tensor, "B S F"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """Latents of a batch; S = N · pooled, and F is the width of all layers side by side."""
        parts = frames.split(self.each, dim=2)
        joined = torch.cat([norm(part) for norm, part in zip(self.norms, parts, strict=True)], dim=2)
        real = mask.repeat_interleave(frames.shape[1] // mask.shape[1], dim=1)[..., None]
        hidden = nn.functional.gelu(self.enter(self.dropout(joined))) * real
        return self.leave(_through(self.blocks, self.pool(hidden.transpose(1, 2)).transpose(1, 2), mask))


class PhoneRecogniser(nn.Module):
    """Quantized vectors to phones, some places to a token, by connectionist temporal classification.

    Args:
        config: Sizes.

    Source:
        Graves et al., ICML 2006. In CosyVoice, arXiv:2407.05407, section 2.1, the upper layers of a large recogniser of
        words stand here.

    Example:
        >>> from vocable.systems.supervised import recipe as supervised
        >>> recogniser = PhoneRecogniser(supervised.tiny().model)
        >>> recogniser(torch.zeros(2, 3, 16), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 6, 40])
    """

    def __init__(self, config: SupervisedConfig) -> None:
        super().__init__()
        width = config.recogniser_width
        self.places = config.phones_per_token
        self.enter = nn.Linear(config.latent_width, width)
        self.blocks = _blocks(config.recogniser_blocks, width, config)
        self.leave = nn.Sequential(
            nn.LayerNorm(width), nn.Dropout(config.dropout), nn.Linear(width, self.places * len(config.phonemes))
        )

    def forward(self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B P V"]:
        """Log-probabilities of the phonemes at every place; P = N · places, and silence, id 0, is the blank."""
        logits = self.leave(_through(self.blocks, self.enter(latents), mask))
        return logits.unflatten(2, (self.places, -1)).flatten(1, 2).float().log_softmax(2)


class SpectrumDecoder(nn.Module):
    """Quantized vectors and a voice to spectra.

    Args:
        config: Sizes.

    Example:
        >>> from vocable.systems.supervised import recipe as supervised
        >>> decoder = SpectrumDecoder(supervised.tiny().model)
        >>> decoder(torch.zeros(2, 3, 16), torch.zeros(2, 8), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 12, 32])
    """

    def __init__(self, config: SupervisedConfig) -> None:
        super().__init__()
        width = config.decoder_width
        self.enter, self.voice = nn.Linear(config.latent_width, width), nn.Linear(config.voice_width, width)
        self.blocks = _blocks(config.decoder_blocks, width, config)
        self.rise = Rise(width, config.strides, config.mel.bins)

    def forward(
        self, latents: Float[Tensor, "B N D"], voice: Float[Tensor, "B V"], mask: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B S F"]:
        """Spectra; S = N · reduction."""
        hidden = self.enter(latents) + self.voice(voice)[:, None]
        return self.rise(_through(self.blocks, hidden, mask), mask)


def _blocks(count: int, width: int, config: SupervisedConfig) -> nn.ModuleList:
    return nn.ModuleList(Block(width, config.kernel, config.expansion) for _ in range(count))


def _through(blocks: nn.ModuleList, hidden: Tensor, mask: Tensor) -> Tensor:
    for block in cast("list[Block]", list(blocks)):
        hidden = block(hidden, mask)
    return hidden
