"""Training objective of the supervised units: to keep phones and, weakly, their sound.

L = w_vq · L_vq + w_ctc · L_ctc + w_spec · L_spec + w_kl · L_kl. The recognizer's gradient passes the codebook in full,
the decoder's in part. So ids are chosen for phones, and keep other properties of speech where that costs nothing.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.collective import global_mean, share_of
from vocable.losses.variational import free_bits, gaussian_kl
from vocable.metrics.text import edit_distance
from vocable.nn.voice import reparameterize
from vocable.systems.supervised.config import SupervisedLosses
from vocable.systems.supervised.data import UtteranceBatch
from vocable.systems.supervised.networks import SupervisedModel
from vocable.systems.supervised.tokenizer import SupervisedTokenizer
from vocable.systems.voiced import collapse_path, mask_spectrogram, voice_alarms
from vocable.train.objective import Turn
from vocable.train.throughput import Amount

_LOGGED_UTTERANCES = 8  # of a batch, for which phone errors are logged
_MAX_TIME_MASK = 12  # frames of Whisper


class SupervisedObjective:
    """Training objective of a :class:`SupervisedModel`.

    Args:
        model: Networks, with the scale of the training data.
        losses: Weights.
    """

    def __init__(self, model: SupervisedModel, losses: SupervisedLosses) -> None:
        self.model, self.losses = model, losses

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the networks with optimizers of their own: one part, ``units``, with all of them."""
        return {"units": self.model}

    def turns(self, batch: UtteranceBatch, step: int) -> Iterator[Turn]:
        """Yield the one turn of a step."""
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
        frame_mask = mask.repeat_interleave(model.config.reduction, dim=1)
        losses["spectrum"] = global_mean((decoded - frames).abs().mean(2), frame_mask)
        divergence = gaussian_kl(mean, log_variance)
        losses["kl"] = free_bits(divergence, self.losses.kl_floor)

        scores, positions = model.recognizer(latents, mask), mask.sum(1) * model.recognizer.positions
        losses["ctc"] = phone_loss(scores, positions, batch.phones, batch.num_phones)
        stats |= {"phone_errors": _phone_errors(scores, positions, batch), "kl": divergence.detach().mean()}
        weights = {name: getattr(self.losses, name).at(step) for name in losses}
        alarms = voice_alarms(stats["kl"], self.losses.kl_floor, weights["kl"])
        yield Turn(name="units", losses=losses, weights=weights, stats=stats, alarms=alarms)

    def amount(self, batch: UtteranceBatch) -> Amount:
        """Return the seconds and tokens of a batch."""
        spec = self.model.config.spec
        return Amount.of_frames(batch.mask, frame_rate=spec.frame_rate, num_codebooks=spec.num_codebooks)

    def export(self, folder: Path) -> None:
        """Write the tokenizer as it is at this step."""
        SupervisedTokenizer(self.model).save(folder)


def phone_loss(
    scores: Float[Tensor, "B P V"], positions: Int[Tensor, " B"], phones: Int[Tensor, "B L"],
    num_phones: Int[Tensor, " B"],
) -> Float[Tensor, ""]:  # fmt: skip
    """Return the CTC loss in nats a phone, over utterances whose ``num_phones`` is known, not 0; 0 if there are none.

    The mean over processes is the loss in nats a phone of the global batch.
    ``scores`` are log-probabilities, real at the first ``positions`` of each utterance.

    Example:
        >>> scores = torch.zeros(2, 4, 3).log_softmax(2)
        >>> positions, phones = torch.tensor([4, 4]), torch.tensor([[1, 2], [0, 0]])
        >>> round(float(phone_loss(scores, positions, phones, torch.tensor([2, 0]))), 3)  # 15 of 81 paths give 1 2
        0.843
    """
    known, share = num_phones > 0, share_of(num_phones.sum())
    if not bool(known.any()):
        return 0.0 * scores.sum()
    nats = F.ctc_loss(
        scores[known].transpose(0, 1), phones[known], positions[known], num_phones[known], reduction="sum",
        zero_infinity=True,
    )  # fmt: skip
    return share * (nats / num_phones.sum())


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
