"""What TASTE learns: the next unit, from the text, from what is heard of it, from the same quantized: three stages.

L = L_units + w · L_commitment (arXiv:2504.07053), and two terms of ours for little data: where each subword is said,
and how long it lasts. With their weights 0 and one stage it is the seed's training.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.errors import ConfigError
from vocable.features.whisper import WhisperEncoder
from vocable.systems.taste.batch import SpokenBatch
from vocable.systems.taste.model import TasteModel
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.train.objective import Turn
from vocable.train.schedule import Weight

_INERT = 0.01  # of the text's vectors: speech that adds less is as good as not heard
_PATIENCE = 500  # steps with speech before that is an alarm
_NEAR = 0.5  # units around a span that count as inside it
_LEAST = 1e-6  # of an attention: its logarithm stays finite
_TERMS = ("units", "commitment", "alignment", "durations")


@dataclass(frozen=True, kw_only=True)
class TasteLosses:
    """Weights of the terms, and the stages.

    Attributes:
        units: Cross-entropy of the next unit, teacher-forced, and of the end.
        commitment: Of the vectors to their codebooks.
        alignment: Minus the logarithm of the attention inside each subword's span, where a recording is aligned.
        durations: Squared error of the logarithm of each subword's units, where the model tells them.
        heard_from: First step with speech; before it the text side and the unit model learn what text alone allows.
        quantized_from: First step at which what is heard is quantized.
        ordered: Each head of the aggregator is shown its own part of a subword's span, the first head the first: so
            what is heard keeps the order that it was said in.
        hidden: Share of the units before a unit that training hides from it, so that text and speech must tell more.
        text_only: Share of rows that hear nothing, once there is speech: the control that every claim rests on.
    """

    units: Weight = field(default_factory=lambda: Weight(value=1.0))
    commitment: Weight = field(default_factory=lambda: Weight(value=1.0))
    alignment: Weight = field(default_factory=lambda: Weight(value=0.0))
    durations: Weight = field(default_factory=lambda: Weight(value=0.0))
    heard_from: int = 0
    quantized_from: int = 0
    text_only: float = 0.0
    ordered: bool = False
    hidden: float = 0.0

    def __post_init__(self) -> None:
        if min(self.heard_from, self.quantized_from) < 0 or not (0 <= self.text_only < 1 and 0 <= self.hidden < 1):
            raise ConfigError(
                f"heard_from {self.heard_from} and quantized_from {self.quantized_from} are steps, text_only "
                f"{self.text_only} and hidden {self.hidden} shares under 1"
            )


class TasteObjective:
    """Trains a :class:`TasteModel`; what is frozen there stays as it is.

    Args:
        model: With random weights, or some to begin from.
        losses: Weights and stages.
    """

    def __init__(self, model: TasteModel, losses: TasteLosses) -> None:
        self.model, self.losses = model, losses
        self._rate = model.config.units.frame_rate

    def parts(self) -> Mapping[str, nn.Module]:
        """``taste``."""
        return {"taste": self.model}

    def turns(self, batch: SpokenBatch, step: int) -> Iterator[Turn]:
        """One move."""
        model, losses = self.model.train(), self.losses
        said = model.said(batch.subword_ids, batch.subword_mask)
        terms: dict[str, Tensor] = {}
        stats: dict[str, Tensor] = {}
        vectors = None
        if step >= losses.heard_from:
            heard = model.heard(said, batch)
            vectors = heard.vectors
            terms["alignment"], stats["alignment_error_ms"] = aligned(
                heard.weights, batch, self._rate, ordered=losses.ordered
            )
            if model.quantizer is not None and step >= losses.quantized_from:
                quantized = model.quantizer(vectors, batch.subword_mask)
                vectors, stats = quantized.latents, stats | quantized.stats
                terms |= quantized.losses
            stats["heard_to_said"] = length(vectors, batch) / length(said, batch)
            hears = torch.rand(len(said), 1, 1, device=said.device) >= losses.text_only
            vectors = vectors * hears
        joint = model.joint(said, vectors)
        lasting = model.lasting(joint)
        if lasting is not None:
            terms["durations"] = lasted(lasting, batch)
        known = torch.rand(batch.units.shape, device=said.device) >= losses.hidden
        clock = clocked(lasting)
        logits = model.lm(joint, batch.subword_mask, batch.units, batch.unit_mask, batch.voices, clock, known)
        terms["units"], found = next_units(logits, batch)
        stats |= found
        weights = {name: getattr(losses, name).at(step) if name in _TERMS else 1.0 for name in terms}
        alarms = self._alarms(stats, step)
        yield Turn(name="taste", losses=terms, weights=weights, stats=stats, alarms=alarms)

    def export(self, folder: Path) -> None:
        """Write the tokenizer as it stands."""
        TasteTokenizer(self.model).save(folder)

    def _alarms(self, stats: Mapping[str, Tensor], step: int) -> tuple[str, ...]:
        share = float(stats.get("heard_to_said", torch.tensor(1.0)))
        if step < self.losses.heard_from + _PATIENCE or share >= _INERT:
            return ()
        return (f"what is heard is {share:.2%} as long as what the text says: the speech is ignored",)


def next_units(logits: Float[Tensor, "B E C"], batch: SpokenBatch) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Mean cross-entropy of the units and the end, and how often the likeliest units are right.

    Args:
        logits: E = N + 1 places, C = K + 1 entries; the last entry is the end.
        batch: Its units.
    """
    targets = closed(batch.units, batch.unit_mask, end=logits.shape[2] - 1)
    loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-1)
    real = batch.unit_mask
    best = logits.detach()[:, :-1].topk(5, dim=2).indices == batch.units[..., None]
    share = real.sum().clamp(min=1)
    return loss, {"top1": (best[..., 0] & real).sum() / share, "top5": (best.any(2) & real).sum() / share}


def closed(units: Int[Tensor, "B N"], mask: Tensor, end: int) -> Int[Tensor, "B E"]:
    """Units with the end behind each row's last one, and −1 behind that.

    Example:
        >>> closed(torch.tensor([[5, 6, 0]]), torch.tensor([[True, True, False]]), end=9).tolist()
        [[5, 6, 9, -1]]
    """
    targets = F.pad(units.masked_fill(~mask, -1), (0, 1), value=-1)
    return targets.scatter(1, mask.sum(1, keepdim=True), end)


def aligned(
    weights: Float[Tensor, "B H U F"], batch: SpokenBatch, rate: float, *, ordered: bool = False
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """What attention outside of the subwords' spans costs, and how far its centres lie from their middles, in ms.

    Args:
        weights: Of the aggregator.
        batch: Only recordings that are aligned count.
        rate: Units a second.
        ordered: Of H heads, each is wanted in its own H-th of the span; otherwise their mean anywhere in it.
    """
    looked = weights.float()
    mean = looked.mean(1, keepdim=True)
    heads = looked.shape[1] if ordered else 1
    centres = frame_centres(looked.shape[3], rate, looked.device)
    start, end = (one[:, None, :, None] for one in batch.spans.unbind(2))  # (B, 1, U, 1)
    part, head = (end - start) / heads, torch.arange(heads, device=looked.device)[:, None, None]
    first, last = start + head * part - _NEAR, start + (head + 1) * part + _NEAR  # parts may lie between two frames
    inside = (centres >= first) & (centres <= last)
    counted = batch.subword_mask & batch.aligned[:, None]
    cost = -((looked if ordered else mean) * inside).sum(3).clamp(min=_LEAST).log().mean(1)
    off = (attention_centres(mean[:, 0].detach(), rate) - batch.spans.mean(2)).abs() * (1000 / rate)
    return _mean(cost, counted), _mean(off, counted)


def frame_centres(frames: int, rate: float, device: torch.device | None = None) -> Float[Tensor, " F"]:
    """Where Whisper's frames lie, in units: frame f is centred on f / 50 s."""
    return torch.arange(frames, device=device) * (rate / WhisperEncoder.frame_rate)


def attention_centres(looked: Float[Tensor, "*B U F"], rate: float) -> Float[Tensor, "*B U"]:
    """The centre of mass of what each subword looks at, in units."""
    return (looked * frame_centres(looked.shape[-1], rate, looked.device)).sum(-1)


def lasted(log_units: Float[Tensor, "B U"], batch: SpokenBatch) -> Float[Tensor, ""]:
    """Squared error of the logarithm of each subword's units; of recordings that are not aligned, of the whole's."""
    wanted = (batch.spans[..., 1] - batch.spans[..., 0]).clamp(min=0.25).log()
    each = (log_units - wanted).square() * batch.subword_mask
    whole = (log_units.exp() * batch.subword_mask).sum(1).log() - batch.unit_mask.sum(1).clamp(min=1).log()
    rows = torch.where(batch.aligned, each.sum(1) / batch.subword_mask.sum(1).clamp(min=1), whole.square())
    return rows.mean()


def clocked(log_units: Float[Tensor, "B U"] | None) -> Float[Tensor, "B U"] | None:
    """Units of each subword; the clock of the unit model teaches them nothing."""
    return None if log_units is None else log_units.detach().exp()


def length(vectors: Float[Tensor, "B U D"], batch: SpokenBatch) -> Float[Tensor, ""]:
    """Mean length of the vectors of real subwords."""
    return vectors.detach().float().norm(dim=2)[batch.subword_mask].mean()


def _mean(values: Tensor, counted: Tensor) -> Float[Tensor, ""]:
    """Over what counts; 0, with a gradient, where nothing does."""
    return (values * counted).sum() / counted.sum().clamp(min=1)
