"""What the units learn: to say what is said, and beside that, weakly, how.

L = w_vq · L_vq + w_ctc · L_ctc + w_spec · L_spec + w_kl · L_kl. The recogniser's gradient passes the codebook whole,
the decoder's only in part: ids are chosen for what is said, and keep how it is said where that costs nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.errors import ConfigError
from vocable.losses.variational import floored, normal_divergence
from vocable.metrics.text import edit_distance
from vocable.nn.voice import drawn
from vocable.systems.supervised.data import WholeBatch
from vocable.systems.supervised.model import SupervisedModel
from vocable.systems.supervised.tokenizer import SupervisedTokenizer, collapsed
from vocable.train.objective import Turn
from vocable.train.schedule import Weight

_WATCHED = 8  # utterances of a batch whose phone errors are counted, for the log


@dataclass(frozen=True, kw_only=True)
class SupervisedLosses:
    """Weights of the terms and when they begin.

    Attributes:
        commitment: Of the vector quantization.
        ctc: Negative log-likelihood of the phones given the tokens, in nats a phone.
        spectrum: Mean absolute error of standardised spectra, from the tokens and the voice.
        kl: Of the voice, over ``kl_floor`` nats an utterance.
        kl_floor: In nats.
        quantize_from: Steps that the space forms without a codebook; then k-means has something to find. A run that
            begins from a trained model does without them.
        reach: Share of the spectrum's gradient that gets to the encoder; the decoder gets all of it.
        masks: Stretches of frames that are hidden from the encoder in training.

    Raises:
        ConfigError: A value is out of range.
    """

    commitment: Weight = field(default_factory=lambda: Weight(value=0.25))
    ctc: Weight = field(default_factory=lambda: Weight(value=1.0))
    spectrum: Weight = field(default_factory=lambda: Weight(value=1.0))
    kl: Weight = field(default_factory=lambda: Weight(value=1e-4, start=500, ramp=500))
    kl_floor: float = 0.5
    quantize_from: int = 300
    reach: float = 0.1
    masks: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.reach <= 1:
            raise ConfigError(f"reach is {self.reach}: 0 to 1 is wanted")
        if min(self.kl_floor, self.quantize_from, self.masks) < 0:
            raise ConfigError(
                f"kl_floor {self.kl_floor}, quantize_from {self.quantize_from}, masks {self.masks}: none under 0"
            )


class SupervisedObjective:
    """Trains a :class:`SupervisedModel`.

    Args:
        model: Its scale is that of the data already.
        losses: Weights.
    """

    def __init__(self, model: SupervisedModel, losses: SupervisedLosses) -> None:
        self.model, self.losses = model, losses

    def parts(self) -> Mapping[str, nn.Module]:
        """``units``: everything."""
        return {"units": self.model}

    def turns(self, batch: WholeBatch, step: int) -> Iterator[Turn]:
        """The one turn of a step."""
        model, mask = self.model.train(), batch.mask
        with torch.autocast(batch.samples.device.type, enabled=False):
            frames, voices = model.frames(batch.samples), model.frames(batch.voices)
        latents = model.encoder(hidden_away(batch.frames, self.losses.masks), mask)
        waits = model.quantizer.waits(step, self.losses.quantize_from)
        quantized = None if waits else model.quantizer(latents, mask)
        latents = latents * mask[..., None] if quantized is None else quantized.latents
        losses: dict[str, Tensor] = {} if quantized is None else dict(quantized.losses)
        stats = {} if quantized is None else dict(quantized.stats)

        mean, log_variance = model.voice_encoder(voices)
        content = self.losses.reach * latents + (1 - self.losses.reach) * latents.detach()
        made = model.decoder(content, drawn(mean, log_variance), mask).float()
        real = mask.repeat_interleave(model.config.reduction, dim=1)
        losses["spectrum"] = ((made - frames).abs().mean(2) * real).sum() / real.sum()
        divergence = normal_divergence(mean, log_variance)
        losses["kl"] = floored(divergence, self.losses.kl_floor)

        scores = model.recogniser(latents, mask)
        losses["ctc"] = phone_loss(scores, mask.sum(1) * model.config.phones_per_token, batch.phones, batch.sizes)
        stats |= {"phone_errors": self._errors(scores.detach(), batch), "kl": divergence.detach().mean()}
        weights = {name: getattr(self.losses, name).at(step) for name in losses}
        yield Turn(name="units", losses=losses, weights=weights, stats=stats, alarms=self._alarms(stats, weights["kl"]))

    def export(self, folder: Path) -> None:
        """Write the tokenizer as it stands."""
        SupervisedTokenizer(self.model).save(folder)

    def _errors(self, scores: Float[Tensor, "B P V"], batch: WholeBatch) -> Float[Tensor, ""]:
        """Phone errors of some utterances over their phones; 0 where no phone is known."""
        known = batch.sizes.nonzero()[:_WATCHED, 0].tolist()
        sizes = (batch.mask.sum(1) * self.model.config.phones_per_token).tolist()
        best, phones, wrong, all_of = scores.argmax(2).cpu(), batch.phones.cpu(), 0, 0
        for row in known:
            said = phones[row, : int(batch.sizes[row])].tolist()
            wrong, all_of = wrong + edit_distance(said, collapsed(best[row, : sizes[row]])), all_of + len(said)
        return torch.tensor(wrong / max(all_of, 1))

    def _alarms(self, stats: Mapping[str, Tensor], kl_weight: float) -> tuple[str, ...]:
        if kl_weight and float(stats["kl"]) <= self.losses.kl_floor:
            return (f"KL is at its floor of {self.losses.kl_floor:g} nat: the voice says nothing",)
        return ()


def phone_loss(
    scores: Float[Tensor, "B P V"], places: Int[Tensor, " B"], phones: Int[Tensor, "B L"], sizes: Int[Tensor, " B"]
) -> Float[Tensor, ""]:
    """What the phones of those utterances cost whose phones are known, in nats a phone; 0 where none is.

    Example:
        >>> scores = torch.zeros(2, 4, 3).log_softmax(2)
        >>> one, two = torch.tensor([4, 4]), torch.tensor([[1, 2], [0, 0]])
        >>> round(float(phone_loss(scores, one, two, torch.tensor([2, 0]))), 3)  # 15 of 81 paths say 1 2
        0.843
    """
    known = sizes > 0
    if not bool(known.any()):
        return 0.0 * scores.sum()
    costs = F.ctc_loss(
        scores[known].transpose(0, 1), phones[known], places[known], sizes[known], reduction="sum", zero_infinity=True
    )
    return costs / sizes.sum()


def hidden_away(frames: Float[Tensor, "B S F"], masks: int) -> Float[Tensor, "B S F"]:
    """Frames with short stretches set to 0, drawn from torch's random state.

    Source:
        Park et al., SpecAugment, arXiv:1904.08779: time masks.

    Example:
        >>> hidden_away(torch.ones(1, 20, 8), 0).min()
        tensor(1.)
    """
    size = frames.shape[1]
    place = torch.arange(size, device=frames.device)
    for _ in range(masks):
        width, start = (most * torch.rand(len(frames), 1).to(frames.device) for most in (min(12, size // 8), size))
        away = (place >= start) & (place < start + width)
        frames = frames.masked_fill(away[..., None], 0.0)
    return frames
