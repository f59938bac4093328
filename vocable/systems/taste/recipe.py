"""Runs of TASTE (arXiv:2504.07053), and of its core as the seed built it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vocable.data.manifest import Utterance, read_manifests
from vocable.data.targets import describe_extractor
from vocable.errors import ConfigError, ManifestError
from vocable.features.hub import located
from vocable.features.whisper import EncoderSpec, WhisperEncoder, WhisperLayers
from vocable.systems.base import System
from vocable.systems.taste import config as sizes
from vocable.systems.taste.config import TasteConfig
from vocable.systems.taste.data import Spoken, SpokenConfig
from vocable.systems.taste.facts import config_facts
from vocable.systems.taste.model import TasteModel
from vocable.systems.taste.objective import TasteLosses, TasteObjective
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.systems.units import UnitSource, UnitsSpec, UnitVoiceExtractor, find_units, unit_extractor
from vocable.text.subword_tokenizers import BytePairTokenizer, HubTokenizer
from vocable.text.subwords import SubwordTokenizer
from vocable.train.run import Run
from vocable.train.schedule import LearningRate, Weight
from vocable.train.trainer import TrainConfig

_ENCODER, _UNITS, _PIECES = "encoder", "units", "pieces"
_MEASURED = 200  # clips that the scale of frames is measured on
_TINY_EN = EncoderSpec(name="openai/whisper-tiny.en", digest="any", width=384, depth=4)
_SUPERVISED = UnitsSpec(
    name="supervised-small", level=1, digest="any", sample_rate=16_000, hop=640, size=1024, voice_width=64
)


@dataclass(frozen=True, kw_only=True)
class TasteRun(Run):
    """A TASTE in training, on whole utterances with their text.

    Attributes:
        encoder: Whose layers are heard: a folder or hub name of a Whisper.
        units: What is predicted, see :func:`vocable.systems.units.find_units`.
        pieces: Whose subwords the text is cut in, a folder or hub name; None: they are learnt from the texts.
        size: Subwords that are learnt at most.
        case: What becomes of the letters, see :data:`vocable.text.written.CASES`.
        cache: Folder where what encoder and units say of recordings is kept.
        heard_begins: What the aggregator gives is so many times as long before anything is learnt: to ask what a weak
            beginning costs.
    """

    model: TasteConfig
    losses: TasteLosses
    batches: SpokenConfig
    encoder: str = _TINY_EN.name
    units: str = _SUPERVISED.name
    pieces: str | None = None
    size: int = 512
    case: str = "lower"
    cache: str = "teachers"
    heard_begins: float = 1.0

    def with_teachers(self, sources: Mapping[str, str], cache: str) -> "TasteRun":
        """The same run with ``encoder``, ``units`` or ``pieces`` from elsewhere.

        Raises:
            ConfigError: It is another part that is named.
        """
        known = (_ENCODER, _UNITS, _PIECES)
        if unknown := [part for part in sources if part not in known]:
            raise ConfigError(f"the recipe has no {unknown[0]} teacher; it has {', '.join(known)}")
        return replace(self, cache=cache, **sources)  # type: ignore[arg-type]

    def teachers(self) -> dict[str, dict[str, Any]]:
        """Name, digest, rates and width of the encoder and of what makes the units."""
        found = {_ENCODER: describe_extractor(self._frames), _UNITS: describe_extractor(unit_extractor(self._source))}
        return found if self.pieces is None else found | {_PIECES: {"name": self.pieces, "digest": self._table.digest}}

    def material(self, manifests: Sequence[str | os.PathLike[str]], split: str | None) -> Spoken:
        """Return the training data of some manifests; see :meth:`material_of`."""
        return self.material_of(read_manifests(manifests, split))

    def material_of(self, utterances: Sequence[Utterance]) -> Spoken:
        """Utterances with their text in subwords, frames and units.

        Raises:
            ManifestError: No utterance has a text, or none can be used.
            TextError: There are no letters in the texts.
            CheckpointError: Encoder, units or subwords are not at hand.
        """
        texts = [one.text for one in utterances if one.text]
        if not texts:
            raise ManifestError(
                f"none of {len(utterances)} lines has a 'text', and these tokens stand for what is said; write it there"
            )
        subword_tokenizer: SubwordTokenizer = (
            BytePairTokenizer.train(texts, self.size, self.case) if self.pieces is None else self._table
        )
        width = self._source.spec.voice_width
        return Spoken(
            utterances, replace(self.batches, voice_width=max(1, width)), subword_tokenizer=subword_tokenizer,
            units=unit_extractor(self._source), frames=self._frames,
            voice=UnitVoiceExtractor(self._source) if width else None, cache=Path(self.cache),
        )  # fmt: skip

    def objective(self, material: Spoken, start: TasteTokenizer | None = None) -> TasteObjective:
        """A model of the recipe's sizes for these subwords and units; or one that was trained, to be trained on.

        Raises:
            ConfigError: ``start`` is of other sizes, subwords, units, or another encoder.
        """
        config = self.fitted(material.subword_tokenizer)
        model = TasteModel(config)
        model.aggregator.scale(self.heard_begins)
        if start is not None:
            if not isinstance(start, TasteTokenizer):
                raise ConfigError("the model to begin from is no TASTE; take another")
            if other := [name for name in vars(config) if getattr(config, name) != getattr(start.config, name)]:
                raise ConfigError(f"the model to begin from has other {', '.join(other)}; take one of this recipe")
            model.load_state_dict(start.model.state_dict())
        else:
            places = np.unique(np.linspace(0, len(material) - 1, min(_MEASURED, len(material))).round().astype(int))
            model.measure(material.row(place) for place in places.tolist())
        return TasteObjective(model, self.losses)

    def fitted(self, subword_tokenizer: SubwordTokenizer) -> TasteConfig:
        """The recipe's sizes for these subwords, and for what encoder and units really are."""
        units = self._source.spec
        return replace(
            self.model, encoder=self._encoder.spec, units=units, pieces=subword_tokenizer.to_json(),
            text=replace(self.model.text, size=subword_tokenizer.size), lm=replace(self.model.lm, size=units.size),
        )  # fmt: skip

    @cached_property
    def _encoder(self) -> WhisperEncoder:
        return WhisperEncoder.load(self.encoder)

    @cached_property
    def _frames(self) -> WhisperLayers:
        key, value = self.model.aggregator.key_layer, self.model.aggregator.value_layer
        return WhisperLayers(self._encoder, (key, value))

    @cached_property
    def _source(self) -> UnitSource:
        if self.find is None:
            raise ConfigError("the recipe's units are another tokenizer's: pass `find`, such as vocable.load")
        return find_units(self.units, self.find)

    @cached_property
    def _table(self) -> HubTokenizer:
        assert self.pieces is not None
        return HubTokenizer.load(self.pieces, self.case, located=located)


def seed() -> TasteRun:
    """The seed's run: Whisper large-v3, S3 units, CosyVoice's text side trained and its unit model frozen.

    AdamW at 1e-4, 4 utterances, 10 epochs of LibriSpeech train-clean-100 (28,539) are the seed's; warm-up, decay and
    clipping are not said there. CosyVoice's weights are taken where ``--init`` names a model that holds them.
    """
    return TasteRun(
        model=sizes.seed_exact(), losses=TasteLosses(), batches=SpokenConfig(batch_size=4),
        encoder="openai/whisper-large-v3", units="s3:speech_tokenizer_v1.onnx", pieces="openai/whisper-large-v3",
        case="as_is",
        train=TrainConfig(steps=71_350, learning_rate=LearningRate(peak=1e-4, warmup=500, decay=0.0),
                          weight_decay=1e-2, save_every=7_135, keep=10),
    )  # fmt: skip


def full() -> TasteRun:
    """As :func:`seed`, with attention as wide as its text has it: 16 heads, 1024."""
    return replace(seed(), model=sizes.full_mha())


def paper() -> TasteRun:
    """The paper's tokenizer and its three stages: text alone, what is heard, the same quantized.

    Hours, steps and batches of 8 GPUs are the paper's only roughly: it gives epochs of 40,000 hours.
    """
    return TasteRun(
        model=sizes.taste(), batches=SpokenConfig(batch_size=96),
        losses=TasteLosses(heard_from=60_000, quantized_from=120_000),
        encoder="openai/whisper-large-v3", units="s3:speech_tokenizer_v1.onnx", pieces="openai/whisper-large-v3",
        case="as_is",
        train=TrainConfig(steps=200_000, learning_rate=LearningRate(peak=2e-4, warmup=10_000, decay=0.2),
                          weight_decay=1e-2, save_every=5_000),
    )  # fmt: skip


def small() -> TasteRun:
    """The model in the box: Whisper tiny.en, supervised units at 25 Hz; for one hour of speech and two CPU cores."""
    return TasteRun(
        model=sizes.small(_TINY_EN, _SUPERVISED, {}, 256), batches=SpokenConfig(batch_size=16, longest=15.0),
        losses=TasteLosses(
            alignment=Weight(value=0.3), durations=Weight(value=0.2), heard_from=100, quantized_from=700,
            text_only=0.15, ordered=True, hidden=0.4,
        ),
        size=256,
        train=TrainConfig(steps=1_300, learning_rate=LearningRate(peak=1e-3, warmup=200), betas=(0.9, 0.98),
                          weight_decay=3e-2),
    )  # fmt: skip


def tiny() -> TasteRun:
    """For tests: next to no weights."""
    encoder = EncoderSpec(name=_TINY_EN.name, digest="any", width=128, depth=2)
    return TasteRun(
        model=sizes.tiny(encoder, _SUPERVISED, {}, 32), batches=SpokenConfig(batch_size=8), size=48,
        losses=TasteLosses(
            alignment=Weight(value=0.1), durations=Weight(value=0.2), heard_from=5, quantized_from=15, text_only=0.25
        ),
        train=TrainConfig(steps=40, learning_rate=LearningRate(peak=3e-3, warmup=10), log_every=10, save_every=20),
    )  # fmt: skip


SYSTEM = System(
    name="taste",
    title="TASTE",
    tokenizer=TasteTokenizer,
    recipes={
        "taste-seed": seed,
        "taste-full-mha": full,
        "taste-paper": paper,
        "taste-small": small,
        "taste-tiny": tiny,
    },
    example="taste-small",
    uses=frozenset({"edit", "score"}),
    describe_config=config_facts,
)
