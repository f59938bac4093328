"""What is said, as a machine hears it."""

import re
from importlib import metadata

import numpy as np
import torch

from vocable.audio import Audio
from vocable.errors import AudioError, MissingDependencyError
from vocable.evaluate.judges.base import audible
from vocable.features.hub import fetch, short_name
from vocable.metrics.text import normalise

_RATE = 16_000  # Hz, of both
_WHISPER_SECONDS = 30  # that Whisper hears at a time
_VARIANT = re.compile(r"\(\d+\)")  # of a word's pronunciations: "read(2)"


class PocketsphinxRecogniser:
    """CMU PocketSphinx with the English model and trigrams inside its wheel: offline, and weak.

    Report the change against the recording, not the absolute error: on hard read speech it mistakes more than half of
    the words. Of its three passes the second is left out, the first follows 1000 states at most, and two of four
    Gaussians are added up: less than half the time, and some more errors.

    Attributes:
        name: Package and version.

    Raises:
        MissingDependencyError: pocketsphinx is not installed.

    Source:
        Huggins-Daines et al., PocketSphinx, ICASSP 2006; package pocketsphinx (BSD).

    Example:
        >>> PocketsphinxRecogniser().transcribe(Audio(np.zeros(16_000), 16_000))
        ''
    """

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise MissingDependencyError(
                "recognising needs pocketsphinx; run pip install 'vocable[evaluate]'"
            ) from error
        self.name = f"pocketsphinx-{metadata.version('pocketsphinx')}"
        # compallsen: scores of Gaussians that were not looked at would be left over from the clip before
        self._decoder = Decoder(
            loglevel="FATAL", cmn="batch", fwdflat=False, bestpath=True, maxhmmpf=1000, topn=2, compallsen=True
        )

    def transcribe(self, clip: Audio) -> str:
        """Words in lower case; none in silence or in less than a tenth of a second."""
        samples = _samples(clip)
        if samples is None:
            return ""
        pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16).tobytes()
        self._decoder.reinit_feat()  # the front end keeps what it learnt of the clip before
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()
        heard = self._decoder.hyp()
        return normalise(_VARIANT.sub("", heard.hypstr)) if heard else ""


class WhisperRecogniser:
    """Whisper through transformers: greedy, in pieces of 30 s.

    Models for many languages name the language themselves, piece by piece. The text goes through
    :func:`vocable.metrics.text.normalise`, which leaves digits as they are.

    Args:
        name: On the hub, such as ``openai/whisper-small``, or a folder.
        device: Where the network runs.

    Attributes:
        name: Hub name, or the last part of the folder's path.

    Raises:
        MissingDependencyError: transformers is not installed.
        CheckpointError: The model is not at hand.

    Source:
        Radford et al., arXiv:2212.04356.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        try:
            from transformers import WhisperForConditionalGeneration, WhisperProcessor
        except ImportError as error:
            raise MissingDependencyError(f"{name}: needs transformers; run pip install 'vocable[hf]'") from error
        self._processor = fetch(
            name, lambda place, local: WhisperProcessor.from_pretrained(place, local_files_only=local)
        )
        model = fetch(
            name, lambda place, local: WhisperForConditionalGeneration.from_pretrained(place, local_files_only=local)
        )
        self._model = model.eval().to(device)
        self._device = device
        self.name = short_name(name)

    def transcribe(self, clip: Audio) -> str:
        """Words in lower case; none in silence, where Whisper invents some, or in less than a tenth of a second."""
        samples = _samples(clip)
        if samples is None:
            return ""
        said = []
        for start in range(0, samples.size, _WHISPER_SECONDS * _RATE):
            piece = samples[start : start + _WHISPER_SECONDS * _RATE]
            inputs = self._processor(piece, sampling_rate=_RATE, return_tensors="pt", return_attention_mask=True)
            with torch.inference_mode():
                ids = self._model.generate(**inputs.to(self._device), do_sample=False, num_beams=1)
            said += self._processor.batch_decode(ids, skip_special_tokens=True)
        return normalise(" ".join(said))


def _samples(clip: Audio) -> np.ndarray | None:
    """At 16 kHz; None where no words can be."""
    try:
        return audible(clip, _RATE, seconds=0.1)
    except AudioError:
        return None
