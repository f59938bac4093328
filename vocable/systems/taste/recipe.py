"""Training recipes of TASTE (arXiv:2504.07053) and of its core as the seed built it, and the system's record."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from vocable.data.manifest import Utterance, open_manifests
from vocable.data.targets import FeatureExtractor, describe_extractor
from vocable.errors import ConfigError, ManifestError
from vocable.features.hub import keep_hub_name, located
from vocable.features.whisper import EncoderSpec, WhisperEncoder, WhisperLayers
from vocable.systems.base import System
from vocable.systems.cosyvoice import INIT, CosyVoiceStart
from vocable.systems.taste import config as sizes
from vocable.systems.taste.config import TasteConfig
from vocable.systems.taste.data import FRAMES, UNITS, VOICES, TasteBatchConfig, TasteData
from vocable.systems.taste.model import TasteModel
from vocable.systems.taste.objective import TasteLosses, TasteObjective
from vocable.systems.taste.tokenizer import TasteTokenizer, describe_config
from vocable.systems.units import UnitSource, UnitsSpec, find_units, unit_extractor, voice_extractor
from vocable.text.subword_tokenizers import BytePairTokenizer, HubTokenizer
from vocable.text.subwords import SubwordTokenizer
from vocable.train.run import Run
from vocable.train.schedule import LearningRate, Weight
from vocable.train.trainer import TrainConfig

_S3_FILE = "s3:speech_tokenizer_v1.onnx"
_SCALER_CLIPS = 200  # clips that the standardization of frames is fitted to
_TINY_EN = EncoderSpec(name="openai/whisper-tiny.en", digest="any", width=384, depth=4)
_SUPERVISED = UnitsSpec(
    name="supervised-small", level=1, digest="any", sample_rate=16_000, hop=640, size=1024, voice_width=64,
    voice_levels=16,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TasteRun(Run):
    """Training of a TASTE on utterances with their text.

    Attributes:
        encoder: Folder or hub name of the Whisper whose layers give the frames.
        units: Units to predict, see :func:`vocable.systems.units.find_units`.
        pieces: Folder or hub name of the model whose subwords the text is split into; None trains a subword tokenizer
            on the texts.
        size: Maximal vocabulary size of a trained subword tokenizer.
        case: Treatment of case and punctuation, one of :data:`vocable.text.subwords.CASES`.
        cache: Folder that keeps the features of encoder and units.
        initial_scale: Factor of the initial acoustic embeddings: a control of what a weak beginning costs.
        needs_start: Whether training must start from a model, because the recipe freezes weights that are of no use if
            they are random.
    """

    locations = ("cache", "encoder", "units", "pieces")

    model: TasteConfig
    losses: TasteLosses
    batches: TasteBatchConfig
    encoder: str = _TINY_EN.name
    units: str = _SUPERVISED.name
    pieces: str | None = None
    size: int = 512
    case: str = "lower"
    cache: str = "teachers"
    initial_scale: float = 1.0
    needs_start: bool = False

    def with_teachers(self, sources: Mapping[str, str], cache: str) -> "TasteRun":
        """Return a copy of this run with another ``encoder``, ``units`` or ``pieces``."""
        parts = ("encoder", "units", "pieces")
        if unknown := [part for part in sources if part not in parts]:
            raise ConfigError(f"the recipe has no {unknown[0]} teacher; it has {', '.join(parts)}")
        return replace(self, cache=cache, **sources)  # type: ignore[arg-type]

    @override
    def teachers(self) -> dict[str, dict[str, Any]]:
        units = describe_extractor(unit_extractor(self._source))
        subwords = {} if self.pieces is None else {"name": self.pieces, "digest": self._hub_tokenizer.digest}
        teachers = {"encoder": describe_extractor(self._frames), "units": units, "pieces": subwords}
        return {part: teacher for part, teacher in teachers.items() if teacher}

    def check_start(self, start: Any | None) -> None:
        """Check that a recipe with a frozen unit model does not train against its random weights."""
        if self.needs_start and start is None:
            raise ConfigError(
                "this recipe freezes the unit model, which has random weights; give --init cosyvoice:FOLDER with the "
                "folder of CosyVoice-300M, or --init with a taste model of the recipe's sizes"
            )

    @override
    def extractors(self) -> dict[str, FeatureExtractor]:
        voice = voice_extractor(self._source)
        extractors: dict[str, FeatureExtractor] = {UNITS: unit_extractor(self._source), FRAMES: self._frames}
        return extractors if voice is None else extractors | {VOICES: voice}

    @override
    def begin_from(self, init: str, load: Callable[[str], Any]) -> tuple["TasteRun", Any]:
        """Return the run and its model; with ``cosyvoice:FOLDER``, units of that folder unless others are named."""
        if not init.startswith(INIT):
            return self, load(init)
        start = CosyVoiceStart(init.removeprefix(INIT))
        return replace(self, units=f"s3:{start.folder}" if self.units == _S3_FILE else self.units), start

    @override
    def material(self, manifests: Sequence[str | os.PathLike[str]], split: str | None) -> TasteData:
        return self.material_of(open_manifests(manifests, split))

    def material_of(self, utterances: Sequence[Utterance]) -> TasteData:
        """Return utterances with subwords, frames and units; see :meth:`material`."""
        texts = [one.text for one in utterances if one.text]
        if not texts:
            count = len(utterances)
            raise ManifestError(f"none of {count} lines has a 'text', and these tokens stand for its subwords; add it")
        subwords: SubwordTokenizer = (
            BytePairTokenizer.train(texts, self.size, self.case) if self.pieces is None else self._hub_tokenizer
        )
        return self._data(utterances, subwords)

    @override
    def validation_material(self, utterances: Sequence[Utterance], material: TasteData) -> TasteData:
        return self._data(utterances, material.subword_tokenizer)

    def _data(self, utterances: Sequence[Utterance], subwords: SubwordTokenizer) -> TasteData:
        batches = replace(self.batches, voice_width=max(1, self._source.spec.voice_width))
        return TasteData(
            utterances, batches, subword_tokenizer=subwords, units=unit_extractor(self._source), frames=self._frames,
            cache=Path(self.cache), voice=voice_extractor(self._source), audio_cache=self.audio_cache,
            layers=len(self.model.layers),
        )  # fmt: skip

    def objective(self, material: TasteData, start: TasteTokenizer | CosyVoiceStart | None = None) -> TasteObjective:
        """Return a model of the recipe's sizes for the data's subwords and units, and its losses."""
        self.check_start(start)
        subwords, units, encoder = material.subword_tokenizer, self._source.spec, self._encoder.spec
        encoder = replace(encoder, name=keep_hub_name(encoder.name, self.model.encoder.name))
        config = replace(
            self.model, encoder=encoder, units=units, subwords=subwords.to_json(),
            text=replace(self.model.text, vocabulary_size=subwords.size), lm=replace(self.model.lm, size=units.size),
        )  # fmt: skip
        model = TasteModel(config)
        model.aggregator.scale_output(self.initial_scale)
        if isinstance(start, TasteTokenizer):
            if other := [name for name in vars(config) if getattr(config, name) != getattr(start.config, name)]:
                raise ConfigError(f"the model to start from has other {', '.join(other)}; take one of this recipe")
            model.load_state_dict(start.model.state_dict())
        elif start is not None and not isinstance(start, CosyVoiceStart):
            raise ConfigError("the model to start from is no TASTE; take another")
        else:
            if start is not None:
                start.load_into(model)
            count = min(_SCALER_CLIPS, len(material))
            indices = np.unique(np.linspace(0, len(material) - 1, count).round().astype(int))
            model.fit_scalers(material.rows(indices.tolist()))
        return TasteObjective(model, self.losses)

    @cached_property
    def _encoder(self) -> WhisperEncoder:
        return WhisperEncoder.load(self.encoder)

    @cached_property
    def _frames(self) -> WhisperLayers:
        return WhisperLayers(self._encoder, self.model.layers)

    @cached_property
    def _source(self) -> UnitSource:
        if self.find is None:
            raise ConfigError("the recipe's units are another tokenizer's: pass `find`, such as vocable.load")
        return find_units(self.units, self.find)

    @cached_property
    def _hub_tokenizer(self) -> HubTokenizer:
        assert self.pieces is not None
        return HubTokenizer.load(self.pieces, self.case, located=located)


def seed() -> TasteRun:
    """Return the seed's run: Whisper large-v3, S3 units, CosyVoice's text encoder trained and its unit model frozen.

    AdamW at 1e-4, 4 utterances and 10 epochs of LibriSpeech train-clean-100 (28,539) are the seed's; it does not state
    warm-up, decay and clipping. Training begins from CosyVoice's weights, ``--init cosyvoice:FOLDER``.
    """
    return TasteRun(
        model=sizes.seed_exact(), losses=TasteLosses(), batches=TasteBatchConfig(batch_size=4),
        encoder="openai/whisper-large-v3", units=_S3_FILE, pieces="openai/whisper-large-v3",
        case="as_is", needs_start=True,
        train=TrainConfig(steps=71_350, learning_rate=LearningRate(peak=1e-4, warmup=500, decay=0.0),
                          weight_decay=1e-2, save_every=7_135, keep=10),
    )  # fmt: skip


def full() -> TasteRun:
    """Return :func:`seed` with attention as wide as its text has it: 16 heads, 1024."""
    return replace(seed(), model=sizes.full_mha())


def paper() -> TasteRun:
    """Return the paper's run in its three stages: text alone, speech, quantized speech.

    The paper states hours, steps and batches only roughly: epochs over 40,000 hours on 8 GPUs.
    """
    return replace(
        seed(), needs_start=False, model=sizes.taste(), batches=TasteBatchConfig(batch_size=96),
        losses=TasteLosses(speech_from=60_000, quantized_from=120_000),
        train=TrainConfig(steps=200_000, learning_rate=LearningRate(peak=2e-4, warmup=10_000, decay=0.2),
                          weight_decay=1e-2, save_every=5_000),
    )  # fmt: skip


def small() -> TasteRun:
    """Return the run of ``taste-small``: Whisper tiny.en and supervised units at 25 Hz, for eight hours of speech."""
    return TasteRun(
        model=sizes.small(_TINY_EN, _SUPERVISED, {}, 256), batches=TasteBatchConfig(batch_size=16, max_seconds=18.0),
        losses=TasteLosses(
            alignment=Weight(value=0.3), durations=Weight(value=0.2), speech_from=100, quantized_from=1_000,
            text_only=0.15, ordered=True, unit_dropout=0.4,
        ),
        size=256,
        train=TrainConfig(steps=2_000, learning_rate=LearningRate(peak=1e-3, warmup=200), betas=(0.9, 0.98),
                          weight_decay=3e-2),
    )  # fmt: skip


def tiny() -> TasteRun:
    """Return a run with next to no weights, for tests."""
    encoder = EncoderSpec(name=_TINY_EN.name, digest="any", width=128, depth=2)
    return TasteRun(
        model=sizes.tiny(encoder, _SUPERVISED, {}, 32), batches=TasteBatchConfig(batch_size=8), size=48,
        losses=TasteLosses(
            alignment=Weight(value=0.1), durations=Weight(value=0.2), speech_from=5, quantized_from=15, text_only=0.25
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
    describe_config=describe_config,
)
