"""The codec's adversary: discriminators in a game, on the samples of whole crops."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from vocable.errors import ShapeError
from vocable.features.spectrogram import hann
from vocable.losses.adversarial import feature_matching_loss, generator_loss, made_loss, real_loss
from vocable.systems.guided.config import AdversaryConfig, DiscriminatorConfig
from vocable.train.schedule import Weight

ADVERSARIAL, FEATURE = "adversarial", "feature"
_WON = 0.02  # what discriminators pay that tell everything apart


class WaveformAdversary:
    """Plays a configuration.

    Args:
        config: Who and how.
        adversarial: Weight of the codec's loss for being told apart.
        feature: Weight of feature matching.
        steps: In the whole run.

    Attributes:
        network: The discriminators.
        start: First step it plays.
    """

    def __init__(self, config: AdversaryConfig, *, adversarial: Weight, feature: Weight, steps: int) -> None:
        self.config, self.start, self._steps = config, config.begin, steps
        self.network: nn.Module = Discriminators(config.discriminators)
        self._weights = {ADVERSARIAL: adversarial, FEATURE: feature}

    def losses(self, real: Float[Tensor, "B T"], made: Float[Tensor, "B T"]) -> dict[str, Float[Tensor, ""]]:
        """What the discriminators minimise; ``made`` is detached."""
        heard, fake = self.network(real), self.network(made)
        return {
            "real": real_loss([one.logits for one in heard], self.config.game),
            "made": made_loss([one.logits for one in fake], self.config.game),
        }

    def generator_losses(self, real: Float[Tensor, "B T"], made: Float[Tensor, "B T"]) -> dict[str, Float[Tensor, ""]]:
        """What the codec minimises against them. No gradient is computed for the discriminators."""
        with self._still():
            fake = self.network(made)
            with torch.no_grad():
                heard = self.network(real)
        maps = [[seen for one in side for seen in one.maps] for side in (heard, fake)]
        return {
            ADVERSARIAL: generator_loss([one.logits for one in fake], self.config.game),
            FEATURE: feature_matching_loss(*maps, relative=self.config.relative),
        }

    def weights(self, step: int) -> dict[str, float]:
        """Of all these losses, by name."""
        return {"real": 1.0, "made": 1.0} | {name: weight.at(step) for name, weight in self._weights.items()}

    def learning_rate(self, step: int) -> float | None:
        """Of the discriminators at a step; None where it is the run's."""
        rate = self.config.learning_rate
        return None if rate is None else rate.at(step - self.start, max(1, self._steps - self.start))

    def alarms(self, losses: Mapping[str, Float[Tensor, ""]]) -> tuple[str, ...]:
        """What looks wrong with the discriminators' losses, in words."""
        paid = float(losses["real"].detach() + losses["made"].detach())
        if paid >= _WON:
            return ()
        return (f"the discriminators tell everything apart (loss {paid:.4f}): the codec learns nothing from them",)

    @contextmanager
    def _still(self) -> Iterator[None]:
        """Gradients pass through the discriminators, and do not reach their parameters."""
        self.network.requires_grad_(False)
        try:
            yield
        finally:
            self.network.requires_grad_(True)


_PERIOD_WIDTHS = (1, 4, 16, 32, 32)  # of the layers, in first widths
_SCALE_LAYERS = (  # widths in first widths, kernel, stride, groups
    (1, 15, 1, 1), (1, 41, 2, 4), (2, 41, 2, 16), (4, 41, 4, 16), (8, 41, 4, 16), (8, 41, 1, 16), (8, 5, 1, 1),
)  # fmt: skip
_DILATIONS = (1, 2, 4)  # over time, of the layers that halve the frequencies


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
