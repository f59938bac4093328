"""Training recipes of VQ-CTAP (arXiv:2408.05758)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.data.manifest import Utterance, open_manifests
from vocable.errors import ConfigError
from vocable.systems.base import System
from vocable.systems.ctap.config import (
    CtapCodebookConfig,
    CtapConfig,
    CtapDecoderConfig,
    CtapLosses,
    DiffusionConfig,
    TranscoderConfig,
)
from vocable.systems.ctap.data import AlignedConfig, AlignedWindows
from vocable.systems.ctap.networks import CtapModel
from vocable.systems.ctap.objective import CtapObjective
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.systems.voiced import measure_scale
from vocable.train.run import Run
from vocable.train.schedule import LearningRate, Weight
from vocable.train.trainer import TrainConfig
from vocable.vocoders import MelSpec, VoiceConfig

_MIN_LOG_STD = 0.05  # of durations, if all are equal


@dataclass(frozen=True, kw_only=True)
class CtapRun(Run):
    """Training run of VQ-CTAP, on windows of speech with and without phonemes."""

    model: CtapConfig
    losses: CtapLosses
    batches: AlignedConfig

    def material(self, manifests: Sequence[str | os.PathLike[str]], split: str | None) -> AlignedWindows:
        """Return the training data of some manifests; see :meth:`material_of`."""
        return self.material_of(open_manifests(manifests, split))

    def material_of(self, utterances: Sequence[Utterance]) -> AlignedWindows:
        """Return the training data of some utterances; those without an alignment are the unlabeled speech."""
        return AlignedWindows(utterances, self.batches, self.model, cache=self.audio_cache)

    def objective(self, material: AlignedWindows, start: CtapTokenizer | None = None) -> CtapObjective:
        """Return networks with the scale of the data, and with the weights of ``start`` where shapes are equal.

        With ``transcoder_share`` 0, a trained transcoder gets a connector or durations of other sizes.
        """
        model = CtapModel(replace(self.model, phonemes=material.phonemes.symbols))
        measure_scale(model, len(material), material.scale_samples)
        model.durations.log_stats.copy_(_log_statistics(material.durations()))
        if start is not None:
            _load_matching(model, start)
        return CtapObjective(model, self.losses, rate=self.train.learning_rate, steps=self.train.steps)


def _log_statistics(counts: Int[ndarray, " D"]) -> Float[Tensor, "2"]:
    """Return mean and standard deviation of the logarithm of durations, given how often each lasts 1, 2, … spectra."""
    logs = np.log(np.arange(1, len(counts)))
    mean = np.average(logs, weights=counts[1:])
    variance = np.average((logs - mean) ** 2, weights=counts[1:])
    return torch.tensor([mean, max(np.sqrt(variance), _MIN_LOG_STD)])


def _load_matching(model: CtapModel, start: CtapTokenizer) -> None:
    """Copy the weights of every part whose tensors all have the same shapes in both models."""
    if not isinstance(start, CtapTokenizer):
        raise ConfigError("the model to begin from is no VQ-CTAP; take another")
    state, trained = model.state_dict(), start.model.state_dict()
    equal = {name for name, value in trained.items() if name in state and value.shape == state[name].shape}
    different = {name.split(".")[0] for name in state.keys() ^ equal}
    if fixed := different - {"connector", "durations"}:
        raise ConfigError(f"the model to begin from has a {fixed.pop()} of other sizes; take another")
    model.load_state_dict(state | {name: trained[name] for name in equal if name.split(".")[0] not in different})
    if different:
        model.trained.zero_()  # a part starts from random weights, so there is no text to speech yet


def paper() -> CtapRun:
    """Return the paper's sizes: 24 kHz, 25 Hz, 8192 × 256, 2 + 6, 1 + 4, 6 + 5 + 2 and 6 + 2 layers, six losses.

    The paper trains on 900 hours of speech with text and 20,000 hours without. Optimizer, steps and what else it leaves
    open are those of its authors' neighboring papers.
    """
    return CtapRun(
        model=CtapConfig(),
        losses=CtapLosses(),
        batches=AlignedConfig(batch_size=96, unlabeled_share=0.5, gain_db=(0.0, 0.0), speed_range=(1.0, 1.0)),
        train=TrainConfig(steps=500_000, learning_rate=LearningRate(peak=2e-4, warmup=4_000, decay=0.2),
                          betas=(0.9, 0.98), weight_decay=0.0, save_every=5_000),
    )  # fmt: skip


def small() -> CtapRun:
    """Return the bundled model's recipe: the paper's layers, narrower, at 16 kHz; one hour of speech, two CPU cores."""
    return CtapRun(
        model=CtapConfig(
            mel=MelSpec(sample_rate=16_000, n_fft=640, hop=160, bins=80),
            transcoder=TranscoderConfig(
                width=192, heads=4, feedforward=512, instance_norm=True, latent_width=160,
                codebook=CtapCodebookConfig(size=1_024), window=100, margin=12,
            ),
            connector=DiffusionConfig(layers=6, dilation_cycle=6),
            durations=DiffusionConfig(layers=4, dilation_cycle=4, channels=48, steps=5, betas=(0.1, 0.9)),
            change_cost=8.0, temperature=0.3,  # chosen on the dev split
        ),
        losses=CtapLosses(
            commitment=Weight(value=0.25), contrastive=Weight(value=0.3, start=100),
            kl=Weight(value=1e-4, start=1_000, ramp=1_000), consistency=Weight(value=0.1, start=2_000, ramp=1_000),
            phoneme_branch=Weight(value=0.25), codebook_start=600, vtlp_range=0.15, encoder_gradient=0.0,
            transcoder_share=0.52, second_stage_rate=LearningRate(peak=2e-3),
        ),
        batches=AlignedConfig(batch_size=16),
        train=TrainConfig(steps=7_500, learning_rate=LearningRate(peak=1e-3, warmup=300), betas=(0.9, 0.98),
                          weight_decay=1e-2),
    )  # fmt: skip


def small_words() -> CtapRun:
    """Return a second stage for a model of ``small``: to keep words, on eight hours of native read speech with text.

    What tells phonemes is trained first and alone, then the speech decoder beside it, then connector and durations.
    """
    run = small()
    return replace(
        run,
        losses=replace(
            run.losses, contrastive=Weight(value=0.3), kl=Weight(value=1e-4), phoneme_branch=Weight(value=0.0),
            consistency=Weight(value=0.1, start=3_800, ramp=200), codebook_start=0, decoder_start=3_500, num_masks=1,
            transcoder_share=0.5833,
        ),
        batches=replace(run.batches, unlabeled_share=0.1),
        train=replace(run.train, steps=7_200, save_every=500),
    )  # fmt: skip


def tiny() -> CtapRun:
    """Return the recipe of tests: next to no weights."""
    return CtapRun(
        model=CtapConfig(
            mel=MelSpec(sample_rate=8_000, n_fft=256, hop=64, bins=32),
            transcoder=TranscoderConfig(
                width=32, heads=2, feedforward=64, instance_norm=True, speech_blocks=1, phoneme_blocks=1,
                latent_width=32, codebook=CtapCodebookConfig(size=32),
                decoder=CtapDecoderConfig(blocks=1, feedforward=32, convolutions=1),
                voice=VoiceConfig(width=8, channels=(16, 16), frames=60), dropout=0.0, window=40, margin=6,
            ),
            connector=DiffusionConfig(layers=2, dilation_cycle=2, channels=16, steps=10, betas=(0.01, 0.5)),
            durations=DiffusionConfig(layers=2, dilation_cycle=2, channels=16, steps=5, betas=(0.1, 0.9)),
        ),
        losses=CtapLosses(
            commitment=Weight(value=0.25), contrastive=Weight(value=0.1, start=4), kl=Weight(value=1e-3, start=8),
            consistency=Weight(value=0.1, start=12), codebook_start=4, num_masks=0,
        ),
        batches=AlignedConfig(batch_size=8, unlabeled_share=0.25, speed_range=(0.9, 1.1)),
        train=TrainConfig(steps=40, learning_rate=LearningRate(peak=3e-3, warmup=10), log_every=10, save_every=20),
    )  # fmt: skip


SYSTEM = System(
    name="ctap",
    title="VQ-CTAP",
    tokenizer=CtapTokenizer,
    recipes={"ctap-paper": paper, "ctap-small": small, "ctap-small-words": small_words, "ctap-tiny": tiny},
    example="ctap-small",
    uses=frozenset({"tts", "vc", "asr"}),
    describe_config=CtapTokenizer.describe_config,
)
