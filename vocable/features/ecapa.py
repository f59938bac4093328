"""Speaker embeddings of ECAPA-TDNN, with the parameter names of SpeechBrain, so that its checkpoint loads.

Unlike SpeechBrain's, this network takes no batches of unequal clips, because convolutions would mix in their padding.
"""

import math
from collections import OrderedDict
from functools import cached_property
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.errors import CheckpointError, ShapeError
from vocable.features.cache import cache_tensors
from vocable.features.hub import fetch, read_tensors, short_name
from vocable.files import folder_exists, is_file
from vocable.folder import digest_of
from vocable.numerics import reproducible

_FFT, _HOP, _MELS = 400, 160, 80
_GROUPS, _BOTTLENECK = 8, 128  # channel groups of a block; channels of attention and squeeze-excitation
_RANGE = 80.0  # dB below the peak, where spectra are clamped
SHORTEST = 3_200  # samples: a convolution mirrors up to 4 spectra at either end
FILES = ("embedding_model.safetensors", "embedding_model.ckpt")


class EcapaTdnn(nn.Module):
    """Speaker encoder: 80 log-mel bands, TDNN, three SE-Res2Net blocks, attentive statistics pooling.

    Args:
        width: Channels of the blocks, a multiple of 8.
        outputs: Dimension of a speaker embedding.
        name: Name in reports.

    Attributes:
        sample_rate: Sample rate of the waveforms that it takes, in Hz.
        width: Dimension of a speaker embedding.

    Source:
        Desplanques et al., ECAPA-TDNN, arXiv:2005.07143; parameter names, spectra and sizes are those of
        ``speechbrain/spkrec-ecapa-voxceleb`` (Apache-2.0).

    Example:
        >>> encoder = EcapaTdnn(width=16)  # random: EcapaTdnn.load("speechbrain/spkrec-ecapa-voxceleb") is not
        >>> encoder(torch.zeros(2, 16_000).uniform_(-0.1, 0.1)).shape
        torch.Size([2, 192])
    """

    sample_rate: Final = 16_000

    def __init__(self, *, width: int = 1024, outputs: int = 192, name: str = "ecapa") -> None:
        super().__init__()
        self.width, self.name = outputs, name
        self.blocks = nn.ModuleList([Tdnn(_MELS, width, 5), *(SeRes2Net(width, dilation) for dilation in (2, 3, 4))])
        self.mfa = Tdnn(3 * width, 3 * width, 1)
        self.asp = AttentiveStatistics(3 * width)
        self.asp_bn = _norm(6 * width)
        self.fc = _conv(6 * width, outputs, 1)
        self.requires_grad_(False).eval()

    @classmethod
    @reproducible
    def load(cls, name: str, device: str = "cpu") -> "EcapaTdnn":
        """Load a pretrained encoder.

        Args:
            name: Folder with ``embedding_model.safetensors`` or SpeechBrain's ``embedding_model.ckpt`` (of which only
                tensors are read), or hub name, such as ``speechbrain/spkrec-ecapa-voxceleb``.
            device: Torch device of the encoder.

        Raises:
            CheckpointError: If the model cannot be found, or is no ECAPA-TDNN.
            MissingDependencyError: If the model is on the hub, and huggingface_hub is not installed.
        """
        path = next((path for path in (Path(name) / file for file in FILES) if is_file(path)), None)
        if path is None and folder_exists(Path(name)):
            raise CheckpointError(f"{name}: holds no {' and no '.join(FILES)}; give SpeechBrain's folder")
        tensors = read_tensors(path or fetch(name, _download))
        try:
            weights = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
            width, outputs = weights["blocks.0.conv.conv.weight"].shape[0], weights["fc.conv.weight"].shape[0]
            with torch.device("meta"):
                encoder = cls(width=width, outputs=outputs, name=short_name(name))
            encoder.load_state_dict(weights, assign=True)
        except (AttributeError, KeyError, IndexError, RuntimeError, ValueError, ZeroDivisionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(
                f"{name}: holds no ECAPA-TDNN of SpeechBrain ({reason}); give another model"
            ) from error
        return encoder.requires_grad_(False).eval().to(device)

    @cached_property
    def digest(self) -> str:
        """Digest of the weights."""
        return digest_of({"system": "ecapa-tdnn"}, self.state_dict())

    def forward(self, samples: Float[Tensor, "B T"]) -> Float[Tensor, "B V"]:
        """Compute the speaker embeddings of clips of one length; differentiable. Their norm is not 1.

        Args:
            samples: Samples at 16 kHz, nominally in [-1, 1]; at least 0.2 s.

        Raises:
            ShapeError: If the clips are shorter.
        """
        if samples.shape[1] < SHORTEST:
            raise ShapeError(f"ECAPA-TDNN needs {SHORTEST} samples or more, not {samples.shape[1]}")
        hidden, outputs = log_mel(samples).mT, []
        for block in self.blocks:
            hidden = block(hidden)
            outputs.append(hidden)
        pooled = self.asp(self.mfa(torch.cat(outputs[1:], dim=1)))
        return self.fc(self.asp_bn(pooled[..., None]))[..., 0]


def log_mel(samples: Float[Tensor, "B T"]) -> Float[Tensor, "B S mel"]:
    """Compute log-mel spectra in dB, minus the mean of each band, as SpeechBrain's ``Fbank`` and sentence norm do."""
    window = torch.hamming_window(_FFT, device=samples.device)
    values = torch.stft(samples, _FFT, _HOP, window=window, center=True, pad_mode="constant", return_complex=True)
    powers = (values.real.square() + values.imag.square()).mT @ _filters(samples.device)
    decibels = 10.0 * powers.clamp(min=1e-10).log10()
    decibels = torch.maximum(decibels, decibels.amax((1, 2), keepdim=True) - _RANGE)
    return decibels - decibels.mean(1, keepdim=True)


class Tdnn(nn.Module):
    """Dilated convolution, rectifier and batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv = _conv(inputs, outputs, kernel, dilation)
        self.norm = _norm(outputs)

    def forward(self, hidden: Float[Tensor, "B inputs S"]) -> Float[Tensor, "B outputs S"]:
        """Transform S spectra to S spectra."""
        return self.norm(self.conv(hidden).relu())


class SeRes2Net(nn.Module):
    """Residual block: Res2Net convolutions over groups of channels, then squeeze-excitation."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.tdnn1 = Tdnn(width, width, 1)
        self.res2net_block = _Res2Net(width, dilation)
        self.tdnn2 = Tdnn(width, width, 1)
        self.se_block = _Squeeze(width)

    def forward(self, hidden: Float[Tensor, "B D S"]) -> Float[Tensor, "B D S"]:
        """Add the output of the block to its input."""
        return self.se_block(self.tdnn2(self.res2net_block(self.tdnn1(hidden)))) + hidden


class AttentiveStatistics(nn.Module):
    """Mean and standard deviation over time, weighted by attention per channel with the whole clip as context."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.tdnn = Tdnn(3 * width, _BOTTLENECK, 1)
        self.conv = _conv(_BOTTLENECK, width, 1)

    def forward(self, hidden: Float[Tensor, "B D S"]) -> Float[Tensor, "B pooled"]:
        """Return weighted means, then weighted standard deviations."""
        uniform = torch.full_like(hidden, 1 / hidden.shape[2])
        context = _statistics(hidden, uniform)[..., None].expand(-1, -1, hidden.shape[2])
        return _statistics(hidden, self.conv(self.tdnn(torch.cat([hidden, context], dim=1)).tanh()).softmax(2))


class _Res2Net(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        part = width // _GROUPS
        self.blocks = nn.ModuleList(Tdnn(part, part, 3, dilation) for _ in range(_GROUPS - 1))

    def forward(self, hidden: Tensor) -> Tensor:
        first, *rest = hidden.chunk(_GROUPS, dim=1)
        parts = [first]
        for place, (part, block) in enumerate(zip(rest, self.blocks, strict=True)):
            parts.append(block(part + parts[-1] if place else part))
        return torch.cat(parts, dim=1)


class _Squeeze(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(width, _BOTTLENECK, 1), _conv(_BOTTLENECK, width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden * self.conv2(self.conv1(hidden.mean(2, keepdim=True)).relu()).sigmoid()


def _conv(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Module:
    """Return a convolution with mirrored ends. SpeechBrain wraps its layers, which shows in parameter names."""
    margin = (kernel - 1) * dilation // 2
    conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, padding=margin, padding_mode="reflect")
    return nn.Sequential(OrderedDict(conv=conv))


def _norm(width: int) -> nn.Module:
    return nn.Sequential(OrderedDict(norm=nn.BatchNorm1d(width)))


def _statistics(hidden: Tensor, weights: Tensor) -> Tensor:
    mean = (weights * hidden).sum(2)
    variance = (weights * (hidden - mean[..., None]).square()).sum(2)
    return torch.cat([mean, variance.clamp(min=1e-12).sqrt()], dim=1)


@cache_tensors
def _filters(device: torch.device) -> Float[Tensor, "F mel"]:
    """Return SpeechBrain's triangular filters: on O'Shaughnessy's mels, symmetric in hertz, not of equal area."""
    top = 2595 * math.log10(1 + 8_000 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, _MELS + 2) / 2595) - 1)
    frequencies = torch.linspace(0, 8_000, _FFT // 2 + 1)[:, None]
    slopes = (frequencies - edges[1:-1]) / (edges[1:-1] - edges[:-2])
    return torch.minimum(1 + slopes, 1 - slopes).clamp(min=0).to(device)


def _download(name: str, local: bool) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(name, FILES[1], local_files_only=local))
