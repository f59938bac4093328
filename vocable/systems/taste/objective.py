"""Training objective of TASTE, in three stages: units from text, from text and speech, from text and quantized speech.

L = L_units + w · L_commitment (arXiv:2504.07053), and two terms of vocable's own for little data: where each subword
is spoken, and how long it lasts. With their weights 0 and one stage it is the seed's training.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from vocable.collective import global_mean, share_of
from vocable.features.whisper import WhisperEncoder
from vocable.schema import Share, config
from vocable.systems.taste.data import TasteBatch
from vocable.systems.taste.model import TasteModel
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.train.objective import Objective, Turn
from vocable.train.schedule import Steps, Weight
from vocable.train.throughput import Amount

_MIN_SPEECH = 0.01  # norm of acoustic embeddings over that of text embeddings, below which speech is ignored
_ALARM_AFTER = 500  # steps with speech
_MARGIN = 0.5  # units around a span that count as inside it
_MIN_ATTENTION = 1e-6  # so that its logarithm stays finite
_MIN_DURATION = 0.25  # units
_WEIGHTED = ("units", "commitment", "alignment", "durations")


@config
class TasteLosses:
    """Loss weights and stages.

    Attributes:
        units: Weight of the cross-entropy of the next unit and of the end, teacher-forced.
        commitment: Weight of the commitment of acoustic embeddings to their codebooks.
        alignment: Weight of the negative log-attention inside each subword's span, where an utterance is aligned.
        durations: Weight of the squared error of log-durations, if the model predicts them.
        speech_from: First step with speech. Before it, text encoder and unit model learn what text alone allows.
        quantized_from: First step at which acoustic embeddings are quantized.
        text_only: Share of rows without acoustic embeddings, once there is speech; trains the control of text alone.
        ordered: Whether each head of the aggregator is trained to attend to its own part of a span, in order, so that
            acoustic embeddings keep the order of sounds.
        unit_dropout: Share of the previous units that are withheld in training, so that text and speech must predict
            more.
    """

    units: Weight = field(default_factory=lambda: Weight(value=1.0))
    commitment: Weight = field(default_factory=lambda: Weight(value=1.0))
    alignment: Weight = field(default_factory=lambda: Weight(value=0.0))
    durations: Weight = field(default_factory=lambda: Weight(value=0.0))
    speech_from: Steps = 0
    quantized_from: Steps = 0
    text_only: Share = 0.0
    ordered: bool = False
    unit_dropout: Share = 0.0


class TasteObjective(Objective):
    """Objective that trains a :class:`TasteModel`, except for its frozen parts.

    Args:
        model: Networks to train.
        losses: Loss weights and stages.
    """

    def __init__(self, model: TasteModel, losses: TasteLosses) -> None:
        self.model, self.losses = model, losses

    @override
    def parts(self) -> Mapping[str, nn.Module]:
        return {"taste": self.model}

    @override
    def turns(self, batch: TasteBatch, step: int) -> Iterator[Turn]:
        model, losses = self.model, self.losses
        text = model.text(batch.subword_ids, batch.subword_mask)
        terms, stats, acoustic = dict[str, Tensor](), dict[str, Tensor](), None
        if step >= losses.speech_from:
            acoustic, attention = model.embed_speech(text, batch)
            rate = model.config.units.frame_rate
            alignment = alignment_loss(attention, batch, rate, ordered=losses.ordered)
            terms["alignment"], stats["alignment_error_ms"] = alignment
            if model.quantizer is not None and step >= losses.quantized_from:
                quantized = model.quantizer(acoustic, batch.subword_mask)
                acoustic, stats = quantized.latents, stats | quantized.stats
                terms |= quantized.losses
            stats["heard_to_said"] = mean_norm(acoustic, batch) / mean_norm(text, batch)  # logged so since version 0.1
            acoustic = acoustic * (torch.rand(len(text), 1, 1, device=text.device) >= losses.text_only)
        joint, log_durations = model.fuse(text, acoustic)
        if log_durations is not None:
            terms["durations"] = duration_loss(log_durations, batch)
        visible = torch.rand(batch.units.shape, device=text.device) >= losses.unit_dropout
        durations = None if log_durations is None else log_durations.detach().exp()
        logits = model.lm(joint, batch.subword_mask, batch.units, batch.unit_mask, batch.voices, durations, visible)
        terms["units"], accuracy = unit_loss(logits, batch)
        stats |= accuracy
        weights = {name: getattr(losses, name).at(step) if name in _WEIGHTED else 1.0 for name in terms}
        ratio = float(stats.get("heard_to_said", 1.0))
        alarm = f"acoustic embeddings have {ratio:.2%} of the norm of text embeddings: the speech is ignored"
        alarms = (alarm,) if step >= losses.speech_from + _ALARM_AFTER and ratio < _MIN_SPEECH else ()
        yield Turn(name="taste", losses=terms, weights=weights, stats=stats, alarms=alarms)

    def amount(self, batch: TasteBatch) -> Amount:
        """Return the seconds of a batch, and its tokens: those of its subwords."""
        config = self.model.config
        levels = 1 if config.quantizer is None else config.quantizer.num_codebooks
        seconds = float(batch.unit_mask.sum()) / config.units.frame_rate
        return Amount(seconds, int(batch.subword_mask.sum()) * levels)

    @override
    def export(self, folder: Path) -> None:
        TasteTokenizer(self.model).save(folder)


def unit_loss(logits: Float[Tensor, "B E C"], batch: TasteBatch) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Return the mean cross-entropy of units and end, and the top-1 and top-5 accuracy of units.

    Args:
        logits: Logits of E = N + 1 positions and C = K + 1 ids; id K is the end.
        batch: Batch with the units.
    """
    targets = append_end(batch.units, batch.unit_mask, end=logits.shape[2] - 1)
    loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-1)
    loss = loss * share_of((targets >= 0).sum())
    real = batch.unit_mask
    hits = logits.detach()[:, :-1].topk(5, dim=2).indices == batch.units[..., None]
    count = real.sum().clamp(min=1)
    return loss, {"top1": (hits[..., 0] & real).sum() / count, "top5": (hits.any(2) & real).sum() / count}


def append_end(units: Int[Tensor, "B N"], mask: Tensor, end: int) -> Int[Tensor, "B E"]:
    """Append the end to each row's units, and −1 behind it.

    Example:
        >>> append_end(torch.tensor([[5, 6, 0]]), torch.tensor([[True, True, False]]), end=9).tolist()
        [[5, 6, 9, -1]]
    """
    targets = F.pad(units.masked_fill(~mask, -1), (0, 1), value=-1)
    return targets.scatter(1, mask.sum(1, keepdim=True), end)


def alignment_loss(
    attention: Float[Tensor, "B H U F"], batch: TasteBatch, rate: float, *, ordered: bool = False
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the loss of attention outside of the subwords' spans, and its distance from their middles in ms.

    Args:
        attention: Attention weights of the aggregator.
        batch: Batch with spans; only aligned utterances count.
        rate: Units per second.
        ordered: Whether each of the H heads has the H-th part of a span as its target; otherwise the mean of all heads
            has the whole span.
    """
    attention = attention.float()
    mean = attention.mean(1, keepdim=True)
    heads = attention.shape[1] if ordered else 1
    centers = frame_centers(attention.shape[3], rate, attention.device)
    start, end = (one[:, None, :, None] for one in batch.spans.unbind(2))  # (B, 1, U, 1)
    part, head = (end - start) / heads, torch.arange(heads, device=attention.device)[:, None, None]
    first, last = start + head * part - _MARGIN, start + (head + 1) * part + _MARGIN  # a part may have no frame center
    inside = (centers >= first) & (centers <= last)
    counted = batch.subword_mask & batch.aligned[:, None]
    loss = -((attention if ordered else mean) * inside).sum(3).clamp(min=_MIN_ATTENTION).log().mean(1)
    error = (attention_centers(mean[:, 0].detach(), rate) - batch.spans.mean(2)).abs() * (1000 / rate)
    return global_mean(loss, counted), global_mean(error, counted)


def frame_centers(frames: int, rate: float, device: torch.device | None = None) -> Float[Tensor, " F"]:
    """Return the centers of Whisper's frames in units: frame f is centered on f / 50 s."""
    return torch.arange(frames, device=device) * (rate / WhisperEncoder.frame_rate)


def attention_centers(attention: Float[Tensor, "*B U F"], rate: float) -> Float[Tensor, "*B U"]:
    """Return the center of mass of each subword's attention, in units."""
    return (attention * frame_centers(attention.shape[-1], rate, attention.device)).sum(-1)


def duration_loss(log_durations: Float[Tensor, "B U"], batch: TasteBatch) -> Float[Tensor, ""]:
    """Return the squared error of log-durations: per subword in aligned utterances, of their sum in the others."""
    target = (batch.spans[..., 1] - batch.spans[..., 0]).clamp(min=_MIN_DURATION).log()
    errors = (log_durations - target).square() * batch.subword_mask
    total = (log_durations.exp() * batch.subword_mask).sum(1).log() - batch.unit_mask.sum(1).clamp(min=1).log()
    rows = torch.where(batch.aligned, errors.sum(1) / batch.subword_mask.sum(1).clamp(min=1), total.square())
    return rows.mean()


def mean_norm(embeddings: Float[Tensor, "B U D"], batch: TasteBatch) -> Float[Tensor, ""]:
    """Return the mean norm of the embeddings of real subwords."""
    return embeddings.detach().float().norm(dim=2)[batch.subword_mask].mean()
