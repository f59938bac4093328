"""The fast backbone: short-time spectra in, 1-D ConvNeXt blocks at the token rate, short-time spectra out.

Nothing here looks further than its convolutions: every layer works on one frame but the depthwise convolutions,
whose input is masked, so that outside a clip there are zeros whether or not the batch goes on. That gives the
codec a finite receptive field, and tokens that depend on neither padding nor neighbours.
"""

from itertools import accumulate, pairwise
from operator import mul

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor, nn
from torch.nn.functional import elu
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from vocable.features.spectrogram import samples_from_spectra, spectra
from vocable.nn.convnext import Block
from vocable.nn.polar import spectra_from_polar
from vocable.systems.guided.config import SeanetConfig, SpectralConfig

_LOUDEST = 6.0  # log of the largest magnitude a full-scale clip can have in a window of 640
_QUIETEST = 1e-2  # added to magnitudes before the logarithm: 90 dB under full scale


class SpectralEncoder(nn.Module):
    """Waveform to latents."""

    def __init__(self, config: SpectralConfig) -> None:
        super().__init__()
        self.config = config
        per_frame = config.spectra_per_frame * config.bins * 3
        self.enter = nn.Linear(per_frame, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.encoder_blocks))
        self.leave = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, config.latent_width))

    def forward(self, samples: Float[Tensor, "B T"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """T = N · hop samples in [-1, 1], zero behind each clip's end."""
        values = spectra(samples, self.config.n_fft, self.config.spectrum_hop)
        energy = values.real.square() + values.imag.square() + _QUIETEST**2
        shrink = energy.pow(-0.35)  # magnitude to the power 0.3, phase kept
        features = torch.cat([values.real * shrink, values.imag * shrink, 0.5 * energy.log()], dim=-1)
        hidden = self.norm(self.enter(features.reshape(*mask.shape, -1)))
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.leave(hidden)


class SpectralDecoder(nn.Module):
    """Latents to short-time spectra to waveform."""

    def __init__(self, config: SpectralConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Linear(config.latent_width, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.decoder_blocks))
        self.leave = nn.Sequential(
            nn.LayerNorm(config.width), nn.Linear(config.width, config.spectra_per_frame * config.bins * 3)
        )

    def forward(self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B T"]:
        """Samples, T = N · hop; zero where the mask is False."""
        config = self.config
        values = self.predict(latents, mask)
        per_spectrum = mask.repeat_interleave(config.spectra_per_frame, dim=1)
        samples = samples_from_spectra(values, per_spectrum.to(latents.dtype), config.n_fft, config.spectrum_hop)
        return samples * mask.repeat_interleave(config.hop, dim=1)

    def predict(self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Complex[Tensor, "B S F"]:
        """The spectra before overlap-add."""
        hidden = self.norm(self.enter(latents))
        for block in self.blocks:
            hidden = block(hidden, mask)
        head = self.leave(hidden).reshape(mask.shape[0], -1, 3, self.config.bins)
        return spectra_from_polar(head, loudest=_LOUDEST)


def _block(config: SpectralConfig) -> Block:
    return Block(config.width, config.kernel, config.expansion, config.initial_scale)


_EDGE = 7  # kernel of the convolutions on either side of a network
_INNER = 3  # kernel inside a residual unit


class SeanetEncoder(nn.Module):
    """Waveform to latents."""

    def __init__(self, config: SeanetConfig) -> None:
        super().__init__()
        self.config = config
        widths = _widths(config)
        self.enter = _conv(1, widths[0], _EDGE)
        self.stages = nn.ModuleList(
            Down(inputs, outputs, stride)
            for (inputs, outputs), stride in zip(pairwise(widths), config.strides, strict=True)
        )
        self.memory = Memory(widths[-1], config.lstm_layers, bidirectional=True)
        self.leave = _conv(2 * widths[-1], config.latent_width, _EDGE)

    def forward(self, samples: Float[Tensor, "B T"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """T = N · hop samples in [-1, 1], zero behind each clip's end; the mask is True on a row's first frames."""
        if mask.shape[1] == 0:  # a convolution wants at least one frame
            return samples.new_zeros(*mask.shape, self.config.latent_width)
        frames, *finer = _resolutions(mask, self.config)
        hidden = self.enter(samples[:, None] * finer[-1])
        for stage, here in zip(self.stages, reversed(finer), strict=True):
            hidden = stage(hidden, here)
        hidden = self.memory(hidden, mask)
        return self.leave(elu(hidden) * frames).transpose(1, 2)


class SeanetDecoder(nn.Module):
    """Latents to waveform."""

    def __init__(self, config: SeanetConfig) -> None:
        super().__init__()
        self.config = config
        widths = _widths(config)[::-1]
        self.enter = _conv(config.latent_width, widths[0], _EDGE)
        self.memory = Memory(widths[0], config.lstm_layers, bidirectional=False)
        self.stages = nn.ModuleList(
            Up(inputs, outputs, stride)
            for (inputs, outputs), stride in zip(pairwise(widths), config.strides[::-1], strict=True)
        )
        self.leave = _conv(widths[-1], 1, _EDGE)

    def forward(self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B T"]:
        """Samples, T = N · hop; zero where the mask is False. The mask is True on a row's first frames."""
        if mask.shape[1] == 0:
            return latents.new_zeros(mask.shape)
        masks = _resolutions(mask, self.config)
        hidden = self.enter(latents.transpose(1, 2) * masks[0])
        hidden = self.memory(hidden, mask)
        for stage, (here, finer) in zip(self.stages, pairwise(masks), strict=True):
            hidden = stage(hidden, here, finer)
        return (self.leave(elu(hidden) * masks[-1]) * masks[-1])[:, 0]


class Down(nn.Module):
    """A residual unit, then a convolution to a resolution ``stride`` times coarser."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.unit = ResidualUnit(inputs)
        self.coarser = _conv(inputs, outputs, 2 * stride, stride)

    def forward(
        self, hidden: Float[Tensor, "B inputs steps"], mask: Bool[Tensor, "B 1 steps"]
    ) -> Float[Tensor, "B outputs fewer"]:
        """Steps / stride of them; the mask is that of the input."""
        return self.coarser(elu(self.unit(hidden, mask)) * mask)


class Up(nn.Module):
    """A transposed convolution to a resolution ``stride`` times finer, then a residual unit."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.finer = _transposed(inputs, outputs, stride)
        self.unit = ResidualUnit(outputs)

    def forward(
        self, hidden: Float[Tensor, "B inputs steps"], here: Bool[Tensor, "B 1 steps"], finer: Bool[Tensor, "B 1 more"]
    ) -> Float[Tensor, "B outputs more"]:
        """Steps · stride of them; the masks are those of the input and of the output."""
        return self.unit(self.finer(elu(hidden) * here), finer)


class ResidualUnit(nn.Module):
    """Two convolutions through half the channels, beside a third that takes each step by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = _conv(width, width // 2, _INNER)
        self.widen = _conv(width // 2, width, 1)
        self.skip = _conv(width, width, 1)

    def forward(
        self, hidden: Float[Tensor, "B D steps"], mask: Bool[Tensor, "B 1 steps"]
    ) -> Float[Tensor, "B D steps"]:
        """Only the first convolution looks sideways, so only its input is masked."""
        return self.skip(hidden) + self.widen(elu(self.narrow(elu(hidden) * mask)))


class Memory(nn.Module):
    """An LSTM over the real frames of each clip, with a skip; two directions make twice the channels."""

    def __init__(self, width: int, layers: int, *, bidirectional: bool) -> None:
        super().__init__()
        self.directions = 1 + bidirectional
        self.lstm = nn.LSTM(width, width, layers, batch_first=True, bidirectional=bidirectional)

    def forward(self, hidden: Float[Tensor, "B D N"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B outputs N"]:
        """The outputs are D times the directions; behind a clip's end they are the skip alone."""
        lengths = mask.sum(dim=1).clamp(min=1).cpu()  # packing refuses empty rows: they run over one frame
        packed = pack_padded_sequence(hidden.transpose(1, 2), lengths, batch_first=True, enforce_sorted=False)
        output, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=mask.shape[1])
        return output.transpose(1, 2) + hidden.repeat(1, self.directions, 1)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    """Zeros on either side, kernel - stride in all, one more in front if odd: n steps become n / stride."""
    padding = (kernel - stride + 1) // 2  # if odd, the last zero behind is one too many and never reached
    return weight_norm(nn.Conv1d(inputs, outputs, kernel, stride, padding))


def _transposed(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The mirror image, with a kernel of 2 · stride: cut where the other one pads, n steps become n · stride."""
    cut, odd = (stride + 1) // 2, stride % 2
    return weight_norm(nn.ConvTranspose1d(inputs, outputs, 2 * stride, stride, cut, odd))


def _widths(config: SeanetConfig) -> list[int]:
    """Channels at each resolution, from samples to frames."""
    return [config.channels * 2**level for level in range(len(config.strides) + 1)]


def _resolutions(mask: Bool[Tensor, "B N"], config: SeanetConfig) -> list[Bool[Tensor, "B 1 steps"]]:
    """The mask at each resolution, from frames to samples."""
    factors = accumulate(reversed(config.strides), mul, initial=1)
    return [mask.repeat_interleave(factor, dim=1)[:, None] for factor in factors]
