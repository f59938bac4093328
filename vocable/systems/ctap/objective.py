"""What VQ-CTAP learns, in two stages of one run: the transcoder, then connector and durations with all else frozen.

L = w_vq · L_vq + w_cls · L_cls + w_mse · L_mse + w_con · L_con + w_kl · L_kl + w_cons · L_cons, each with a schedule of
its own: the paper's stepping optimisation. (VQ-CTAP, arXiv:2408.05758; weights and steps are the recipe's.)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.errors import ConfigError
from vocable.losses.contrastive import frame_contrastive_loss
from vocable.losses.variational import floored, normal_divergence
from vocable.metrics.retrieval import retrieve
from vocable.nn.voice import drawn
from vocable.systems.ctap.data import AlignedBatch
from vocable.systems.ctap.model import SHARPEST, CtapModel
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.train.objective import Turn
from vocable.train.schedule import LearningRate, Weight

_WATCHED = 512  # frames whose own phoneme frame is looked for, for the log
_TERMS = ("commitment", "phonemes", "spectrum", "contrastive", "kl", "consistency", "phoneme_branch")


@dataclass(frozen=True, kw_only=True)
class CtapLosses:
    """Weights of the terms and when they begin, and the two stages.

    Attributes:
        commitment: Of the vector quantization (L_vq).
        phonemes: Cross-entropy of the phoneme at each spectrum, from the tokens (L_cls).
        spectrum: Mean squared error of spectra, from the tokens and the voice (L_mse).
        contrastive: Between speech and phonemes, frame by frame (L_con).
        kl: Of the voice, over ``kl_floor`` nats an utterance (L_kl).
        consistency: Between an unlabelled voice and the voice heard in other tokens decoded with it (L_cons).
        phoneme_branch: Mean squared error of spectra decoded from phonemes instead of speech, as in CTAP.
        quantize_from: Steps that the space forms without a codebook; then k-means has something to find. A run that
            begins from a trained model does without them.
        masks: Stretches hidden from the speech encoder along either axis, in training.
        bend: Spectra that the speech encoder hears, and not those that the decoder must make, are of vocal tracts
            longer or shorter by up to this share, and tilted: what a voice is cannot be told from the tokens then.
        reach: Share of the spectrum's gradient that gets to the speech encoder; the decoder gets all of it.
        transcoder_share: Of all steps; connector and durations have the rest.
        second_rate: Of theirs, within their own stage.
    """

    commitment: Weight = field(default_factory=lambda: Weight(value=1.0))
    phonemes: Weight = field(default_factory=lambda: Weight(value=1.0))
    spectrum: Weight = field(default_factory=lambda: Weight(value=1.0))
    contrastive: Weight = field(default_factory=lambda: Weight(value=0.1, start=10_000))
    kl: Weight = field(default_factory=lambda: Weight(value=1e-5, start=20_000, ramp=10_000))
    consistency: Weight = field(default_factory=lambda: Weight(value=0.1, start=30_000, ramp=10_000))
    phoneme_branch: Weight = field(default_factory=lambda: Weight(value=1.0))
    kl_floor: float = 0.5
    quantize_from: int = 0
    masks: int = 2
    bend: float = 0.0
    reach: float = 1.0
    transcoder_share: float = 0.8
    second_rate: LearningRate = field(default_factory=lambda: LearningRate(peak=1e-3))

    def __post_init__(self) -> None:
        for name, largest in (("transcoder_share", 1.0), ("reach", 1.0), ("bend", 0.5)):
            if not 0 <= getattr(self, name) <= largest:
                raise ConfigError(f"{name} is {getattr(self, name)}: 0 to {largest:g} is wanted")
        if self.kl_floor < 0 or min(self.quantize_from, self.masks) < 0:
            raise ConfigError(
                f"kl_floor {self.kl_floor}, quantize_from {self.quantize_from}, masks {self.masks}: none under 0"
            )

    def second_from(self, steps: int) -> int:
        """First step of connector and durations in a run of so many.

        Example:
            >>> CtapLosses(transcoder_share=0.75).second_from(100)
            75
        """
        return round(self.transcoder_share * steps)


class CtapObjective:
    """Trains a :class:`CtapModel`.

    Args:
        model: Its scales are those of the data already.
        losses: Weights and stages.
        rate: Of the transcoder, within its own stage.
        steps: In the whole run.
    """

    def __init__(self, model: CtapModel, losses: CtapLosses, *, rate: LearningRate, steps: int) -> None:
        self.model, self.losses, self.rate, self.steps = model, losses, rate, steps
        self.first = losses.second_from(steps)

    def parts(self) -> Mapping[str, nn.Module]:
        """``transcoder``, ``connector`` and ``durations``."""
        model = self.model
        return {"transcoder": model.transcoder, "connector": model.connector, "durations": model.durations}

    def turns(self, batch: AlignedBatch, step: int) -> Iterator[Turn]:
        """The transcoder's turn, or those of connector and durations."""
        self.model.to(batch.samples.device)  # the parts are there already; the scale of the spectra is no part
        if step < self.first:
            yield self._transcoder(batch, step)
            return
        self.model.trained.fill_(step - self.first + 1)
        yield from self._second(batch, step)

    def export(self, folder: Path) -> None:
        """Write the tokenizer as it stands."""
        CtapTokenizer(self.model).save(folder)

    # ---- the transcoder -------------------------------------------------------------------------------------------

    def _transcoder(self, batch: AlignedBatch, step: int) -> Turn:
        part, mask = self.model.transcoder.train(), batch.mask
        with torch.autocast(batch.samples.device.type, enabled=False):
            frames, voices = self.model.frames(batch.samples), self.model.frames(batch.voices)
        real = self._spectra(mask)
        said = real & batch.labelled[:, None]
        heard = hidden_away(bent(frames, self.losses.bend), self.losses.masks)
        speech = part.speech_encoder(heard, mask)
        waits = part.quantizer.waits(step, self.losses.quantize_from)
        quantized = None if waits else part.quantizer(speech, mask)
        latents = speech * mask[..., None] if quantized is None else quantized.latents
        mean, log_variance = part.voice_encoder(voices)
        voice = drawn(mean, log_variance)

        weights = {name: getattr(self.losses, name).at(step) for name in _TERMS} | {"codebook": 1.0}
        losses: dict[str, Tensor] = {} if quantized is None else dict(quantized.losses)
        content = self.losses.reach * latents + (1 - self.losses.reach) * latents.detach()
        average = self.model.average(voices)
        made = self.model.averaged(part.speech_decoder(content, voice, mask).float(), real, average)
        losses["spectrum"] = _mean((made - frames).square().mean(2), real)
        divergence = normal_divergence(mean, log_variance)
        losses["kl"] = floored(divergence, self.losses.kl_floor)
        stats = {} if quantized is None else quantized.stats
        stats |= {"kl": divergence.detach().mean(), "sharpness": part.sharpness.detach().exp()}
        logits = part.phoneme_decoder(latents, mask).float()
        costs = F.cross_entropy(logits.flatten(0, 1), batch.phonemes.flatten(), reduction="none").view_as(said)
        losses["phonemes"] = _mean(costs, said)
        stats["phoneme_top1"] = _mean((logits.detach().argmax(2) == batch.phonemes).float(), said)
        given = part.phoneme_encoder(batch.phonemes, mask)
        paired = mask & batch.labelled[:, None]
        if weights["contrastive"]:
            there = bool(paired.any())  # every process must come to the same losses, with labels in its rows or not
            losses["contrastive"] = (
                frame_contrastive_loss(speech, given, paired, part.scale()) if there else 0.0 * (speech + given).sum()
            )
        stats["retrieval_top1"] = _retrieval_top1(speech[paired], given[paired])
        if weights["phoneme_branch"]:
            again = self.model.averaged(part.speech_decoder(given, voice, mask).float(), real, average)
            losses["phoneme_branch"] = _mean((again - frames).square().mean(2), said)
        if weights["consistency"]:
            losses["consistency"] = self._consistency(batch, latents, mean, average)
        return Turn(
            name="transcoder", losses=losses, weights={name: weights[name] for name in losses}, stats=stats,
            learning_rate=self.rate.at(step, self.first), alarms=self._alarms(stats, weights["kl"]),
        )  # fmt: skip

    def _consistency(self, batch: AlignedBatch, latents: Tensor, voices: Tensor, averages: Tensor) -> Float[Tensor, ""]:
        """Other words said with a voice must be heard to be of that voice. Only the decoder learns from it."""
        part = self.model.transcoder
        known = batch.labelled if bool(batch.labelled.any()) else ~batch.labelled
        contents, others = known.nonzero()[:, 0], (~known).nonzero()[:, 0]
        others = others if len(others) else contents.roll(1)
        chosen = others[torch.arange(len(contents), device=others.device) % len(others)]
        wanted = voices[chosen].detach()
        made = part.speech_decoder(latents[contents].detach(), wanted, batch.mask[contents]).float()
        made = self.model.averaged(made, self._spectra(batch.mask[contents]), averages[chosen])
        sizes = batch.mask[contents].sum(1) * self.model.config.transcoder.reduction
        heard = torch.cat([self.model.heard(one[None, :size]) for one, size in zip(made, sizes.tolist(), strict=True)])
        with _frozen(part.voice_encoder):
            again, _ = part.voice_encoder(heard)
        return F.mse_loss(again.float(), wanted.float())

    def _alarms(self, stats: Mapping[str, Tensor], kl_weight: float) -> tuple[str, ...]:
        found = []
        if float(stats["sharpness"]) >= 0.99 * SHARPEST:
            found.append(f"the contrastive factor is at its limit of {SHARPEST:g}: similarities cannot get sharper")
        if kl_weight and float(stats["kl"]) <= self.losses.kl_floor:
            found.append(f"KL is at its floor of {self.losses.kl_floor:g} nat: the voice says nothing")
        return tuple(found)

    # ---- connector and durations ----------------------------------------------------------------------------------

    def _second(self, batch: AlignedBatch, step: int) -> Iterator[Turn]:
        part, mask = self.model.transcoder.eval(), batch.mask
        rate = self.losses.second_rate.at(step - self.first, self.steps - self.first)
        with torch.no_grad():
            speech = part.speech_encoder(self.model.frames(batch.samples), mask).float()
            given = part.phoneme_encoder(batch.phonemes, mask).float()
            voice, _ = part.voice_encoder(self.model.frames(batch.voices))
        said = mask & batch.labelled[:, None]
        losses = {"noise": self.model.connector.loss(speech, given, voice, mask, said)}
        yield Turn(name="connector", losses=losses, weights={"noise": 1.0}, learning_rate=rate)
        ids, lasting, there, inside = runs(batch.phonemes, self._spectra(mask))
        losses = {"noise": self.model.durations.loss(ids, lasting, voice, there, inside & batch.labelled[:, None])}
        yield Turn(name="durations", losses=losses, weights={"noise": 1.0}, learning_rate=rate)

    def _spectra(self, mask: Bool[Tensor, "B N"]) -> Bool[Tensor, "B S"]:
        return mask.repeat_interleave(self.model.config.transcoder.reduction, dim=1)


def bent(frames: Float[Tensor, "B S F"], share: float) -> Float[Tensor, "B S F"]:
    """Spectra as another vocal tract and another microphone would have made them, drawn from torch's random state.

    The mel axis is stretched by up to ``share`` and tilted by up to half a standard deviation at either end.

    Source:
        Jaitly and Hinton, Vocal tract length perturbation (2013); to keep voices out of contents as in NANSY,
        arXiv:2110.14513, section 3.1.

    Example:
        >>> bent(torch.ones(1, 4, 8), 0.0).equal(torch.ones(1, 4, 8))
        True
    """
    if not share:
        return frames
    batch, _, bins = frames.shape
    drawn = (2 * torch.rand(2, batch, 1, device=frames.device) - 1).unbind(0)
    places = (torch.arange(bins, device=frames.device) * (1 + share * drawn[0])).clamp(max=bins - 1)
    below = places.floor().long()
    above, weight = (below + 1).clamp(max=bins - 1), (places - below)[:, None]
    low, high = (frames.gather(2, at[:, None].expand_as(frames)) for at in (below, above))
    tilt = 0.5 * drawn[1] * torch.linspace(-1, 1, bins, device=frames.device)
    return low + weight * (high - low) + tilt[:, None]


def hidden_away(frames: Float[Tensor, "B S F"], masks: int) -> Float[Tensor, "B S F"]:
    """Spectra with stretches of either axis set to the mean, drawn from torch's random state.

    Source:
        Park et al., SpecAugment, arXiv:1904.08779: frequency and time masks.

    Example:
        >>> hidden_away(torch.ones(1, 20, 8), 0).min()
        tensor(1.)
    """
    batch, spectra, bins = frames.shape
    for _ in range(masks):
        for axis, size, widest in ((1, spectra, min(16, spectra // 8)), (2, bins, bins // 6)):
            width = (widest * torch.rand(batch, 1)).to(frames.device)
            start = (size * torch.rand(batch, 1)).to(frames.device)
            place = torch.arange(size, device=frames.device)
            away = (place >= start) & (place < start + width)
            frames = frames.masked_fill(away[:, :, None] if axis == 1 else away[:, None], 0.0)
    return frames


def runs(
    phonemes: Int[Tensor, "B S"], real: Bool[Tensor, "B S"]
) -> tuple[Int[Tensor, "B L"], Int[Tensor, "B L"], Bool[Tensor, "B L"], Bool[Tensor, "B L"]]:
    """The phonemes of windows, how many spectra each lasts, where there is one, and which lie wholly inside.

    Example:
        >>> found = runs(torch.tensor([[3, 3, 5, 5, 5, 2]]), torch.ones(1, 6, dtype=torch.bool))
        >>> [part.int().tolist() for part in found]
        [[[3, 5, 2]], [[2, 3, 1]], [[1, 1, 1]], [[0, 1, 0]]]
    """
    found = [torch.unique_consecutive(row[here], return_counts=True) for row, here in zip(phonemes, real, strict=True)]
    sizes = torch.tensor([len(ids) for ids, _ in found], device=phonemes.device)
    most = max(1, int(sizes.max()))
    ids, lasting = (
        torch.stack([F.pad(pair[place], (0, most - len(pair[place]))) for pair in found]) for place in (0, 1)
    )
    places = torch.arange(most, device=phonemes.device)
    return ids, lasting, places < sizes[:, None], (places > 0) & (places < sizes[:, None] - 1)


def _retrieval_top1(speech: Float[Tensor, "M D"], phonemes: Float[Tensor, "M D"]) -> Float[Tensor, ""]:
    """Return the share of some speech frames whose nearest phoneme frame is their own; 0 if there are none."""
    found = retrieve(speech[:_WATCHED].float(), phonemes[:_WATCHED].float())
    return found.hits().sum() / max(len(found.ranks), 1)


def _mean(values: Float[Tensor, "B S"], mask: Bool[Tensor, "B S"]) -> Float[Tensor, ""]:
    """Over what counts; 0 where nothing does."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


class _frozen:  # noqa: N801
    """While inside, gradients pass through a network but do not reach its parameters."""

    def __init__(self, network: nn.Module) -> None:
        self.parameters = [one for one in network.parameters() if one.requires_grad]

    def __enter__(self) -> None:
        for one in self.parameters:
            one.requires_grad_(False)

    def __exit__(self, *ignored: object) -> None:
        for one in self.parameters:
            one.requires_grad_(True)
