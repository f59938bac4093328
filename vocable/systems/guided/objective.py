"""What the guided codec learns: to sound like the recording, and whatever teachers and adversaries add.

L_G = Σ weight(step) · term over waveform, log-mel, compressed spectrum and commitment, plus the terms of
any :class:`Teacher` and of an :class:`Adversary`. (Seed 3, "Method Summary"; weights and schedules are the recipe's.)
With a balance, the weights of the terms on the waveform are shares of its gradient (``guided.balance``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.collective import world
from vocable.data.crops import CropBatch
from vocable.errors import ConfigError
from vocable.files import write_json
from vocable.losses.reconstruction import (
    MEL_SCALES,
    MelScale,
    compressed_spectrum_loss,
    log_mel_loss,
    waveform_loss,
)
from vocable.quantizers import Quantized
from vocable.systems.guided.adversary import ADVERSARIAL, FEATURE
from vocable.systems.guided.balance import Balancer
from vocable.systems.guided.model import GuidedModel
from vocable.systems.guided.teachers import Lesson
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.train.objective import Turn
from vocable.train.schedule import Weight

_ON_WAVEFORM = ("waveform", "log_mel", "spectrum", ADVERSARIAL, FEATURE)  # what a balance can weigh


@dataclass(frozen=True, kw_only=True)
class GuidedLosses:
    """Weights of the terms, and how levels are dropped.

    Attributes:
        waveform: Mean absolute difference of samples.
        log_mel: Mean absolute difference of log-mel magnitudes, over ``mel_scales``.
        spectrum: Mean squared difference of compressed spectra.
        commitment: Of the quantizer.
        semantic: Of the teacher of the first level.
        acoustic: Of the teacher of the levels after it.
        adversarial: For being told apart by discriminators.
        feature: Of feature matching with them.
        mel_scales: Windows of the log-mel term.
        phase: Share of the complex part in the spectrum term.
        balance: Norm of the gradient at the waveform, of which the weights there are shares; 0: plain weights.
        quantize_from: Steps trained as a plain autoencoder first; then k-means has something to find. A run that begins
            from a trained model does without them.
        level_dropout: Share of clips that use a random number of levels.
    """

    waveform: Weight = field(default_factory=lambda: Weight(value=0.0))
    log_mel: Weight = field(default_factory=lambda: Weight(value=1.0))
    spectrum: Weight = field(default_factory=lambda: Weight(value=30.0))
    commitment: Weight = field(default_factory=lambda: Weight(value=0.25))
    semantic: Weight = field(default_factory=lambda: Weight(value=0.0))
    acoustic: Weight = field(default_factory=lambda: Weight(value=0.0))
    adversarial: Weight = field(default_factory=lambda: Weight(value=0.0))
    feature: Weight = field(default_factory=lambda: Weight(value=0.0))
    mel_scales: tuple[MelScale, ...] = MEL_SCALES
    phase: float = 0.5
    balance: float = 0.0
    quantize_from: int = 0
    level_dropout: float = 0.25

    def __post_init__(self) -> None:
        if self.balance < 0 or not self.mel_scales:
            raise ConfigError(f"balance {self.balance} is at least 0, and mel_scales {self.mel_scales} at least one")


@runtime_checkable
class Teacher(Protocol):
    """A frozen model the tokens are to agree with (semantic, acoustic). One that is a module learns with the codec."""

    name: str
    weight: Weight

    def lesson(self, batch: CropBatch, quantized: Quantized, step: int) -> Lesson:
        """Disagreement of the quantized levels with the teacher's view of the batch."""
        ...


@runtime_checkable
class Adversary(Protocol):
    """Discriminators, with their own optimizer."""

    start: int  # first step it plays
    network: nn.Module

    def losses(self, real: Float[Tensor, "B T"], made: Float[Tensor, "B T"]) -> dict[str, Float[Tensor, ""]]:
        """What the discriminators minimise; ``made`` is detached."""
        ...

    def generator_losses(self, real: Float[Tensor, "B T"], made: Float[Tensor, "B T"]) -> dict[str, Float[Tensor, ""]]:
        """What the codec minimises against them."""
        ...

    def weights(self, step: int) -> dict[str, float]:
        """Of all these losses, by name."""
        ...

    def learning_rate(self, step: int) -> float | None:
        """Of the discriminators; None where it is the run's."""
        ...

    def alarms(self, losses: Mapping[str, Float[Tensor, ""]]) -> tuple[str, ...]:
        """What looks wrong with the discriminators' losses, in words."""
        ...


class GuidedObjective:
    """Trains a :class:`GuidedModel`, in one turn a step, or two with an adversary.

    Args:
        model: The codec.
        losses: Weights and schedules.
        teachers: Terms on the quantized levels.
        adversary: Discriminators; they move before the codec does.
        seed: Of level dropout.
        facts: Of the teachers, by their part: written beside the tokenizer.
    """

    def __init__(
        self,
        model: GuidedModel,
        losses: GuidedLosses,
        *,
        teachers: Sequence[Teacher] = (),
        adversary: Adversary | None = None,
        seed: int = 0,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.model, self.losses, self.teachers, self.adversary = model, losses, teachers, adversary
        self.seed, self.facts = seed, dict(facts or {})
        self.balancer = Balancer(_ON_WAVEFORM, norm=losses.balance) if losses.balance else None

    def parts(self) -> Mapping[str, nn.Module]:
        """``generator`` and, with an adversary, ``discriminator``.

        What only training needs (the teachers' networks, the balance) learns, and is kept, with the generator.
        """
        beside: dict[str, nn.Module] = {
            teacher.name: teacher for teacher in self.teachers if isinstance(teacher, nn.Module)
        }
        if self.balancer is not None:
            beside["balance"] = self.balancer
        generator = nn.ModuleDict({"codec": self.model, **beside}) if beside else self.model
        networks: dict[str, nn.Module] = {"generator": generator}
        if self.adversary is not None:
            networks["discriminator"] = self.adversary.network
        return networks

    def turns(self, batch: CropBatch, step: int) -> Iterator[Turn]:
        """The discriminators' turn if they play yet, then the codec's."""
        real = batch.samples
        if self.model.quantizer.waits(step, self.losses.quantize_from):
            made, quantized = self.model.reconstruct(real, batch.mask), None
        else:
            made, quantized = self.model(real, batch.mask, self._levels(len(batch.names), step).to(real.device))
        made = made.float()
        plays = self.adversary is not None and step >= self.adversary.start
        if self.adversary is not None and plays:
            losses = self.adversary.losses(real, made.detach())
            yield Turn(
                name="discriminator", losses=losses, weights=_picked(self.adversary.weights(step), losses),
                learning_rate=self.adversary.learning_rate(step), alarms=self.adversary.alarms(losses),
            )  # fmt: skip

        rate = self.model.config.sample_rate
        terms: dict[str, Callable[[], Tensor]] = {
            "waveform": lambda: waveform_loss(made, real),
            "log_mel": lambda: log_mel_loss(made, real, sample_rate=rate, scales=self.losses.mel_scales),
            "spectrum": lambda: compressed_spectrum_loss(made, real, phase=self.losses.phase),
        }
        weights = {name: getattr(self.losses, name).at(step) for name in terms}
        losses = {name: term() for name, term in terms.items() if weights[name]}
        if self.adversary is not None and plays:
            losses |= self.adversary.generator_losses(real, made)
            weights |= self.adversary.weights(step)
        if self.balancer is not None:
            balanced = self.balancer(made, losses, weights)
            losses, weights = balanced.losses, balanced.weights
        stats: dict[str, Tensor] = {} if quantized is None else dict(quantized.stats)
        alarms: tuple[str, ...] = ()
        if quantized is not None:
            losses |= quantized.losses
            weights |= {"commitment": self.losses.commitment.at(step), "codebook": 1.0}
            for teacher in self.teachers:
                weight = teacher.weight.at(step)  # 0: what it hears with learns, and teaches nothing yet
                lesson = teacher.lesson(batch, quantized if weight else _apart(quantized), step)
                losses[teacher.name], weights[teacher.name] = lesson.loss, weight or 1.0
                stats |= lesson.stats
                alarms += lesson.alarms
        yield Turn(name="generator", losses=losses, weights=_picked(weights, losses), stats=stats, alarms=alarms)

    def export(self, folder: Path) -> None:
        """Write the tokenizer as it stands, without what taught it; ``teachers.json`` says who did."""
        GuidedTokenizer(self.model).save(folder)
        if self.facts:
            write_json(folder / "teachers.json", self.facts)

    def _levels(self, batch_size: int, step: int) -> Tensor:
        """Levels each clip may use: the same for a clip however many processes share the batch."""
        rank, size = world()
        count = self.model.config.num_codebooks
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        dropped = torch.rand(batch_size * size, generator=generator) < self.losses.level_dropout
        levels = torch.randint(1, count + 1, (batch_size * size,), generator=generator)
        return torch.where(dropped, levels, count)[rank * batch_size : (rank + 1) * batch_size]


def _apart(quantized: Quantized) -> Quantized:
    """The same levels, through which no gradient comes back."""
    return replace(quantized, latents=quantized.latents.detach(), levels=quantized.levels.detach())


def _picked(weights: Mapping[str, float], losses: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: weights[name] for name in losses}
