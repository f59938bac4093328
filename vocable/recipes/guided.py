"""Runs of the guided codec (arXiv:2507.06802)."""

from collections.abc import Sequence
from dataclasses import dataclass

from vocable.data.crops import CropConfig, Crops
from vocable.data.manifest import Utterance
from vocable.errors import ConfigError
from vocable.recipes.run import Run
from vocable.systems.guided.config import GuidedConfig, SeanetConfig, SpectralConfig
from vocable.systems.guided.model import GuidedModel
from vocable.systems.guided.objective import GuidedLosses, GuidedObjective
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.train.schedule import LearningRate, Weight
from vocable.train.trainer import TrainConfig


@dataclass(frozen=True, kw_only=True)
class GuidedRun(Run):
    """A guided codec in training, on random crops."""

    model: GuidedConfig
    losses: GuidedLosses
    batches: CropConfig

    def material(self, utterances: Sequence[Utterance]) -> Crops:
        """Crops of whole token frames."""
        return Crops(utterances, self.batches, sample_rate=self.model.sample_rate, hop=self.model.backbone.hop)

    def objective(self, material: Crops, start: GuidedTokenizer | None = None) -> GuidedObjective:
        """A codec with random weights, or with those of another of the same sizes."""
        model = GuidedModel(self.model)
        if start is not None:
            if not isinstance(start, GuidedTokenizer) or start.model.config != self.model:
                raise ConfigError("the model to begin from is no guided codec of this recipe's sizes; take another")
            model.load_state_dict(start.model.state_dict())
        return GuidedObjective(model, self.losses, seed=self.train.seed)


def paper() -> GuidedRun:
    """The paper's sizes: 16 kHz, SEANet strides 2·4·5·8, 50 Hz, RVQ 8 × 1024, AdamW, 3-second crops.

    500 h of LibriSpeech for 10 epochs are 300,000 steps of 20 crops (spec/consistent.md, sections 2 to 5; the
    teachers and adversaries of the paper are not part of this recipe yet).
    """
    return GuidedRun(
        model=GuidedConfig(backbone=SeanetConfig()),
        losses=GuidedLosses(waveform=Weight(value=1.0)),
        batches=CropConfig(batch_size=20, frames=150, gain_db=(0.0, 0.0)),
        train=TrainConfig(steps=300_000, learning_rate=LearningRate(peak=1e-4, warmup=0, decay=1.0),
                          betas=(0.9, 0.99), weight_decay=0.0, save_every=5_000),
    )  # fmt: skip


def small() -> GuidedRun:
    """The model in the box: the spectral backbone, 5 M parameters, trained on two CPU cores."""
    return GuidedRun(
        model=GuidedConfig(),
        losses=GuidedLosses(quantize_from=1_000),
        batches=CropConfig(batch_size=10, frames=60),
        train=TrainConfig(steps=10_000),
    )


def tiny() -> GuidedRun:
    """For tests: the shape of ``small`` with next to no weights."""
    return GuidedRun(
        model=GuidedConfig(
            backbone=SpectralConfig(width=16, expansion=2, encoder_blocks=1, decoder_blocks=2, latent_width=8),
            num_codebooks=4, codebook_size=16,
        ),
        losses=GuidedLosses(quantize_from=2),
        batches=CropConfig(batch_size=4, frames=12),
        train=TrainConfig(steps=20, log_every=5, save_every=10),
    )  # fmt: skip
