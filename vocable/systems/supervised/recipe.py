"""Runs of the supervised units (after CosyVoice's tokenizer, arXiv:2407.05407)."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vocable.data.manifest import Utterance, read_manifests
from vocable.data.targets import TargetCache, describe_extractor
from vocable.errors import ConfigError
from vocable.features.whisper import EncoderSpec, WhisperEncoder, WhisperLayers
from vocable.systems.base import System
from vocable.systems.supervised.config import SupervisedConfig
from vocable.systems.supervised.data import Whole, WholeConfig
from vocable.systems.supervised.facts import config_facts
from vocable.systems.supervised.model import SupervisedModel
from vocable.systems.supervised.objective import SupervisedLosses, SupervisedObjective
from vocable.systems.supervised.tokenizer import SupervisedTokenizer
from vocable.text.phonemes import PhonemeSet
from vocable.train.run import Run
from vocable.train.schedule import LearningRate, Weight
from vocable.train.trainer import TrainConfig
from vocable.vocoders import MelSpec

ENCODER = "encoder"
_MEASURED = 500  # clips that the scale of spectra is measured on
_UNNAMED = "not named yet"  # digest of an encoder of a recipe, until --teacher names one


@dataclass(frozen=True, kw_only=True)
class SupervisedRun(Run):
    """Supervised units in training, on whole utterances.

    Attributes:
        source: The frozen Whisper: a folder or a name.
        cache: Folder where what it hears in recordings is kept.
    """

    model: SupervisedConfig
    losses: SupervisedLosses
    batches: WholeConfig
    source: str | None = None
    cache: str | None = None

    def with_teachers(self, sources: Mapping[str, str], cache: str) -> "SupervisedRun":
        """The same run with its Whisper named, and in the sizes of the model.

        Raises:
            ConfigError: The recipe has no such teacher, or the encoder not the layers.
            CheckpointError: It is not at hand.
        """
        if unknown := [part for part in sources if part != ENCODER]:
            raise ConfigError(f"the recipe has no {unknown[0]} teacher; it has {ENCODER}, a Whisper")
        if ENCODER not in sources:
            return replace(self, cache=cache)
        spec = WhisperEncoder.load(sources[ENCODER]).spec
        return replace(self, source=sources[ENCODER], cache=cache, model=replace(self.model, encoder=spec))

    def teachers(self) -> dict[str, dict[str, Any]]:
        """Name, digest, rates and width of what Whisper says."""
        return {ENCODER: describe_extractor(self._extractor)}

    def material(self, manifests: Sequence[str | os.PathLike[str]], split: str | None) -> Whole:
        """Return the training data of some manifests; see :meth:`material_of`."""
        return self.material_of(read_manifests(manifests, split))

    def material_of(self, utterances: Sequence[Utterance]) -> Whole:
        """Whole utterances, with what Whisper hears in them; those without text teach codebook and decoder alone."""
        sizes = self.model
        return Whole(
            utterances, self.batches, hop=sizes.hop,
            targets=TargetCache(self._extractor, Path(self.cache or "") / ENCODER),
            voice=sizes.voice_frames * sizes.mel.hop, phonemes=PhonemeSet(sizes.phonemes), most=sizes.phones_per_token,
        )  # fmt: skip

    def objective(self, material: Whole, start: SupervisedTokenizer | None = None) -> SupervisedObjective:
        """Fresh networks on the scale of the data; or a trained model's.

        Raises:
            ConfigError: ``start`` is no such tokenizer, or of other sizes.
        """
        model = SupervisedModel(self.model)
        if start is not None:
            if not isinstance(start, SupervisedTokenizer) or start.config != self.model:
                raise ConfigError("the model to begin from is no supervised one of this recipe's sizes; take another")
            model.load_state_dict(start.model.state_dict())
        else:
            places = np.unique(np.linspace(0, len(material) - 1, min(_MEASURED, len(material))).round().astype(int))
            model.measure(torch.from_numpy(material.samples_of(place))[None] for place in places.tolist())
        return SupervisedObjective(model, self.losses)

    @cached_property
    def _extractor(self) -> WhisperLayers:
        """Whisper's layers; loads it."""
        if self.source is None or self.cache is None:
            raise ConfigError(f"the recipe listens through a Whisper: say which, with --teacher {ENCODER}=FOLDER")
        return WhisperLayers(WhisperEncoder.load(self.source), self.model.layers)


def small() -> SupervisedRun:
    """25 tokens a second of 1,024, on Whisper tiny.en; an hour of speech with text, and other speech, on one core."""
    return SupervisedRun(
        model=SupervisedConfig(
            encoder=EncoderSpec(name="openai/whisper-tiny.en", digest=_UNNAMED, width=384, depth=4),
        ),
        losses=SupervisedLosses(),
        batches=WholeConfig(batch_size=16),
        train=TrainConfig(steps=2_500, learning_rate=LearningRate(peak=1e-3, warmup=200, decay=0.5),
                          betas=(0.9, 0.98), weight_decay=1e-2, save_every=250),
    )  # fmt: skip


def tiny() -> SupervisedRun:
    """For tests: next to no weights."""
    return SupervisedRun(
        model=SupervisedConfig(
            encoder=EncoderSpec(name="whisper-random", digest=_UNNAMED, width=64, depth=2), layers=(1, -1), width=16,
            blocks=1, latent_width=16, codebook_size=32, recogniser_width=16, recogniser_blocks=1,
            mel=MelSpec(sample_rate=16_000, n_fft=320, hop=160, bins=32), decoder_width=16, decoder_blocks=1, kernel=3,
            expansion=2, voice_width=8, voice_channels=(16, 16), voice_frames=60, dropout=0.0,
        ),
        losses=SupervisedLosses(quantize_from=4, kl=Weight(value=1e-3, start=8), masks=1),
        batches=WholeConfig(batch_size=4),
        train=TrainConfig(steps=20, learning_rate=LearningRate(peak=3e-3, warmup=5), log_every=5, save_every=10),
    )  # fmt: skip


SYSTEM = System(
    name="supervised",
    title="supervised units",
    tokenizer=SupervisedTokenizer,
    recipes={
        "supervised-small": small,
        "supervised-tiny": tiny,
    },
    example="supervised-small",
    uses=frozenset({"vc", "asr"}),
    describe_config=config_facts,
)
