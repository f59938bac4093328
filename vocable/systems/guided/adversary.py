"""The codec's adversary: discriminators in a game, on the samples of whole crops."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.errors import ConfigError
from vocable.losses.adversarial import Game, feature_matching_loss, generator_loss, made_loss, real_loss
from vocable.systems.guided.discriminators import DiscriminatorConfig, Discriminators
from vocable.train.schedule import LearningRate, Weight

ADVERSARIAL, FEATURE = "adversarial", "feature"
_WON = 0.02  # what discriminators pay that tell everything apart


@dataclass(frozen=True, kw_only=True)
class AdversaryConfig:
    """Who plays, and how.

    Attributes:
        discriminators: The networks.
        game: ``hinge`` or ``least_squares``.
        relative: Feature matching is over the magnitude of each map.
        begin: First step it plays.
        learning_rate: Of the discriminators, from that step on; the run's by default.
    """

    discriminators: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    game: Game = "hinge"
    relative: bool = True
    begin: int = 0
    learning_rate: LearningRate | None = None

    def __post_init__(self) -> None:
        if self.begin < 0:
            raise ConfigError(f"adversary: begin is {self.begin}: it must be at least 0")


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
