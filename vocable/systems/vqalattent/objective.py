"""Training objective of VQalAttent, in two stages of one run: the VQ-VAE on images, then the prior on its ids.

L_VQ-VAE = MSE(x, x̂) + λ · commitment (+ codebook, with gradient entries; + γ · KL(P ‖ uniform), with stochastic ones),
L_prior = cross-entropy of the next id (VQalAttent, arXiv:2411.14642, sections II and III). The paper gives no λ and γ.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from vocable.quantizers import StochasticVectorQuantizer
from vocable.schema import config
from vocable.systems.vqalattent.data import ImageBatch
from vocable.systems.vqalattent.model import VqalattentModel
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.train.objective import Turn
from vocable.train.schedule import LearningRate, Weight, stage_start
from vocable.train.throughput import Amount


@config
class VqalattentLosses:
    """Loss weights and the two stages.

    Attributes:
        picture: Weight of the mean squared error of images.
        commitment: Weight of the commitment loss.
        stochastic_commitment: Its weight with stochastic selection, whose loss counts the distance of every entry by
            its probability. With the weight of the others all latents shrink together, until one entry is left.
        uniformity: Weight of the uniformity loss of stochastic selection.
        selection: Sample of stochastic selection in training. ``hard``: one entry, whose noise falls linearly to 0, so
            that training ends with the nearest entry, which use takes. ``soft``: a mixture of all entries, as in the
            code of the paper's first author, whose decoder has not seen single entries.
        first_temperature: Temperature of stochastic selection at the first step. It falls linearly to the
            ``temperature`` of the VQ-VAE at the end of its stage.
        vqvae_share: Share of all steps that train the VQ-VAE; the rest train the prior.
        prior_rate: Learning rate of the prior, over the steps of its stage.
    """

    picture: Weight = Weight(value=1.0)
    commitment: Weight = Weight(value=0.25)
    stochastic_commitment: Weight = Weight(value=1e-3)
    uniformity: Weight = Weight(value=1e-3)
    selection: Literal["hard", "soft"] = "hard"
    first_temperature: Annotated[float, Field(gt=0)] = 0.9
    vqvae_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    prior_rate: LearningRate = LearningRate(peak=1e-3)

    def prior_from(self, steps: int) -> int:
        """Return the first step of the prior's stage in a run of some steps."""
        return stage_start(self.vqvae_share, steps)


class VqalattentObjective:
    """Objective that trains a :class:`VqalattentModel`: first the VQ-VAE, then the prior on its frozen ids.

    Args:
        model: Both networks, with the scale and durations of the training data.
        losses: Loss weights and stages.
        rate: Learning rate of the VQ-VAE, over the steps of its stage.
        steps: Steps of the whole run.
    """

    def __init__(self, model: VqalattentModel, losses: VqalattentLosses, *, rate: LearningRate, steps: int) -> None:
        self.model, self.losses, self.rate, self.steps = model, losses, rate, steps
        self.prior_start = losses.prior_from(steps)

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the networks to train: ``vqvae`` and ``prior``."""
        return {"vqvae": self.model.vqvae, "prior": self.model.prior}

    def turns(self, batch: ImageBatch, step: int) -> Iterator[Turn]:
        """Yield the losses of one step: of the VQ-VAE or of the prior."""
        yield self._vqvae(batch, step) if step < self.prior_start else self._prior(batch, step)

    def amount(self, batch: ImageBatch) -> Amount:
        """Return the seconds of a batch, at the mean duration of the training data, and its tokens."""
        clips = len(batch.names)
        return Amount(clips * float(self.model.mean_duration), clips * self.model.config.frames)

    def export(self, folder: Path) -> None:
        """Write the tokenizer in its present state."""
        VqalattentTokenizer(self.model).save(folder)

    def _vqvae(self, batch: ImageBatch, step: int) -> Turn:
        settings, commitment = self.losses, self.losses.commitment
        if isinstance(quantizer := self.model.vqvae.quantizer, StochasticVectorQuantizer):
            commitment = settings.stochastic_commitment
            self._anneal(quantizer, step / max(1, self.prior_start - 1))
        reconstruction, quantized = self.model.vqvae(batch.images)
        losses = {"picture": F.mse_loss(reconstruction.float(), batch.images)} | quantized.losses
        schedules = {"picture": settings.picture, "commitment": commitment, "uniformity": settings.uniformity}
        scheduled = {name: weight.at(step) for name, weight in schedules.items()}
        weights = {name: scheduled.get(name, 1.0) for name in losses}
        rate = self.rate.at(step, self.prior_start)
        return Turn(name="vqvae", losses=losses, weights=weights, stats=quantized.stats, learning_rate=rate)

    def _anneal(self, quantizer: StochasticVectorQuantizer, progress: float) -> None:
        """Set temperature and noise of stochastic selection at a share of the VQ-VAE's stage, in [0, 1]."""
        first, last = self.losses.first_temperature, self.model.config.vqvae.temperature
        quantizer.temperature = first + (last - first) * progress
        quantizer.hard = self.losses.selection == "hard"
        quantizer.noise = 1.0 - progress if quantizer.hard else 1.0

    def _prior(self, batch: ImageBatch, step: int) -> Turn:
        with torch.autocast(batch.images.device.type, enabled=False):  # ids exactly as the trained tokenizer has them
            ids = self.model.vqvae.encode(batch.images)
        self.model.prior_codebook.fill_(self.model.codebook_fingerprint())
        losses = {"next_id": self.model.prior.loss(ids, batch.labels)}
        rate = self.losses.prior_rate.at(step - self.prior_start, self.steps - self.prior_start)
        return Turn(name="prior", losses=losses, weights={"next_id": 1.0}, learning_rate=rate)
