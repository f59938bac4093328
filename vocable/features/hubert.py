"""HuBERT, WavLM and wav2vec 2.0: frozen frames, 50 per second, of one layer or the mean of several.

The network is that of transformers. Convolutions, whose norm spans a whole clip, see one clip at a time. The
transformer may take several, whose padding it masks.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from math import prod
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import CheckpointError, ConfigError
from vocable.features.hub import from_transformers, load_feature_extractor, load_network, short_name
from vocable.folder import digest_of
from vocable.numerics import aligned, reproducible
from vocable.shapes import mask_from_lengths

KINDS = ("hubert", "wavlm", "wav2vec2")
_RECEPTIVE_FIELD = 400  # samples of one frame
_UNUSED = "masked_spec_embed"  # a parameter that only training uses


class HubertEncoder:
    """Frozen encoder from speech to frames of 20 ms.

    Frame n covers the samples 320 n to 320 n + 400, so the last part of a clip may have no frame.

    Args:
        model: Model of transformers with hidden states.
        normalize: Whether the checkpoint needs clips of mean 0 and variance 1.
        name: Name in reports.

    Attributes:
        sample_rate: Sample rate of the waveforms that it takes, in Hz.
        hop: Samples between frames.
        frame_rate: Frames per second.
        width: Dimension D of a frame.
        depth: Number of layers.

    Source:
        Hsu et al., HuBERT, arXiv:2106.07447; Chen et al., WavLM, arXiv:2110.13900.
    """

    sample_rate: Final = 16_000
    hop: Final = 320
    frame_rate: Final = 50.0

    def __init__(self, model: Any, *, normalize: bool, name: str = "hubert") -> None:
        self._model, self._normalize, self.name = model.requires_grad_(False).eval(), normalize, name
        self.width, self.depth = int(model.config.hidden_size), int(model.config.num_hidden_layers)
        if (hop := prod(model.config.conv_stride)) != self.hop:
            raise CheckpointError(f"{name}: a frame is {hop} samples, not {self.hop}; use another model")

    @classmethod
    @reproducible
    def load(cls, name: str, device: str = "cpu") -> "HubertEncoder":
        """Load a pretrained encoder.

        Args:
            name: Folder or hub name of transformers with safetensors, such as ``facebook/hubert-base-ls960``.
            device: Torch device of the encoder.

        Raises:
            CheckpointError: If the model cannot be found, lacks weights, or is of another kind.
            MissingDependencyError: If transformers is not installed.
        """
        config = from_transformers(name, "AutoConfig")
        if config.model_type not in KINDS:
            raise CheckpointError(f"{name}: is a {config.model_type}, not one of {', '.join(KINDS)}; use another model")
        model = load_network(name, "AutoModel", unused=(_UNUSED,), use_safetensors=True)
        extract = load_feature_extractor(name, cls.sample_rate)
        return cls(model.to(device), normalize=bool(extract.do_normalize), name=short_name(name))

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return torch.device(self._model.device)

    def to(self, device: str) -> "HubertEncoder":
        """Move the network to a torch device."""
        self._model.to(device)
        return self

    @cached_property
    def digest(self) -> str:
        """Digest of the weights and of how they are used."""
        identity = {"system": "hubert-encoder", "normalise": self._normalize}
        return digest_of(identity, {name: value for name, value in self._model.state_dict().items() if name != _UNUSED})

    @reproducible
    def features(self, clip: Audio, layers: Sequence[int] = (-1,)) -> Float[Tensor, "N D"]:
        """Compute the frames of a whole clip of any sample rate.

        Args:
            clip: Clip of T samples at 16 kHz; N is floor((T - 400) / 320) + 1, or 0 below 25 ms.
            layers: Layers whose mean is returned: 0 is the input of the first layer, ``depth`` (or -1) the last.

        Raises:
            ConfigError: If a layer does not exist.
        """
        self._check_layers(layers)
        samples = self._samples_of(clip)
        if len(samples) < _RECEPTIVE_FIELD:
            return torch.zeros(0, self.width)
        with torch.no_grad():
            hidden = self._model(samples[None].to(self._model.device), output_hidden_states=True).hidden_states
        return torch.stack([hidden[layer][0] for layer in layers]).mean(0)

    @reproducible
    def features_of_batch(self, clips: Sequence[Audio], layers: Sequence[int] = (-1,)) -> list[Float[Tensor, "N D"]]:
        """Compute what :meth:`features` computes of each clip, up to rounding, in one padded batch.

        WavLM takes one clip at a time: torch deprecates the mixed masks that transformers gives it.
        """
        self._check_layers(layers)
        samples = [self._samples_of(clip).to(self.device) for clip in clips]
        if len(clips) < 2 or min(map(len, samples)) < _RECEPTIVE_FIELD or self._model.config.model_type == "wavlm":
            return [self.features(clip, layers) for clip in clips]
        lengths = torch.tensor([len(one) for one in samples], device=self.device)
        padded = torch.nn.utils.rnn.pad_sequence(samples, batch_first=True)
        mask = mask_from_lengths(lengths, padded.shape[1]).long()
        with torch.no_grad(), self._convolving_each_clip(samples) as counts:
            hidden = self._model(padded, attention_mask=mask, output_hidden_states=True).hidden_states
        frames = torch.stack([hidden[layer] for layer in layers]).mean(0)
        return [row[:count] for row, count in zip(frames, counts, strict=True)]

    @contextmanager
    def _convolving_each_clip(self, samples: Sequence[Tensor]) -> Iterator[list[int]]:
        """Let the network's convolutions see one clip at a time in the body; yield the frames of each clip, then."""
        convolutions, counts = self._model.feature_extractor, list[int]()
        forward = convolutions.forward

        def convolve(padded: Tensor) -> Tensor:
            frames = [forward(one[None])[0].T for one in samples]
            counts.extend(map(len, frames))
            return torch.nn.utils.rnn.pad_sequence(frames, batch_first=True).mT

        convolutions.forward = convolve
        try:
            yield counts
        finally:
            del convolutions.forward

    def _check_layers(self, layers: Sequence[int]) -> None:
        if not layers or not all(-self.depth - 1 <= layer <= self.depth for layer in layers):
            raise ConfigError(f"{self.name} has no layers {list(layers)}; it has 0 to {self.depth}")

    def _samples_of(self, clip: Audio) -> Float[Tensor, " T"]:
        samples = aligned(torch.from_numpy(clip.resample(self.sample_rate).samples))
        if self._normalize and len(samples) >= _RECEPTIVE_FIELD:
            samples = (samples - samples.mean()) / (samples.var(correction=0) + 1e-7).sqrt()
        return samples
