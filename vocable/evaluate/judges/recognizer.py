"""Scorers of the words that are chosen by name: PocketSphinx and Whisper."""

import re
from importlib import metadata
from typing import Final

import numpy as np
import torch

from vocable.audio import Audio
from vocable.errors import MissingDependencyError
from vocable.evaluate.judges.base import SAMPLE_RATE, speech_samples
from vocable.features.hub import from_transformers, short_name
from vocable.interfaces import Recognition
from vocable.metrics.text import normalize, repeats_itself

_WHISPER_SAMPLES = 30 * SAMPLE_RATE  # longest input of Whisper
_VARIANT = re.compile(r"\(\d+\)")  # number of a pronunciation: "read(2)"


class PocketsphinxRecognizer:
    """CMU PocketSphinx with the English model and trigrams of its wheel: offline, and weak.

    Report the change against the recording, not the absolute error: on hard read speech it mistakes more than half of
    the words. The second of its three passes is left out, the first follows at most 1000 states, and two of four
    Gaussians are summed. This halves the time and adds some errors.

    Attributes:
        name: Package and version.
        language: Language that it recognizes.

    Source:
        Huggins-Daines et al., PocketSphinx, ICASSP 2006; package pocketsphinx (BSD).

    Example:
        >>> PocketsphinxRecognizer().transcribe(Audio(np.zeros(16_000), 16_000))
        ''
    """

    language: Final = "en"

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise MissingDependencyError(
                "recognition needs pocketsphinx; run pip install 'vocable[evaluate]'"
            ) from error
        self.name = f"pocketsphinx-{metadata.version('pocketsphinx')}"
        # compallsen: otherwise scores of Gaussians that are skipped are left over from the clip before
        self._decoder = Decoder(
            loglevel="FATAL", cmn="batch", fwdflat=False, bestpath=True, maxhmmpf=1000, topn=2, compallsen=True
        )

    def transcribe(self, clip: Audio) -> str:
        """Return the words in lower case; none for silence and for less than a tenth of a second."""
        samples = speech_samples(clip)
        if samples is None:
            return ""
        pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16).tobytes()
        self._decoder.reinit_feat()  # otherwise the front end keeps the mean of the clip before
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        return normalize(_VARIANT.sub("", hypothesis.hypstr)) if hypothesis else ""


class WhisperRecognizer:
    """Whisper of the transformers package: greedy decoding, in segments of 30 s.

    Multilingual models detect the language of each segment. The text goes through
    :func:`vocable.metrics.text.normalize`, which leaves digits as they are.

    Args:
        name: Hub name, such as ``openai/whisper-small``, or a folder.
        device: Torch device of the network.

    Attributes:
        name: Hub name, or the last part of the folder's path.
        language: ``en`` for the models of English alone; None for the others.

    Source:
        Radford et al., arXiv:2212.04356.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        self._processor = from_transformers(name, "WhisperProcessor")
        self._model = from_transformers(name, "WhisperForConditionalGeneration").eval().to(device)
        self._device = device
        self.name = short_name(name)
        self.language = None if getattr(self._model.generation_config, "is_multilingual", True) else "en"

    def transcribe(self, clip: Audio) -> str:
        """Return the words in lower case; none for silence, where Whisper invents some, and for less than 0.1 s."""
        return normalize(self.recognize(clip).text)

    def recognize(self, clip: Audio) -> Recognition:
        """Return the words as Whisper writes them, with digits and punctuation; their probability is not computed."""
        samples = speech_samples(clip)
        if samples is None:
            return Recognition(text="")
        texts: list[str] = []
        for start in range(0, samples.size, _WHISPER_SAMPLES):
            segment = samples[start : start + _WHISPER_SAMPLES]
            inputs = self._processor(
                segment, sampling_rate=SAMPLE_RATE, return_tensors="pt", return_attention_mask=True
            )
            with torch.inference_mode():
                ids = self._model.generate(**inputs.to(self._device), do_sample=False, num_beams=1)
            texts += self._processor.batch_decode(ids, skip_special_tokens=True)
        text = " ".join(" ".join(texts).split())
        return Recognition(text=text, is_loop=repeats_itself(text))
