"""Loss weights and learning rates as pure functions of the step."""

from typing import Annotated

from pydantic import Field

from vocable.schema import config


class CountsSteps:
    """Mark of a field that counts steps of a run, so that a shorter run needs a smaller value."""


Steps = Annotated[int, Field(ge=0), CountsSteps()]
"""Number of steps from the start of a run, or of a stage, whose length is a share of the run."""


@config
class Weight:
    """Schedule of a loss weight: zero before ``start``, a linear ramp, then constant.

    Attributes:
        value: Weight after the ramp.
        start: First step, counted from 0, at which the loss counts.
        ramp: Number of steps of the linear ramp from zero to ``value``.

    Example:
        >>> weight = Weight(value=2.0, start=10, ramp=4)
        >>> [weight.at(step) for step in (9, 10, 12, 14, 99)]
        [0.0, 0.0, 1.0, 2.0, 2.0]
    """

    value: float
    start: Steps = 0
    ramp: Steps = 0

    def at(self, step: int) -> float:
        """Return the weight at a step, counted from 0."""
        if step < self.start:
            return 0.0
        return self.value if self.ramp == 0 else self.value * min(1.0, (step - self.start) / self.ramp)


@config
class LearningRate:
    """Schedule of a learning rate: linear warm-up, a plateau, and a linear decay to zero ("warmup-stable-decay").

    The plateau does not depend on the number of steps. So a run can be resumed from any checkpoint before the decay
    with more steps, and gives what a run planned with that many steps gives.

    Attributes:
        peak: Learning rate on the plateau.
        warmup: Number of warm-up steps.
        decay: Share of all steps, at the end, over which the rate decays, in [0, 1].

    Source:
        Hägele et al., arXiv:2405.18392.

    Example:
        >>> rate = LearningRate(peak=1.0, warmup=10, decay=0.5)
        >>> [round(rate.at(step, 100), 2) for step in (0, 9, 49, 75, 99)]
        [0.1, 1.0, 1.0, 0.5, 0.02]
    """

    peak: Annotated[float, Field(gt=0)]
    warmup: Steps = 200
    decay: Annotated[float, Field(ge=0, le=1)] = 0.4

    def at(self, step: int, steps: int) -> float:
        """Return the learning rate at a step, counted from 0, of a run of ``steps`` steps."""
        rising = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        falling = (steps - step) / (self.decay * steps) if self.decay else 1.0
        return self.peak * min(rising, falling, 1.0)


def stage_start(share: float, steps: int) -> int:
    """Return the first step of a run's second stage; a stage whose share is not 0 has a step, if there are two.

    Args:
        share: Share of all steps before it, in [0, 1].
        steps: Number of steps of the whole run.

    Example:
        >>> [stage_start(0.2, steps) for steps in (2, 10, 1000)], stage_start(0.0, 10)
        ([1, 2, 200], 0)
    """
    start = round(share * steps)
    return min(max(start, 1), steps - 1) if 0 < share < 1 and steps > 1 else start
