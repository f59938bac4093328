"""Runs of VQalAttent (arXiv:2411.14642)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vocable.data.manifest import Utterance, read_manifests
from vocable.errors import ConfigError
from vocable.systems.base import System
from vocable.systems.vqalattent.config import PriorConfig, VqalattentConfig, VqvaeConfig
from vocable.systems.vqalattent.data import ImageConfig, Images
from vocable.systems.vqalattent.facts import config_facts
from vocable.systems.vqalattent.image import ImageSpec
from vocable.systems.vqalattent.model import VqalattentModel
from vocable.systems.vqalattent.objective import VqalattentLosses, VqalattentObjective
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.train.run import Run
from vocable.train.schedule import LearningRate
from vocable.train.trainer import TrainConfig


@dataclass(frozen=True, kw_only=True)
class VqalattentRun(Run):
    """A VQ-VAE, then its prior, on pictures of whole utterances."""

    model: VqalattentConfig
    losses: VqalattentLosses
    batches: ImageConfig

    def material(self, manifests: Sequence[str | os.PathLike[str]], split: str | None) -> Images:
        """Return the training data of some manifests; see :meth:`material_of`."""
        return self.material_of(read_manifests(manifests, split))

    def material_of(self, utterances: Sequence[Utterance]) -> Images:
        """Pictures labelled with the prior's conditions; plain ones from the prior's first step on."""
        config = replace(self.batches, plain_from=self.losses.prior_from(self.train.steps))
        return Images(utterances, config, self.model.image, self.model.prior.conditions)

    def objective(self, material: Images, start: VqalattentTokenizer | None = None) -> VqalattentObjective:
        """Fresh networks for the labels in the data; or, from a trained model, its VQ-VAE as it is and a fresh prior.

        Raises:
            ConfigError: ``start`` makes other ids than this recipe.
        """
        config = replace(self.model, labels=material.values)
        losses = self.losses
        model = VqalattentModel(config)
        model.bounds.copy_(material.bounds)
        if start is not None:
            if not isinstance(start, VqalattentTokenizer):
                raise ConfigError("the model to begin from is no VQalAttent; take another")
            theirs = start.model.config
            for part in ("image", "vqvae"):
                if getattr(theirs, part) != getattr(config, part):
                    raise ConfigError(
                        f"the model to begin from has {getattr(theirs, part)}, this recipe {getattr(config, part)}; "
                        "their pictures or ids are not the same"
                    )
            model.vqvae.load_state_dict(start.model.vqvae.state_dict())
            model.bounds.copy_(start.model.bounds)
            material.bounds = start.model.bounds.cpu()  # its pictures on the scale that the VQ-VAE learnt, and plain:
            material.config = replace(material.config, plain_from=0)  # the prior's stage is the whole run
            losses = replace(losses, vqvae_share=0.0)
        model.typical.fill_(material.durations.mean())
        model.loudness.fill_(material.loudness)
        for column in range(material.labels.shape[1]):
            for place in material.labels[:, column].unique().tolist():
                if place >= 0:
                    chosen = (material.labels[:, column] == place).numpy()
                    model.seconds[column, place] = float(material.durations[chosen].mean())
        return VqalattentObjective(model, losses, rate=self.train.learning_rate, steps=self.train.steps)


def paper(strides: tuple[int, int] = (2, 2)) -> VqalattentRun:
    """The paper's CR 16 on AudioMNIST: 100 epochs of the VQ-VAE, 70 of the prior, 24,000 recordings, batches of 32.

    22,050 Hz, 64 × 88, 15 dB, codebook 256 × 64, 12 blocks of 8 heads are the paper's; widths, rates and batch are
    those of its authors' later code (spec/vqalattent.md, sections 2 to 4).
    """
    return VqalattentRun(
        model=VqalattentConfig(vqvae=VqvaeConfig(strides=strides)),
        losses=VqalattentLosses(vqvae_share=100 / 170, prior_rate=LearningRate(peak=1e-4, warmup=0, decay=0.0)),
        batches=ImageConfig(),
        train=TrainConfig(steps=127_500, learning_rate=LearningRate(peak=1e-4, warmup=0, decay=0.0),
                          betas=(0.9, 0.999), weight_decay=1e-5, save_every=2_500),
    )  # fmt: skip


def paper_cr4() -> VqalattentRun:
    """The paper's CR 4: the second convolution has stride 1, an utterance has 32 × 44 = 1,408 ids."""
    return paper(strides=(2, 1))


def fsdd(strides: tuple[int, int] = (2, 2)) -> VqalattentRun:
    """The model in the box: the paper's shape at 8 kHz (FSDD has no more), half the width, for two CPU cores."""
    return VqalattentRun(
        model=VqalattentConfig(
            image=ImageSpec(sample_rate=8_000, n_fft=384, trim_db=30.0, range_db=45.0, level="clip"),
            vqvae=VqvaeConfig(strides=strides, width=128, order="time_major"),
            prior=PriorConfig(width=128, positions="grid", conditions=("digit", "speaker"), unknown=0.2),
        ),
        losses=VqalattentLosses(vqvae_share=0.5, prior_rate=LearningRate(peak=2e-3)),
        batches=ImageConfig(batch_size=16, warp=0.12, shift=0.03),
        train=TrainConfig(steps=6_000, learning_rate=LearningRate(peak=1e-3), betas=(0.9, 0.99), weight_decay=1e-2),
    )


def fsdd_vqvae() -> VqalattentRun:
    """The VQ-VAE of ``fsdd`` alone, for more speakers than the prior shall have, which begins from it (``--init``)."""
    run = fsdd()
    train = replace(run.train, steps=4_000)
    return replace(run, losses=replace(run.losses, vqvae_share=1.0), train=train)


def fsdd_cr4() -> VqalattentRun:
    """CR 4 of the same, 1,408 ids an utterance; narrower, so that 40 minutes of one CPU core show what there is."""
    run = fsdd(strides=(2, 1))
    model = replace(
        run.model,
        vqvae=replace(run.model.vqvae, width=64),
        prior=replace(run.model.prior, width=64, blocks=4, heads=4),
    )
    losses = replace(run.losses, vqvae_share=800 / 2_300)
    return replace(run, model=model, losses=losses, train=replace(run.train, steps=2_300))


def tiny() -> VqalattentRun:
    """For tests: a picture of 16 × 22 and next to no weights."""
    return VqalattentRun(
        model=VqalattentConfig(
            image=ImageSpec(sample_rate=8_000, n_fft=256, bins=32, frames=44),
            vqvae=VqvaeConfig(width=16, residual_blocks=1, code_width=8, codebook_size=32, order="time_major"),
            prior=PriorConfig(width=32, blocks=2, heads=2, dropout=0.0),
        ),
        losses=VqalattentLosses(vqvae_share=0.2, prior_rate=LearningRate(peak=3e-3, warmup=10)),
        batches=ImageConfig(batch_size=16),
        train=TrainConfig(steps=1_000, learning_rate=LearningRate(peak=3e-3, warmup=10), log_every=50, save_every=500),
    )


SYSTEM = System(
    name="vqalattent",
    title="VQalAttent",
    tokenizer=VqalattentTokenizer,
    recipes={
        "vqalattent-paper": paper,
        "vqalattent-paper-cr4": paper_cr4,
        "vqalattent-fsdd": fsdd,
        "vqalattent-fsdd-vqvae": fsdd_vqvae,
        "vqalattent-fsdd-cr4": fsdd_cr4,
        "vqalattent-tiny": tiny,
    },
    example="vqalattent-fsdd",
    uses=frozenset({"generate"}),
    describe_config=config_facts,
)
