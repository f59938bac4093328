"""What HuBERT, WavLM and wav2vec 2.0 hear: frozen frames, 50 a second, of one layer or the mean of several.

The network is transformers'; only whole clips go through it, so that no padding has to be left out.
"""

from collections.abc import Sequence
from functools import cached_property
from math import prod
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import CheckpointError, ConfigError, MissingDependencyError
from vocable.features.hub import fetch, short_name
from vocable.folder import digest_of

KINDS = ("hubert", "wavlm", "wav2vec2")
_FIELD = 400  # samples under one frame
_UNUSED = "masked_spec_embed"  # of training alone


class HubertEncoder:
    """Speech to frames of 20 ms; frame n is heard in samples 320 n to 320 n + 400, so the last part of one has none.

    Args:
        model: Of transformers, with hidden states.
        normalise: The checkpoint wants clips of mean 0 and variance 1.
        name: In reports.

    Attributes:
        sample_rate: Of the waveforms it takes, in Hz.
        hop: Samples between frames.
        frame_rate: Frames a second.
        width: Of a frame, D.
        depth: Layers.

    Source:
        Hsu et al., HuBERT, arXiv:2106.07447; Chen et al., WavLM, arXiv:2110.13900.
    """

    sample_rate: Final = 16_000
    hop: Final = 320
    frame_rate: Final = 50.0

    def __init__(self, model: Any, *, normalise: bool, name: str = "hubert") -> None:
        self._model, self._normalise, self.name = model.requires_grad_(False).eval(), normalise, name
        self.width, self.depth = int(model.config.hidden_size), int(model.config.num_hidden_layers)
        if (hop := prod(model.config.conv_stride)) != self.hop:
            raise CheckpointError(f"{name}: a frame is {hop} samples, not {self.hop}; take another model")

    @classmethod
    def load(cls, name: str, device: str = "cpu") -> "HubertEncoder":
        """A pretrained encoder, frozen.

        Args:
            name: A folder or a hub name of transformers with safetensors, such as ``facebook/hubert-base-ls960``.
            device: Where it runs.

        Raises:
            CheckpointError: The model is not at hand, lacks weights, or is of another kind.
            MissingDependencyError: transformers is not installed.
        """
        try:
            from transformers import AutoConfig, AutoFeatureExtractor, AutoModel
        except ImportError as error:
            raise MissingDependencyError(f"{name}: needs transformers; run pip install 'vocable[hf]'") from error
        config = fetch(name, lambda place, local: AutoConfig.from_pretrained(place, local_files_only=local))
        if config.model_type not in KINDS:
            raise CheckpointError(f"{name}: is a {config.model_type}, not one of {', '.join(KINDS)}")

        def load(place: str, local: bool) -> Any:
            return AutoModel.from_pretrained(
                place, local_files_only=local, use_safetensors=True, output_loading_info=True
            )

        model, found = fetch(name, load)
        if lost := sorted(key for key in found["missing_keys"] if key != _UNUSED):
            raise CheckpointError(f"{name}: {len(lost)} parameters are not in it, such as {lost[0]}; copy it again")
        extract = fetch(name, lambda place, local: AutoFeatureExtractor.from_pretrained(place, local_files_only=local))
        if extract.sampling_rate != cls.sample_rate:
            raise CheckpointError(f"{name}: hears {extract.sampling_rate} Hz, {cls.sample_rate} is wanted")
        return cls(model.to(device), normalise=bool(extract.do_normalize), name=short_name(name))

    @cached_property
    def digest(self) -> str:
        """Name of these very weights and of how they are used."""
        known = {"system": "hubert-encoder", "normalise": self._normalise}
        return digest_of(known, {name: value for name, value in self._model.state_dict().items() if name != _UNUSED})

    def features(self, clip: Audio, layers: Sequence[int] = (-1,)) -> Float[Tensor, "N D"]:
        """The frames of a clip of any rate, heard as a whole.

        Args:
            clip: N is floor((samples at 16 kHz - 400) / 320) + 1; none under 25 ms.
            layers: Whose mean is taken; 0 is what goes into the first, ``depth`` (or -1) the last.

        Raises:
            ConfigError: There is no such layer.
        """
        if not layers or not all(-self.depth - 1 <= layer <= self.depth for layer in layers):
            raise ConfigError(f"{self.name}: there is no layer {list(layers)}; there are 0 to {self.depth}")
        samples = torch.from_numpy(clip.resample(self.sample_rate).samples)
        if len(samples) < _FIELD:
            return torch.zeros(0, self.width)
        if self._normalise:
            samples = (samples - samples.mean()) / (samples.var(correction=0) + 1e-7).sqrt()
        with torch.no_grad():
            heard = self._model(samples[None].to(self._model.device), output_hidden_states=True).hidden_states
        return torch.stack([heard[layer][0] for layer in layers]).mean(0)
