"""What the guided codec learns: to sound like the recording, and whatever teachers and adversaries add.

L_G = Σ weight(step) · term over waveform, log-mel, compressed spectrum and commitment, plus the terms of
any :class:`Teacher` and of an :class:`Adversary`. (Seed 3, "Method Summary"; weights and schedules are the recipe's.)
With a balance, the weights of the terms on the waveform are shares of its gradient (``guided.balance``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.collective import global_sum, world
from vocable.data.crops import CropBatch
from vocable.files import write_json
from vocable.losses.reconstruction import (
    compressed_spectrum_loss,
    log_mel_loss,
    waveform_loss,
)
from vocable.quantizers import Quantized
from vocable.systems.guided.adversary import ADVERSARIAL, FEATURE
from vocable.systems.guided.config import GuidedLosses
from vocable.systems.guided.model import GuidedModel
from vocable.systems.guided.teachers import Lesson
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.train.objective import Turn
from vocable.train.schedule import Weight

_ON_WAVEFORM = ("waveform", "log_mel", "spectrum", ADVERSARIAL, FEATURE)  # what a balance can weigh


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


@dataclass(frozen=True)
class Balanced:
    """Losses whose gradients are known already, and what to weigh them with.

    Attributes:
        losses: The values that went in, by name.
        weights: With which the sum's gradient has the shares that were asked for.
    """

    losses: dict[str, Float[Tensor, ""]]
    weights: dict[str, float]


class Balancer(nn.Module):
    """Weighs losses by the norms of their gradients at what they are losses of.

    A loss asked for with weight w of a sum W gets w / W · ``norm`` over the moving mean of its gradient's norm (of a
    row of the batch, the mean over rows). Only losses that go through the one tensor can be weighed so: commitment and
    teachers, which act on latents, stand beside it with plain weights.

    Args:
        names: Of all losses there may be.
        norm: Of the whole gradient at that tensor, where all pull the same way.
        decay: Of the moving mean.

    Source:
        Défossez et al., EnCodec, arXiv:2210.13438, section 3.4; ``encodec/balancer.py`` (MIT).

    Example:
        >>> made = torch.ones(1, 4, requires_grad=True)
        >>> balanced = Balancer(["small", "large"])(made, {"small": made.sum(), "large": 100 * made.sum()},
        ...                                         {"small": 1.0, "large": 3.0})
        >>> [round(weight, 4) for weight in balanced.weights.values()]
        [0.125, 0.0037]
    """

    sums: Tensor
    counts: Tensor

    def __init__(self, names: Sequence[str], *, norm: float = 1.0, decay: float = 0.999) -> None:
        super().__init__()
        self.names, self.norm, self.decay = tuple(names), norm, decay
        self.register_buffer("sums", torch.zeros(len(self.names), dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(len(self.names), dtype=torch.float64))

    def forward(
        self, made: Float[Tensor, "B ..."], losses: Mapping[str, Float[Tensor, ""]], weights: Mapping[str, float]
    ) -> Balanced:
        """Weigh the losses of a step. Their graphs are used up: the gradient from ``made`` on is the caller's.

        Args:
            made: What all losses go through; with a gradient.
            losses: By some of the names.
            weights: Of those; what has none costs nothing.
        """
        live = [name for name in losses if weights[name]]
        total = sum(weights[name] for name in live)
        known = {name: losses[name].detach() for name in losses}
        shares = dict.fromkeys(losses, 0.0)
        for name in live:
            (gradient,) = torch.autograd.grad(losses[name], made, retain_graph=True)
            norm = self._usual(name, gradient.flatten(1).norm(dim=1).mean())
            known[name] = _Known.apply(made, losses[name].detach(), gradient)  # type: ignore[no-untyped-call]
            shares[name] = weights[name] / total * self.norm / (norm + 1e-12)
        return Balanced(known, shares)

    @torch.no_grad()
    def _usual(self, name: str, norm: Float[Tensor, ""]) -> float:
        at = self.names.index(name)
        size = world()[1]  # of two processes' mean losses each has gradients twice those of the whole batch's
        self.sums[at] = self.sums[at] * self.decay + global_sum(norm.double()) / size**2
        self.counts[at] = self.counts[at] * self.decay + 1
        return float(self.sums[at] / self.counts[at])


class _Known(torch.autograd.Function):
    """A loss whose gradient need not be computed again."""

    @staticmethod
    def forward(ctx: Any, made: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradients[0] * gradient, None, None
