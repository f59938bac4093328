"""What frozen teachers ask of the levels: the first is to say what is said, those after it who says it, and how.

Both learn through a small network of their own that belongs to training: no tokenizer is exported with one. (Seed 3:
cosine for HuBERT, KL divergence for ECAPA-TDNN through an align layer of 8 heads.)
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vocable.collective import global_sum, world
from vocable.data.crops import CropBatch
from vocable.errors import ConfigError
from vocable.losses import distillation
from vocable.quantizers import Quantized
from vocable.train.schedule import Weight

SEMANTIC, ACOUSTIC = "semantic", "acoustic"

_FORMS = {
    "cosine": distillation.cosine_loss,
    "d_axis": distillation.d_axis_loss,
    "t_axis": distillation.t_axis_loss,
}
_NOTHING = 0.01  # of a cosine's distance, or nats: what is less is as good as nothing
_ALIKE = 0.05  # share of the teacher's variety; a student with less says one thing
_PATIENCE = 1_000  # steps at full weight before a student is told that it has learnt nothing


@dataclass(frozen=True, kw_only=True)
class SemanticConfig:
    """The teacher of the first level.

    Attributes:
        form: One less the cosine of frames (the paper), or SpeechTokenizer's along dimensions (``d_axis``) or frames.
        layers: Of the teacher, whose mean is taken; all by default.
        standardised: Each of the teacher's numbers, over the corpus, first: what it says of every frame is no lesson.
            Half of what Whisper's last layer says is that.
        source: The teacher: a folder, or a name on the hub. It is given where a run is started.
    """

    form: Literal["cosine", "d_axis", "t_axis"] = "cosine"
    layers: tuple[int, ...] = ()
    standardised: bool = False
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class AcousticConfig:
    """The teacher of the other levels.

    Attributes:
        form: KL divergence of softmax distributions over standardised coordinates (the paper), or one less the cosine.
        levels: Whose sum it hears: all from the second on, or the second alone.
        pooling: How frames become one vector before they are compared: by the align layer's attention (the paper), or
            by their plain mean, what that layer is worth being the question.
        heads: Of the align layer's attention.
        temperature: Of the distributions.
        source: The teacher: ``resemblyzer``, or ECAPA-TDNN's folder or name on the hub. It is given where a run is
            started.
    """

    form: Literal["kl", "cosine"] = "kl"
    levels: Literal["2:", "2"] = "2:"
    pooling: Literal["attention", "mean"] = "attention"
    heads: int = 8
    temperature: float = 1.0
    source: str | None = None

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ConfigError(f"acoustic temperature is {self.temperature}: it must be positive")


@dataclass(frozen=True)
class Lesson:
    """What a teacher says of a batch.

    Attributes:
        loss: Disagreement of the quantized levels with it.
        stats: Things to log.
        alarms: What looks wrong, in words.
    """

    loss: Float[Tensor, ""]
    stats: dict[str, Tensor] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()


class SemanticTeacher(nn.Module):
    """Compares a linear view of the first level with the teacher's frames, where it says any.

    Args:
        config: How.
        latents: Width of the levels, D.
        weight: Of the loss.
        mean: Of the teacher's frames over the corpus.
        deviation: Of these.
    """

    name = SEMANTIC
    mean: Tensor
    deviation: Tensor

    def __init__(
        self, config: SemanticConfig, *, latents: int, weight: Weight, mean: Float[Tensor, " F"],
        deviation: Float[Tensor, " F"],
    ) -> None:  # fmt: skip
        super().__init__()
        self.config, self.weight = config, weight
        self.project = nn.Linear(latents, len(mean))
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def lesson(self, batch: CropBatch, quantized: Quantized, step: int) -> Lesson:
        """The loss of a batch, and how far level and teacher vary over its frames."""
        wanted = batch.targets[self.name]
        mask = batch.mask & (wanted != 0).any(2)  # frames that the teacher says nothing of are 0
        if self.config.standardised:
            wanted = distillation.standardised(wanted, self.mean, self.deviation)
        made = self.project(quantized.levels[0]).float()
        with torch.no_grad():
            apart = distillation.cosine_loss(made, wanted, mask)
            apart, ours, theirs = _over_processes(apart, _variety(made[mask]), _variety(wanted[mask]))
        return Lesson(
            _FORMS[self.config.form](made, wanted, mask),
            {f"{self.name}_distance": apart, f"{self.name}_of_a_constant": theirs, f"{self.name}_variety": ours},
            alarms(self.name, float(apart), float(theirs), float(ours), patient=_patient(self.weight, step)),
        )


class AcousticTeacher(nn.Module):
    """Compares what is heard in the levels after the first with the teacher's vector of the recording.

    Args:
        config: How.
        latents: Width of the levels, D.
        weight: Of the loss.
        mean: Of the teacher's vectors over the corpus.
        deviation: Of these.

    Raises:
        ConfigError: The heads do not divide the width of the levels.
    """

    name = ACOUSTIC
    mean: Tensor
    deviation: Tensor

    def __init__(
        self, config: AcousticConfig, *, latents: int, weight: Weight, mean: Float[Tensor, " F"],
        deviation: Float[Tensor, " F"],
    ) -> None:  # fmt: skip
        super().__init__()
        self.config, self.weight = config, weight
        attention = config.pooling == "attention"
        self.align = AlignLayer(latents, config.heads, len(mean)) if attention else MeanLayer(latents, len(mean))
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def lesson(self, batch: CropBatch, quantized: Quantized, step: int) -> Lesson:
        """The loss over the clips that use these levels, the teacher's entropy, and how far both vary over clips."""
        wanted = batch.targets[self.name]
        levels = quantized.levels[1:2] if self.config.levels == "2" else quantized.levels[1:]
        heard = levels.sum(0)
        there = (levels.detach() != 0).flatten(2).any(2).any(0)  # dropped levels are 0
        made = self.align(heard, batch.mask).float()
        told = distillation.standardised(wanted, self.mean, self.deviation)
        with torch.no_grad():
            unsure = distillation.entropy(told / self.config.temperature).mean()
        if self.config.form == "kl":
            loss = distillation.divergence_loss(made, told, there, self.config.temperature)
            with torch.no_grad():
                ours, theirs = (_divergence(part[there] / self.config.temperature) for part in (made, told))
                ours, theirs = (self.config.temperature**2 * part for part in (ours, theirs))
        else:
            loss = distillation.cosine_loss(made[:, None], wanted[:, None], there[:, None])
            with torch.no_grad():
                ours, theirs = _variety(made[there]), _variety(wanted[there])
        apart, ours, theirs, unsure = _over_processes(loss.detach(), ours, theirs, unsure)
        alarmed = int(there.sum()) > 1  # one clip has no variety
        patient = _patient(self.weight, step)
        return Lesson(
            loss,
            {f"{self.name}_of_a_constant": theirs, f"{self.name}_variety": ours, f"{self.name}_entropy": unsure},
            alarms(self.name, float(apart), float(theirs), float(ours), patient=patient) if alarmed else (),
        )


class AlignLayer(nn.Module):
    """Self-attention beside a skip, behind a norm; then the mean over time with weights of its own; then linear.

    Args:
        width: D.
        heads: Divide the width.
        outputs: Of a vector.

    Source:
        Seed 3, "8-head attention mechanism"; the rest is ours, as nothing more is said of it.

    Example:
        >>> layer = AlignLayer(width=16, heads=8, outputs=3)
        >>> layer(torch.zeros(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)).shape
        torch.Size([2, 3])
    """

    def __init__(self, width: int, heads: int, outputs: int) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ConfigError(f"the align layer's {heads} heads must divide the width {width} of the levels")
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, 1)
        self.leave = nn.Linear(width, outputs)

    def forward(self, hidden: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B F"]:
        """One vector a clip; at least one frame of each is real."""
        seen, _ = self.attention(hidden, hidden, hidden, key_padding_mask=~mask, need_weights=False)
        hidden = self.norm(hidden + seen)
        weights = self.score(hidden).masked_fill(~mask[..., None], -torch.inf).softmax(1)
        return self.leave((weights * hidden).sum(1))


class MeanLayer(nn.Module):
    """The plain mean over time, then linear: the align layer without its attention.

    Args:
        width: D.
        outputs: Of a vector.

    Example:
        >>> layer = MeanLayer(width=16, outputs=3)
        >>> layer(torch.zeros(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)).shape
        torch.Size([2, 3])
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.leave = nn.Linear(width, outputs)

    def forward(self, hidden: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B F"]:
        """One vector a clip; at least one frame of each is real."""
        real = mask[..., None].to(hidden.dtype)
        return self.leave((hidden * real).sum(1) / real.sum(1))


def alarms(part: str, apart: float, constant: float, variety: float, *, patient: bool) -> tuple[str, ...]:
    """What looks wrong with a lesson: the failure signatures of the seed, and those of its spec.

    Args:
        part: Which teacher.
        apart: Distance of the student from the teacher.
        constant: Distance of the best constant answer, which is also how far the teacher varies.
        variety: How far the student varies.
        patient: It had its time to learn.

    Example:
        >>> alarms("semantic", apart=0.3, constant=0.25, variety=0.2, patient=True)
        ('the semantic loss teaches nothing: 0.300 from its teacher, where a constant is 0.250; raise its weight',)
    """
    if constant < _NOTHING:
        return (f"the {part} teacher is inert: it says the same everywhere (a constant is {constant:.3f} from it)",)
    if apart < _NOTHING:
        return (f"the {part} loss is {apart:.3f}: nothing is left to learn from it, it weighs too much",)
    if patient and variety < _ALIKE * constant:
        return (f"the {part} levels collapsed: they say the same everywhere ({variety:.4f} of {constant:.3f})",)
    if patient and apart >= constant:
        return (
            f"the {part} loss teaches nothing: {apart:.3f} from its teacher, where a constant is {constant:.3f}; "
            "raise its weight",
        )
    return ()


def _patient(weight: Weight, step: int) -> bool:
    return step >= weight.start + weight.ramp + _PATIENCE


def _over_processes(*values: Tensor) -> Tensor:
    """Means over processes, each of which saw a part of the batch, in one message."""
    return global_sum(torch.stack(values)) / world()[1]


def _variety(vectors: Float[Tensor, "M F"]) -> Float[Tensor, ""]:
    """One less the mean cosine with the direction that is nearest to all."""
    directions = F.normalize(vectors.float(), dim=1)
    return 1 - directions.mean(0).norm() if len(vectors) else vectors.new_zeros(())


def _divergence(logits: Float[Tensor, "M F"]) -> Float[Tensor, ""]:
    """Mean KL divergence of distributions from their mean, in nats."""
    if not len(logits):
        return logits.new_zeros(())
    known = F.log_softmax(logits, dim=1)
    return (known.exp() * (known - known.exp().mean(0).log())).sum(1).mean()
