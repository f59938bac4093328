"""Two-player game between discriminators and a generator: their losses, weights and schedule."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.losses.adversarial import GanLoss, fake_loss, feature_matching_loss, generator_loss, real_loss
from vocable.schema import config
from vocable.train.schedule import LearningRate, Steps, Weight

ADVERSARIAL, FEATURE = "adversarial", "feature"
_CERTAIN = 0.02  # discriminator loss under which the discriminators always win


@config
class GameConfig:
    """Settings of discriminators and of their training against a generator.

    Attributes:
        game: Adversarial loss: ``hinge`` or ``least_squares``.
        relative: Whether feature matching is relative to the magnitude of each feature map.
        begin: First step at which the discriminators are trained.
        learning_rate: Learning rate of the discriminators, from that step on; the run's by default.
    """

    game: GanLoss = "hinge"
    relative: bool = True
    begin: Steps = 0
    learning_rate: LearningRate | None = None


class Adversary:
    """Losses of discriminators and of the generator against them.

    Args:
        network: Discriminators: a module that returns a list of :class:`~vocable.nn.discriminator.DiscriminatorOutput`.
        config: How they are trained.
        adversarial: Weight of the generator's adversarial loss.
        feature: Weight of feature matching.
        steps: Steps of the whole run.

    Attributes:
        network: Discriminators.
        start: First step at which they are trained.
    """

    def __init__(
        self, network: nn.Module, config: GameConfig, *, adversarial: Weight, feature: Weight, steps: int
    ) -> None:
        self.network, self.config, self.start, self._steps = network, config, config.begin, steps
        self._weights = {ADVERSARIAL: adversarial, FEATURE: feature}

    def losses(self, real: Float[Tensor, "B T *any"], fake: Float[Tensor, "B T *any"]) -> dict[str, Float[Tensor, ""]]:
        """Return the discriminators' losses on recordings and on generated clips, detached."""
        real_outputs, fake_outputs = self.network(real), self.network(fake)
        return {
            "real": real_loss([output.logits for output in real_outputs], self.config.game),
            "made": fake_loss([output.logits for output in fake_outputs], self.config.game),
        }

    def generator_losses(
        self, real: Float[Tensor, "B T *any"], fake: Float[Tensor, "B T *any"]
    ) -> dict[str, Float[Tensor, ""]]:
        """Return the generator's losses. Gradients pass through the discriminators, whose parameters get none."""
        self.network.requires_grad_(False)
        try:
            fake_outputs = self.network(fake)
            with torch.no_grad():
                real_outputs = self.network(real)
        finally:
            self.network.requires_grad_(True)
        maps = [[one for output in outputs for one in output.maps] for outputs in (real_outputs, fake_outputs)]
        return {
            ADVERSARIAL: generator_loss([output.logits for output in fake_outputs], self.config.game),
            FEATURE: feature_matching_loss(*maps, relative=self.config.relative),
        }

    def weights(self, step: int) -> dict[str, float]:
        """Return the weight of each loss at a step."""
        return {"real": 1.0, "made": 1.0} | {name: weight.at(step) for name, weight in self._weights.items()}

    def learning_rate(self, step: int) -> float | None:
        """Return the discriminators' learning rate at a step; None for that of the run."""
        rate = self.config.learning_rate
        return None if rate is None else rate.at(step - self.start, max(1, self._steps - self.start))

    def alarms(self, losses: Mapping[str, Float[Tensor, ""]]) -> tuple[str, ...]:
        """Return warnings about the discriminators' losses."""
        total = float(losses["real"].detach() + losses["made"].detach())
        if total >= _CERTAIN:
            return ()
        return (f"the discriminators are always right (loss {total:.4f}): the generator learns nothing from them",)
