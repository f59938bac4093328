"""Interfaces of tokenizers, as protocols: a class that has the methods needs no base class.

:class:`Tokenizer` is what every tokenizer does. The others name what some do beyond that, and :mod:`vocable.apps`
accepts any tokenizer that follows the one it needs.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from jaxtyping import Float, Int
from numpy import ndarray
from pydantic import Field
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import ConfigError
from vocable.schema import config
from vocable.tokens import Tokens, TokenSpec


@runtime_checkable
class ClipTokenizer(Protocol):
    """Encoding and decoding of one clip."""

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        """Encode one clip (B = 1); audio of another sample rate is resampled.

        Args:
            audio: Recording at any sample rate.
            text: Transcript, where it is known.

        Raises:
            AudioError: If the clip cannot be used.
            TextError: If the text cannot be used, or is missing and this tokenizer needs it.
        """

    def decode(self, tokens: Tokens, voice: Any = None) -> Audio:
        """Decode one clip to audio as long as the clip that was encoded.

        Args:
            tokens: Tokens of one clip, made by this tokenizer.
            voice: Recording of the speaker to decode as, or a voice vector (V,), where the tokenizer keeps the voice
                beside its tokens.

        Raises:
            SpecError: If the tokens are another tokenizer's, or of more than one clip.
        """


@runtime_checkable
class Tokenizer(ClipTokenizer, Protocol):
    """A tokenizer: speech to tokens and back."""

    @property
    def spec(self) -> TokenSpec:
        """Rates and sizes of the tokens with all levels."""

    @property
    def digest(self) -> str:
        """Digest of configuration and weights: equal digests give equal tokens."""

    def encode_batch(self, clips: Sequence[Audio], texts: Sequence[str | None] | None = None) -> Tokens:
        """Encode many clips; each has the tokens that it has alone.

        Args:
            clips: At least one clip.
            texts: Transcript of each clip, None where there is none.

        Raises:
            ShapeError: If there is no clip, or not one text for each; errors of :meth:`encode`, too.
        """

    def decode_batch(self, tokens: Tokens) -> list[Audio]:
        """Decode many clips; each is the same as alone."""

    def save(self, folder: Path) -> None:
        """Write a folder from which ``vocable.load`` makes this tokenizer again."""


@runtime_checkable
class NeedsOthers(Protocol):
    """A tokenizer that may need other models than its own, and can say before any work that they are missing."""

    def check_encoding(self) -> None:
        """Load what encoding needs; a CheckpointError or MissingDependencyError says what is missing."""

    def check_decoding(self) -> None:
        """Load what decoding needs."""


@runtime_checkable
class Streaming(Protocol):
    """A tokenizer of finite receptive field: it encodes long audio block by block, in constant memory."""

    def encode_blocks(self, blocks: Iterable[Float[ndarray, " T"]]) -> Tokens:
        """Encode one clip that comes as blocks at ``spec.sample_rate``; the block sizes do not change the tokens."""

    def decode_blocks(self, tokens: Tokens) -> Iterable[ndarray]:
        """Decode one clip as blocks of samples."""


@runtime_checkable
class Embedding(Protocol):
    """A tokenizer whose ids stand for vectors, which probes and pictures use."""

    def embed(self, tokens: Tokens, levels: Sequence[int] | None = None) -> Float[Tensor, "B N D"]:
        """Return the sum of the codebook vectors of some levels, 0 behind a clip's end.

        Args:
            tokens: Tokens of this tokenizer.
            levels: Levels to sum, 1 is the first; all by default.

        Raises:
            SpecError: If the tokens are another tokenizer's, or lack one of the levels.
        """


@runtime_checkable
class TokenGenerator(Protocol):
    """A tokenizer with a prior over its tokens: it scores them and samples new ones."""

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """Values of each condition that the prior takes; empty for an unconditional prior."""

    def sample(
        self, conditions: Sequence[Mapping[str, object]], /, *, seed: int = 0, temperature: float | None = None,
        top_k: int | None = None, top_p: float | None = None, guidance: float | None = None,
    ) -> Tokens:  # fmt: skip
        """Sample the tokens of one utterance for each mapping of conditions to labels.

        A condition that is missing in a mapping is sampled; one that is None is left open.

        Raises:
            ConfigError: If a condition or label is unknown.
            CheckpointError: If the prior is not trained, or was trained on another codebook.
        """

    def score(
        self, tokens: Tokens, conditions: Sequence[Mapping[str, object]] | None = None, /
    ) -> Float[Tensor, "B N"]:
        """Return the log-likelihood of each id in nats, given the ids before it and its conditions."""

    def decode_batch(self, tokens: Tokens) -> list[Audio]:
        """Decode many clips; each is the same as alone."""


@runtime_checkable
class PhonemeInventory(Protocol):
    """Phonemes that a model distinguishes, such as a :class:`vocable.text.phonemes.PhonemeSet`."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols in the order of their ids; the first is silence."""


@runtime_checkable
class HasVoice(ClipTokenizer, Protocol):
    """A tokenizer that keeps the voice beside its tokens: the same tokens decode in any voice."""

    def voice_of(self, audio: Audio) -> Float[Tensor, " V"]:
        """Return the voice vector of a recording; one that is too short raises an AudioError."""


@runtime_checkable
class HasNamedVoices(Protocol):
    """A tokenizer that comes with voices of its own."""

    @property
    def voices(self) -> Mapping[str, Float[Tensor, " V"]]:
        """Voice vectors by name, in alphabetical order; they take the place of a recording of the speaker."""


@config
class Mix:
    """Settings of a converter that mixes the levels of two recordings.

    Attributes:
        levels: Number of levels taken from the source, from the first; the others are the voice's.
        upto: Last level taken from the voice; those after it are left out. All by default.
        align: Pairing of frames. ``repeat`` repeats the voice to the source's length, or cuts it. ``dtw`` aligns it
            with the source, for a recording of the same words.
    """

    levels: Annotated[int, Field(ge=1)] = 1
    upto: int | None = None
    align: Literal["repeat", "dtw"] = "repeat"

    def __post_init__(self) -> None:
        if self.upto is not None and self.upto <= self.levels:
            raise ConfigError(f"upto is {self.upto}: it must be greater than levels, {self.levels}")


@runtime_checkable
class VoiceConverter(Protocol):
    """A tokenizer that converts a recording to another voice."""

    def convert(self, source: Audio, voice: Any, mix: Mix | None = None) -> Audio:
        """Convert a recording to another voice.

        Args:
            source: Recording whose words and timing are kept, at any sample rate.
            voice: Recording of the target speaker, at any sample rate; for a :class:`HasVoice` also a voice vector.
            mix: How levels are mixed, for tokenizers that keep the voice in their levels; see :meth:`check_mix`.

        Raises:
            AudioError: If a recording is too short.
        """

    def check_mix(self, mix: Mix | None) -> None:
        """Raise a SpecError if the tokenizer mixes no levels, or does not have those that are named."""


@runtime_checkable
class TextToSpeech(HasVoice, Protocol):
    """A tokenizer that makes tokens from phonemes alone."""

    @property
    def phonemes(self) -> PhonemeInventory:
        """Phonemes that it synthesizes."""

    def speak(self, phonemes: Sequence[str], voice: Audio | Float[Tensor, " V"], *, seed: int = 0) -> Tokens:
        """Make the tokens of a phoneme sequence in a voice.

        Args:
            phonemes: Symbols of the inventory.
            voice: Recording of the speaker, or a voice vector.
            seed: Seed of durations and of everything else that is sampled.

        Raises:
            TextError: If there are no phonemes, or one is not in the inventory.
            AudioError: If the voice is too short.
            CheckpointError: If the part that synthesizes is not trained.
        """


@runtime_checkable
class PhonemeRecognizer(Protocol):
    """A tokenizer from whose tokens phonemes are recognized."""

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        """Encode one clip."""

    @property
    def phonemes(self) -> PhonemeInventory:
        """Phonemes that it recognizes."""

    def phoneme_path(self, tokens: Tokens) -> Int[Tensor, " S"]:
        """Return the phoneme id at each of S positions, evenly spaced over one clip."""


@runtime_checkable
class TimedWord(Protocol):
    """A word with its span of time, such as a :class:`vocable.data.alignment.record.Segment`."""

    @property
    def symbol(self) -> str:
        """The word, in lower case."""

    @property
    def start(self) -> float:
        """Start in seconds."""

    @property
    def end(self) -> float:
        """End in seconds."""


@runtime_checkable
class LexiconRecognizer(PhonemeRecognizer, Protocol):
    """A phoneme recognizer that also finds words: by a lexicon and a language model, in its probabilities."""

    def transcribe_words(self, tokens: Tokens) -> Sequence[TimedWord]:
        """Return the words of one clip, with their times."""


@runtime_checkable
class WordEditor(ClipTokenizer, Protocol):
    """A tokenizer whose tokens stand for the words of a text, so that words can be taken from another recording."""

    def words(self, tokens: Tokens) -> list[str]:
        """Return the words of one clip."""

    def seconds(self, tokens: Tokens) -> list[float]:
        """Return the duration of each word in seconds."""

    def swap_words(self, tokens: Tokens, donor: Tokens, first: int, last: int) -> Tokens:
        """Replace the tokens of some words by those of another clip.

        Args:
            tokens: Tokens of the clip to edit.
            donor: Tokens of a clip with the same words at these places.
            first: First word to replace, counted from 1.
            last: Last word to replace, inclusive.

        Raises:
            SpecError: If there are no such words.
            TextError: If the words differ.
        """


@runtime_checkable
class LikelihoodScorer(WordEditor, Protocol):
    """A :class:`WordEditor` that also scores how likely a recording is, given a text."""

    def score(self, audio: Audio, text: str, *, text_only: bool = False) -> Float[Tensor, " N"]:
        """Return the log-likelihood of each unit of a recording in nats, given the units before it.

        Args:
            audio: Recording at any sample rate.
            text: Candidate transcript.
            text_only: Whether to withhold the recording's embedding, so that the text alone predicts the units.

        Raises:
            TextError: If the text has no letters.
        """


@dataclass(frozen=True, kw_only=True)
class Recognition:
    """Words that a recognizer returned for a clip, and how far to trust them.

    Attributes:
        text: Words as the recognizer writes them; empty if there are none.
        log_probability: Mean natural logarithm of the probability of a token; NaN if it is not known.
        is_loop: Whether the recognizer repeated itself until it was stopped, or the text repeats a phrase.
    """

    text: str
    log_probability: float = math.nan
    is_loop: bool = False


@runtime_checkable
class SpeechRecognizer(Protocol):
    """Recognizer of the words of a recording."""

    name: str

    def transcribe(self, clip: Audio) -> str:
        """Return the words in lower case with single spaces, empty if there are none.

        The result does not depend on clips that were transcribed before.
        """
        ...


@runtime_checkable
class DetailedRecognizer(SpeechRecognizer, Protocol):
    """Recognizer that also tells how far to trust the words."""

    def recognize(self, clip: Audio) -> Recognition:
        """Return the words as the recognizer writes them, with their probability."""
        ...
