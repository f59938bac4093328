"""Training objective of the vocoder: reconstruct samples from spectra that are degraded as a decoder's are."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Complex, Float
from torch import Tensor, nn

from vocable.data.crops import CropBatch
from vocable.features.spectrogram import spectra
from vocable.losses.reconstruction import MelScale, compressed_spectrum_loss, log_mel_loss
from vocable.schema import config
from vocable.train.objective import Turn
from vocable.train.schedule import Weight
from vocable.vocoders.istft import IstftNetwork, IstftVocoder

_SCALES = tuple(  # of the log-mel loss
    MelScale(n_fft=n_fft, bins=bins) for n_fft, bins in ((512, 64), (256, 32), (128, 16))
)
_GRID = 128  # samples: a multiple of all hops of the losses
_MAGNITUDE_FLOOR = 3e-2  # added to magnitudes before the logarithm


@config
class IstftLosses:
    """Loss weights, and the degradation of the input spectra.

    Attributes:
        magnitude: Weight of the log-magnitude loss of the spectra before overlap-add.
        log_mel: Weight of the log-mel loss.
        spectrum: Weight of the compressed spectrum loss.
        phase: Share of the complex part in the compressed spectrum loss.
        altered: Share of crops whose spectra are smoothed and get noise.
        noise_db: Largest standard deviation of that noise, in dB.
        floor_db: Range of the level under the loudest value at which altered spectra are clamped, in dB.
    """

    magnitude: Weight = Weight(value=1.0)
    log_mel: Weight = Weight(value=0.3)
    spectrum: Weight = Weight(value=3.0)
    phase: float = 0.3
    altered: float = 0.7
    noise_db: float = 3.0
    floor_db: tuple[float, float] = (35.0, 90.0)


class IstftObjective:
    """Objective that trains an :class:`~vocable.vocoders.istft.IstftNetwork` in one turn a step.

    Args:
        network: Network to train.
        losses: Loss weights, and the degradation of the input.
    """

    def __init__(self, network: IstftNetwork, losses: IstftLosses) -> None:
        self.network, self.losses = network, losses

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the network to train: ``generator``."""
        return {"generator": self.network}

    def turns(self, batch: CropBatch, step: int) -> Iterator[Turn]:
        """Yield the losses of one step. Random numbers come from torch's generator, which the trainer seeds."""
        spec, target = self.network.config.mel, batch.samples
        values = self.network.predict(degrade(spec.mel(target), self.losses), batch.mask)
        signals = self.network.synthesize(values, batch.mask), target
        output, target = (F.pad(samples, (0, -samples.shape[1] % _GRID)) for samples in signals)
        weights = {name: getattr(self.losses, name).at(step) for name in ("magnitude", "log_mel", "spectrum")}
        terms: dict[str, Callable[[], Tensor]] = {
            "magnitude": lambda: _magnitude_loss(values, spectra(batch.samples, spec.n_fft, spec.hop), batch.mask),
            "log_mel": lambda: log_mel_loss(output, target, sample_rate=spec.sample_rate, scales=_SCALES),
            "spectrum": lambda: compressed_spectrum_loss(output, target, phase=self.losses.phase),
        }
        losses = {name: term() for name, term in terms.items() if weights[name]}
        yield Turn(name="generator", losses=losses, weights={name: weights[name] for name in losses})

    def export(self, folder: Path) -> None:
        """Write the vocoder in its present state."""
        training = self.network.training
        IstftVocoder(self.network).save(folder)
        self.network.train(training)


def degrade(mel: Float[Tensor, "B F S"], losses: IstftLosses) -> Float[Tensor, "B F S"]:
    """Degrade some mel spectra as a decoder might: smooth both axes, clamp below and add slowly varying noise.

    Example:
        >>> degrade(torch.zeros(2, 8, 5), IstftLosses(altered=0.0)).abs().max()
        tensor(0.)
    """
    low, high = losses.floor_db
    rows = []
    for row, (chance, *drawn) in zip(mel, torch.rand(len(mel), 7).tolist(), strict=True):
        if chance < losses.altered:
            bins, frames = row.shape
            smooth = _resize(row, round(bins * (0.4 + drawn[0])), round(frames * (0.4 + drawn[1])))
            noise = torch.randn(1 + round(bins * drawn[2]), 1 + round(frames * drawn[3])).to(row)
            floor = float(row.max()) - low - (high - low) * drawn[4]
            row = _resize(smooth, bins, frames).clamp(min=floor)
            row = row + losses.noise_db * drawn[5] * _resize(noise, bins, frames)
        rows.append(row)
    return torch.stack(rows)


def _resize(values: Float[Tensor, "F S"], bins: int, frames: int) -> Float[Tensor, "F_new S_new"]:
    """Interpolate linearly along both axes, to at least 1 × 1."""
    return F.interpolate(values[None, None], size=(max(1, bins), max(1, frames)), mode="bilinear")[0, 0]


def _magnitude_loss(
    output: Complex[Tensor, "B S K"], target: Complex[Tensor, "B S K"], mask: Bool[Tensor, "B S"]
) -> Float[Tensor, ""]:
    """Return the mean absolute difference of log-magnitudes in nepers where the mask is True."""
    logs = [0.5 * (part.real.square() + part.imag.square() + _MAGNITUDE_FLOOR**2).log() for part in (output, target)]
    return (logs[0] - logs[1]).abs().mean(-1)[mask].mean()
