"""Training recipes of VQalAttent (arXiv:2411.14642), and the system's record in the registry."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vocable.data.manifest import Utterance, open_manifests
from vocable.errors import ConfigError
from vocable.systems.base import System
from vocable.systems.vqalattent.config import ImageSpec, PriorConfig, Strides, VqalattentConfig, VqvaeConfig
from vocable.systems.vqalattent.data import UNKNOWN, ImageConfig, Images
from vocable.systems.vqalattent.model import VqalattentModel
from vocable.systems.vqalattent.objective import VqalattentLosses, VqalattentObjective
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer, describe_config
from vocable.train.run import Run
from vocable.train.schedule import LearningRate
from vocable.train.trainer import TrainConfig


@dataclass(frozen=True, kw_only=True)
class VqalattentRun(Run):
    """Training run of a VQ-VAE and then its prior, on images of whole utterances."""

    model: VqalattentConfig
    losses: VqalattentLosses
    batches: ImageConfig

    def material(self, manifests: Sequence[str | os.PathLike[str]], split: str | None) -> Images:
        """Return the training data of some manifests; see :meth:`material_of`."""
        return self.material_of(open_manifests(manifests, split))

    def material_of(self, utterances: Sequence[Utterance]) -> Images:
        """Return images labeled with the prior's conditions, without augmentation from the prior's first step on."""
        config = replace(self.batches, plain_from=self.losses.prior_from(self.train.steps))
        keys = self.model.prior.conditions
        return Images(utterances, config, self.model.image, keys, cache=self.audio_cache)

    def validation_material(self, utterances: Sequence[Utterance], material: Images) -> Images:
        """Return images on the scale, and with the labels, of the training data, without augmentation."""
        return material.like(utterances)

    def objective(self, material: Images, start: VqalattentTokenizer | None = None) -> VqalattentObjective:
        """Return networks to train for the labels in the data.

        Args:
            material: Training data. With ``start`` its images get that model's scale and lose their augmentation.
            start: Trained model whose VQ-VAE is kept as it is; only a new prior is trained then.

        Raises:
            ConfigError: If ``start`` is no VQalAttent, or has other images or ids than this recipe.
        """
        config, losses = replace(self.model, labels=material.values), self.losses
        model = VqalattentModel(config)
        model.bounds.copy_(material.bounds)
        if start is not None:
            if not isinstance(start, VqalattentTokenizer):
                raise ConfigError(f"the model to begin from is a {type(start).__name__}, no VQalAttent; take another")
            pairs = (start.config.image, config.image), (_as_used(start.config.vqvae), _as_used(config.vqvae))
            for trained, needed in pairs:
                if trained != needed:
                    raise ConfigError(f"the model to begin from has {trained}, this recipe {needed}; take another")
            model.vqvae.load_state_dict(start.model.vqvae.state_dict())
            model.bounds.copy_(start.model.bounds)
            material.bounds = start.model.bounds.cpu()
            material.config = replace(material.config, plain_from=0)  # the prior's stage is the whole run
            losses = replace(losses, vqvae_share=0.0)
        model.mean_duration.fill_(material.durations.mean())
        model.mean_level.fill_(material.mean_level)
        for column, labels in enumerate(material.labels.unbind(1)):
            for label in labels.unique().tolist():
                if label != UNKNOWN:
                    model.label_durations[column, label] = float(material.durations[(labels == label).numpy()].mean())
        return VqalattentObjective(model, losses, rate=self.train.learning_rate, steps=self.train.steps)


def _as_used(sizes: VqvaeConfig) -> VqvaeConfig:
    """Return a VQ-VAE's configuration with the default of each setting that its own training alone reads."""
    plain = VqvaeConfig()
    return replace(sizes, temperature=plain.temperature, codebook_init=plain.codebook_init)


def paper(strides: Strides = (2, 2)) -> VqalattentRun:
    """Return the paper's CR 16 on AudioMNIST: 100 epochs of the VQ-VAE, 70 of the prior, 24,000 clips, batch 32.

    The paper gives 22,050 Hz, images of 64 × 88, 15 dB, a codebook of 256 × 64 and 12 blocks of 8 heads. Widths,
    learning rates and batch size are those of its authors' later code.
    """
    return VqalattentRun(
        model=VqalattentConfig(vqvae=VqvaeConfig(strides=strides)),
        losses=VqalattentLosses(vqvae_share=100 / 170, prior_rate=LearningRate(peak=1e-4, warmup=0, decay=0.0)),
        batches=ImageConfig(),
        train=TrainConfig(steps=127_500, learning_rate=LearningRate(peak=1e-4, warmup=0, decay=0.0),
                          betas=(0.9, 0.999), weight_decay=1e-5, save_every=2_500),
    )  # fmt: skip


def paper_cr4() -> VqalattentRun:
    """Return the paper's CR 4: the second convolution has stride 1, an utterance has 32 × 44 = 1,408 ids."""
    return paper(strides=(2, 1))


def unconditional(run: VqalattentRun) -> VqalattentRun:
    """Return a run whose prior is asked for nothing, as the paper's T1 and T2.

    Example:
        >>> unconditional(tiny()).model.prior.conditions
        ()
    """
    prior = replace(run.model.prior, conditions=(), label_dropout=0.0, guidance=0.0, label_ids="separate")
    return replace(run, model=replace(run.model, prior=prior))


def paper_unconditional() -> VqalattentRun:
    """Return the paper's T2: CR 16 without a label; its VQ-VAE can be that of ``paper`` (``--init``)."""
    return unconditional(paper())


def paper_cr4_unconditional() -> VqalattentRun:
    """Return the paper's T1: CR 4 without a label; its VQ-VAE can be that of ``paper_cr4`` (``--init``)."""
    return unconditional(paper_cr4())


def fsdd_unconditional() -> VqalattentRun:
    """Return ``fsdd`` without a label; its VQ-VAE can be that of the bundled model (``--init vqalattent-fsdd``)."""
    return unconditional(fsdd())


def fsdd(strides: Strides = (2, 2)) -> VqalattentRun:
    """Return the bundled model's recipe: the paper's shape at FSDD's 8 kHz, half the width, for two CPU cores."""
    return VqalattentRun(
        model=VqalattentConfig(
            image=ImageSpec(sample_rate=8_000, n_fft=384, trim_db=30.0, range_db=45.0, level="clip"),
            vqvae=VqvaeConfig(strides=strides, width=128, order="time_major"),
            prior=PriorConfig(width=128, positions="grid", conditions=("digit", "speaker"), label_dropout=0.2),
        ),
        losses=VqalattentLosses(vqvae_share=0.5, prior_rate=LearningRate(peak=2e-3)),
        batches=ImageConfig(batch_size=16, warp=0.12, shift=0.03),
        train=TrainConfig(steps=6_000, learning_rate=LearningRate(peak=1e-3), betas=(0.9, 0.99), weight_decay=1e-2),
    )


def fsdd_vqvae() -> VqalattentRun:
    """Return the VQ-VAE of ``fsdd`` alone, to train on more speakers; ``fsdd`` trains a prior from it (``--init``)."""
    run = fsdd()
    return replace(run, losses=replace(run.losses, vqvae_share=1.0), train=replace(run.train, steps=4_000))


def fsdd_cr4() -> VqalattentRun:
    """Return CR 4 of ``fsdd`` with 1,408 ids an utterance, narrower, for 40 minutes of one CPU core."""
    run = fsdd(strides=(2, 1))
    prior = replace(run.model.prior, width=64, blocks=4, heads=4)
    model = replace(run.model, vqvae=replace(run.model.vqvae, width=64), prior=prior)
    losses = replace(run.losses, vqvae_share=800 / 2_300)
    return replace(run, model=model, losses=losses, train=replace(run.train, steps=2_300))


def tiny() -> VqalattentRun:
    """Return a recipe for tests: an image of 32 × 44 and tiny networks."""
    return VqalattentRun(
        model=VqalattentConfig(
            image=ImageSpec(sample_rate=8_000, n_fft=256, bins=32, frames=44),
            vqvae=VqvaeConfig(width=16, residual_blocks=1, latent_dim=8, codebook_size=32, order="time_major"),
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
        "vqalattent-paper-unconditional": paper_unconditional,
        "vqalattent-paper-cr4-unconditional": paper_cr4_unconditional,
        "vqalattent-fsdd": fsdd,
        "vqalattent-fsdd-vqvae": fsdd_vqvae,
        "vqalattent-fsdd-cr4": fsdd_cr4,
        "vqalattent-fsdd-unconditional": fsdd_unconditional,
        "vqalattent-tiny": tiny,
    },
    example="vqalattent-fsdd",
    uses=frozenset({"generate"}),
    describe_config=describe_config,
)
