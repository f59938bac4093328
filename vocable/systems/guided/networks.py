"""Networks of the guided codec: the spectral backbone, the paper's SEANet backbone, pooling, and the whole model.

Both backbones give a clip the same output alone, in any batch and under any padding. Every layer that looks at
neighboring steps sees its input masked at its own resolution, so that outside a clip there are zeros whether or not the
batch goes on. SEANet's convolutions are padded with zeros, because a reflection would need each clip's end. Its LSTMs
run on packed sequences, so that the backward direction starts at a clip's last frame.

Source:
    SEANet: Tagliasacchi et al., arXiv:2009.02095; sizes of Zhang et al., SpeechTokenizer, arXiv:2308.16692.
"""

from itertools import accumulate, pairwise
from operator import mul

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import elu
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from vocable.errors import ConfigError, ShapeError
from vocable.features.spectrogram import samples_from_spectra, spectra, window_margin
from vocable.nn.convnext import ConvNext
from vocable.nn.polar import spectra_from_polar
from vocable.nn.recurrent import apply_recurrent
from vocable.quantizers import Quantized, ResidualVectorQuantizer
from vocable.systems.guided.config import GuidedConfig, SeanetConfig, SpectralConfig

_MAX_LOG_MAGNITUDE = 6.0  # of a full-scale clip in a window of 640 samples
_MAGNITUDE_FLOOR = 1e-2  # added to magnitudes before the logarithm: 90 dB under full scale
_OUTER_KERNEL = 7  # of the first and last convolution of a SEANet
_INNER_KERNEL = 3  # inside a residual unit


class _SpectralNetwork(ConvNext):
    """ConvNeXt blocks at the token rate.

    Attributes:
        reach: Frames on either side that an output frame depends on.
    """

    def __init__(self, config: SpectralConfig, inputs: int, blocks: int, outputs: int) -> None:
        sizes = {"width": config.width, "kernel": config.kernel, "expansion": config.expansion}
        super().__init__(inputs, outputs, blocks=blocks, **sizes)
        self.config = config
        margin = window_margin(config.n_fft, config.spectrum_hop)
        self.reach = blocks * (config.kernel // 2) + -(-margin // config.hop)


class SpectralEncoder(_SpectralNetwork):
    """Encoder of the spectral backbone: compressed short-time spectra through ConvNeXt blocks."""

    def __init__(self, config: SpectralConfig) -> None:
        super().__init__(config, _head_size(config), config.encoder_blocks, config.latent_width)

    def forward(self, samples: Float[Tensor, "B T"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """Encode samples in [-1, 1], T = N · hop and zero after each clip's end, to latents."""
        values = spectra(samples, self.config.n_fft, self.config.spectrum_hop)
        energy = values.real.square() + values.imag.square() + _MAGNITUDE_FLOOR**2
        compression = energy.pow(-0.35)  # magnitude to the power 0.3, phase kept
        features = torch.cat([values.real * compression, values.imag * compression, 0.5 * energy.log()], dim=-1)
        return self.transform(features.reshape(*mask.shape, -1), mask)


class SpectralDecoder(_SpectralNetwork):
    """Decoder of the spectral backbone: ConvNeXt blocks, short-time spectra, overlap-add."""

    def __init__(self, config: SpectralConfig) -> None:
        super().__init__(config, config.latent_width, config.decoder_blocks, _head_size(config))

    def forward(self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B T"]:
        """Decode quantized latents to samples, T = N · hop, that are zero where the mask is False."""
        config = self.config
        head = self.transform(latents, mask).reshape(mask.shape[0], -1, 3, config.n_fft // 2 + 1)
        values = spectra_from_polar(head, max_log_magnitude=_MAX_LOG_MAGNITUDE)
        spectrum_mask = mask.repeat_interleave(config.hop // config.spectrum_hop, dim=1)
        samples = samples_from_spectra(values, spectrum_mask.to(latents.dtype), config.n_fft, config.spectrum_hop)
        return samples * mask.repeat_interleave(config.hop, dim=1)


class SeanetEncoder(nn.Module):
    """Encoder of the SEANet backbone: strided convolutions and a bidirectional LSTM."""

    reach = None  # the LSTM makes each latent depend on the whole clip

    def __init__(self, config: SeanetConfig) -> None:
        super().__init__()
        self.config = config
        widths = _widths(config)
        self.in_proj = _conv(1, widths[0], _OUTER_KERNEL)
        self.stages = nn.ModuleList(
            DownsamplingStage(inputs, outputs, stride)
            for (inputs, outputs), stride in zip(pairwise(widths), config.strides, strict=True)
        )
        self.lstm = ResidualLstm(widths[-1], config.lstm_layers, bidirectional=True)
        self.out_proj = _conv(2 * widths[-1], config.latent_width, _OUTER_KERNEL)

    def forward(self, samples: Float[Tensor, "B T"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """Encode samples to latents, as :class:`SpectralEncoder` does; real frames come first in each row."""
        if mask.shape[1] == 0:  # a convolution needs at least one frame
            return samples.new_zeros(*mask.shape, self.config.latent_width)
        frame_mask, *finer_masks = _mask_pyramid(mask, self.config)
        hidden = self.in_proj(samples[:, None] * finer_masks[-1])
        for stage, stage_mask in zip(self.stages, reversed(finer_masks), strict=True):
            hidden = stage(hidden, stage_mask)
        hidden = self.lstm(hidden, mask)
        return self.out_proj(elu(hidden) * frame_mask).transpose(1, 2)


class SeanetDecoder(nn.Module):
    """Decoder of the SEANet backbone: an LSTM and transposed convolutions."""

    reach = None  # the LSTM makes each sample depend on all frames before it

    def __init__(self, config: SeanetConfig) -> None:
        super().__init__()
        self.config = config
        widths = _widths(config)[::-1]
        self.in_proj = _conv(config.latent_width, widths[0], _OUTER_KERNEL)
        self.lstm = ResidualLstm(widths[0], config.lstm_layers, bidirectional=False)
        self.stages = nn.ModuleList(
            UpsamplingStage(inputs, outputs, stride)
            for (inputs, outputs), stride in zip(pairwise(widths), config.strides[::-1], strict=True)
        )
        self.out_proj = _conv(widths[-1], 1, _OUTER_KERNEL)

    def forward(self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B T"]:
        """Decode latents to samples, as :class:`SpectralDecoder` does; real frames come first in each row."""
        if mask.shape[1] == 0:
            return latents.new_zeros(mask.shape)
        masks = _mask_pyramid(mask, self.config)
        hidden = self.in_proj(latents.transpose(1, 2) * masks[0])
        hidden = self.lstm(hidden, mask)
        for stage, (input_mask, output_mask) in zip(self.stages, pairwise(masks), strict=True):
            hidden = stage(hidden, input_mask, output_mask)
        return (self.out_proj(elu(hidden) * masks[-1]) * masks[-1])[:, 0]


class DownsamplingStage(nn.Module):
    """A residual unit, then a convolution to a resolution ``stride`` times coarser."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = ResidualUnit(inputs)
        self.downsample = _conv(inputs, outputs, 2 * stride, stride)

    def forward(self, hidden: Float[Tensor, "B I T"], mask: Bool[Tensor, "B 1 T"]) -> Float[Tensor, "B O N"]:
        """Return the hidden states at N = T / stride steps; the mask is that of the input."""
        return self.downsample(elu(self.residual(hidden, mask)) * mask)


class UpsamplingStage(nn.Module):
    """A transposed convolution to a resolution ``stride`` times finer, then a residual unit."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        padding = (stride + 1) // 2, stride % 2  # from n steps to n · stride: the mirror of a downsampling convolution
        self.upsample = weight_norm(nn.ConvTranspose1d(inputs, outputs, 2 * stride, stride, *padding))
        self.residual = ResidualUnit(outputs)

    def forward(
        self, hidden: Float[Tensor, "B I N"], input_mask: Bool[Tensor, "B 1 N"], output_mask: Bool[Tensor, "B 1 T"]
    ) -> Float[Tensor, "B O T"]:
        """Return the hidden states at T = N · stride steps."""
        return self.residual(self.upsample(elu(hidden) * input_mask), output_mask)


class ResidualUnit(nn.Module):
    """Two convolutions through half the channels, beside a pointwise convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _conv(width, width // 2, _INNER_KERNEL)
        self.conv2 = _conv(width // 2, width, 1)
        self.shortcut = _conv(width, width, 1)

    def forward(self, hidden: Float[Tensor, "B D T"], mask: Bool[Tensor, "B 1 T"]) -> Float[Tensor, "B D T"]:
        """Mask the input of the first convolution alone: the other two look at no neighbor."""
        return self.shortcut(hidden) + self.conv2(elu(self.conv1(elu(hidden) * mask)))


class ResidualLstm(nn.Module):
    """An LSTM over the real frames of each clip, with a skip connection."""

    def __init__(self, width: int, layers: int, *, bidirectional: bool) -> None:
        super().__init__()
        self.directions = 1 + bidirectional
        self.layers = nn.LSTM(width, width, layers, batch_first=True, bidirectional=bidirectional)

    def forward(self, hidden: Float[Tensor, "B D N"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B outputs N"]:
        """Return D channels for each direction; after a clip's end they are the skip connection alone."""
        lengths = mask.sum(dim=1).clamp(min=1).cpu()  # packing refuses empty rows: they run over one frame
        packed = pack_padded_sequence(hidden.transpose(1, 2), lengths, batch_first=True, enforce_sorted=False)
        packed = apply_recurrent(self.layers, packed)[0]
        output, _ = pad_packed_sequence(packed, batch_first=True, total_length=mask.shape[1])
        return output.transpose(1, 2) + hidden.repeat(1, self.directions, 1)


class AlignLayer(nn.Module):
    """Self-attention with a skip connection and a norm, attention pooling over time, and a linear layer.

    Args:
        width: Dimension D of the frames.
        heads: Number of attention heads; divides the width.
        outputs: Dimension F of the vector.

    Source:
        arXiv:2507.06802, "8-head attention mechanism"; the paper says no more of it.

    Example:
        >>> layer = AlignLayer(width=16, heads=8, outputs=3)
        >>> layer(torch.zeros(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)).shape
        torch.Size([2, 3])
    """

    def __init__(self, width: int, heads: int, outputs: int) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"the align layer's {heads} heads must divide the width {width} of the levels")
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, 1)
        self.out_proj = nn.Linear(width, outputs)

    def forward(self, hidden: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B F"]:
        """Return one vector for each clip, of which at least one frame is real."""
        attended, _ = self.attention(hidden, hidden, hidden, key_padding_mask=~mask, need_weights=False)
        hidden = self.norm(hidden + attended)
        weights = self.score(hidden).masked_fill(~mask[..., None], -torch.inf).softmax(1)
        return self.out_proj((weights * hidden).sum(1))


class MeanLayer(nn.Module):
    """Mean over time and a linear layer: an :class:`AlignLayer` without its attention."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.out_proj = nn.Linear(width, outputs)

    def forward(self, hidden: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B F"]:
        """Return one vector for each clip, of which at least one frame is real."""
        weights = mask[..., None].to(hidden.dtype)
        return self.out_proj((hidden * weights).sum(1) / weights.sum(1))


class GuidedModel(nn.Module):
    """Waveform → latents → ids → latents → waveform, for masked batches.

    Args:
        config: Sizes; its ``backbone`` chooses the networks on both sides.

    Example:
        >>> from vocable.systems.guided import recipe as guided
        >>> model = GuidedModel(guided.tiny().model)
        >>> sum(parameter.numel() for parameter in model.parameters()) < 200_000
        True
    """

    def __init__(self, config: GuidedConfig) -> None:
        super().__init__()
        self.config = config
        backbone = config.backbone
        self.encoder: SpectralEncoder | SeanetEncoder
        self.decoder: SpectralDecoder | SeanetDecoder
        if isinstance(backbone, SpectralConfig):
            self.encoder, self.decoder = SpectralEncoder(backbone), SpectralDecoder(backbone)
        else:
            self.encoder, self.decoder = SeanetEncoder(backbone), SeanetDecoder(backbone)
        self.quantizer = ResidualVectorQuantizer(
            num_codebooks=config.num_codebooks,
            codebook_size=config.codebook_size,
            dim=backbone.latent_width,
            decay=config.codebook_decay,
            restart_below=config.restart_below,
        )

    def forward(
        self, samples: Float[Tensor, "B T"], mask: Bool[Tensor, "B N"], levels: Int[Tensor, " B"] | None = None
    ) -> tuple[Float[Tensor, "B T"], Quantized]:
        """Run a training pass and return decoded samples and the quantizer's output.

        Args:
            samples: Samples in [-1, 1], T = N · hop, zero after each clip's end.
            mask: True on real frames.
            levels: Number of levels that each clip may use, in [1, Q] (level dropout); all by default.
        """
        quantized = self.quantizer(self.encoder(samples, mask), mask, levels)
        return self.decoder(quantized.latents, mask), quantized

    def load_start(self, start: "GuidedModel") -> None:
        """Load the weights of a model of the same sizes, or one with fewer or narrower spectral blocks.

        Raises:
            ConfigError: If the sizes differ in anything else.
        """
        if start.config == self.config:
            self.load_state_dict(start.state_dict())
            return
        pairs = ((self.encoder, start.encoder), (self.decoder, start.decoder))
        try:
            for own, smaller in pairs:
                if not isinstance(own, ConvNext) or not isinstance(smaller, ConvNext):
                    raise ShapeError("only a spectral backbone can begin from a smaller one")
                own.load_smaller(smaller)
            self.quantizer.load_state_dict(start.quantizer.state_dict())
        except (ShapeError, RuntimeError) as error:
            raise ConfigError(
                f"the model to begin from has other sizes than the recipe ({' '.join(str(error).split())[:160]}); take "
                "another, or one with fewer blocks or a smaller expansion"
            ) from error

    def reconstruct(self, samples: Float[Tensor, "B T"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B T"]:
        """Return decoded samples without quantizing, as a plain autoencoder."""
        return self.decoder(self.encoder(samples, mask) * mask[..., None], mask)


def _head_size(config: SpectralConfig) -> int:
    """Return the numbers per token frame: three for each bin of each of its spectra."""
    return config.hop // config.spectrum_hop * (config.n_fft // 2 + 1) * 3


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    """Return a convolution from n steps to n / stride, padded with kernel - stride zeros, the odd one in front."""
    padding = (kernel - stride + 1) // 2  # if odd, the last zero at the end is one too many and never reached
    return weight_norm(nn.Conv1d(inputs, outputs, kernel, stride, padding))


def _widths(config: SeanetConfig) -> list[int]:
    """Return the channels at each resolution, from samples to frames."""
    return [config.channels * 2**level for level in range(len(config.strides) + 1)]


def _mask_pyramid(mask: Bool[Tensor, "B N"], config: SeanetConfig) -> list[Bool[Tensor, "B 1 steps"]]:
    """Return the mask at each resolution, from frames to samples."""
    factors = accumulate(reversed(config.strides), mul, initial=1)
    return [mask.repeat_interleave(factor, dim=1)[:, None] for factor in factors]
