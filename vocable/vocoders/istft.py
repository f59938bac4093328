"""A vocoder whose network predicts complex spectra, which an inverse Fourier transform turns into samples."""

import os
from collections.abc import Sequence
from math import log
from typing import Annotated

import torch
from jaxtyping import Bool, Complex, Float
from numpy import ndarray
from pydantic import Field
from torch import Tensor, nn

from vocable.errors import ConfigError
from vocable.features.cache import cache_tensors
from vocable.features.spectrogram import mel_filters, samples_from_spectra
from vocable.folder import Migration, digest_of, read_model, write_model
from vocable.nn.convnext import ConvNext
from vocable.nn.polar import spectra_from_polar
from vocable.numerics import reproducible
from vocable.schema import MAX_DEPTH, Depth, Width, config, parse, to_json
from vocable.vocoders.base import MelSpec
from vocable.vocoders.griffin_lim import griffin_lim

SYSTEM = "vocoder"
"""Name of the system in ``model.json``."""

_MEAN_DB, _STD_DB = -30.0, 20.0  # typical mean and standard deviation of mel powers
_NEPERS = log(10) / 20  # magnitude in nepers of one decibel of power
_MIGRATION = Migration(config=dict, tensors=[(r"^enter\.", "in_proj."), (r"^leave\.0\.", "out_norm."),
                                             (r"^leave\.1\.", "out_proj.")])  # fmt: skip


@config
class IstftConfig:
    """Configuration of the network.

    Attributes:
        mel: Spec of the spectra that it takes.
        width: Channels of the hidden layers.
        blocks: ConvNeXt blocks.
        kernel: Spectra that a block convolves; odd.
        expansion: Ratio of a block's hidden width to its width.
        rounds: Griffin-Lim iterations that refine the predicted phases; not used in training.
    """

    mel: MelSpec
    width: Width = 192
    blocks: Depth = 6
    kernel: Depth = 7
    expansion: Depth = 3
    rounds: Annotated[int, Field(ge=0, le=MAX_DEPTH)] = 0

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel is {self.kernel}: it must be odd")

    @property
    def bins(self) -> int:
        """Frequency bins K of a spectrum."""
        return self.mel.n_fft // 2 + 1


class IstftNetwork(ConvNext):
    """Network from mel spectra to samples, for masked batches.

    The log-magnitudes that follow from the mel spectra are added to the output, so that the network predicts a
    correction of them, and the phases. Its receptive field is ``blocks · (kernel // 2)`` spectra to either side and
    ends with the clip.

    Args:
        config: Configuration of the network.

    Source:
        Siuzdak, Vocos, arXiv:2306.00814.

    Example:
        >>> spec = MelSpec(sample_rate=8_000, n_fft=256, hop=64, bins=32)
        >>> network = IstftNetwork(IstftConfig(mel=spec, width=8, blocks=1))
        >>> network(spec.mel(torch.zeros(1, 640)), torch.ones(1, 10, dtype=torch.bool)).shape
        torch.Size([1, 640])
    """

    def __init__(self, config: IstftConfig) -> None:
        sizes = {name: getattr(config, name) for name in ("width", "blocks", "kernel", "expansion")}
        super().__init__(config.mel.bins, 3 * config.bins, **sizes)
        self.config = config

    def forward(self, mel: Float[Tensor, "B F S"], mask: Bool[Tensor, "B S"]) -> Float[Tensor, "B T"]:
        """Return T = S · hop samples, zero where the mask is False."""
        return self.synthesize(self.predict(mel, mask), mask)

    def predict(self, mel: Float[Tensor, "B F S"], mask: Bool[Tensor, "B S"]) -> Complex[Tensor, "B S K"]:
        """Predict complex spectra from mel spectra in dB."""
        frames = mel.transpose(1, 2)
        output = self.transform((frames - _MEAN_DB) / _STD_DB, mask).unflatten(-1, (3, self.config.bins)).float()
        weights, gains = _bin_weights(self.config.mel, frames.device)
        magnitudes = ((frames - gains) * _NEPERS).float() @ weights  # as if power were constant under each mel filter
        output = torch.cat([output[:, :, :1] + magnitudes[:, :, None], output[:, :, 1:]], dim=2)
        return spectra_from_polar(output, max_log_magnitude=log(self.config.mel.n_fft))

    def synthesize(self, values: Complex[Tensor, "B S K"], mask: Bool[Tensor, "B S"]) -> Float[Tensor, "B T"]:
        """Overlap-add complex spectra to samples, zero where the mask is False."""
        mel = self.config.mel
        samples = samples_from_spectra(values, mask.to(values.real.dtype), mel.n_fft, mel.hop)
        return samples * mask.repeat_interleave(mel.hop, dim=1)


class IstftVocoder:
    """A trained vocoder.

    Args:
        network: Trained network; it is put in evaluation mode.
        aliases: Digests of the same weights under earlier formats.

    Example:
        >>> spec = MelSpec(sample_rate=8_000, n_fft=256, hop=64, bins=32)
        >>> vocoder = IstftVocoder(IstftNetwork(IstftConfig(mel=spec, width=8, blocks=1)))
        >>> vocoder.name, vocoder.render(spec.mel(torch.zeros(1, 640))[0]).shape
        ('istft-8k', (640,))
    """

    def __init__(self, network: IstftNetwork, *, aliases: Sequence[str] = ()) -> None:
        self.network = network.eval()
        self.config = network.config
        self.spec = network.config.mel
        self.name = f"istft-{self.spec.sample_rate / 1000:g}k"
        self.digest = digest_of(to_json(self.config), network.state_dict())
        self.aliases = tuple(aliases)

    @reproducible
    @torch.inference_mode()
    def render(self, mel: Float[Tensor, "F S"]) -> Float[ndarray, " T"]:
        """Render mel spectra in dB as T = S · hop samples. Equal spectra give equal samples."""
        device = next(self.network.eval().parameters()).device
        mask = torch.ones(1, mel.shape[1], dtype=torch.bool, device=device)
        values = self.network.predict(mel[None].to(device), mask).cpu()
        magnitudes = values.abs()
        return griffin_lim(magnitudes, values / magnitudes.clamp(min=1e-9), self.spec, self.config.rounds)[0].numpy()

    def save(self, folder: str | os.PathLike[str], *, half: bool = False) -> None:
        """Write a folder that :meth:`load` reads; see :func:`vocable.folder.write_model`."""
        write_model(folder, SYSTEM, to_json(self.config), self.network, half=half, aliases=self.aliases)

    @classmethod
    @reproducible
    def load(cls, folder: str | os.PathLike[str], device: str = "cpu") -> "IstftVocoder":
        """Load a folder that :meth:`save` wrote; see :func:`vocable.folder.read_model`."""
        where = "the vocoder's configuration"
        stored = read_model(folder, lambda values: IstftNetwork(parse(IstftConfig, values, where)), device, _MIGRATION)
        return cls(stored.network, aliases=stored.aliases)


@cache_tensors
def _bin_weights(spec: MelSpec, device: torch.device) -> tuple[Float[Tensor, "F K"], Float[Tensor, " F"]]:
    """Return the share of each filter in each bin, and the gain of each filter on constant power in dB."""
    filters = mel_filters(spec.sample_rate, spec.n_fft, spec.bins)
    gains = 10 * filters.sum(0).clamp(min=1e-9).log10()
    areas = filters.sum(1, keepdim=True)
    centers = (filters * torch.arange(len(filters))[:, None]).sum(0) / filters.sum(0).clamp(min=1e-9)
    nearest = (torch.arange(len(filters))[:, None] - centers).abs().argmin(1)
    nearest_only = nn.functional.one_hot(nearest, spec.bins).float()  # for bins under no filter
    weights = torch.where(areas > 0, filters / areas.clamp(min=1e-9), nearest_only)
    return weights.T.contiguous().to(device), gains.to(device)
