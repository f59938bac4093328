"""Training objective of the supervised units: to keep phones and, weakly, their sound.

L = w_vq · L_vq + w_ctc · L_ctc + w_letters · L_letters + w_distill · L_distill + w_spec · L_spec + w_rep · L_rep
  + w_adv · L_adv + w_feat · L_feat + w_kl · L_kl.

The recognizer's gradient passes the codebook in full, the decoder's in part. So ids are chosen for what is said, and
keep other properties of speech where that costs nothing.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from vocable.collective import global_mean, share_of
from vocable.errors import ConfigError
from vocable.features.whisper import WhisperEncoder
from vocable.losses.representation import RepresentationLoss, relative_distance
from vocable.losses.variational import free_bits, gaussian_kl
from vocable.metrics.text import edit_distance
from vocable.nn.spec_augment import mask_spectrogram
from vocable.nn.voice import reparameterize
from vocable.systems.adversary import Adversary
from vocable.systems.supervised.config import SupervisedLosses
from vocable.systems.supervised.data import UtteranceBatch
from vocable.systems.supervised.networks import SupervisedModel
from vocable.systems.supervised.tokenizer import SupervisedTokenizer
from vocable.systems.voiced import collapse_path, voice_alarms
from vocable.train.objective import Turn
from vocable.train.throughput import Amount
from vocable.vocoders import IstftVocoder, find_vocoder

_LOGGED_UTTERANCES = 8  # of a batch, for which phone errors are logged
_MAX_TIME_MASK = 12  # frames of Whisper


class SupervisedObjective:
    """Training objective of a :class:`SupervisedModel`.

    Args:
        model: Networks, with the scale of the training data.
        losses: Weights.
        whisper: Frozen Whisper that compares decoded audio with recordings, if ``representation`` has a weight.
        adversary: Discriminators of spectra.

    Raises:
        ConfigError: If ``representation`` has a weight, and there is no bundled vocoder for the model's spectra.
    """

    def __init__(
        self, model: SupervisedModel, losses: SupervisedLosses, whisper: WhisperEncoder | None = None,
        adversary: Adversary | None = None,
    ) -> None:  # fmt: skip
        self.model, self.losses, self.adversary = model, losses, adversary
        self._distilled: nn.Linear | None = None
        if losses.distillation.value:
            width = model.config.encoder.frames_per_token * model.config.whisper.width
            self._distilled = nn.Linear(model.config.recognizer.width, width)
        self._representation: DecodedRepresentation | None = None
        if losses.representation.value and whisper is not None:
            self._representation = DecodedRepresentation(model, losses, whisper)

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the networks with optimizers of their own: ``units`` and, with an adversary, ``discriminator``."""
        units: nn.Module = self.model
        if self._distilled is not None:
            units = nn.ModuleDict({"model": self.model, "distilled": self._distilled})
        return {"units": units} | ({"discriminator": self.adversary.network} if self.adversary else {})

    def turns(self, batch: UtteranceBatch, step: int) -> Iterator[Turn]:
        """Yield the discriminators' turn, from their first step on, then that of the units."""
        model, mask = self.model, batch.mask
        with torch.autocast(batch.samples.device.type, enabled=False):
            frames, voice_frames = model.frames(batch.samples), model.frames(batch.voices)
        masked = mask_spectrogram(batch.frames, self.losses.num_masks, max_time=_MAX_TIME_MASK)
        latents = model.encoder(masked, mask)
        waits = model.quantizer.is_disabled(step, self.losses.codebook_start)
        quantized = None if waits else model.quantizer(latents, mask)
        latents = latents * mask[..., None] if quantized is None else quantized.latents
        losses: dict[str, Tensor] = {} if quantized is None else dict(quantized.losses)
        stats = {} if quantized is None else dict(quantized.stats)

        mean, log_variance = model.voice_encoder(voice_frames)
        scale = self.losses.encoder_gradient
        content = scale * latents + (1 - scale) * latents.detach()
        decoded = model.decoder(content, reparameterize(mean, log_variance), mask).float()
        if self._representation is not None and self.losses.representation.at(step):
            losses["representation"] = self._representation(decoded, batch)
        frame_mask = mask.repeat_interleave(model.config.reduction, dim=1)
        crops: tuple[Tensor, ...] = ()
        if self.adversary is not None and step >= self.adversary.start:
            crops = self._crop_spectra(frames, decoded, mask)
            played, weights = self.adversary.losses(crops[0], crops[1].detach()), self.adversary.weights(step)
            yield Turn(
                name="discriminator", losses=played, weights={name: weights[name] for name in played},
                learning_rate=self.adversary.learning_rate(step), alarms=self.adversary.alarms(played), is_game=True,
            )  # fmt: skip
        if self.adversary is not None and crops:
            losses |= self.adversary.generator_losses(*crops)
        losses["spectrum"] = global_mean((decoded - frames).abs().mean(2), frame_mask)
        divergence = gaussian_kl(mean, log_variance)
        losses["kl"] = free_bits(divergence, self.losses.kl_floor)

        hidden, positions = model.recognizer.transform(latents, mask), mask.sum(1) * model.recognizer.positions
        scores = model.recognizer.phone_scores(hidden)
        losses["ctc"] = ctc_loss(scores, positions, batch.phones, batch.num_phones)
        if model.config.recognizer.letters:
            letters = model.recognizer.letter_scores(hidden)
            losses["letters"] = ctc_loss(letters, positions, batch.letters, batch.num_letters)
        if self._distilled is not None:
            top = batch.frames[:, :, -model.config.whisper.width :]
            predicted = self._distilled(hidden).unflatten(2, (-1, top.shape[2])).flatten(1, 2)
            top_mask = mask.repeat_interleave(model.config.encoder.frames_per_token, dim=1)
            losses["distillation"] = relative_distance(predicted, top, top_mask)
        stats |= {"phone_errors": _phone_errors(scores, positions, batch), "kl": divergence.detach().mean()}
        weights = {name: getattr(self.losses, name).at(step) for name in losses}
        alarms = voice_alarms(stats["kl"], self.losses.kl_floor, weights["kl"])
        yield Turn(name="units", losses=losses, weights=weights, stats=stats, alarms=alarms)

    def _crop_spectra(
        self, frames: Float[Tensor, "B S F"], decoded: Float[Tensor, "B S F"], mask: Bool[Tensor, "B N"]
    ) -> tuple[Float[Tensor, "B S_crop F"], Float[Tensor, "B S_crop F"]]:
        """Return the same random crop of recorded and of decoded spectra, 0 behind the end of a clip."""
        reduction, size = self.model.config.reduction, min(self.losses.crop_tokens, mask.shape[1])
        starts = _draw_starts(mask, size)
        real = _crop(mask, starts, size).repeat_interleave(reduction, dim=1)[..., None]
        recorded, made = (_crop(one, starts * reduction, size * reduction) * real for one in (frames, decoded))
        return recorded, made

    def amount(self, batch: UtteranceBatch) -> Amount:
        """Return the seconds and tokens of a batch."""
        spec = self.model.config.spec
        return Amount.of_frames(batch.mask, frame_rate=spec.frame_rate, num_codebooks=spec.num_codebooks)

    def export(self, folder: Path) -> None:
        """Write the tokenizer as it is at this step."""
        SupervisedTokenizer(self.model).save(folder)


class DecodedRepresentation:
    """Distance of decoded audio from its recording in the frames of a frozen Whisper, on a random crop of each clip.

    The vocoder is frozen; gradients pass through it to the spectra.

    Args:
        model: Networks whose spectra are compared.
        losses: Layers that are compared, and the length of a crop.
        whisper: Frozen Whisper.

    Raises:
        ConfigError: If there is no bundled vocoder for the model's spectra, or Whisper has no such layer.
    """

    def __init__(self, model: SupervisedModel, losses: SupervisedLosses, whisper: WhisperEncoder) -> None:
        vocoder = find_vocoder(None, model.config.mel)
        if not isinstance(vocoder, IstftVocoder):
            raise ConfigError(f"representation: no bundled vocoder takes {model.config.mel}; set its weight to 0")
        self._model, self._network = model, vocoder.network.requires_grad_(False)
        self._tokens, self._loss = losses.crop_tokens, RepresentationLoss(whisper, losses.representation_layers)

    def __call__(self, decoded: Float[Tensor, "B S F"], batch: UtteranceBatch) -> Float[Tensor, ""]:
        """Return the loss of a batch of decoded spectra; crops depend on torch's random state."""
        config, size = self._model.config, min(self._tokens, batch.mask.shape[1])
        starts = _draw_starts(batch.mask, size)
        mask = _crop(batch.mask, starts, size)
        mel = self._model.to_decibels(_crop(decoded, starts * config.reduction, size * config.reduction))
        self._network.to(decoded.device)
        samples = self._network(mel, mask.repeat_interleave(config.reduction, dim=1))
        return self._loss(samples, _crop(batch.samples, starts * config.hop, size * config.hop), mask)


def _draw_starts(mask: Bool[Tensor, "B N"], size: int) -> Int[Tensor, " B"]:
    """Draw the first token of a crop of each row, with torch's random state; a short row is cropped from its start."""
    last = (mask.sum(1).cpu() - size).clamp(min=0)
    return (torch.rand(len(last)) * (last + 1)).long().to(mask.device)


def _crop(values: Shaped[Tensor, "B S *any"], starts: Int[Tensor, " B"], size: int) -> Shaped[Tensor, "B S_crop *any"]:
    """Return ``size`` neighbors of each row, from its start on."""
    return torch.stack([row[start : start + size] for row, start in zip(values, starts.tolist(), strict=True)])


def ctc_loss(
    scores: Float[Tensor, "B P V"], positions: Int[Tensor, " B"], labels: Int[Tensor, "B L"],
    num_labels: Int[Tensor, " B"],
) -> Float[Tensor, ""]:  # fmt: skip
    """Return the CTC loss in nats a label, over utterances whose ``num_labels`` is known, not 0; 0 if there are none.

    The mean over processes is the loss in nats a label of the global batch.
    ``scores`` are log-probabilities, real at the first ``positions`` of each utterance.

    Example:
        >>> scores = torch.zeros(2, 4, 3).log_softmax(2)
        >>> positions, labels = torch.tensor([4, 4]), torch.tensor([[1, 2], [0, 0]])
        >>> round(float(ctc_loss(scores, positions, labels, torch.tensor([2, 0]))), 3)  # 15 of 81 paths give 1 2
        0.843
    """
    known, share = num_labels > 0, share_of(num_labels.sum())
    if not bool(known.any()):
        return 0.0 * scores.sum()
    nats = F.ctc_loss(
        scores[known].transpose(0, 1), labels[known], positions[known], num_labels[known], reduction="sum",
        zero_infinity=True,
    )  # fmt: skip
    return share * (nats / num_labels.sum())


def _phone_errors(
    scores: Float[Tensor, "B P V"], positions: Int[Tensor, " B"], batch: UtteranceBatch
) -> Float[Tensor, ""]:
    """Return phone errors over phones of some utterances whose phones are known; 0 if there are none."""
    best, phones, errors, total = scores.detach().argmax(2).cpu(), batch.phones.cpu(), 0, 0
    for row in batch.num_phones.nonzero()[:_LOGGED_UTTERANCES, 0].tolist():
        reference = phones[row, : int(batch.num_phones[row])].tolist()
        errors += edit_distance(reference, collapse_path(best[row, : int(positions[row])]))
        total += len(reference)
    return torch.tensor(errors / max(total, 1))
