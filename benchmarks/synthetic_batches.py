"""Objectives of training recipes, and batches of noise in the shapes of theirs, without data or teachers.

What a step costs depends on shapes alone. Networks have random weights, also those that a teacher's features come from,
which are no part of a step: features are stored ahead.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from vocable.data.crops import CropBatch
from vocable.shapes import mask_from_lengths
from vocable.systems.ctap.config import CtapConfig
from vocable.systems.ctap.data import AlignedBatch
from vocable.systems.ctap.networks import CtapModel
from vocable.systems.ctap.objective import CtapObjective
from vocable.systems.guided.adversary import WaveformAdversary
from vocable.systems.guided.networks import GuidedModel
from vocable.systems.guided.objective import GuidedObjective
from vocable.systems.guided.teachers import AcousticTeacher, SemanticTeacher, Teacher
from vocable.systems.supervised.data import UtteranceBatch
from vocable.systems.supervised.networks import SupervisedModel
from vocable.systems.supervised.objective import SupervisedObjective
from vocable.systems.taste.data import TasteBatch
from vocable.systems.taste.model import TasteModel
from vocable.systems.taste.objective import TasteObjective
from vocable.systems.vqalattent.data import ImageBatch
from vocable.systems.vqalattent.model import VqalattentModel
from vocable.systems.vqalattent.objective import VqalattentObjective
from vocable.train.objective import Batches, Objective

SPEECH_SECONDS = 12.3  # mean of an utterance of LibriSpeech train-clean-100
_SUBWORDS_A_SECOND = 3.4  # of Whisper's tokenizer, on English read aloud
_SEMANTIC, _ACOUSTIC = 768, 192  # widths of HuBERT base and ECAPA-TDNN
_WHISPER_RATE = 50
_SHORTEST = 0.6  # length of the shortest clip of a batch, as a share of the longest

_Row = Callable[[torch.Generator, float], Any]


@dataclass(frozen=True)
class SyntheticBatches(Batches):
    """Batches of noise that depend on seed, step and row alone, as those of recordings do.

    Attributes:
        size: Rows of the global batch.
        make: Function from the generators and the lengths of rows, as shares of the longest, to a batch.
        distinct: Number of batches until the first one comes again, so that a curve can fall.
    """

    size: int
    make: Callable[[list[torch.Generator], list[float]], Any]
    distinct: int = 8

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Any:
        """Return this rank's rows of a step."""
        share = self.size // world
        rows = range(rank * share, (rank + 1) * share)
        seeds = [(step % self.distinct) * 10_007 + row for row in rows]
        lengths = [1.0 if row % 2 == 0 else _SHORTEST for row in rows]
        return self.make([torch.Generator().manual_seed(seed) for seed in seeds], lengths)


def shrink(run: Any, tiny: Any) -> Any:
    """Return a paper's run with the sizes of its system's recipe for tests, and the paper's losses and structure.

    Args:
        run: Run of a paper.
        tiny: Run of the recipe for tests of the same system.
    """
    model, batches = tiny.model, tiny.batches
    if getattr(run, "adversary", None) is not None:
        few = replace(run.adversary.discriminators, periods=(3,), period_width=1, scales=1, scale_width=16,
                      windows=(256,), filters=2)  # fmt: skip
        # Few entries, so that rounding decides no tie between two of them.
        model = replace(model, num_codebooks=2, codebook_size=4)
        run = replace(run, adversary=replace(run.adversary, discriminators=few))
        batches = replace(run.batches, batch_size=4, frames=24)
    elif hasattr(model, "vqvae"):
        model = replace(model, vqvae=replace(model.vqvae, strides=run.model.vqvae.strides))
    elif hasattr(model, "aggregator"):
        names = ("layout", "depth", "causal", "pool_words", "position_bias", "standardize")
        kept = {name: getattr(run.model.aggregator, name) for name in names}
        model = replace(
            model, aggregator=replace(model.aggregator, **kept), fusion=run.model.fusion, freeze_lm=run.model.freeze_lm,
            quantizer=run.model.quantizer and model.quantizer,
        )  # fmt: skip
    return replace(run, model=model, batches=batches)


def synthesize(run: Any) -> tuple[Objective, SyntheticBatches]:
    """Return the objective of a run, and batches of its size."""
    makers: dict[str, Callable[[Any], tuple[Objective, Any]]] = {
        "GuidedRun": _guided, "CtapRun": _ctap, "VqalattentRun": _vqalattent, "TasteRun": _taste,
        "SupervisedRun": _supervised,
    }  # fmt: skip
    objective, make = makers[type(run).__name__](run)
    return objective, SyntheticBatches(run.batches.batch_size, make)


def _noise(generators: list[torch.Generator], *shape: int) -> Tensor:
    return torch.stack([0.1 * torch.randn(*shape, generator=one) for one in generators])


def _integers(generators: list[torch.Generator], size: int, *shape: int) -> Tensor:
    return torch.stack([torch.randint(size, shape, generator=one) for one in generators])


def _mask(lengths: list[float], frames: int) -> Tensor:
    return mask_from_lengths(torch.tensor([max(1, round(length * frames)) for length in lengths]), frames)


def _names(generators: list[torch.Generator]) -> tuple[str, ...]:
    return tuple(f"noise {one.initial_seed()}" for one in generators)


def _guided(run: Any) -> tuple[Objective, Any]:
    model, losses, latents = GuidedModel(run.model), run.losses, run.model.backbone.latent_width
    teachers: list[Teacher] = []
    for config, kind, weight, width in (
        (run.semantic, SemanticTeacher, losses.semantic, _SEMANTIC),
        (run.acoustic, AcousticTeacher, losses.acoustic, _ACOUSTIC),
    ):
        if config is not None:
            scale: Any = {"mean": torch.zeros(width), "deviation": torch.ones(width)}
            teachers.append(kind(config, latents=latents, weight=weight, **scale))
    adversary = None
    if run.adversary is not None:
        adversary = WaveformAdversary(
            run.adversary, adversarial=losses.adversarial, feature=losses.feature, steps=run.train.steps
        )
    hop, frames = run.model.backbone.hop, run.batches.frames

    def make(generators: list[torch.Generator], lengths: list[float]) -> CropBatch:
        mask = _mask(lengths, frames)
        samples = _noise(generators, frames * hop) * mask.repeat_interleave(hop, dim=1)
        targets = {}
        if run.semantic is not None:
            targets["semantic"] = _noise(generators, frames, _SEMANTIC) * mask[..., None]
        if run.acoustic is not None:
            targets["acoustic"] = _noise(generators, _ACOUSTIC)
        return CropBatch(samples, mask, _names(generators), targets)

    return GuidedObjective(model, losses, teachers=teachers, adversary=adversary, seed=run.train.seed), make


def _ctap(run: Any) -> tuple[Objective, Any]:
    config: CtapConfig = run.model
    model = CtapModel(config)
    frames, reduction, hop = config.transcoder.window, config.transcoder.reduction, config.mel.hop

    def make(generators: list[torch.Generator], lengths: list[float]) -> AlignedBatch:
        mask = _mask(lengths, frames)
        samples = _noise(generators, frames * reduction * hop) * mask.repeat_interleave(reduction * hop, dim=1)
        runs = _integers(generators, 30, frames * reduction // 4).repeat_interleave(4, dim=1)
        known = torch.tensor([one.initial_seed() % 3 != 0 for one in generators])
        return AlignedBatch(
            samples, mask, runs, known, _noise(generators, config.voice.frames * hop), _names(generators)
        )

    return CtapObjective(model, run.losses, rate=run.train.learning_rate, steps=run.train.steps), make


def _vqalattent(run: Any) -> tuple[Objective, Any]:
    labels = {key: tuple(map(str, range(10))) for key in run.model.prior.conditions}
    config = replace(run.model, labels=labels)
    model = VqalattentModel(config)

    def make(generators: list[torch.Generator], lengths: list[float]) -> ImageBatch:
        images = (0.5 + _noise(generators, config.image.bins, config.image.frames)).clamp(0, 1)
        return ImageBatch(images, _integers(generators, 10, len(labels)), _names(generators))

    return VqalattentObjective(model, run.losses, rate=run.train.learning_rate, steps=run.train.steps), make


def _taste(run: Any) -> tuple[Objective, Any]:
    config = run.model
    model = TasteModel(config)
    seconds = SPEECH_SECONDS if config.text.width > 64 else 1.0
    subwords, frames = max(3, round(seconds * _SUBWORDS_A_SECOND)), round(seconds * _WHISPER_RATE)
    units = round(seconds * config.units.frame_rate)

    def make(generators: list[torch.Generator], lengths: list[float]) -> TasteBatch:
        masks = [_mask(lengths, size) for size in (subwords, frames, units)]
        edges = torch.linspace(0, units, subwords + 1)
        spans = torch.stack([edges[:-1], edges[1:]], dim=1).repeat(len(generators), 1, 1)
        spans = spans * torch.tensor(lengths)[:, None, None] * masks[0][..., None]
        keys, values = (_noise(generators, frames, config.encoder.width) * masks[1][..., None] for _ in range(2))
        return TasteBatch(
            subword_ids=_integers(generators, config.text.vocabulary_size, subwords) * masks[0],
            subword_mask=masks[0], word_ids=torch.arange(subwords).repeat(len(generators), 1) * masks[0],
            keys=keys, values=values, frame_mask=masks[1],
            units=_integers(generators, config.lm.size, units) * masks[2], unit_mask=masks[2], spans=spans,
            aligned=torch.tensor([one.initial_seed() % 3 != 0 for one in generators]),
            voices=_noise(generators, max(1, config.units.voice_width)), names=_names(generators),
        )  # fmt: skip

    return TasteObjective(model, run.losses), make


def _supervised(run: Any) -> tuple[Objective, Any]:
    config = run.model
    model = SupervisedModel(config)
    frames, hop = 30, config.reduction * config.mel.hop

    def make(generators: list[torch.Generator], lengths: list[float]) -> UtteranceBatch:
        mask = _mask(lengths, frames)
        heard = len(config.encoder.layers) * config.whisper.width
        sizes = torch.tensor([4 if one.initial_seed() % 3 else 0 for one in generators])
        phones = 1 + _integers(generators, 20, 4)
        ratio = _WHISPER_RATE * hop // config.mel.sample_rate
        return UtteranceBatch(
            _noise(generators, frames * hop) * mask.repeat_interleave(hop, dim=1),
            _noise(generators, frames * ratio, heard) * mask.repeat_interleave(ratio, dim=1)[..., None], mask,
            phones * (torch.arange(4) < sizes[:, None]), sizes,
            torch.zeros(len(generators), 0, dtype=torch.int64), torch.zeros(len(generators), dtype=torch.int64),
            _noise(generators, config.voice.frames * config.mel.hop), _names(generators),
        )  # fmt: skip

    return SupervisedObjective(model, run.losses), make
