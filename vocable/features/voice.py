"""Who speaks, as a vector: the GE2E speaker encoder of Resemblyzer in torch, so that gradients reach the waveform.

The weights lie inside the ``resemblyzer`` wheel and are read there; the package itself is never imported, and neither
librosa nor webrtcvad, which it needs, need be installed.
"""

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.errors import CheckpointError, MissingDependencyError, ShapeError
from vocable.features.pickled import read_pickled
from vocable.features.spectrogram import mel_filters, spectra
from vocable.shapes import frames_for, mask_from_lengths

_HOP = 160  # samples: 10 ms
_WINDOW = 400  # samples: 25 ms
_MELS = 40
_WIDTH = 256
_PARTIAL = 160  # frames: 1.6 s
_STEP = 77  # frames between partials: 1.3 a second
_COVERAGE = 0.75  # of the last partial, which is left out if less of it is speech
_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"  # of Resemblyzer 0.1.1 to 0.1.4
_LEVEL = 10 ** (-30 / 20)  # root mean square, -30 dB of full scale


class Ge2eEncoder(nn.Module):
    """Waveforms to voices: mel spectra, partials of 1.6 s through three LSTMs, their mean.

    Equals ``embed_utterance`` of Resemblyzer for one clip. That package's ``preprocess_wav`` comes before it: of its
    two steps, :func:`raise_level` is offered here, and cutting out silences (webrtcvad) is not: it has no gradient.

    Attributes:
        sample_rate: Of the waveforms it takes, in Hz.
        width: Of a voice.

    Source:
        Wan et al., Generalized end-to-end loss for speaker verification, arXiv:1710.10467; the weights are those of
        github.com/resemble-ai/Resemblyzer (Apache-2.0).

    Example:
        >>> encoder = Ge2eEncoder()  # random: Ge2eEncoder.pretrained() reads the weights of the wheel
        >>> voices = encoder(torch.zeros(2, 24_000).uniform_(-0.1, 0.1), torch.tensor([24_000, 8_000]))
        >>> voices.shape, voices.norm(dim=1).round(decimals=4).tolist()
        (torch.Size([2, 256]), [1.0, 1.0])
    """

    sample_rate: Final = 16_000
    width: Final = _WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_MELS, _WIDTH, num_layers=3, batch_first=True)
        self.linear = nn.Linear(_WIDTH, _WIDTH)

    @classmethod
    def pretrained(cls) -> "Ge2eEncoder":
        """The encoder with the weights inside the installed ``resemblyzer`` wheel, frozen.

        Raises:
            MissingDependencyError: The wheel is not installed.
            CheckpointError: Its weights are other ones than those known here.
        """
        try:
            path = Path(str(metadata.distribution("resemblyzer").locate_file("resemblyzer/pretrained.pt")))
        except metadata.PackageNotFoundError as error:
            raise MissingDependencyError(
                "the voice encoder's weights come inside resemblyzer; run pip install --no-deps resemblyzer"
            ) from error
        encoder = cls()
        encoder.load_state_dict(_read_weights(path))
        return encoder.requires_grad_(False).eval()

    def forward(
        self, samples: Float[Tensor, "B T"], lengths: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B {self.width}"]:
        """The voices of a batch; differentiable.

        Args:
            samples: At 16 kHz, nominally in [-1, 1].
            lengths: Samples of each clip; all of them by default. What lies behind a clip does not count.

        Returns:
            Of length 1; the zero vector where the network hears nothing at all, as it does in silence.

        Raises:
            ShapeError: A clip has no samples.
        """
        sizes = [samples.shape[1]] * samples.shape[0] if lengths is None else lengths.tolist()
        if not sizes or min(sizes) < 1 or max(sizes) > samples.shape[1]:
            raise ShapeError(f"voices: clips of {sizes} samples in a batch of {tuple(samples.shape)}; 1 to T is wanted")
        if lengths is not None:
            samples = samples * mask_from_lengths(lengths, samples.shape[1])
        starts = [_partial_starts(size) for size in sizes]
        mel = _mel(samples, max(ends[-1] for ends in starts) + _PARTIAL)
        parts = torch.stack([mel[row, at : at + _PARTIAL] for row, ats in enumerate(starts) for at in ats])
        _, (hidden, _) = self.lstm(parts)
        voices = F.normalize(F.relu(self.linear(hidden[-1])), dim=1)
        means = torch.stack([part.mean(0) for part in voices.split([len(ats) for ats in starts])])
        return F.normalize(means, dim=1)


def raise_level(samples: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Quiet clips as loud as -30 dB of full scale (root mean square); louder ones, and silence, as they are.

    The mel spectra of :class:`Ge2eEncoder` are no logarithms: to it a quiet voice is another voice.

    Source:
        ``normalize_volume(..., increase_only=True)`` of Resemblyzer.

    Example:
        >>> [round(level, 4) for level in raise_level(torch.tensor([[0.01, -0.01]]))[0].tolist()]
        [0.0316, -0.0316]
    """
    level = samples.square().mean(1, keepdim=True).sqrt()
    return samples * torch.where(level > 0, (_LEVEL / level.clamp(min=1e-12)).clamp(min=1.0), 1.0)


def _mel(samples: Float[Tensor, "B T"], frames: int) -> Float[Tensor, "B S mel"]:
    """Mel power spectra, the first window centred on the first sample; at least so many frames."""
    before = _HOP // 2  # spectra() centres windows on hops, this mel on their first samples
    frames = max(frames, frames_for(before + samples.shape[1], _HOP))
    padded = F.pad(samples, (before, frames * _HOP - before - samples.shape[1]))
    return spectra(padded, _WINDOW, _HOP).abs().square() @ mel_filters(16_000, _WINDOW, _MELS, device=samples.device)


def _partial_starts(samples: int) -> list[int]:
    """First frames of the partials that cover a clip."""
    frames = frames_for(samples + 1, _HOP)
    starts = list(range(0, max(1, frames - _PARTIAL + _STEP + 1), _STEP))
    covered = (samples / _HOP - starts[-1]) / _PARTIAL
    return starts[:-1] if covered < _COVERAGE and len(starts) > 1 else starts


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); install resemblyzer again") from error
    if digest != _SHA256:
        raise CheckpointError(
            f"{path}: SHA-256 {digest[:12]}…, not the weights known here ({_SHA256[:12]}…); "
            "run pip install --no-deps --force-reinstall resemblyzer==0.1.4"
        )
    state = read_pickled(path)["model_state"]
    return {name: value for name, value in state.items() if not name.startswith("similarity_")}
