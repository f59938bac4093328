"""What the guided codec learns: to sound like the recording, and whatever teachers and adversaries add.

L_G = Σ weight(step) · term over waveform, log-mel, compressed spectrum and commitment, plus the terms of
any :class:`Teacher` and of an :class:`Adversary`. (Seed 3, "Method Summary"; weights and schedules are the recipe's.)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.collective import world
from vocable.data.crops import CropBatch
from vocable.losses.reconstruction import compressed_spectrum_loss, log_mel_loss, waveform_loss
from vocable.quantizers import Quantized
from vocable.systems.guided.model import GuidedModel
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.train.objective import Turn
from vocable.train.schedule import Weight


@dataclass(frozen=True, kw_only=True)
class GuidedLosses:
    """Weights of the terms, and how levels are dropped."""

    waveform: Weight = field(default_factory=lambda: Weight(value=0.0))
    log_mel: Weight = field(default_factory=lambda: Weight(value=1.0))
    spectrum: Weight = field(default_factory=lambda: Weight(value=30.0))
    commitment: Weight = field(default_factory=lambda: Weight(value=0.25))
    phase: float = 0.5  # share of the complex part in the spectrum term
    quantize_from: int = 0  # steps trained as a plain autoencoder first; then k-means has something to find
    level_dropout: float = 0.25  # share of clips that use a random number of levels


@runtime_checkable
class Teacher(Protocol):
    """A frozen model the tokens are to agree with (semantic, acoustic)."""

    name: str
    weight: Weight

    def loss(self, batch: CropBatch, quantized: Quantized) -> Float[Tensor, ""]:
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


class GuidedObjective:
    """Trains a :class:`GuidedModel`, in one turn a step, or two with an adversary.

    Args:
        model: The codec.
        losses: Weights and schedules.
        teachers: Terms on the quantized levels.
        adversary: Discriminators; they move before the codec does.
        seed: Of level dropout.
    """

    def __init__(
        self,
        model: GuidedModel,
        losses: GuidedLosses,
        *,
        teachers: Sequence[Teacher] = (),
        adversary: Adversary | None = None,
        seed: int = 0,
    ) -> None:
        self.model, self.losses, self.teachers, self.adversary = model, losses, teachers, adversary
        self.seed = seed

    def parts(self) -> Mapping[str, nn.Module]:
        """``generator`` and, with an adversary, ``discriminator``."""
        networks: dict[str, nn.Module] = {"generator": self.model}
        if self.adversary is not None:
            networks["discriminator"] = self.adversary.network
        return networks

    def turns(self, batch: CropBatch, step: int) -> Iterator[Turn]:
        """The discriminators' turn if they play yet, then the codec's."""
        real = batch.samples
        if step < self.losses.quantize_from:
            made, quantized = self.model.reconstruct(real, batch.mask), None
        else:
            made, quantized = self.model(real, batch.mask, self._levels(len(batch.names), step).to(real.device))
        made = made.float()
        plays = self.adversary is not None and step >= self.adversary.start
        if self.adversary is not None and plays:
            losses = self.adversary.losses(real, made.detach())
            yield Turn(name="discriminator", losses=losses, weights=_picked(self.adversary.weights(step), losses))

        rate = self.model.config.sample_rate
        terms: dict[str, Callable[[], Tensor]] = {
            "waveform": lambda: waveform_loss(made, real),
            "log_mel": lambda: log_mel_loss(made, real, sample_rate=rate),
            "spectrum": lambda: compressed_spectrum_loss(made, real, phase=self.losses.phase),
        }
        weights = {name: getattr(self.losses, name).at(step) for name in terms}
        losses = {name: term() for name, term in terms.items() if weights[name]}
        if quantized is not None:
            losses |= quantized.losses
            weights |= {"commitment": self.losses.commitment.at(step), "codebook": 1.0}
            for teacher in self.teachers:
                losses[teacher.name] = teacher.loss(batch, quantized)
                weights[teacher.name] = teacher.weight.at(step)
        if self.adversary is not None and plays:
            losses |= self.adversary.generator_losses(real, made)
            weights |= self.adversary.weights(step)
        stats = {} if quantized is None else quantized.stats
        yield Turn(name="generator", losses=losses, weights=_picked(weights, losses), stats=stats)

    def export(self, folder: Path) -> None:
        """Write the tokenizer as it stands."""
        GuidedTokenizer(self.model).save(folder)

    def _levels(self, batch_size: int, step: int) -> Tensor:
        """Levels each clip may use: the same for a clip however many processes share the batch."""
        rank, size = world()
        count = self.model.config.num_codebooks
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        dropped = torch.rand(batch_size * size, generator=generator) < self.losses.level_dropout
        levels = torch.randint(1, count + 1, (batch_size * size,), generator=generator)
        return torch.where(dropped, levels, count)[rank * batch_size : (rank + 1) * batch_size]


def _picked(weights: Mapping[str, float], losses: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: weights[name] for name in losses}
