"""Training recipes of the supervised units (after CosyVoice's tokenizer, arXiv:2407.05407)."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vocable.data.manifest import Utterance, open_manifests
from vocable.data.targets import TargetCache, describe_extractor
from vocable.errors import ConfigError
from vocable.features.hub import keep_hub_name
from vocable.features.whisper import EncoderSpec, WhisperEncoder, WhisperLayers
from vocable.systems.adversary import Adversary
from vocable.systems.base import System
from vocable.systems.supervised.adversary import PatchDiscriminators
from vocable.systems.supervised.config import (
    CtcRecognizerConfig,
    FrameEncoderConfig,
    SpectraAdversaryConfig,
    SpectrumDecoderConfig,
    SupervisedConfig,
    SupervisedLosses,
)
from vocable.systems.supervised.data import UtteranceConfig, UtteranceData
from vocable.systems.supervised.networks import SupervisedModel
from vocable.systems.supervised.objective import SupervisedObjective
from vocable.systems.supervised.tokenizer import SupervisedTokenizer
from vocable.systems.voiced import measure_scale
from vocable.train.run import Run
from vocable.train.schedule import LearningRate, Weight
from vocable.train.trainer import TrainConfig
from vocable.vocoders import MelSpec, VoiceConfig

ENCODER = "encoder"
_UNKNOWN = "not named yet"  # digest of a recipe's Whisper, until --teacher names one


@dataclass(frozen=True, kw_only=True)
class SupervisedRun(Run):
    """Training run of supervised units, on whole utterances.

    Attributes:
        source: Folder or name of the frozen Whisper.
        cache: Folder where its frames are kept.
        adversary: Discriminators of spectra; None for a run without them.
    """

    locations = ("cache", "source")

    model: SupervisedConfig
    losses: SupervisedLosses
    batches: UtteranceConfig
    source: str | None = None
    cache: str | None = None
    adversary: SpectraAdversaryConfig | None = None

    def with_teachers(self, sources: Mapping[str, str], cache: str) -> "SupervisedRun":
        """Return a copy of this run with the frozen Whisper set, and its sizes in the model's configuration."""
        if unknown := [part for part in sources if part != ENCODER]:
            raise ConfigError(f"the recipe has no {unknown[0]} teacher; it has {ENCODER}, a Whisper")
        if ENCODER not in sources:
            return replace(self, cache=cache)
        spec = WhisperEncoder.load(sources[ENCODER]).spec
        spec = replace(spec, name=keep_hub_name(spec.name, self.model.whisper.name))
        return replace(self, source=sources[ENCODER], cache=cache, model=replace(self.model, whisper=spec))

    def teachers(self) -> dict[str, dict[str, Any]]:
        """Return name, digest, rates and width of the frozen Whisper's layers."""
        return {ENCODER: describe_extractor(self._layers)}

    def extractors(self) -> Mapping[str, WhisperLayers]:
        """Return the frozen Whisper's layers."""
        return {ENCODER: self._layers}

    def material(self, manifests: Sequence[str | os.PathLike[str]], split: str | None) -> UtteranceData:
        """Return the training data of some manifests; see :meth:`material_of`."""
        return self.material_of(open_manifests(manifests, split))

    def material_of(self, utterances: Sequence[Utterance]) -> UtteranceData:
        """Return the training data of some utterances; those without phones train all but the recognizer."""
        targets = TargetCache(self._layers, Path(self.cache or "") / ENCODER)
        return UtteranceData(utterances, self.batches, self.model, targets, cache=self.audio_cache)

    def objective(self, material: UtteranceData, start: SupervisedTokenizer | None = None) -> SupervisedObjective:
        """Return networks with the scale of the data, or with the weights and the scale of ``start``."""
        model = SupervisedModel(self.model)
        if start is None:
            measure_scale(model, len(material), material.scale_samples)
        elif isinstance(start, SupervisedTokenizer) and self._has_sizes_of(start.config):
            model.load_state_dict(start.model.state_dict())
        else:
            raise ConfigError("the model to begin from is no supervised one of this recipe's sizes; take another")
        whisper = self._layers.encoder if self.losses.representation.value else None
        adversary = None
        if self.adversary is not None:
            adversary = Adversary(
                PatchDiscriminators(self.adversary), self.adversary, adversarial=self.losses.adversarial,
                feature=self.losses.feature, steps=self.train.steps,
            )  # fmt: skip
        return SupervisedObjective(model, self.losses, whisper, adversary)

    def _has_sizes_of(self, config: SupervisedConfig) -> bool:
        """Return whether networks of a configuration fit into this recipe's; levels of the voice are no weights."""
        return replace(config, voice=replace(config.voice, levels=self.model.voice.levels)) == self.model

    @cached_property
    def _layers(self) -> WhisperLayers:
        if self.source is None or self.cache is None:
            raise ConfigError(f"the recipe needs a Whisper; name it with --teacher {ENCODER}=FOLDER")
        return WhisperLayers(WhisperEncoder.load(self.source), self.model.encoder.layers)


def small() -> SupervisedRun:
    """Return the bundled model's recipe, first stage: 25 tokens a second of 1,024 entries, on Whisper tiny.en.

    Beside phones the recognizer learns letters and Whisper's last layer, and decoded audio is compared with its
    recording in Whisper's layers. It needs eight hours of speech with text, and one CPU core.
    """
    return SupervisedRun(
        model=SupervisedConfig(
            whisper=EncoderSpec(name="openai/whisper-tiny.en", digest=_UNKNOWN, width=384, depth=4),
            recognizer=CtcRecognizerConfig(width=256, blocks=3, letters=True),
            decoder=SpectrumDecoderConfig(width=320, blocks=6, fine_width=160, fine_blocks=3),
        ),
        losses=SupervisedLosses(
            letters=Weight(value=0.5), distillation=Weight(value=1.0), encoder_gradient=0.2,
            representation=Weight(value=2.0, start=1_200, ramp=200),
        ),
        batches=UtteranceConfig(batch_size=16),
        train=TrainConfig(steps=3_400, learning_rate=LearningRate(peak=1e-3, warmup=200, decay=0.5),
                          betas=(0.9, 0.98), weight_decay=1e-2, save_every=250),
    )  # fmt: skip


def small_adversarial() -> SupervisedRun:
    """Return the second stage, for a model of ``small``: discriminators make decoded spectra sharp.

    The voice takes 256 bits of a clip. The units hardly change, since the decoder's gradient to the encoder is off.
    """
    run = small()
    return replace(
        run,
        model=replace(run.model, voice=replace(run.model.voice, levels=16)),
        losses=replace(
            run.losses, codebook_start=0, encoder_gradient=0.0, representation=Weight(value=2.0), kl=Weight(value=1e-4),
            num_masks=6,
            adversarial=Weight(value=0.1, start=100, ramp=100), feature=Weight(value=1.0, start=100, ramp=100),
        ),
        adversary=SpectraAdversaryConfig(),
        train=replace(run.train, steps=2_000, learning_rate=LearningRate(peak=5e-4, warmup=100, decay=0.5)),
    )  # fmt: skip


def tiny() -> SupervisedRun:
    """Return the recipe of tests: next to no weights."""
    return SupervisedRun(
        model=SupervisedConfig(
            whisper=EncoderSpec(name="whisper-random", digest=_UNKNOWN, width=64, depth=2),
            encoder=FrameEncoderConfig(layers=(1, -1), width=16, blocks=1), latent_width=16, codebook_size=32,
            recognizer=CtcRecognizerConfig(width=16, blocks=1),
            mel=MelSpec(sample_rate=16_000, n_fft=320, hop=160, bins=32),
            decoder=SpectrumDecoderConfig(width=16, blocks=1),
            voice=VoiceConfig(width=8, channels=(16, 16), frames=60), kernel=3, expansion=2, dropout=0.0,
        ),
        losses=SupervisedLosses(codebook_start=4, kl=Weight(value=1e-3, start=8), num_masks=1),
        batches=UtteranceConfig(batch_size=4),
        train=TrainConfig(steps=20, learning_rate=LearningRate(peak=3e-3, warmup=5), log_every=5, save_every=10),
    )  # fmt: skip


SYSTEM = System(
    name="supervised",
    title="supervised units",
    tokenizer=SupervisedTokenizer,
    recipes={
        "supervised-small": small,
        "supervised-small-adversarial": small_adversarial,
        "supervised-tiny": tiny,
    },
    example="supervised-small",
    uses=frozenset({"vc", "asr"}),
    describe_config=SupervisedTokenizer.describe_config,
)
