"""Discriminators of the guided codec and their losses, on the samples of whole crops."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vocable.errors import ShapeError
from vocable.features.spectrogram import hann
from vocable.nn.discriminator import ConvDiscriminator, DiscriminatorOutput
from vocable.systems.adversary import Adversary
from vocable.systems.guided.config import AdversaryConfig, DiscriminatorConfig
from vocable.train.schedule import Weight

_PERIOD_WIDTHS = (1, 4, 16, 32, 32)  # of the layers, as multiples of the first width
_SCALE_LAYERS = (  # width as a multiple of the first, kernel, stride, groups
    (1, 15, 1, 1), (1, 41, 2, 4), (2, 41, 2, 16), (4, 41, 4, 16), (8, 41, 4, 16), (8, 41, 1, 16), (8, 5, 1, 1),
)  # fmt: skip
_DILATIONS = (1, 2, 4)  # over time, of the layers that halve the frequencies


class WaveformAdversary(Adversary):
    """Discriminators of samples, against the codec.

    Args:
        config: Discriminators and how they are trained.
        adversarial: Weight of the codec's adversarial loss.
        feature: Weight of feature matching.
        steps: Steps of the whole run.
    """

    def __init__(self, config: AdversaryConfig, *, adversarial: Weight, feature: Weight, steps: int) -> None:
        super().__init__(
            Discriminators(config.discriminators), config, adversarial=adversarial, feature=feature, steps=steps
        )


class Discriminators(nn.Module):
    """All discriminators of a configuration.

    Source:
        Kong et al., HiFi-GAN, arXiv:2010.05646, sections 2.3 and appendix A.2 (periods and scales; weight norm at every
        scale, where they have spectral norm at the first); Défossez et al., EnCodec, arXiv:2210.13438, section 3.4 and
        ``encodec/msstftd.py`` (spectra).

    Example:
        >>> config = DiscriminatorConfig(periods=(2,), scales=1, scale_width=16, windows=(64,), filters=2)
        >>> outputs = Discriminators(config)(torch.zeros(3, 640))
        >>> [len(output.maps) for output in outputs], {len(output.logits) for output in outputs}
        ([6, 8, 5], {3})
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.periods = nn.ModuleList(PeriodDiscriminator(period, config.period_width) for period in config.periods)
        self.scales = nn.ModuleList(ScaleDiscriminator(scale, config.scale_width) for scale in range(config.scales))
        self.spectra = nn.ModuleList(SpectrumDiscriminator(window, config.filters) for window in config.windows)

    def forward(self, samples: Float[Tensor, "B T"]) -> list[DiscriminatorOutput]:
        """Return an output for each period, scale and window, in this order.

        Raises:
            ShapeError: If the crops are shorter than a window or period.
        """
        longest = max((*self.config.windows, *self.config.periods), default=1)
        if samples.shape[1] < longest:
            raise ShapeError(
                f"crops have {samples.shape[1]} samples, a discriminator needs {longest}; make longer crops"
            )
        return [discriminator(samples) for discriminator in (*self.periods, *self.scales, *self.spectra)]


class PeriodDiscriminator(ConvDiscriminator):
    """Discriminator of the samples at multiples of a period: the waveform is folded into rows of that length."""

    def __init__(self, period: int, width: int) -> None:
        widths = [1, *(width * factor for factor in _PERIOD_WIDTHS)]
        strides = [3] * (len(widths) - 2) + [1]
        layers = [
            nn.Conv2d(inputs, outputs, (5, 1), (stride, 1), (2, 0))
            for (inputs, outputs), stride in zip(pairwise(widths), strides, strict=True)
        ]
        super().__init__(layers, nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)), slope=0.1)
        self.period = period

    def forward(self, samples: Float[Tensor, "B T"]) -> DiscriminatorOutput:
        """Score samples; the last row is filled by reflection."""
        folded = F.pad(samples[:, None], (0, -samples.shape[1] % self.period), mode="reflect")
        return self.score(folded.unflatten(2, (-1, self.period)))


class ScaleDiscriminator(ConvDiscriminator):
    """Discriminator of the waveform at 1 / 2^``halvings`` of its sample rate."""

    def __init__(self, halvings: int, width: int) -> None:
        inputs, layers = 1, []
        for factor, kernel, stride, groups in _SCALE_LAYERS:
            layers.append(nn.Conv1d(inputs, width * factor, kernel, stride, kernel // 2, groups=groups))
            inputs = width * factor
        super().__init__(layers, nn.Conv1d(inputs, 1, 3, padding=1), slope=0.1)
        self.halvings = halvings

    def forward(self, samples: Float[Tensor, "B T"]) -> DiscriminatorOutput:
        """Score samples; each halving averages four at a stride of two."""
        hidden = samples[:, None]
        for _ in range(self.halvings):
            hidden = F.avg_pool1d(hidden, 4, 2, 2)
        return self.score(hidden)


class SpectrumDiscriminator(ConvDiscriminator):
    """Discriminator of short-time spectra, with real and imaginary parts as two channels."""

    maps_logits = False

    def __init__(self, window: int, filters: int) -> None:
        layers = [
            nn.Conv2d(2, filters, (3, 9), padding=(1, 4)),
            *(nn.Conv2d(filters, filters, (3, 9), (1, 2), (dilation, 4), (dilation, 1)) for dilation in _DILATIONS),
            nn.Conv2d(filters, filters, (3, 3), padding=1),
        ]
        super().__init__(layers, nn.Conv2d(filters, 1, (3, 3), padding=1), slope=0.2)
        self.window = window

    def forward(self, samples: Float[Tensor, "B T"]) -> DiscriminatorOutput:
        """Score samples by whole windows, scaled to the variance of the samples."""
        window = hann(self.window, samples.device)
        values = torch.stft(samples, self.window, self.window // 4, window=window, center=False, return_complex=True)
        values = values / window.norm()
        return self.score(torch.stack([values.real, values.imag], dim=1).transpose(2, 3))
