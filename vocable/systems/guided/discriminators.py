"""Networks that tell recordings from what a codec made of them: by period, by scale, by short-time spectrum."""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from vocable.errors import ConfigError, ShapeError
from vocable.features.spectrogram import hann

_PERIOD_WIDTHS = (1, 4, 16, 32, 32)  # of the layers, in first widths
_SCALE_LAYERS = (  # widths in first widths, kernel, stride, groups
    (1, 15, 1, 1), (1, 41, 2, 4), (2, 41, 2, 16), (4, 41, 4, 16), (8, 41, 4, 16), (8, 41, 1, 16), (8, 5, 1, 1),
)  # fmt: skip
_DILATIONS = (1, 2, 4)  # over time, of the layers that halve the frequencies


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """Which discriminators there are; the defaults are the papers'.

    Attributes:
        periods: In samples, of the multi-period discriminator.
        period_width: Channels of its first layer.
        scales: Of the multi-scale discriminator: the waveform, its half, its quarter …
        scale_width: Channels of its first layer; a multiple of 16.
        windows: In samples, of the multi-STFT discriminator; the hop is a quarter.
        filters: Channels of its layers.

    Raises:
        ConfigError: There is none, or a size is out of range.
    """

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    period_width: int = 32
    scales: int = 3
    scale_width: int = 128
    windows: tuple[int, ...] = (1024, 2048, 512)
    filters: int = 32

    def __post_init__(self) -> None:
        if not (self.periods or self.scales or self.windows):
            raise ConfigError("discriminators: there is no period, scale or window; name at least one")
        if min(self.periods, default=2) < 2 or self.scales < 0 or min(self.windows, default=16) < 16:
            raise ConfigError(
                f"discriminators: periods {self.periods} are at least 2, scales {self.scales} at least 0, "
                f"windows {self.windows} at least 16"
            )
        if min(self.period_width, self.filters) < 1 or self.scale_width < 16 or self.scale_width % 16:
            raise ConfigError(
                f"discriminators: period_width {self.period_width} and filters {self.filters} are at least 1, "
                f"scale_width {self.scale_width} is a multiple of 16"
            )


@dataclass(frozen=True)
class Verdict:
    """What one discriminator says of a batch.

    Attributes:
        logits: High where it hears a recording; of any shape.
        maps: What its layers saw on the way.
    """

    logits: Tensor
    maps: list[Tensor]


class Discriminators(nn.Module):
    """All discriminators of a configuration.

    Source:
        Kong et al., HiFi-GAN, arXiv:2010.05646, sections 2.3 and appendix A.2 (periods and scales; weight norm at
        every scale, where they have spectral norm at the first); Défossez et al., EnCodec, arXiv:2210.13438,
        section 3.4 and ``encodec/msstftd.py`` (spectra).

    Example:
        >>> config = DiscriminatorConfig(periods=(2,), scales=1, scale_width=16, windows=(64,), filters=2)
        >>> verdicts = Discriminators(config)(torch.zeros(3, 640))
        >>> [len(verdict.maps) for verdict in verdicts], {len(verdict.logits) for verdict in verdicts}
        ([6, 8, 5], {3})
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.periods = nn.ModuleList(PeriodDiscriminator(period, config.period_width) for period in config.periods)
        self.scales = nn.ModuleList(ScaleDiscriminator(scale, config.scale_width) for scale in range(config.scales))
        self.spectra = nn.ModuleList(SpectrumDiscriminator(window, config.filters) for window in config.windows)

    def forward(self, samples: Float[Tensor, "B T"]) -> list[Verdict]:
        """Verdicts in the order of periods, scales and windows.

        Raises:
            ShapeError: The crops are shorter than a window.
        """
        longest = max((*self.config.windows, *self.config.periods), default=1)
        if samples.shape[1] < longest:
            raise ShapeError(f"crops of {samples.shape[1]} samples: a discriminator hears {longest}; make longer crops")
        return [judge(samples) for part in (self.periods, self.scales, self.spectra) for judge in part]


class PeriodDiscriminator(nn.Module):
    """Looks at every ``period``-th sample: rows of the waveform folded to that width."""

    def __init__(self, period: int, width: int) -> None:
        super().__init__()
        self.period = period
        widths = [1, *(width * factor for factor in _PERIOD_WIDTHS)]
        strides = [3] * (len(widths) - 2) + [1]
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(inputs, outputs, (5, 1), (stride, 1), (2, 0)))
            for (inputs, outputs), stride in zip(pairwise(widths), strides, strict=True)
        )
        self.last = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, samples: Float[Tensor, "B T"]) -> Verdict:
        """The end is mirrored to fill the last row."""
        folded = F.pad(samples[:, None], (0, -samples.shape[1] % self.period), mode="reflect")
        hidden, maps = folded.unflatten(2, (-1, self.period)), []
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), 0.1)
            maps.append(hidden)
        logits = self.last(hidden)
        return Verdict(logits, [*maps, logits])


class ScaleDiscriminator(nn.Module):
    """Looks at the waveform at a half, a quarter … of its rate."""

    def __init__(self, halvings: int, width: int) -> None:
        super().__init__()
        self.halvings = halvings
        inputs, layers = 1, []
        for factor, kernel, stride, groups in _SCALE_LAYERS:
            layers.append(weight_norm(nn.Conv1d(inputs, width * factor, kernel, stride, kernel // 2, groups=groups)))
            inputs = width * factor
        self.layers = nn.ModuleList(layers)
        self.last = weight_norm(nn.Conv1d(inputs, 1, 3, padding=1))

    def forward(self, samples: Float[Tensor, "B T"]) -> Verdict:
        """Averages of four samples, every second one, once for each halving."""
        hidden, maps = samples[:, None], []
        for _ in range(self.halvings):
            hidden = F.avg_pool1d(hidden, 4, 2, 2)
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), 0.1)
            maps.append(hidden)
        logits = self.last(hidden)
        return Verdict(logits, [*maps, logits])


class SpectrumDiscriminator(nn.Module):
    """Looks at short-time spectra, real and imaginary parts as two channels."""

    def __init__(self, window: int, filters: int) -> None:
        super().__init__()
        self.window = window
        layers = [nn.Conv2d(2, filters, (3, 9), padding=(1, 4))]
        layers += [
            nn.Conv2d(filters, filters, (3, 9), (1, 2), (dilation, 4), dilation=(dilation, 1))
            for dilation in _DILATIONS
        ]
        layers.append(nn.Conv2d(filters, filters, (3, 3), padding=1))
        self.layers = nn.ModuleList(weight_norm(layer) for layer in layers)
        self.last = weight_norm(nn.Conv2d(filters, 1, (3, 3), padding=1))

    def forward(self, samples: Float[Tensor, "B T"]) -> Verdict:
        """Whole windows only; scaled to the variance of the samples."""
        window = hann(self.window, samples.device)
        values = torch.stft(
            samples, self.window, self.window // 4, window=window, center=False, return_complex=True
        ) / window.norm()  # fmt: skip
        hidden, maps = torch.stack([values.real, values.imag], dim=1).transpose(2, 3), []
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), 0.2)
            maps.append(hidden)
        return Verdict(self.last(hidden), maps)
