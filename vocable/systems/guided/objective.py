"""Training objective of the guided codec: reconstruction, commitment, distillation and adversarial losses.

The total is Σ weight(step) · loss over the waveform, log-mel, compressed-spectrum and commitment losses, plus those of
teachers and discriminators. With a :class:`Balancer` the weights of the losses on the waveform are shares of its
gradient.

Source:
    Speech Tokenizer is Key to Consistent Representation, arXiv:2507.06802; weights and schedules are the recipe's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vocable.collective import global_sum, world
from vocable.data.crops import CropBatch
from vocable.files import write_json
from vocable.losses.reconstruction import compressed_spectrum_loss, log_mel_loss
from vocable.losses.representation import RepresentationLoss
from vocable.systems.adversary import ADVERSARIAL, FEATURE
from vocable.systems.guided.adversary import WaveformAdversary
from vocable.systems.guided.config import GuidedLosses
from vocable.systems.guided.networks import GuidedModel
from vocable.systems.guided.teachers import REPRESENTATION, Teacher
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.train.objective import Turn
from vocable.train.throughput import Amount

_BALANCED = ("waveform", "log_mel", "spectrum", ADVERSARIAL, FEATURE, REPRESENTATION)
"""Losses that pass through the waveform."""


class Balancer(nn.Module):
    """Weights for losses of one tensor, by the norms of their gradients there.

    A loss of weight w, of a sum of weights W, gets w / W · ``norm`` over the moving mean of its gradient's norm (of a
    row of the batch, averaged over rows). Only losses that pass through the tensor can be balanced. Commitment and
    distillation, which act on latents, keep their weights.

    Args:
        names: Names of all losses that may occur.
        norm: Norm of the whole gradient at the tensor where all losses point the same way.
        decay: Decay of the moving mean, in (0, 1).

    Source:
        Défossez et al., EnCodec, arXiv:2210.13438, section 3.4; ``encodec/balancer.py`` (MIT).

    Example:
        >>> decoded = torch.ones(1, 4, requires_grad=True)
        >>> losses = {"small": decoded.sum(), "large": 100 * decoded.sum()}
        >>> _, weights = Balancer(["small", "large"])(decoded, losses, {"small": 1.0, "large": 3.0})
        >>> [round(weight, 4) for weight in weights.values()]
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
        self, decoded: Float[Tensor, "B ..."], losses: Mapping[str, Float[Tensor, ""]], weights: Mapping[str, float]
    ) -> tuple[dict[str, Float[Tensor, ""]], dict[str, float]]:
        """Return the losses, with known gradients at a tensor, and weights with which these have the requested shares.

        Args:
            decoded: Tensor that all losses pass through, with a gradient.
            losses: Losses by name; their graphs from ``decoded`` on are used up.
            weights: Weight of each loss; one of weight 0 costs no gradient.
        """
        active = [name for name in losses if weights[name]]
        total = sum(weights[name] for name in active)
        balanced = {name: losses[name].detach() for name in losses}
        shares = dict.fromkeys(losses, 0.0)
        for name in active:
            (gradient,) = torch.autograd.grad(losses[name], decoded, retain_graph=True)
            norm = self._mean_norm(name, gradient.flatten(1).norm(dim=1).mean())
            balanced[name] = _KnownGradient.apply(decoded, losses[name].detach(), gradient)  # type: ignore[no-untyped-call]
            shares[name] = weights[name] / total * self.norm / (norm + 1e-12)
        return balanced, shares

    @torch.no_grad()
    def _mean_norm(self, name: str, norm: Float[Tensor, ""]) -> float:
        """Add a norm to the moving mean of a loss and return the mean."""
        index, (_, size) = self.names.index(name), world()
        # A process has the mean loss of 1 / size of the batch, whose gradient there is size times as large.
        self.sums[index] = self.sums[index] * self.decay + global_sum(norm.double()) / size**2
        self.counts[index] = self.counts[index] * self.decay + 1
        return float(self.sums[index] / self.counts[index])


class _KnownGradient(torch.autograd.Function):
    """A loss whose gradient is known and not computed again."""

    @staticmethod
    def forward(ctx: Any, decoded: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradients[0] * gradient, None, None


class GuidedObjective:
    """Objective that trains a :class:`GuidedModel` in one turn a step, or two with an adversary.

    Args:
        model: Codec to train.
        losses: Weights and schedules.
        teachers: Teachers of the quantized levels.
        adversary: Discriminators; they are trained before the codec in each step.
        representation: Distance of decoded audio from its recording in the frames of a frozen encoder.
        seed: Seed of level dropout.
        teacher_records: Name, digest and rates of each teacher, by its part; written beside the tokenizer.
    """

    def __init__(
        self, model: GuidedModel, losses: GuidedLosses, *, teachers: Sequence[Teacher] = (),
        adversary: WaveformAdversary | None = None, representation: RepresentationLoss | None = None, seed: int = 0,
        teacher_records: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.model, self.losses, self.teachers, self.adversary = model, losses, teachers, adversary
        self.representation = representation
        self.seed, self.teacher_records = seed, dict(teacher_records or {})
        self.model.quantizer.beam = losses.beam
        self.balancer = Balancer(_BALANCED, norm=losses.balance) if losses.balance else None

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the network ``generator`` and, with an adversary, ``discriminator``.

        The generator includes what only training needs: the teachers' networks and the balancer.
        """
        extra: dict[str, nn.Module] = {teacher.name: teacher for teacher in self.teachers}
        if self.balancer is not None:
            extra["balance"] = self.balancer
        generator = nn.ModuleDict({"codec": self.model, **extra}) if extra else self.model
        return {"generator": generator} | ({"discriminator": self.adversary.network} if self.adversary else {})

    def turns(self, batch: CropBatch, step: int) -> Iterator[Turn]:
        """Yield the discriminators' turn, from their first step on, then the codec's."""
        real = batch.samples
        if self.model.quantizer.is_disabled(step, self.losses.quantize_from):
            decoded, quantized = self.model.reconstruct(real, batch.mask), None
        else:
            levels = self._draw_levels(len(batch.names), step).to(real.device)
            decoded, quantized = self.model(real, batch.mask, levels)
        decoded = decoded.float()
        adversary = self.adversary if self.adversary is not None and step >= self.adversary.start else None
        if adversary is not None:
            losses = adversary.losses(real, decoded.detach())
            yield Turn(
                name="discriminator", losses=losses, weights=_select(adversary.weights(step), losses),
                learning_rate=adversary.learning_rate(step), alarms=adversary.alarms(losses), is_game=True,
            )  # fmt: skip

        losses, weights = self._reconstruction(real, decoded, step)
        weight = self.losses.representation.at(step)
        if self.representation is not None and weight:
            losses[REPRESENTATION] = self.representation(decoded, real, batch.mask)
            weights[REPRESENTATION] = weight
        if adversary is not None:
            losses |= adversary.generator_losses(real, decoded)
            weights |= adversary.weights(step)
        if self.balancer is not None:
            losses, weights = self.balancer(decoded, losses, weights)
        stats: dict[str, Tensor] = {} if quantized is None else dict(quantized.stats)
        alarms: tuple[str, ...] = ()
        if quantized is not None:
            losses |= quantized.losses
            weights |= {"commitment": self.losses.commitment.at(step), "codebook": 1.0}
            for teacher in self.teachers:
                weight = teacher.weight.at(step)
                # Before its weight starts, the teacher's network learns to read levels that no gradient reaches.
                inputs = quantized if weight else replace(
                    quantized, latents=quantized.latents.detach(), levels=quantized.levels.detach()
                )  # fmt: skip
                output = teacher.distill(batch, inputs, step)
                losses[teacher.name], weights[teacher.name] = output.loss, weight or 1.0
                stats |= output.stats
                alarms += output.alarms
        yield Turn(name="generator", losses=losses, weights=_select(weights, losses), stats=stats, alarms=alarms)

    def amount(self, batch: CropBatch) -> Amount:
        """Return the seconds and tokens of a batch."""
        spec = self.model.config.spec
        return Amount.of_frames(batch.mask, frame_rate=spec.frame_rate, num_codebooks=spec.num_codebooks)

    def export(self, folder: Path) -> None:
        """Write the tokenizer of the current weights, and ``teachers.json`` with the records of its teachers."""
        GuidedTokenizer(self.model).save(folder)
        if self.teacher_records:
            write_json(folder / "teachers.json", self.teacher_records)

    def _reconstruction(
        self, real: Float[Tensor, "B T"], decoded: Float[Tensor, "B T"], step: int
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Return the reconstruction losses whose weight is not 0, and the weights of all of them."""
        config, rate = self.losses, self.model.config.sample_rate
        terms: dict[str, Callable[[], Tensor]] = {
            "waveform": lambda: F.l1_loss(decoded, real),
            "log_mel": lambda: log_mel_loss(decoded, real, sample_rate=rate, scales=config.mel_scales),
            "spectrum": lambda: compressed_spectrum_loss(decoded, real),
        }
        weights = {name: getattr(config, name).at(step) for name in terms}
        with torch.autocast(real.device.type, enabled=False):  # spectra lose their quiet parts in bfloat16
            return {name: loss() for name, loss in terms.items() if weights[name]}, weights

    def _draw_levels(self, batch_size: int, step: int) -> Tensor:
        """Draw the number of levels of each clip, the same however many processes share the batch."""
        rank, size = world()
        count = self.model.config.num_codebooks
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        is_dropped = torch.rand(batch_size * size, generator=generator) < self.losses.level_dropout
        if choices := self.losses.dropout_levels:
            drawn = torch.randint(len(choices), (batch_size * size,), generator=generator)
            levels = torch.tensor(choices)[drawn].clamp(max=count)
        else:
            levels = torch.randint(1, count + 1, (batch_size * size,), generator=generator)
        return torch.where(is_dropped, levels, count)[rank * batch_size : (rank + 1) * batch_size]


def _select(weights: Mapping[str, float], losses: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: weights[name] for name in losses}
