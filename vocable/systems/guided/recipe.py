"""Training runs of the guided codec (arXiv:2507.06802)."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from vocable.data.crops import CropConfig, Crops
from vocable.data.manifest import Utterance, open_manifests
from vocable.data.targets import FeatureExtractor, TargetCache, describe_extractor
from vocable.errors import ConfigError
from vocable.features.whisper import WhisperEncoder, WhisperLayers
from vocable.losses.reconstruction import MelScale
from vocable.losses.representation import RepresentationLoss
from vocable.systems.base import System
from vocable.systems.guided.adversary import WaveformAdversary
from vocable.systems.guided.config import (
    AcousticConfig,
    AdversaryConfig,
    DiscriminatorConfig,
    GuidedConfig,
    GuidedLosses,
    RepresentationConfig,
    SeanetConfig,
    SemanticConfig,
    SpectralConfig,
)
from vocable.systems.guided.networks import GuidedModel
from vocable.systems.guided.objective import GuidedObjective
from vocable.systems.guided.teachers import (
    ACOUSTIC,
    REPRESENTATION,
    SEMANTIC,
    AcousticTeacher,
    SemanticTeacher,
    Teacher,
    find_frame_extractor,
    find_speaker_extractor,
)
from vocable.systems.guided.tokenizer import GuidedTokenizer, describe_config
from vocable.train.run import Run
from vocable.train.schedule import LearningRate, Weight
from vocable.train.trainer import TrainConfig

_TEACHERS_FROM, _ADVERSARY_FROM, _RAMP = 5_000, 10_000, 5_000  # steps of the papers' sizes


@dataclass(frozen=True, kw_only=True)
class GuidedRun(Run):
    """Training run of a guided codec, on random crops.

    A teacher whose weight stays 0 is run but not distilled, so that its crops are those of a run that distills it.

    Attributes:
        semantic: Semantic teacher, of level 1; None for a run without one.
        acoustic: Acoustic teacher, of the other levels; None for a run without one.
        representation: Encoder by which decoded audio is compared with its recording; None for a run without one.
        adversary: Discriminators and how they are trained; None for a run without them.
        cache: Folder where the teachers' features are kept.
    """

    locations = ("cache", "semantic.source", "acoustic.source", "representation.source")

    model: GuidedConfig
    losses: GuidedLosses
    batches: CropConfig
    semantic: SemanticConfig | None = None
    acoustic: AcousticConfig | None = None
    representation: RepresentationConfig | None = None
    adversary: AdversaryConfig | None = None
    cache: str | None = None

    def __post_init__(self) -> None:
        if self.acoustic is not None and self.model.num_codebooks < 2:
            raise ConfigError("an acoustic teacher teaches the levels after the first; this codec has one level")

    @override
    def with_teachers(self, sources: Mapping[str, str], cache: str) -> "GuidedRun":
        available = [part for part in (SEMANTIC, ACOUSTIC, REPRESENTATION) if getattr(self, part) is not None]
        if unknown := [part for part in sources if part not in available]:
            raise ConfigError(f"the recipe has no {unknown[0]} teacher; it has {', '.join(available) or 'none'}")
        configs: dict[str, Any] = {part: replace(getattr(self, part), source=one) for part, one in sources.items()}
        return replace(self, cache=cache, **configs)

    def teachers(self) -> dict[str, dict[str, Any]]:
        """Return name, digest, rates and width of each teacher that is distilled."""
        distilled = (part for part in self._extractors if getattr(self.losses, part).value > 0)
        described = {part: describe_extractor(self._extractors[part]) for part in distilled}
        if self._encoder is not None and self.representation is not None:
            described[REPRESENTATION] = describe_extractor(WhisperLayers(self._encoder, self.representation.layers))
        return described

    @override
    def extractors(self) -> Mapping[str, FeatureExtractor]:
        return self._extractors

    @override
    def material(self, manifests: Sequence[str | os.PathLike[str]], split: str | None) -> Crops:
        return self.material_of(open_manifests(manifests, split))

    def material_of(self, utterances: Sequence[Utterance]) -> Crops:
        """Return crops of whole token frames, with the teachers' features as targets."""
        folder = Path(self.cache or "")
        return Crops(
            utterances, self.batches, sample_rate=self.model.sample_rate, hop=self.model.backbone.hop,
            targets={part: TargetCache(extractor, folder / part) for part, extractor in self._extractors.items()},
            cache=self.audio_cache,
        )  # fmt: skip

    @override
    def objective(self, material: Crops, start: GuidedTokenizer | None = None) -> GuidedObjective:
        model, losses, latents = GuidedModel(self.model), self.losses, self.model.backbone.latent_width
        if start is not None:
            if not isinstance(start, GuidedTokenizer):
                raise ConfigError(f"the model to begin from is a {type(start).__name__}, no guided codec; take another")
            model.load_start(start.model)
        teachers: list[Teacher] = []
        for part, kind in ((SEMANTIC, SemanticTeacher), (ACOUSTIC, AcousticTeacher)):
            config, weight = getattr(self, part), getattr(losses, part)
            if config is not None and weight.value > 0:
                mean, deviation = self._scale(part, material)
                teachers.append(kind(config, latents=latents, weight=weight, mean=mean, deviation=deviation))
        adversary = None
        if self.adversary is not None:
            adversary = WaveformAdversary(
                self.adversary, adversarial=losses.adversarial, feature=losses.feature, steps=self.train.steps
            )
        representation = None
        if self._encoder is not None and self.representation is not None:
            representation = RepresentationLoss(self._encoder, self.representation.layers)
        return GuidedObjective(
            model, losses, teachers=teachers, adversary=adversary, representation=representation, seed=self.train.seed,
            teacher_records=self.teachers(),
        )  # fmt: skip

    def _scale(self, part: str, material: Crops) -> tuple[Tensor, Tensor]:
        """Return mean and deviation of a teacher's features, which are not computed where its loss does without."""
        if part == SEMANTIC and self.semantic is not None and not self.semantic.standardize:
            width = self._extractors[part].width
            return torch.zeros(width), torch.ones(width)
        return material.scale(part)

    @cached_property
    def _encoder(self) -> WhisperEncoder | None:
        """Encoder that compares decoded audio with its recording; loads it."""
        if self.representation is None or self.losses.representation.value == 0:
            return None
        if self.representation.source is None:
            raise ConfigError(
                f"the recipe has a {REPRESENTATION} teacher: name Whisper with --teacher {REPRESENTATION}=FOLDER"
            )
        if self.model.sample_rate != WhisperEncoder.sample_rate:
            raise ConfigError(f"Whisper takes {WhisperEncoder.sample_rate} Hz, the codec {self.model.sample_rate}")
        return WhisperEncoder.load(self.representation.source)

    @cached_property
    def _extractors(self) -> dict[str, FeatureExtractor]:
        """Feature extractor of each teacher, by its part; loads them."""
        configs = {SEMANTIC: self.semantic, ACOUSTIC: self.acoustic}
        extractors: dict[str, FeatureExtractor] = {}
        for part, config in configs.items():
            if config is not None and (config.source is None or self.cache is None):
                raise ConfigError(f"the recipe has a {part} teacher: name it with --teacher {part}=FOLDER")
            if isinstance(config, SemanticConfig):
                extractors[part] = find_frame_extractor(str(config.source), config.layers)
            elif config is not None:
                extractors[part] = find_speaker_extractor(str(config.source))
        return extractors


def _teaching(weight: float) -> Weight:
    return Weight(value=weight, start=_TEACHERS_FROM, ramp=_RAMP)


def _playing(weight: float) -> Weight:
    return Weight(value=weight, start=_ADVERSARY_FROM, ramp=_RAMP)


def paper() -> GuidedRun:
    """Return the paper's run: 16 kHz, SEANet strides 2·4·5·8, 50 Hz, RVQ 8 × 1024, AdamW, 3-second crops, λ = 0.5.

    Ten epochs over 500 h of LibriSpeech are 300,000 steps of 20 crops (sections 2 to 5). The weights on the waveform
    are EnCodec's (shares of a gradient of norm 1), beside which a λ of 0.5 has an effect.

    The paper names no warm-up and no start of a loss. Here the codec first learns to reconstruct: at the first step the
    teachers' gradients at the encoder are hundreds of times those of the reconstruction, and random discriminators
    multiply the gradient's norm (``benchmarks/guided_balance.py``).
    """
    return GuidedRun(
        model=GuidedConfig(backbone=SeanetConfig()),
        losses=GuidedLosses(
            waveform=Weight(value=0.1), log_mel=Weight(value=2.0), spectrum=Weight(value=0.0),
            commitment=Weight(value=1.0), semantic=_teaching(0.5), acoustic=_teaching(0.5),
            adversarial=_playing(4.0), feature=_playing(4.0), balance=1.0,
            mel_scales=tuple(
                MelScale(n_fft=n_fft, bins=bins, hop=hop)
                for n_fft, bins, hop in ((1024, 80, 240), (512, 64, 120), (256, 32, 60), (128, 16, 30))
            ),
        ),
        batches=CropConfig(batch_size=20, frames=150, gain_db=(0.0, 0.0)),
        train=TrainConfig(steps=300_000, learning_rate=LearningRate(peak=1e-4, warmup=1_000, decay=1.0),
                          betas=(0.9, 0.99), weight_decay=0.0, save_every=5_000),
        semantic=SemanticConfig(),
        acoustic=AcousticConfig(),
        adversary=AdversaryConfig(begin=_ADVERSARY_FROM - 1_000),  # a little before their losses reach the codec
    )  # fmt: skip


def paper_speechtokenizer() -> GuidedRun:
    """Return the paper's run with the weights of SpeechTokenizer's configuration; each teacher has half of its 120.

    SpeechTokenizer sums over 11 discriminators, and twice over their 69 feature maps, where vocable takes means.
    """
    run = paper()
    assert run.adversary is not None
    return replace(
        run,
        losses=GuidedLosses(
            waveform=Weight(value=500.0), log_mel=Weight(value=48.0), spectrum=Weight(value=0.0),
            commitment=Weight(value=10.0), semantic=_teaching(60.0), acoustic=_teaching(60.0),
            adversarial=_playing(11.0), feature=_playing(2.0 * 69),
            mel_scales=tuple(
                MelScale(n_fft=n_fft, bins=80, hop=hop, weight=weight)
                for n_fft, hop, weight in ((1024, 240, 45.0), (512, 120, 1.0), (256, 60, 1.0), (128, 30, 1.0))
            ),
        ),
        semantic=SemanticConfig(form="d_axis"),
        adversary=replace(run.adversary, game="least_squares", relative=False),
    )  # fmt: skip


def small() -> GuidedRun:
    """Return the run of the bundled model: the spectral backbone, 5 M parameters, trained on two CPU cores."""
    return GuidedRun(
        model=GuidedConfig(),
        losses=GuidedLosses(quantize_from=1_000),
        batches=CropConfig(batch_size=10, frames=60),
        train=TrainConfig(steps=10_000),
    )


def small_taught() -> GuidedRun:
    """Return ``small`` with both teachers and a small adversary, for two CPU cores.

    The encoder of Whisper stands in for HuBERT offline. Its last layer encodes phones best; half of that layer's energy
    is the same for every frame, so the targets are standardized. The teachers' weights come from runs of 1,000 steps,
    compared on dev (docs/log.md): at the paper's 0.5 the acoustic teacher costs a codec of this size 1.1 of its PESQ.
    """
    run = small()
    return replace(
        run,
        losses=replace(
            run.losses, semantic=Weight(value=1.0, start=2_000), acoustic=Weight(value=0.05, start=2_000),
            adversarial=Weight(value=0.1, ramp=1_000, start=4_000), feature=Weight(value=0.5, ramp=1_000, start=4_000),
        ),
        semantic=SemanticConfig(layers=(-1,), standardize=True),
        acoustic=AcousticConfig(),
        adversary=AdversaryConfig(
            discriminators=DiscriminatorConfig(periods=(), scales=0, windows=(1024, 512, 256), filters=8),
            begin=3_900,  # a little before their losses reach the codec
            learning_rate=LearningRate(peak=2e-4),
        ),
    )  # fmt: skip


def small_adversarial() -> GuidedRun:
    """Return a second stage for a trained codec (``--init guided-small``): the adversary of ``small_taught`` alone.

    Discriminators recognize an untrained codec too easily, so the first stage has none. In this stage they are trained
    for a hundred steps before their losses reach the codec.
    """
    run, taught = small(), small_taught()
    assert taught.adversary is not None
    return replace(
        run,
        losses=replace(
            run.losses,
            adversarial=Weight(value=0.1, start=100, ramp=200), feature=Weight(value=0.5, start=100, ramp=200),
        ),
        adversary=replace(taught.adversary, begin=0),
        train=replace(run.train, steps=2_000, learning_rate=LearningRate(peak=3e-4, warmup=50)),
    )  # fmt: skip


def small_representation() -> GuidedRun:
    """Return a second stage for a trained codec (``--init guided-small``): a wider one that keeps more words.

    Its hidden layers are twice as wide. Decoded audio is compared with its recording by what Whisper makes of both, and
    a larger share of clips is decoded from few levels. Sizes were compared on dev, weight and shares were not
    (docs/log.md). Follow it with ``small_representation_adversarial``: without an adversary speech sounds worse.
    """
    run = small()
    return replace(
        run,
        model=replace(run.model, backbone=SpectralConfig(expansion=6)),
        losses=replace(
            run.losses,
            representation=Weight(value=2.0), level_dropout=0.5, dropout_levels=(1, 1, 2, 2, 3, 4, 6),
        ),
        batches=replace(run.batches, batch_size=8, frames=64),
        representation=RepresentationConfig(),
        train=replace(run.train, learning_rate=LearningRate(peak=7e-4)),
    )  # fmt: skip


def small_representation_adversarial() -> GuidedRun:
    """Return a third stage, for a model of ``small_representation``: an adversary, and a decoder that a beam feeds.

    Without an adversary the representation loss makes speech sound worse (docs/log.md). In bfloat16 discriminators of
    16 filters take no longer than those of 8.
    """
    run, adversarial = small_representation(), small_adversarial()
    assert adversarial.adversary is not None
    return replace(
        run,
        losses=replace(
            run.losses,
            representation=Weight(value=0.4), level_dropout=0.4, beam=4,
            adversarial=Weight(value=0.2, start=50, ramp=100), feature=Weight(value=2.0, start=50, ramp=100),
        ),
        adversary=AdversaryConfig(
            discriminators=replace(adversarial.adversary.discriminators, filters=16),
            learning_rate=LearningRate(peak=3e-4, warmup=50),
        ),
        train=replace(run.train, steps=2_000, learning_rate=LearningRate(peak=5e-4, warmup=50)),
    )  # fmt: skip


def tiny() -> GuidedRun:
    """Return a run for tests: the shape of ``small`` with next to no weights."""
    return GuidedRun(
        model=GuidedConfig(
            backbone=SpectralConfig(width=16, expansion=2, encoder_blocks=1, decoder_blocks=2, latent_width=8),
            num_codebooks=4, codebook_size=16,
        ),
        losses=GuidedLosses(quantize_from=2),
        batches=CropConfig(batch_size=4, frames=12),
        train=TrainConfig(steps=20, log_every=5, save_every=10),
    )  # fmt: skip


def tiny_representation() -> GuidedRun:
    """Return a run for tests: ``tiny`` with the representation loss."""
    run = tiny()
    return replace(
        run,
        losses=replace(run.losses, representation=Weight(value=1.0)),
        representation=RepresentationConfig(layers=(1, 2)),
    )


def tiny_taught() -> GuidedRun:
    """Return a run for tests: ``tiny`` with both teachers of ``small_taught``, and no adversary."""
    run = tiny()
    return replace(
        run,
        losses=replace(run.losses, semantic=Weight(value=0.5, start=2), acoustic=Weight(value=0.5, start=2)),
        semantic=SemanticConfig(layers=(-1,)),
        acoustic=AcousticConfig(),
    )


SYSTEM = System(
    name="guided",
    title="guided codec",
    tokenizer=GuidedTokenizer,
    recipes={
        "guided-paper": paper,
        "guided-paper-speechtokenizer": paper_speechtokenizer,
        "guided-small": small,
        "guided-small-taught": small_taught,
        "guided-small-adversarial": small_adversarial,
        "guided-small-representation": small_representation,
        "guided-small-representation-adversarial": small_representation_adversarial,
        "guided-tiny": tiny,
        "guided-tiny-representation": tiny_representation,
        "guided-tiny-taught": tiny_taught,
    },
    example="guided-small",
    uses=frozenset({"vc"}),
    describe_config=describe_config,
)
