"""Who speaks, as a vector: transformers' models with x-vectors (WavLM, UniSpeech-SAT, wav2vec 2.0 and their kin)."""

from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.errors import CheckpointError, MissingDependencyError, ShapeError
from vocable.features.hub import fetch, short_name


class XVectorEncoder(nn.Module):
    """Waveforms to voices, frozen.

    Args:
        model: Of transformers, with a head for speakers.
        extract: Its feature extractor, which may want clips of mean 0 and variance 1.
        name: In reports.

    Attributes:
        sample_rate: Of the waveforms it takes, in Hz.
        shortest: Samples that it needs at least.
        width: Of a voice.
        normalise: Clips are brought to mean 0 and variance 1 first.

    Source:
        Snyder et al., X-vectors, ICASSP 2018; Chen et al., WavLM, arXiv:2110.13900, section IV-B.
    """

    sample_rate: Final = 16_000
    shortest: Final = 8_000

    def __init__(self, model: Any, extract: Any, *, name: str) -> None:
        super().__init__()
        if extract.sampling_rate != self.sample_rate:
            raise CheckpointError(f"{name}: hears {extract.sampling_rate} Hz, {self.sample_rate} is wanted")
        self._model, self._extract, self.name = model, extract, name
        self.width, self.normalise = int(model.config.xvector_output_dim), bool(extract.do_normalize)
        self.requires_grad_(False).eval()

    @classmethod
    def load(cls, name: str, device: str = "cpu") -> "XVectorEncoder":
        """A pretrained encoder.

        Args:
            name: On the hub, such as ``microsoft/wavlm-base-plus-sv``, or a folder.
            device: Where it runs.

        Raises:
            MissingDependencyError: transformers is not installed.
            CheckpointError: The model is not at hand, has no head for speakers, or hears another rate.
        """
        try:
            from transformers import AutoFeatureExtractor, AutoModelForAudioXVector
        except ImportError as error:
            raise MissingDependencyError(f"{name}: needs transformers; run pip install 'vocable[hf]'") from error
        extract = fetch(name, lambda place, local: AutoFeatureExtractor.from_pretrained(place, local_files_only=local))
        model, found = fetch(
            name,
            lambda place, local: AutoModelForAudioXVector.from_pretrained(
                place, local_files_only=local, output_loading_info=True
            ),
        )
        if lost := sorted(found["missing_keys"]):
            raise CheckpointError(
                f"{name}: {len(lost)} parameters are not in it, such as {lost[0]}; give a model trained to verify "
                "speakers, such as microsoft/wavlm-base-plus-sv"
            )
        return cls(model, extract, name=short_name(name)).to(device)

    def forward(self, samples: Float[Tensor, "B T"]) -> Float[Tensor, "B V"]:
        """The voices of clips of one length, of any length (norm); no gradient comes back.

        Args:
            samples: At 16 kHz, nominally in [-1, 1]; 0.5 s at least.

        Raises:
            ShapeError: The clips are shorter.
        """
        if samples.shape[1] < self.shortest:
            raise ShapeError(f"x-vectors need {self.shortest} samples or more, not {samples.shape[1]}")
        clips = [clip.numpy() for clip in samples.detach().cpu()]
        inputs = self._extract(clips, sampling_rate=self.sample_rate, return_tensors="pt")
        with torch.no_grad():
            return self._model(**inputs.to(self._model.device)).embeddings.float()
