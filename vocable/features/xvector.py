"""Speaker embeddings of transformers' x-vector models: WavLM, UniSpeech-SAT, wav2vec 2.0 and similar."""

from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.errors import ShapeError
from vocable.features.hub import load_feature_extractor, load_network, short_name
from vocable.numerics import reproducible


class XVectorEncoder(nn.Module):
    """Frozen encoder from waveforms to speaker embeddings.

    Args:
        model: Model of transformers with an x-vector head.
        extract: Feature extractor of the model, which may normalize clips.
        name: Name in reports.

    Attributes:
        sample_rate: Sample rate of the waveforms that it takes, in Hz.
        shortest: Smallest number of samples of a clip.
        width: Dimension V of a speaker embedding.
        normalize: Whether clips are brought to mean 0 and variance 1.

    Source:
        Snyder et al., X-vectors, ICASSP 2018; Chen et al., WavLM, arXiv:2110.13900, section IV-B.
    """

    sample_rate: Final = 16_000
    shortest: Final = 8_000

    def __init__(self, model: Any, extract: Any, *, name: str) -> None:
        super().__init__()
        self._model, self._extract, self.name = model, extract, name
        self.width, self.normalize = int(model.config.xvector_output_dim), bool(extract.do_normalize)
        self.requires_grad_(False).eval()

    @classmethod
    @reproducible
    def load(cls, name: str, device: str = "cpu") -> "XVectorEncoder":
        """Load a pretrained encoder.

        Args:
            name: Hub name, such as ``microsoft/wavlm-base-plus-sv``, or folder.
            device: Torch device of the encoder.

        Raises:
            MissingDependencyError: If transformers is not installed.
            CheckpointError: If the model cannot be found, has no x-vector head, or takes another sample rate.
        """
        extract = load_feature_extractor(name, cls.sample_rate)
        advice = "give a model trained to verify speakers, such as microsoft/wavlm-base-plus-sv"
        model = load_network(name, "AutoModelForAudioXVector", advice=advice)
        return cls(model, extract, name=short_name(name)).to(device)

    def forward(self, samples: Float[Tensor, "B T"]) -> Float[Tensor, "B V"]:
        """Compute the speaker embeddings of clips of one length, without gradients; their norm is not 1.

        Args:
            samples: Samples at 16 kHz, nominally in [-1, 1]; at least 0.5 s.

        Raises:
            ShapeError: If the clips are shorter.
        """
        if samples.shape[1] < self.shortest:
            raise ShapeError(f"x-vectors need {self.shortest} samples or more, not {samples.shape[1]}")
        clips = [clip.numpy() for clip in samples.detach().cpu()]
        inputs = self._extract(clips, sampling_rate=self.sample_rate, return_tensors="pt")
        with torch.no_grad():
            return self._model(**inputs.to(self._model.device)).embeddings.float()
