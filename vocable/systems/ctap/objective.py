"""Training objective of VQ-CTAP in two stages: the transcoder, then connector and durations with all else frozen.

L = w_vq · L_vq + w_cls · L_cls + w_mse · L_mse + w_con · L_con + w_kl · L_kl + w_cons · L_cons, each with a schedule of
its own: the paper's stepping optimization. (VQ-CTAP, arXiv:2408.05758; weights and steps are the recipe's.)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vocable.collective import global_mean, share_of, world
from vocable.losses.contrastive import frame_contrastive_loss
from vocable.losses.variational import free_bits, gaussian_kl
from vocable.metrics.retrieval import retrieve
from vocable.nn.spec_augment import mask_spectrogram
from vocable.nn.voice import reparameterize
from vocable.systems.ctap.config import CtapLosses
from vocable.systems.ctap.data import AlignedBatch
from vocable.systems.ctap.networks import MAX_LOGIT_SCALE, CtapModel
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.systems.voiced import voice_alarms
from vocable.train.objective import Turn
from vocable.train.schedule import LearningRate
from vocable.train.throughput import Amount
from vocable.vocoders.scaled import crop_middle

_LOGGED_FRAMES = 512  # frames that retrieval is logged for
_MAX_TIME_MASK = 16  # spectra
_LEARNED, _MIN_STEPS = 0.2, 1_000  # share of the stage, and steps, after which decoders are expected to have learned
_TERMS = ("commitment", "phonemes", "spectrum", "contrastive", "kl", "consistency", "phoneme_branch")


class CtapObjective:
    """Training objective of a :class:`CtapModel`.

    Args:
        model: Networks, with the scale of the training data.
        losses: Weights and stages.
        rate: Learning rate of the transcoder, within its own stage.
        steps: Number of steps of the whole run.
    """

    def __init__(self, model: CtapModel, losses: CtapLosses, *, rate: LearningRate, steps: int) -> None:
        self.model, self.losses, self.rate, self.steps = model, losses, rate, steps
        self.second_stage = losses.second_stage_start(steps)

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the networks with optimizers of their own: ``transcoder``, ``connector`` and ``durations``."""
        model = self.model
        return {"transcoder": model.transcoder, "connector": model.connector, "durations": model.durations}

    def turns(self, batch: AlignedBatch, step: int) -> Iterator[Turn]:
        """Yield the turn of the transcoder, or in the second stage those of connector and durations."""
        self.model.to(batch.samples.device)  # the parts are there already, the buffers of the scale are not
        if step < self.second_stage:
            yield self._train_transcoder(batch, step)
            return
        self.model.trained.fill_(step - self.second_stage + 1)
        yield from self._train_second_stage(batch, step)

    def amount(self, batch: AlignedBatch) -> Amount:
        """Return the seconds and tokens of a batch."""
        spec = self.model.config.spec
        return Amount.of_frames(batch.mask, frame_rate=spec.frame_rate, num_codebooks=spec.num_codebooks)

    def export(self, folder: Path) -> None:
        """Write the tokenizer as it is at this step."""
        CtapTokenizer(self.model).save(folder)

    def _train_transcoder(self, batch: AlignedBatch, step: int) -> Turn:
        part, mask = self.model.transcoder, batch.mask
        decodes = step >= self.losses.decoder_start
        with torch.autocast(batch.samples.device.type, enabled=False):
            frames = self.model.frames(batch.samples)
            voice_frames = self.model.frames(batch.voices) if decodes else None
        labeled = self._frame_mask(mask) & batch.has_phonemes[:, None]
        perturbed = perturb_vocal_tract(frames, self.losses.vtlp_range)
        perturbed = mask_spectrogram(perturbed, self.losses.num_masks, max_time=_MAX_TIME_MASK, frequency=True)
        speech = part.speech_encoder(perturbed, mask)
        waits = part.quantizer.is_disabled(step, self.losses.codebook_start)
        quantized = None if waits else part.quantizer(speech, mask)
        latents = speech * mask[..., None] if quantized is None else quantized.latents

        weights = {name: getattr(self.losses, name).at(step) for name in _TERMS} | {"codebook": 1.0}
        losses: dict[str, Tensor] = {} if quantized is None else dict(quantized.losses)
        stats = {} if quantized is None else dict(quantized.stats)
        target = None if voice_frames is None else self._target(frames, mask, voice_frames)
        if target is not None:
            scale = self.losses.encoder_gradient
            content = scale * latents + (1 - scale) * latents.detach()
            losses["spectrum"] = self._spectrum_error(content, mask, target, target.mask)
            losses["kl"] = free_bits(target.divergence, self.losses.kl_floor)
            stats["kl"] = target.divergence.detach().mean()
        stats["logit_scale"] = part.logit_scale.detach().exp()
        logits = part.phoneme_decoder(latents, mask).float()
        nats = F.cross_entropy(logits.flatten(0, 1), batch.phonemes.flatten(), reduction="none").view_as(labeled)
        losses["phonemes"] = global_mean(nats, labeled)
        stats["phoneme_top1"] = global_mean((logits.detach().argmax(2) == batch.phonemes).float(), labeled)
        text = part.phoneme_encoder(batch.phonemes, mask)
        paired = mask & batch.has_phonemes[:, None]
        if weights["contrastive"]:
            losses["contrastive"] = (
                frame_contrastive_loss(speech, text, paired, part.similarity_scale())
                if world()[1] > 1 or bool(paired.any())
                else 0.0 * (speech + text).sum()  # every step needs the same losses, with labels in its rows or not
            )
        stats["retrieval_top1"] = _retrieval_top1(speech[paired], text[paired])
        if target is not None and weights["phoneme_branch"]:
            losses["phoneme_branch"] = self._spectrum_error(text, mask, target, labeled)
        if target is not None and weights["consistency"]:
            losses["consistency"] = self._consistency(batch, latents, target.mean, target.average)
        alarms = self._alarms(stats, losses, weights, batch.phonemes[labeled], step)
        if target is not None:
            alarms += self._voice_alarms(target, losses, weights, step)
        return Turn(
            name="transcoder", losses=losses, weights={name: weights[name] for name in losses}, stats=stats,
            learning_rate=self.rate.at(step, self.second_stage), alarms=alarms,
        )  # fmt: skip

    def _target(
        self, frames: Float[Tensor, "B S F"], mask: Bool[Tensor, "B N"], voice_frames: Float[Tensor, "B S_voice F"]
    ) -> "_Target":
        mean, log_variance = self.model.transcoder.voice_encoder(voice_frames)
        return _Target(
            frames=frames, mask=self._frame_mask(mask), mean=mean, voice=reparameterize(mean, log_variance),
            divergence=gaussian_kl(mean, log_variance), average=self.model.average_spectrum(voice_frames),
        )  # fmt: skip

    def _spectrum_error(
        self, content: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"], target: "_Target",
        counted: Bool[Tensor, "B S"],
    ) -> Float[Tensor, ""]:  # fmt: skip
        """Return the mean squared error of spectra decoded from ``content`` in the target's voice."""
        decoded = self.model.transcoder.speech_decoder(content, mask, target.voice).float()
        decoded = self.model.match_spectrum(decoded, target.mask, target.average)
        return global_mean((decoded - target.frames).square().mean(2), counted)

    def _consistency(self, batch: AlignedBatch, latents: Tensor, voices: Tensor, averages: Tensor) -> Float[Tensor, ""]:
        """Return the distance between a voice and the voice of other content decoded in it; only the decoder learns.

        Labeled windows lend the content, the others the voice. If all are of one kind, each window lends its voice to
        the next. A process pairs the windows that it has.
        """
        part, labeled = self.model.transcoder, batch.has_phonemes
        is_content = labeled if bool(labeled.any()) else ~labeled
        contents, others = is_content.nonzero()[:, 0], (~is_content).nonzero()[:, 0]
        others = others if len(others) else contents.roll(1)
        speakers = others[torch.arange(len(contents), device=others.device) % len(others)]
        target, mask = voices[speakers].detach(), batch.mask[contents]
        decoded = part.speech_decoder(latents[contents].detach(), mask, target).float()
        decoded = self.model.match_spectrum(decoded, self._frame_mask(mask), averages[speakers])
        sizes = (mask.sum(1) * self.model.config.transcoder.reduction).tolist()
        length = self.model.config.voice.frames
        excerpts = [crop_middle(row[None, :size], length) for row, size in zip(decoded, sizes, strict=True)]
        part.voice_encoder.requires_grad_(False)  # gradients pass through it without reaching its parameters
        found, _ = part.voice_encoder(torch.cat(excerpts))
        part.voice_encoder.requires_grad_(True)
        return share_of(torch.tensor(len(contents), device=target.device)) * F.mse_loss(found.float(), target.float())

    def _alarms(
        self, stats: Mapping[str, Tensor], losses: Mapping[str, Tensor], weights: Mapping[str, float],
        labels: Int[Tensor, " M"], step: int,
    ) -> tuple[str, ...]:  # fmt: skip
        limit = (f"the contrastive factor is at its limit of {MAX_LOGIT_SCALE:g}: similarities cannot get sharper",)
        alarms: tuple[str, ...] = limit if float(stats["logit_scale"]) >= 0.99 * MAX_LOGIT_SCALE else ()
        if self._should_have_learned(step) and weights["phonemes"]:
            alarms += phoneme_alarm(losses["phonemes"].detach(), labels)
        return alarms

    def _voice_alarms(
        self, target: "_Target", losses: Mapping[str, Tensor], weights: Mapping[str, float], step: int
    ) -> tuple[str, ...]:
        alarms = voice_alarms(target.divergence.detach().mean(), self.losses.kl_floor, weights["kl"])
        if not self._should_have_learned(step - self.losses.decoder_start):
            return alarms
        if weights["consistency"] and weights["consistency"] >= self.losses.consistency.value:
            alarms += consistency_alarm(losses["consistency"].detach(), target.mean)
        return alarms

    def _should_have_learned(self, steps: int) -> bool:
        return steps >= max(_MIN_STEPS, _LEARNED * self.second_stage)

    def _train_second_stage(self, batch: AlignedBatch, step: int) -> Iterator[Turn]:
        part, mask = self.model.transcoder.eval(), batch.mask
        rate = self.losses.second_stage_rate.at(step - self.second_stage, self.steps - self.second_stage)
        with torch.no_grad():
            speech = part.speech_encoder(self.model.frames(batch.samples), mask).float()
            text = part.phoneme_encoder(batch.phonemes, mask).float()
            voice, _ = part.voice_encoder(self.model.frames(batch.voices))
        labeled = mask & batch.has_phonemes[:, None]
        losses = {"noise": self.model.connector.loss(speech, text, voice, mask, labeled)}
        yield Turn(name="connector", losses=losses, weights={"noise": 1.0}, learning_rate=rate)
        ids, lengths, run_mask, inside = phoneme_runs(batch.phonemes, self._frame_mask(mask))
        inside = inside & batch.has_phonemes[:, None]
        losses = {"noise": self.model.durations.loss(ids, lengths, voice, run_mask, inside)}
        yield Turn(name="durations", losses=losses, weights={"noise": 1.0}, learning_rate=rate)

    def _frame_mask(self, mask: Bool[Tensor, "B N"]) -> Bool[Tensor, "B S"]:
        return mask.repeat_interleave(self.model.config.transcoder.reduction, dim=1)


@dataclass(frozen=True)
class _Target:
    """Spectra that the speech decoder should return, and the voice to decode them in.

    Attributes:
        frames: Recorded spectra.
        mask: True on spectra of the clip.
        mean: Mean of the voice embedding.
        voice: Sample of the voice embedding.
        divergence: Divergence of the voice embedding from a standard normal distribution, in nats.
        average: Long-term average spectrum of the voice.
    """

    frames: Float[Tensor, "B S F"]
    mask: Bool[Tensor, "B S"]
    mean: Float[Tensor, "B V"]
    voice: Float[Tensor, "B V"]
    divergence: Float[Tensor, " B"]
    average: Float[Tensor, "B A"]


def phoneme_alarm(nats: Float[Tensor, ""], labels: Int[Tensor, " M"]) -> tuple[str, ...]:
    """Return a warning if the phoneme decoder knows no more than how often each phoneme occurs in the batch.

    Args:
        nats: Cross-entropy of the phoneme at each spectrum.
        labels: Phoneme id of each spectrum.

    Example:
        >>> [len(phoneme_alarm(torch.tensor(nats), torch.tensor([1, 1, 2, 2]))) for nats in (0.5, 0.8)]
        [0, 1]
    """
    if not labels.numel():
        return ()
    shares = labels.bincount().double() / labels.numel()
    entropy = -float((shares * shares.clamp(min=1e-12).log()).sum())
    text = f"cross-entropy is {float(nats):.2f} nat, and {entropy:.2f} without any speech: the tokens tell no phonemes"
    return (text,) if float(nats) >= entropy else ()


def consistency_alarm(loss: Float[Tensor, ""], voices: Float[Tensor, "B D"]) -> tuple[str, ...]:
    """Return a warning if decoded speech is no nearer to the voice asked for than another voice of the batch is.

    Args:
        loss: Mean squared distance between voices and those of speech decoded in them.
        voices: Voices of the batch.

    Example:
        >>> voices = torch.tensor([[0.0], [2.0]])
        >>> [len(consistency_alarm(torch.tensor(loss), voices)) for loss in (1.0, 4.0)]
        [0, 1]
    """
    others = float((voices - voices.roll(1, 0)).detach().square().mean())
    text = f"consistency is {float(loss):.3g}, and two voices differ by {others:.3g}: decoded speech does not have the "
    return (text + "voice it is decoded in",) if len(voices) > 1 and float(loss) >= others else ()


def perturb_vocal_tract(frames: Float[Tensor, "B S F"], max_change: float) -> Float[Tensor, "B S F"]:
    """Perturb spectra as another vocal tract and another microphone would, with torch's random state.

    The mel axis of each row is stretched by up to ``max_change`` and tilted by up to half a standard deviation at
    either end.

    Args:
        frames: Mel spectra, standardized over a corpus.
        max_change: Largest relative change of the vocal tract length; 0 changes nothing.

    Source:
        Jaitly and Hinton, Vocal tract length perturbation (2013); to keep voices out of contents as in NANSY,
        arXiv:2110.14513, section 3.1.

    Example:
        >>> perturb_vocal_tract(torch.ones(1, 4, 8), 0.0).equal(torch.ones(1, 4, 8))
        True
    """
    if not max_change:
        return frames
    batch, _, bins = frames.shape
    stretch, tilt = (2 * torch.rand(2, batch, 1, device=frames.device) - 1).unbind(0)
    positions = (torch.arange(bins, device=frames.device) * (1 + max_change * stretch)).clamp(max=bins - 1)
    below = positions.floor().long()
    above, weight = (below + 1).clamp(max=bins - 1), (positions - below)[:, None]
    low, high = (frames.gather(2, index[:, None].expand_as(frames)) for index in (below, above))
    slope = 0.5 * tilt * torch.linspace(-1, 1, bins, device=frames.device)
    return low + weight * (high - low) + slope[:, None]


def phoneme_runs(
    phonemes: Int[Tensor, "B S"], mask: Bool[Tensor, "B S"]
) -> tuple[Int[Tensor, "B L"], Int[Tensor, "B L"], Bool[Tensor, "B L"], Bool[Tensor, "B L"]]:
    """Return the runs of equal phonemes in windows.

    Args:
        phonemes: Phoneme id of each spectrum.
        mask: True on real spectra.

    Returns:
        Phoneme of each run; its length in spectra; True on real runs; True on runs that lie wholly inside the window.

    Example:
        >>> found = phoneme_runs(torch.tensor([[3, 3, 5, 5, 5, 2]]), torch.ones(1, 6, dtype=torch.bool))
        >>> [part.int().tolist() for part in found]
        [[[3, 5, 2]], [[2, 3, 1]], [[1, 1, 1]], [[0, 1, 0]]]
    """
    runs = [torch.unique_consecutive(row[real], return_counts=True) for row, real in zip(phonemes, mask, strict=True)]
    counts = torch.tensor([len(ids) for ids, _ in runs], device=phonemes.device)
    ids, lengths = (pad_sequence(list(part), batch_first=True) for part in zip(*runs, strict=True))
    positions = torch.arange(ids.shape[1], device=phonemes.device)
    return ids, lengths, positions < counts[:, None], (positions > 0) & (positions < counts[:, None] - 1)


def _retrieval_top1(speech: Float[Tensor, "M D"], phonemes: Float[Tensor, "M D"]) -> Float[Tensor, ""]:
    """Return the share of some speech frames whose nearest phoneme frame is their own; 0 if there are none."""
    found = retrieve(speech[:_LOGGED_FRAMES].float(), phonemes[:_LOGGED_FRAMES].float())
    return found.hits().sum() / max(len(found.ranks), 1)
