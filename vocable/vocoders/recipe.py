"""Training recipes of the vocoder that systems with mel spectra decode through."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from typing_extensions import override

from vocable.data.crops import CropConfig, Crops
from vocable.data.manifest import Utterance, open_manifests
from vocable.errors import ConfigError
from vocable.train.run import Run
from vocable.train.schedule import LearningRate, Weight
from vocable.train.trainer import TrainConfig
from vocable.vocoders import MelSpec
from vocable.vocoders.istft import IstftConfig, IstftNetwork
from vocable.vocoders.objective import IstftLosses, IstftObjective


@dataclass(frozen=True, kw_only=True)
class VocoderRun(Run):
    """Training run of a vocoder on random crops."""

    makes_tokenizer = False

    model: IstftConfig
    losses: IstftLosses
    batches: CropConfig

    @override
    def material(self, manifests: Sequence[str | os.PathLike[str]], split: str | None) -> Crops:
        return self.material_of(open_manifests(manifests, split))

    def material_of(self, utterances: Sequence[Utterance]) -> Crops:
        """Return crops of whole hops."""
        mel = self.model.mel
        return Crops(utterances, self.batches, sample_rate=mel.sample_rate, hop=mel.hop, cache=self.audio_cache)

    @override
    def objective(self, material: Crops, start: object = None) -> IstftObjective:
        if start is not None:
            raise ConfigError("a vocoder is trained from random weights; leave the model to begin from (--init) out")
        return IstftObjective(IstftNetwork(self.model), self.losses)


def telephone() -> VocoderRun:
    """Return the recipe of ``vocoder-8k``: spectra of ``vqalattent-fsdd``, for one CPU core."""
    return _magnitudes_first(MelSpec(sample_rate=8_000, n_fft=384, hop=96, bins=64), rounds=64, steps=10_000)


def wideband() -> VocoderRun:
    """Return the recipe of ``vocoder-16k``: spectra of ``ctap-small``, for one CPU core."""
    return _magnitudes_first(MelSpec(sample_rate=16_000, n_fft=640, hop=160, bins=80), rounds=32, steps=5_000)


def _magnitudes_first(mel: MelSpec, rounds: int, steps: int) -> VocoderRun:
    late = steps * 3 // 5  # when the losses on samples start
    return VocoderRun(
        model=IstftConfig(mel=mel, rounds=rounds),
        losses=IstftLosses(log_mel=Weight(value=0.3, start=late), spectrum=Weight(value=3.0, start=late)),
        batches=CropConfig(batch_size=16, frames=64, gain_db=(-12.0, 6.0)),
        train=TrainConfig(steps=steps),
    )


def tiny() -> VocoderRun:
    """Return a recipe for tests, with a tiny network."""
    return VocoderRun(
        model=IstftConfig(mel=MelSpec(sample_rate=8_000, n_fft=256, hop=64, bins=32), width=16, blocks=2, expansion=2),
        losses=IstftLosses(),
        batches=CropConfig(batch_size=4, frames=20),
        train=TrainConfig(steps=40, learning_rate=LearningRate(peak=3e-3, warmup=5), log_every=10, save_every=20),
    )


RECIPES: dict[str, Callable[[], Run]] = {"vocoder-8k": telephone, "vocoder-16k": wideband, "vocoder-tiny": tiny}
