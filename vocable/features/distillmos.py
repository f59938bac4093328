"""DistillMOS: a network that predicts a mean opinion score from speech alone.

The network is written here, and its weights are read from the installed ``distillmos`` wheel. The package is never
imported, and its dependencies torchaudio and xls-r-sqa are not needed.
"""

import math
from importlib import metadata
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vocable.errors import CheckpointError, MissingDependencyError, ShapeError
from vocable.features.hub import read_tensors
from vocable.features.spectrogram import hann
from vocable.files import sha256

PACKAGE = "distillmos"
"""Name of the package that holds the weights."""

WINDOW = 122_880
"""Samples at 16 kHz that the network takes at once: 7.68 s."""

_MAX_HOP = 16_000  # samples between windows, at most
_N_FFT, _HOP, _COMPRESSION = 320, 160, 0.3
_CHANNELS = (64, 64, 128, 256, 256, 256)
_POSITIONS, _WIDTH, _HEADS, _BLOCKS = 384, 200, 8, 7
_FEATURES = _CHANNELS[-1] * 4  # channels × frequency bins that the convolutions leave
_SHA256 = "b18b3ac60227267cfb91e5d00ce22cc7b73716fd92f269484da1446e27031a40"  # of distill_mos_v7.pt in distillmos 0.9.1


class DistillMos(nn.Module):
    """Convolutions over the compressed complex spectrogram, a transformer, and attention pooling.

    Equals ``ConvTransformerSQAModel`` of the package. Every window is divided by its peak, so the level is not judged.

    Attributes:
        sample_rate: Sample rate of the waveforms that it takes, in Hz.

    Source:
        Stahl and Gamper, Distillation and Pruning for Scalable Self-Supervised Representation-Based Speech Quality
        Assessment, arXiv:2502.05356; the weights are those of github.com/microsoft/Distill-MOS (MIT).

    Example:
        >>> network = DistillMos().eval()  # random: DistillMos.pretrained() reads the weights of the wheel
        >>> bool(1 <= network(torch.zeros(1, WINDOW).uniform_(-0.1, 0.1)) <= 5)
        True
    """

    sample_rate: Final = 16_000

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = 2  # real and imaginary part
        for index, channels in enumerate(_CHANNELS):
            stride = (2 if index else 1, 2 if index == len(_CHANNELS) - 1 else 1)
            layers += [nn.Conv2d(previous, channels, 3, stride=stride, padding=(0, 1)), nn.LeakyReLU(0.1)]
            previous = channels
        self.cnn = nn.ModuleDict({"cnn": nn.Sequential(*layers)})
        self.transformer_pool_attn = _TransformerPool()

    @classmethod
    def pretrained(cls) -> "DistillMos":
        """Load the frozen network with the weights inside the installed ``distillmos`` wheel.

        Raises:
            MissingDependencyError: If the wheel is not installed.
            CheckpointError: If its weights differ from those of distillmos 0.9.1.
        """
        try:
            path = Path(str(metadata.distribution(PACKAGE).locate_file("distillmos/weights/distill_mos_v7.pt")))
        except metadata.PackageNotFoundError as error:
            raise MissingDependencyError(
                f"the weights of DistillMOS are inside {PACKAGE}; run pip install --no-deps {PACKAGE}"
            ) from error
        network = cls()
        network.load_state_dict(_read_weights(path))
        return network.requires_grad_(False).eval()

    def forward(self, samples: Float[Tensor, "B 122880"]) -> Float[Tensor, " B"]:
        """Return the score, 1 to 5, of windows of samples at 16 kHz."""
        peaks = samples.abs().amax(1, keepdim=True) + 1e-8
        features = self.cnn["cnn"](_compressed_spectrogram(samples / peaks)).flatten(1, 2).transpose(1, 2)
        return 1 + 4 * self.transformer_pool_attn(features)

    @torch.inference_mode()
    def rate(self, samples: Float[Tensor, " T"]) -> float:
        """Return the mean score of the windows of a clip at 16 kHz; a clip under 7.68 s is padded with zeros.

        Raises:
            ShapeError: If the clip has no samples.
        """
        if samples.numel() == 0:
            raise ShapeError("a clip of no samples has no opinion score; pass at least one")
        padded = F.pad(samples, (0, max(0, WINDOW - samples.numel())))
        excess = padded.numel() - WINDOW
        count = math.ceil(excess / _MAX_HOP) + 1
        starts = [int(share * excess) for share in np.linspace(0, 1, count)]
        return float(torch.cat([self(padded[None, start : start + WINDOW]) for start in starts]).mean())


class _TransformerPool(nn.Module):
    """Transformer over the frames, and their mean weighted by attention, as a score of 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_input = nn.BatchNorm1d(_FEATURES)
        self.transformer = _Transformer()
        self.norm_trans = nn.BatchNorm1d(_WIDTH)
        self.pool = nn.ModuleDict({
            "linear1": nn.Linear(_WIDTH, 2 * _WIDTH),
            "linear2": nn.Linear(2 * _WIDTH, 1),
            "linear3": nn.Linear(_WIDTH, 1),
        })  # fmt: skip

    def forward(self, features: Float[Tensor, "B N F"]) -> Float[Tensor, " B"]:
        hidden = self.transformer(_normalize(self.norm_input, features))
        hidden = _normalize(self.norm_trans, hidden)
        weights = self.pool["linear2"](F.relu(self.pool["linear1"](hidden))).softmax(1)
        return self.pool["linear3"]((weights * hidden).sum(1)).sigmoid()[:, 0]


class _Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(_FEATURES)
        self.position_encoding = nn.Module()
        self.position_encoding.register_buffer("pe", torch.zeros(1, _POSITIONS, _WIDTH))
        self.linear_proj = nn.Linear(_FEATURES, _WIDTH)
        block = nn.TransformerEncoderLayer(_WIDTH, _HEADS, 2 * _WIDTH, dropout=0.0, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(block, _BLOCKS)

    def forward(self, features: Float[Tensor, "B N F"]) -> Float[Tensor, "B N D"]:
        hidden = self.linear_proj(_normalize(self.norm, features)) + self.position_encoding.pe
        return self.transformer_encoder(hidden)


def _normalize(norm: nn.BatchNorm1d, features: Float[Tensor, "B N F"]) -> Float[Tensor, "B N F"]:
    return norm(features.transpose(1, 2)).transpose(1, 2)


def _compressed_spectrogram(samples: Float[Tensor, "B T"]) -> Float[Tensor, "B 2 F N"]:
    """Return real and imaginary part of the spectrogram, its magnitude raised to 0.3."""
    margin = (_N_FFT - _HOP) // 2
    padded = F.pad(samples, (margin, margin), mode="reflect")
    window = hann(_N_FFT, samples.device)
    spectrum = torch.view_as_real(torch.stft(padded, _N_FFT, _HOP, _N_FFT, window, center=False, return_complex=True))
    magnitude = spectrum.square().sum(-1, keepdim=True).sqrt().clamp(min=1e-12)
    return (magnitude**_COMPRESSION * spectrum / magnitude).permute(0, 3, 1, 2)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        digest = sha256(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); install {PACKAGE} again") from error
    if digest != _SHA256:
        raise CheckpointError(
            f"{path}: SHA-256 {digest[:12]}…, not the weights known here ({_SHA256[:12]}…); "
            f"run pip install --no-deps --force-reinstall {PACKAGE}==0.9.1"
        )
    weights: dict[str, Tensor] = read_tensors(path)["model"]
    return weights
