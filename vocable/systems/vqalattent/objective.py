"""What VQalAttent learns, in two stages of one run: pictures through a codebook, then the order of the ids.

L_VQ-VAE = MSE(x, x̂) + λ · commitment (+ codebook, with gradient entries; + γ · KL(P ‖ uniform), with stochastic ones),
L_prior = cross-entropy of the next id. (VQalAttent, arXiv:2411.14642, sections II and III; λ and γ unsaid there.)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocable.errors import ConfigError
from vocable.systems.vqalattent.data import ImageBatch
from vocable.systems.vqalattent.model import VqalattentModel
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.train.objective import Turn
from vocable.train.schedule import LearningRate, Weight


@dataclass(frozen=True, kw_only=True)
class VqalattentLosses:
    """Weights of the terms, and the two stages."""

    picture: Weight = field(default_factory=lambda: Weight(value=1.0))  # mean squared error
    commitment: Weight = field(default_factory=lambda: Weight(value=0.25))
    uniformity: Weight = field(default_factory=lambda: Weight(value=1e-3))  # of stochastic selection
    vqvae_share: float = 0.5  # of all steps; the prior has the rest
    prior_rate: LearningRate = field(default_factory=lambda: LearningRate(peak=1e-3))  # within its own stage

    def __post_init__(self) -> None:
        if not 0 <= self.vqvae_share <= 1:
            raise ConfigError(f"vqvae_share is {self.vqvae_share}: a share in [0, 1] is wanted")

    def prior_from(self, steps: int) -> int:
        """First step of the prior's stage in a run of so many.

        Example:
            >>> VqalattentLosses(vqvae_share=0.25).prior_from(100)
            25
        """
        return round(self.vqvae_share * steps)


class VqalattentObjective:
    """Trains a :class:`VqalattentModel`: the VQ-VAE's turns first, then the prior's on its frozen ids.

    Args:
        model: Both networks; its scale and durations are those of the data already.
        losses: Weights and stages.
        rate: Of the VQ-VAE, within its own stage.
        steps: In the whole run.
    """

    def __init__(self, model: VqalattentModel, losses: VqalattentLosses, *, rate: LearningRate, steps: int) -> None:
        self.model, self.losses, self.rate, self.steps = model, losses, rate, steps
        self.first = losses.prior_from(steps)

    def parts(self) -> Mapping[str, nn.Module]:
        """``vqvae`` and ``prior``."""
        return {"vqvae": self.model.vqvae, "prior": self.model.prior}

    def turns(self, batch: ImageBatch, step: int) -> Iterator[Turn]:
        """One turn: of the VQ-VAE or of the prior."""
        yield self._vqvae(batch, step) if step < self.first else self._prior(batch, step)

    def export(self, folder: Path) -> None:
        """Write the tokenizer as it stands."""
        VqalattentTokenizer(self.model).save(folder)

    def _vqvae(self, batch: ImageBatch, step: int) -> Turn:
        made, quantized = self.model.vqvae(batch.images)
        losses = {"picture": F.mse_loss(made.float(), batch.images)} | quantized.losses
        known = {name: getattr(self.losses, name).at(step) for name in ("picture", "commitment", "uniformity")}
        weights = {name: known.get(name, 1.0) for name in losses}
        rate = self.rate.at(step, self.first)
        return Turn(name="vqvae", losses=losses, weights=weights, stats=quantized.stats, learning_rate=rate)

    def _prior(self, batch: ImageBatch, step: int) -> Turn:
        with torch.autocast(batch.images.device.type, enabled=False):  # ids as the tokenizer in use has them
            ids = self.model.vqvae.encode(batch.images)
        self.model.prior_of.fill_(self.model.codebook_number())
        loss = self.model.prior.loss(ids, batch.labels)
        losses: dict[str, Tensor] = {"next_id": loss}
        rate = self.losses.prior_rate.at(step - self.first, self.steps - self.first)
        return Turn(name="prior", losses=losses, weights={"next_id": 1.0}, learning_rate=rate)
