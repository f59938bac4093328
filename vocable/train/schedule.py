"""Loss weights and learning rates as pure functions of the step."""

from dataclasses import dataclass

from vocable.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Weight:
    """A loss weight: zero before ``start``, then a straight line to ``value`` over ``ramp`` steps, then constant.

    Example:
        >>> weight = Weight(value=2.0, start=10, ramp=4)
        >>> [weight.at(step) for step in (9, 10, 12, 14, 99)]
        [0.0, 0.0, 1.0, 2.0, 2.0]
    """

    value: float
    start: int = 0
    ramp: int = 0

    def __post_init__(self) -> None:
        if self.start < 0 or self.ramp < 0:
            raise ConfigError(f"a schedule starts at {self.start} and ramps {self.ramp} steps: neither may be negative")

    def at(self, step: int) -> float:
        """The weight at a step (0 is the first)."""
        if step < self.start:
            return 0.0
        return self.value if self.ramp == 0 else self.value * min(1.0, (step - self.start) / self.ramp)


@dataclass(frozen=True, kw_only=True)
class LearningRate:
    """Warm-up, a plateau, and a straight line down to zero ("warm-up, stable, decay").

    The plateau has no memory of the total, so a run that should go on longer can be resumed from any checkpoint
    before the decay with the same result as if it had been planned so.

    Source:
        Hägele et al., arXiv:2405.18392.

    Example:
        >>> rate = LearningRate(peak=1.0, warmup=10, decay=0.5)
        >>> [round(rate.at(step, 100), 2) for step in (0, 9, 49, 75, 99)]
        [0.1, 1.0, 1.0, 0.5, 0.02]
    """

    peak: float
    warmup: int = 200  # steps
    decay: float = 0.4  # share of all steps, at the end

    def __post_init__(self) -> None:
        if self.peak <= 0 or self.warmup < 0 or not 0 <= self.decay <= 1:
            raise ConfigError(f"learning rate {self}: the peak must be positive and the decay a share in [0, 1]")

    def at(self, step: int, steps: int) -> float:
        """The rate at a step of a run of so many."""
        rising = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        falling = (steps - step) / (self.decay * steps) if self.decay else 1.0
        return self.peak * min(rising, falling, 1.0)
