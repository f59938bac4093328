"""What the network learns: samples that sound like the recording, from spectra like those it meets in use."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Complex, Float
from torch import Tensor, nn

from vocable.data.crops import CropBatch
from vocable.features.spectrogram import spectra
from vocable.losses.reconstruction import MelScale, compressed_spectrum_loss, log_mel_loss
from vocable.train.objective import Turn
from vocable.train.schedule import Weight
from vocable.vocoders.istft import IstftNetwork, IstftVocoder

_SCALES = tuple(  # of the log-mel loss
    MelScale(n_fft=n_fft, bins=bins) for n_fft, bins in ((512, 64), (256, 32), (128, 16))
)
_GRID = 128  # samples that all its hops divide
_QUIETEST = 3e-2  # added to magnitudes before the logarithm


@dataclass(frozen=True, kw_only=True)
class IstftLosses:
    """Weights of the terms, and how spectra are altered."""

    magnitude: Weight = field(default_factory=lambda: Weight(value=1.0))  # of the spectra before overlap-add
    log_mel: Weight = field(default_factory=lambda: Weight(value=0.3))
    spectrum: Weight = field(default_factory=lambda: Weight(value=3.0))
    phase: float = 0.3  # share of the complex part in the spectrum term
    altered: float = 0.7  # share of crops whose spectra are made smoother and noisier, as a decoder's are
    noise_db: float = 3.0  # standard deviation of that noise, at most
    floor_db: tuple[float, float] = (35.0, 90.0)  # under the loudest, where their scale ends


class IstftObjective:
    """Trains an :class:`~vocable.vocoders.istft.IstftNetwork` in one turn a step.

    Args:
        network: What learns.
        losses: Weights and schedules.
    """

    def __init__(self, network: IstftNetwork, losses: IstftLosses) -> None:
        self.network, self.losses = network, losses

    def parts(self) -> Mapping[str, nn.Module]:
        """``generator``."""
        return {"generator": self.network}

    def turns(self, batch: CropBatch, step: int) -> Iterator[Turn]:
        """The network's turn. Everything random is drawn from torch's generator, which the trainer seeds."""
        spec, real = self.network.config.mel, batch.samples
        values = self.network.predict(altered(spec.mel(real), self.losses), batch.mask)
        made = _padded(self.network.samples(values, batch.mask))
        real = _padded(real)
        weights = {name: getattr(self.losses, name).at(step) for name in ("magnitude", "log_mel", "spectrum")}
        terms: dict[str, Callable[[], Tensor]] = {
            "magnitude": lambda: _magnitude_loss(values, spectra(batch.samples, spec.n_fft, spec.hop), batch.mask),
            "log_mel": lambda: log_mel_loss(made, real, sample_rate=spec.sample_rate, scales=_SCALES),
            "spectrum": lambda: compressed_spectrum_loss(made, real, phase=self.losses.phase),
        }
        losses = {name: term() for name, term in terms.items() if weights[name]}
        yield Turn(name="generator", losses=losses, weights={name: weights[name] for name in losses})

    def export(self, folder: Path) -> None:
        """Write the vocoder as it stands."""
        training = self.network.training
        IstftVocoder(self.network).save(folder)
        self.network.train(training)


def altered(mel: Float[Tensor, "B F S"], losses: IstftLosses) -> Float[Tensor, "B F S"]:
    """Some of a batch's spectra as a decoder might give them: smooth along both axes, cut off below, with slow noise.

    Example:
        >>> altered(torch.zeros(2, 8, 5), IstftLosses(altered=0.0)).abs().max()
        tensor(0.)
    """
    low, high = losses.floor_db
    rows = []
    for row, (chosen, *drawn) in zip(mel, torch.rand(len(mel), 7).tolist(), strict=True):
        if chosen < losses.altered:
            bins, frames = row.shape
            smooth = _resized(row, round(bins * (0.4 + drawn[0])), round(frames * (0.4 + drawn[1])))
            slow = torch.randn(1 + round(bins * drawn[2]), 1 + round(frames * drawn[3])).to(row)
            floor = float(row.max()) - low - (high - low) * drawn[4]
            row = _resized(smooth, bins, frames).clamp(min=floor)
            row = row + losses.noise_db * drawn[5] * _resized(slow, bins, frames)
        rows.append(row)
    return torch.stack(rows)


def _resized(values: Float[Tensor, "F S"], bins: int, frames: int) -> Float[Tensor, "F_new S_new"]:
    """By linear interpolation along both axes; at least 1 × 1."""
    return F.interpolate(values[None, None], size=(max(1, bins), max(1, frames)), mode="bilinear")[0, 0]


def _magnitude_loss(
    made: Complex[Tensor, "B S K"], real: Complex[Tensor, "B S K"], mask: Bool[Tensor, "B S"]
) -> Float[Tensor, ""]:
    """Mean absolute difference of log-magnitudes (nepers) on real spectra."""
    levels = [0.5 * (part.real.square() + part.imag.square() + _QUIETEST**2).log() for part in (made, real)]
    return (levels[0] - levels[1]).abs().mean(-1)[mask].mean()


def _padded(samples: Float[Tensor, "B T"]) -> Float[Tensor, "B T_padded"]:
    return F.pad(samples, (0, -samples.shape[1] % _GRID))
