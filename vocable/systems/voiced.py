"""Tokenizers that keep the voice as one vector beside their tokens and decode mel spectra through a vocoder."""

import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.audio import Audio
from vocable.errors import AudioError, SpecError
from vocable.interfaces import Mix
from vocable.systems.base import BaseTokenizer
from vocable.systems.describe import HasUsage
from vocable.text.phonemes import PhonemeSet
from vocable.tokens import Tokens
from vocable.vocoders import Vocoder, find_vocoder

MIN_VOICE_SECONDS = 0.5
_Model = TypeVar("_Model", bound=nn.Module)
_Self = TypeVar("_Self", bound=BaseTokenizer[Any])


class VoicedTokenizer(BaseTokenizer[_Model]):
    """A tokenizer that keeps the voice as one vector beside its tokens, and decodes mel spectra through a vocoder.

    Args:
        model: Networks, with a ``config`` that has ``phonemes``, ``mel`` and ``voice_size``.
        vocoder: Name or folder, see :func:`vocable.vocoders.find_vocoder`; the best bundled one by default.
        aliases: Digests of the same weights under earlier formats.

    Attributes:
        phonemes: Phoneme inventory.
        vocoder: Vocoder that renders the decoded spectra.
    """

    def __init__(self, model: _Model, vocoder: str | None = None, *, aliases: Sequence[str] = ()) -> None:
        super().__init__(model, aliases=aliases)
        self.phonemes = PhonemeSet(self.config.phonemes)
        self.vocoder: Vocoder = find_vocoder(vocoder, self.config.mel)

    @abstractmethod
    def latents(self, audio: Audio) -> Float[Tensor, "1 N D"]:
        """Return a clip's latents before quantizing."""

    @abstractmethod
    def spectra(self, tokens: Tokens, voice: Float[Tensor, "1 V"]) -> Float[Tensor, "F S"]:
        """Return the mel spectra of one clip in dB, decoded in a voice."""

    @abstractmethod
    def transcribe(self, tokens: Tokens) -> list[str]:
        """Return the phonemes of one clip, read from its tokens."""

    @property
    @abstractmethod
    def books(self) -> Sequence[HasUsage]:
        """The codebook, as a list of one."""

    @abstractmethod
    def _quantize(self, latents: Float[Tensor, "1 N D"]) -> Int[Tensor, "1 1 N"]:
        """Return the ids of the nearest codebook entries."""

    @abstractmethod
    def _embed_voice(self, samples: Float[Tensor, "1 T"]) -> Float[Tensor, "1 V"]:
        """Return the voice vector of samples that are a whole number of spectra long."""

    @property
    @abstractmethod
    def _voice_samples(self) -> int:
        """Number of samples that the voice is computed from."""

    @torch.inference_mode()
    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        """Encode one clip, with its voice beside the tokens.

        Args:
            audio: Recording at any sample rate.
            text: Transcript, carried along in the tokens; not used.

        Raises:
            AudioError: If the clip is empty.
            CheckpointError: If a network that the tokens depend on is not at hand.
        """
        samples = audio.resample(self.spec.sample_rate).samples
        ids = self._quantize(self.latents(audio).to(self.device)).cpu()
        return self._tokens(ids, samples.size, text, self._voice(samples))

    def decode(self, tokens: Tokens, voice: Audio | None = None) -> Audio:
        """Decode one clip in its own voice or in another; as long as what was encoded.

        Args:
            tokens: Tokens of one clip, made by this tokenizer.
            voice: At least half a second of the speaker to decode as; the voice in the tokens by default.

        Raises:
            SpecError: If the tokens are another tokenizer's, hold several clips, or carry no voice and none is given.
            AudioError: If the voice is too short.
        """
        self.check_clip(tokens)
        vector = self.voice_of(voice)[None] if voice is not None else tokens.voice
        spectra = self.spectra(tokens, check_voice(vector, self.config.voice_size))
        return Audio(self.vocoder.render(spectra)[: int(tokens.samples[0])], self.spec.sample_rate)

    def convert(self, source: Audio, voice: Audio, mix: Mix | None = None) -> Audio:
        """Convert a recording to another voice: decode its tokens with the other voice vector.

        Args:
            source: Recording whose words and timing are kept, at any sample rate.
            voice: At least half a second of the target speaker, at any sample rate.
            mix: Must be None.

        Raises:
            SpecError: If ``mix`` is given.
            AudioError: If the source is empty or the voice too short.
        """
        self.check_mix(mix)
        return self.decode(self.encode(source), voice)

    def check_mix(self, mix: Mix | None) -> None:
        """Check that no mixing of levels is asked for.

        Raises:
            SpecError: If ``mix`` is given.
        """
        if mix is not None:
            raise SpecError(
                f"a {type(self).__name__} keeps the voice beside its tokens and mixes no levels: leave 'levels', "
                "'upto' and 'align' out"
            )

    def voice_of(self, audio: Audio) -> Float[Tensor, " V"]:
        """Return the voice vector of the middle of a recording.

        Raises:
            AudioError: If the recording is shorter than half a second.
        """
        if audio.duration < MIN_VOICE_SECONDS:
            raise AudioError(
                f"the voice is {audio.duration:.2f} s long, at least {MIN_VOICE_SECONDS:g} s are needed; give a longer "
                "recording of the speaker"
            )
        return self.embed_voice(audio)

    def embed_voice(self, audio: Audio) -> Float[Tensor, " V"]:
        """Return the voice vector of the middle of a clip of any duration, without encoding it."""
        return self._voice(audio.resample(self.spec.sample_rate).samples)[0]

    @classmethod
    def load(cls: type[_Self], folder: str | os.PathLike[str], device: str = "cpu", *, vocoder: str | None = None,
             find: Callable[[str], BaseTokenizer[Any]] | None = None) -> _Self:  # fmt: skip
        """Load a model folder that :meth:`save` wrote; see :meth:`BaseTokenizer.load`."""
        stored = cls._read(folder, device)
        return cls(stored.network, vocoder=vocoder, aliases=stored.aliases)  # type: ignore[call-arg]

    @torch.inference_mode()
    def _voice(self, samples: Float[np.ndarray, " T"]) -> Float[Tensor, "1 V"]:
        """Return the voice vector of the middle of a clip, padded to a whole number of spectra."""
        self.model.eval()
        first = max(0, (samples.size - self._voice_samples) // 2)
        middle = samples[first : first + self._voice_samples]
        padded = np.pad(middle, (0, -middle.size % self.config.mel.hop))
        return self._embed_voice(torch.from_numpy(padded)[None].to(self.device)).float().cpu()


def check_voice(voice: Float[Tensor, "B V"] | None, size: int) -> Float[Tensor, "B V"]:
    """Return a voice vector that can be decoded with.

    Args:
        voice: Vector of each clip, from tokens or from a recording.
        size: Dimension that it must have.

    Raises:
        SpecError: If there is none, it has another dimension, or a value is not finite.
    """
    if voice is None or voice.shape[1] != size or not bool(voice.isfinite().all()):
        raise SpecError("these tokens carry no usable voice; pass `voice`, a recording of the speaker to decode as")
    return voice
