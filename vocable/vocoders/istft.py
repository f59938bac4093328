"""Mel spectra to complex spectra by a small network, to samples by an inverse transform."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from math import log
from typing import Any

import torch
from jaxtyping import Bool, Complex, Float
from numpy import ndarray
from torch import Tensor, nn

from vocable.checks import DEEPEST, WIDEST, check_whole
from vocable.errors import ConfigError
from vocable.features.spectrogram import mel_filters, samples_from_spectra
from vocable.folder import digest_of, read_model, write_model
from vocable.nn.convnext import Block
from vocable.nn.polar import spectra_from_polar
from vocable.vocoders.base import MelSpec
from vocable.vocoders.griffin_lim import agreed_samples

SYSTEM = "vocoder"  # what model.json calls it
_MIDDLE_DB, _SPREAD_DB = -30.0, 20.0  # of mel powers, roughly
_NEPERS = log(10) / 20  # of magnitude in a decibel of power


@dataclass(frozen=True, kw_only=True)
class IstftConfig:
    """Sizes of the network.

    Raises:
        ConfigError: A value is no whole number, or out of range.
    """

    mel: MelSpec  # of the spectra it takes
    width: int = 192
    blocks: int = 6
    kernel: int = 7  # spectra a block mixes; odd
    expansion: int = 3  # hidden width of a block, in widths
    rounds: int = 0  # of Griffin-Lim that the network's phases go through, in use only

    def __post_init__(self) -> None:
        check_whole(self, WIDEST, "width")
        check_whole(self, DEEPEST, "blocks", "kernel", "expansion")
        check_whole(self, DEEPEST, "rounds", least=0)
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel is {self.kernel}: it must be odd")

    @property
    def bins(self) -> int:
        """Frequency bins of a spectrum."""
        return self.mel.n_fft // 2 + 1


def config_from_json(values: Mapping[str, Any]) -> IstftConfig:
    """A config from plain values, as ``dataclasses.asdict`` makes them.

    Raises:
        ConfigError: A key is missing or unknown, or a value is of the wrong kind or out of range.
    """
    try:
        return IstftConfig(**{**values, "mel": MelSpec(**values["mel"])})
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ConfigError(
            f"the vocoder's configuration cannot be used ({error}); was it written by another version?"
        ) from error


class IstftNetwork(nn.Module):
    """Mel spectra to samples, for whole masked batches.

    The log-magnitudes that the mel spectra say by themselves are given; the network adds what they do not say, and the
    phases. Nothing looks further than ``blocks · (kernel // 2)`` spectra, and nothing behind a clip's end.

    Args:
        config: Sizes.

    Source:
        Siuzdak, Vocos, arXiv:2306.00814.

    Example:
        >>> spec = MelSpec(sample_rate=8_000, n_fft=256, hop=64, bins=32)
        >>> network = IstftNetwork(IstftConfig(mel=spec, width=8, blocks=1))
        >>> network(spec.mel(torch.zeros(1, 640)), torch.ones(1, 10, dtype=torch.bool)).shape
        torch.Size([1, 640])
    """

    def __init__(self, config: IstftConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Linear(config.mel.bins, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.blocks = nn.ModuleList(Block(config.width, config.kernel, config.expansion) for _ in range(config.blocks))
        self.leave = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, 3 * config.bins))

    def forward(self, mel: Float[Tensor, "B F S"], mask: Bool[Tensor, "B S"]) -> Float[Tensor, "B T"]:
        """Samples, T = S · hop; zero where the mask is False."""
        return self.samples(self.predict(mel, mask), mask)

    def predict(self, mel: Float[Tensor, "B F S"], mask: Bool[Tensor, "B S"]) -> Complex[Tensor, "B S K"]:
        """The spectra before overlap-add."""
        frames = mel.transpose(1, 2)
        hidden = self.norm(self.enter((frames - _MIDDLE_DB) / _SPREAD_DB))
        for block in self.blocks:
            hidden = block(hidden, mask)
        head = self.leave(hidden).unflatten(-1, (3, self.config.bins)).float()
        given = _bin_levels(frames, self.config.mel)
        head = torch.cat([head[:, :, :1] + given[:, :, None], head[:, :, 1:]], dim=2)
        return spectra_from_polar(head, max_log_magnitude=log(self.config.mel.n_fft))

    def samples(self, values: Complex[Tensor, "B S K"], mask: Bool[Tensor, "B S"]) -> Float[Tensor, "B T"]:
        """Overlap-add."""
        mel = self.config.mel
        made = samples_from_spectra(values, mask.to(values.real.dtype), mel.n_fft, mel.hop)
        return made * mask.repeat_interleave(mel.hop, dim=1)


class IstftVocoder:
    """A trained network in use.

    Args:
        network: It is put in evaluation mode.

    Example:
        >>> spec = MelSpec(sample_rate=8_000, n_fft=256, hop=64, bins=32)
        >>> vocoder = IstftVocoder(IstftNetwork(IstftConfig(mel=spec, width=8, blocks=1)))
        >>> vocoder.name, vocoder.render(spec.mel(torch.zeros(1, 640))[0]).shape
        ('istft-8k', (640,))
    """

    def __init__(self, network: IstftNetwork) -> None:
        self.network = network.eval()
        self.config = network.config
        self.spec = network.config.mel
        self.name = f"istft-{self.spec.sample_rate / 1000:g}k"
        self.digest = digest_of(asdict(self.config), network.state_dict())

    @torch.inference_mode()
    def render(self, mel: Float[Tensor, "F S"]) -> Float[ndarray, " T"]:
        """Samples, T = S · hop; equal spectra, equal samples."""
        device = next(self.network.parameters()).device
        mask = torch.ones(1, mel.shape[1], dtype=torch.bool, device=device)
        values = self.network.predict(mel[None].to(device), mask).cpu()
        size = values.abs()
        return agreed_samples(size, values / size.clamp(min=1e-9), self.spec, self.config.rounds)[0].numpy()

    def save(self, folder: str | os.PathLike[str], *, half: bool = False) -> None:
        """Write a folder from which :meth:`load` makes this vocoder again; see :mod:`vocable.folder`.

        Raises:
            OutputError: The folder cannot be written.
        """
        write_model(folder, SYSTEM, asdict(self.config), self.network, half=half)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], device: str = "cpu") -> "IstftVocoder":
        """Read what :meth:`save` wrote.

        Raises:
            CheckpointError: A file is missing, altered or of another version.
        """
        return cls(read_model(folder, lambda values: IstftNetwork(config_from_json(values)), device).network)


def _bin_levels(frames: Float[Tensor, "B S F"], spec: MelSpec) -> Float[Tensor, "B S K"]:
    """Log-magnitudes of bins (nepers): the mean of the filters over each, as if power were level under a filter."""
    weights, gains = _spread(spec, frames.device)
    return ((frames - gains) * _NEPERS).float() @ weights


@lru_cache(maxsize=8)
def _spread(spec: MelSpec, device: torch.device) -> tuple[Float[Tensor, "F K"], Float[Tensor, " F"]]:
    """How filters share in bins, and what a filter makes of level power (dB)."""
    with torch.inference_mode(False):  # kept for every later caller, who may want gradients
        filters = mel_filters(spec.sample_rate, spec.n_fft, spec.bins)
        gains = 10 * filters.sum(0).clamp(min=1e-9).log10()
        areas = filters.sum(1, keepdim=True)
        centres = (filters * torch.arange(len(filters))[:, None]).sum(0) / filters.sum(0).clamp(min=1e-9)
        nearest = (torch.arange(len(filters))[:, None] - centres).abs().argmin(1)
        alone = nn.functional.one_hot(nearest, spec.bins).float()  # for bins under no filter
        weights = torch.where(areas > 0, filters / areas.clamp(min=1e-9), alone)
        return weights.T.contiguous().to(device), gains.to(device)
