"""Speaker embeddings of Resemblyzer's GE2E encoder, implemented in torch, so that gradients reach the waveform.

The weights are read from the installed ``resemblyzer`` wheel. The package itself is never imported, and its
dependencies librosa and webrtcvad are not needed.
"""

from importlib import metadata
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.errors import CheckpointError, MissingDependencyError, ShapeError
from vocable.features.hub import read_tensors
from vocable.features.spectrogram import mel_filters, spectra
from vocable.files import sha256
from vocable.numerics import reproducible
from vocable.shapes import frames_for, mask_from_lengths

_HOP = 160  # samples: 10 ms
_WINDOW = 400  # samples: 25 ms
_MELS = 40
_WIDTH = 256
_SEGMENT = 160  # frames: 1.6 s
_STEP = 77  # frames between segments: 1.3 per second
_COVERAGE = 0.75  # the last segment is dropped if a smaller share of it lies in the clip
_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"  # of Resemblyzer 0.1.1 to 0.1.4
_LEVEL = 10 ** (-30 / 20)  # root mean square: -30 dB of full scale


class Ge2eEncoder(nn.Module):
    """Speaker encoder: mel spectra, segments of 1.6 s through three LSTM layers, mean of the segments.

    Equals ``embed_utterance`` of Resemblyzer for one clip. Of the two steps of its ``preprocess_wav``,
    :func:`raise_level` is implemented here. Removing silence (webrtcvad) is not, because it has no gradient.

    Attributes:
        sample_rate: Sample rate of the waveforms that it takes, in Hz.
        width: Dimension of a speaker embedding.

    Source:
        Wan et al., Generalized end-to-end loss for speaker verification, arXiv:1710.10467; the weights are those of
        github.com/resemble-ai/Resemblyzer (Apache-2.0).

    Example:
        >>> encoder = Ge2eEncoder()  # random: Ge2eEncoder.pretrained() reads the weights of the wheel
        >>> embeddings = encoder(torch.zeros(2, 24_000).uniform_(-0.1, 0.1), torch.tensor([24_000, 8_000]))
        >>> embeddings.shape, embeddings.norm(dim=1).round(decimals=4).tolist()
        (torch.Size([2, 256]), [1.0, 1.0])
    """

    sample_rate: Final = 16_000
    width: Final = _WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_MELS, _WIDTH, num_layers=3, batch_first=True)
        self.linear = nn.Linear(_WIDTH, _WIDTH)

    @classmethod
    @reproducible
    def pretrained(cls) -> "Ge2eEncoder":
        """Load the frozen encoder with the weights inside the installed ``resemblyzer`` wheel.

        Raises:
            MissingDependencyError: If the wheel is not installed.
            CheckpointError: If its weights differ from those of Resemblyzer 0.1.1 to 0.1.4.
        """
        try:
            path = Path(str(metadata.distribution("resemblyzer").locate_file("resemblyzer/pretrained.pt")))
        except metadata.PackageNotFoundError as error:
            raise MissingDependencyError(
                "the weights of the speaker encoder are inside resemblyzer; run pip install --no-deps resemblyzer"
            ) from error
        encoder = cls()
        encoder.load_state_dict(_read_weights(path))
        return encoder.requires_grad_(False).eval()

    def forward(
        self, samples: Float[Tensor, "B T"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B {self.width}"]:
        """Compute the speaker embeddings of a batch; differentiable.

        Args:
            samples: Samples at 16 kHz, nominally in [-1, 1].
            lengths: Samples of each clip; T by default. Samples after the end of a clip are ignored.

        Returns:
            Vectors of norm 1, or zero vectors where the network has no activation, as in silence.

        Raises:
            ShapeError: If a clip has no samples.
        """
        sizes = [samples.shape[1]] * samples.shape[0] if lengths is None else lengths.tolist()
        if not sizes or min(sizes) < 1 or max(sizes) > samples.shape[1]:
            raise ShapeError(
                f"clips of {sizes} samples in a batch of shape {tuple(samples.shape)}: each length must be in [1, T]"
            )
        if lengths is not None:
            samples = samples * mask_from_lengths(lengths, samples.shape[1])
        starts = [_segment_starts(size) for size in sizes]
        mel = _mel_power(samples, max(row[-1] for row in starts) + _SEGMENT)
        segments = torch.stack([mel[row, at : at + _SEGMENT] for row, ats in enumerate(starts) for at in ats])
        _, (hidden, _) = self.lstm(segments)
        embeddings = F.normalize(F.relu(self.linear(hidden[-1])), dim=1)
        means = torch.stack([row.mean(0) for row in embeddings.split([len(ats) for ats in starts])])
        return F.normalize(means, dim=1)


def raise_level(samples: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Amplify quiet clips to -30 dB of full scale (root mean square); leave louder clips and silence unchanged.

    The mel spectra of :class:`Ge2eEncoder` are not logarithmic, so its embeddings depend on the level.

    Source:
        ``normalize_volume(..., increase_only=True)`` of Resemblyzer.

    Example:
        >>> [round(level, 4) for level in raise_level(torch.tensor([[0.01, -0.01]]))[0].tolist()]
        [0.0316, -0.0316]
    """
    level = samples.square().mean(1, keepdim=True).sqrt()
    return samples * torch.where(level > 0, (_LEVEL / level.clamp(min=1e-12)).clamp(min=1.0), 1.0)


def _mel_power(samples: Float[Tensor, "B T"], frames: int) -> Float[Tensor, "B S mel"]:
    """Return mel power spectra, at least ``frames`` of them; the first window is centered on the first sample."""
    before = _HOP // 2  # spectra() centers windows on hops, Resemblyzer on the first samples of hops
    frames = max(frames, frames_for(before + samples.shape[1], _HOP))
    padded = F.pad(samples, (before, frames * _HOP - before - samples.shape[1]))
    return spectra(padded, _WINDOW, _HOP).abs().square() @ mel_filters(16_000, _WINDOW, _MELS, device=samples.device)


def _segment_starts(samples: int) -> list[int]:
    """Return the first frames of the segments that cover a clip."""
    frames = frames_for(samples + 1, _HOP)
    starts = list(range(0, max(1, frames - _SEGMENT + _STEP + 1), _STEP))
    covered = (samples / _HOP - starts[-1]) / _SEGMENT
    return starts[:-1] if covered < _COVERAGE and len(starts) > 1 else starts


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        digest = sha256(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); install resemblyzer again") from error
    if digest != _SHA256:
        raise CheckpointError(
            f"{path}: SHA-256 {digest[:12]}…, not the weights known here ({_SHA256[:12]}…); "
            "run pip install --no-deps --force-reinstall resemblyzer==0.1.4"
        )
    state = read_tensors(path)["model_state"]
    return {name: value for name, value in state.items() if not name.startswith("similarity_")}
