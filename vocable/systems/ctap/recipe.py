"""Runs of VQ-CTAP (arXiv:2408.05758)."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vocable.data.manifest import Utterance, read_manifests
from vocable.errors import ConfigError
from vocable.systems.base import System
from vocable.systems.ctap.config import CtapConfig, DiffusionConfig, TranscoderConfig
from vocable.systems.ctap.data import Aligned, AlignedConfig
from vocable.systems.ctap.facts import config_facts
from vocable.systems.ctap.model import CtapModel
from vocable.systems.ctap.objective import CtapLosses, CtapObjective
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.text.phonemes import PhonemeSet
from vocable.train.run import Run
from vocable.train.schedule import LearningRate, Weight
from vocable.train.trainer import TrainConfig
from vocable.vocoders import MelSpec

_MEASURED = 500  # clips that the scale of spectra is measured on
_LEAST_SPREAD = 0.05  # of log durations, where all are alike


@dataclass(frozen=True, kw_only=True)
class CtapRun(Run):
    """A VQ-CTAP in training, on windows of aligned speech and of other speech."""

    model: CtapConfig
    losses: CtapLosses
    batches: AlignedConfig

    def material(self, manifests: Sequence[str | os.PathLike[str]], split: str | None) -> Aligned:
        """Return the training data of some manifests; see :meth:`material_of`."""
        return self.material_of(read_manifests(manifests, split))

    def material_of(self, utterances: Sequence[Utterance]) -> Aligned:
        """Windows with the phoneme at every spectrum; recordings without an alignment are the unlabelled speech."""
        sizes, mel = self.model.transcoder, self.model.mel
        return Aligned(
            utterances, self.batches, sample_rate=mel.sample_rate, hop=mel.hop, reduction=sizes.reduction,
            window=sizes.window, voice=sizes.voice_frames, phonemes=PhonemeSet(self.model.phonemes),
        )  # fmt: skip

    def objective(self, material: Aligned, start: CtapTokenizer | None = None) -> CtapObjective:
        """Fresh networks on the scale of the data; or a trained model's, where they have the same shapes.

        With ``transcoder_share`` 0 and a ``start``, a trained transcoder gets a connector and durations of other sizes.

        Raises:
            ConfigError: ``start`` is no VQ-CTAP, or its transcoder has other shapes.
        """
        model = CtapModel(self.model)
        _measure(model, material)
        if start is not None:
            if not isinstance(start, CtapTokenizer):
                raise ConfigError("the model to begin from is no VQ-CTAP; take another")
            own, theirs = model.state_dict(), start.model.state_dict()
            same = {name: value for name, value in theirs.items() if name in own and value.shape == own[name].shape}
            other = {name.split(".")[0] for name in own.keys() ^ same.keys()} - {"connector", "durations"}
            if other:
                raise ConfigError(f"the model to begin from has a {other.pop()} of other sizes; take another")
            kept = {name: value for name, value in same.items() if _fits(name, own, same)}
            model.load_state_dict(own | kept)
            if not all(one in kept for one in own if one.startswith(("connector.", "durations."))):
                model.trained.zero_()  # it begins anew, and cannot read yet
        return CtapObjective(model, self.losses, rate=self.train.learning_rate, steps=self.train.steps)


def _fits(name: str, own: Mapping[str, object], same: Mapping[str, object]) -> bool:
    """A part whose tensors do not all have the same shapes begins anew as a whole."""
    part = name.split(".")[0]
    return all(one in same for one in own if one.split(".")[0] == part)


def _measure(model: CtapModel, material: Aligned) -> None:
    """The scale of spectra, and how long phonemes last."""
    places = np.unique(np.linspace(0, len(material) - 1, min(_MEASURED, len(material))).round().astype(int))
    model.measure(torch.from_numpy(material.spectra_of(place))[None] for place in places.tolist())
    lasting = torch.from_numpy(np.log(material.durations()))
    spread = lasting.std(correction=0).clamp(min=_LEAST_SPREAD)
    model.durations.usual.copy_(torch.stack([lasting.mean(), spread]))


def paper() -> CtapRun:
    """The paper's sizes: 24 kHz, 25 Hz, 8192 × 256, 2 + 6, 1 + 4, 6 + 5 + 2 and 6 + 2 layers, six stepped losses.

    900 hours of speech with text and 20,000 without are the paper's; optimizer, steps and what else it leaves unsaid
    are those of its authors' neighbouring papers.
    """
    return CtapRun(
        model=CtapConfig(),
        losses=CtapLosses(),
        batches=AlignedConfig(batch_size=96, unlabelled=0.5, gain_db=(0.0, 0.0), speeds=(1.0, 1.0)),
        train=TrainConfig(steps=500_000, learning_rate=LearningRate(peak=2e-4, warmup=4_000, decay=0.2),
                          betas=(0.9, 0.98), weight_decay=0.0, save_every=5_000),
    )  # fmt: skip


def small() -> CtapRun:
    """The model in the box: the paper's layers, narrower, at 16 kHz; for one hour of speech and two CPU cores."""
    return CtapRun(
        model=CtapConfig(
            mel=MelSpec(sample_rate=16_000, n_fft=640, hop=160, bins=80),
            transcoder=TranscoderConfig(
                width=192, heads=4, hidden=512, centred=True, latent_width=160, codebook_size=1_024, decoder_hidden=256,
                window=100, margin=12,
            ),
            connector=DiffusionConfig(layers=6, cycle=6),
            durations=DiffusionConfig(layers=4, cycle=4, channels=48, steps=5, betas=(0.1, 0.9)),
        ),
        losses=CtapLosses(
            commitment=Weight(value=0.25), phonemes=Weight(value=1.0),
            contrastive=Weight(value=0.3, start=100),
            kl=Weight(value=1e-4, start=1_000, ramp=1_000),
            consistency=Weight(value=0.1, start=2_000, ramp=1_000),
            phoneme_branch=Weight(value=0.25), quantize_from=600, bend=0.15, reach=0.0, transcoder_share=0.52,
            second_rate=LearningRate(peak=2e-3),
        ),
        batches=AlignedConfig(batch_size=16),
        train=TrainConfig(steps=7_500, learning_rate=LearningRate(peak=1e-3, warmup=300), betas=(0.9, 0.98),
                          weight_decay=1e-2),
    )  # fmt: skip


def tiny() -> CtapRun:
    """For tests: next to no weights."""
    return CtapRun(
        model=CtapConfig(
            mel=MelSpec(sample_rate=8_000, n_fft=256, hop=64, bins=32),
            transcoder=TranscoderConfig(
                width=32, heads=2, hidden=64, speech_blocks=1, phoneme_blocks=1, latent_width=32, codebook_size=32,
                centred=True, decoder_blocks=1, decoder_hidden=32, convolutions=1, voice_width=8,
                voice_channels=(16, 16), voice_frames=60, dropout=0.0, window=40, margin=6,
            ),
            connector=DiffusionConfig(layers=2, cycle=2, channels=16, steps=10, betas=(0.01, 0.5)),
            durations=DiffusionConfig(layers=2, cycle=2, channels=16, steps=5, betas=(0.1, 0.9)),
        ),
        losses=CtapLosses(
            commitment=Weight(value=0.25), contrastive=Weight(value=0.1, start=4), kl=Weight(value=1e-3, start=8),
            consistency=Weight(value=0.1, start=12), quantize_from=4, masks=0,
        ),
        batches=AlignedConfig(batch_size=8, unlabelled=0.25, speeds=(0.9, 1.1)),
        train=TrainConfig(steps=40, learning_rate=LearningRate(peak=3e-3, warmup=10), log_every=10, save_every=20),
    )  # fmt: skip


SYSTEM = System(
    name="ctap",
    title="VQ-CTAP",
    tokenizer=CtapTokenizer,
    recipes={
        "ctap-paper": paper,
        "ctap-small": small,
        "ctap-tiny": tiny,
    },
    example="ctap-small",
    uses=frozenset({"tts", "vc", "asr"}),
    describe_config=config_facts,
)
