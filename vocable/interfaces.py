"""What a tokenizer owes the rest of the house. These are protocols: no base class is needed."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.audio import Audio
from vocable.tokens import Tokens, TokenSpec


@runtime_checkable
class Tokenizer(Protocol):
    """Speech to tokens and back."""

    @property
    def spec(self) -> TokenSpec:
        """What one token covers and carries, with all levels."""
        ...

    @property
    def digest(self) -> str:
        """Name of these very weights: equal digests, equal tokens."""
        ...

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        """Tokens of one clip (B = 1); audio of another rate is resampled.

        Raises:
            AudioError: The clip cannot be used.
            TextError: The text cannot be used, or there is none and this tokenizer needs it.
        """
        ...

    def decode(self, tokens: Tokens, voice: Audio | None = None) -> Audio:
        """Speech of one clip, as long as the clip that was encoded.

        Raises:
            SpecError: The tokens are another tokenizer's, or of more than one clip.
        """
        ...

    def encode_batch(self, clips: Sequence[Audio], texts: Sequence[str | None] | None = None) -> Tokens:
        """Tokens of many clips, each the same as alone.

        Args:
            clips: At least one.
            texts: What is said in each, where that is known.

        Raises:
            AudioError: A clip cannot be used.
            TextError: As :meth:`encode`.
            ShapeError: There is no clip, or not one text for each.
        """
        ...

    def decode_batch(self, tokens: Tokens) -> list[Audio]:
        """Speech of many clips, each the same as alone."""
        ...

    def save(self, folder: Path) -> None:
        """Write a folder from which ``vocable.load`` makes this tokenizer again."""
        ...


@runtime_checkable
class Streaming(Protocol):
    """A tokenizer whose receptive field is finite: long audio in constant memory, with the tokens of the whole."""

    def encode_blocks(self, blocks: Iterable[Float[ndarray, " T"]]) -> Tokens:
        """Tokens of one clip given piece by piece at ``spec.sample_rate``; the cuts do not matter."""
        ...

    def decode_blocks(self, tokens: Tokens) -> Iterable[np.ndarray]:
        """Samples of one clip piece by piece."""
        ...


@runtime_checkable
class Embedding(Protocol):
    """A tokenizer whose ids stand for vectors, which probes and pictures look at."""

    def embed(self, tokens: Tokens, levels: Sequence[int] | None = None) -> Float[Tensor, "B N D"]:
        """Sum of the codebook vectors of these levels (1 is the first; all by default); 0 behind a clip's end.

        Raises:
            SpecError: The tokens are another tokenizer's, or lack one of the levels.
        """
        ...


@runtime_checkable
class Generator(Protocol):
    """A tokenizer with a prior: it says how likely tokens are, and draws new ones."""

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """What can be asked for: for each condition its values; empty where nothing can."""
        ...

    def sample(
        self, wanted: Sequence[Mapping[str, object]], *, seed: int = 0, temperature: float | None = None,
        top_k: int | None = None, top_p: float | None = None, guidance: float | None = None,
    ) -> Tokens:  # fmt: skip
        """Draw the tokens of one utterance for each mapping of conditions to labels.

        A condition that is not named is drawn; one that is None is left open.

        Raises:
            ConfigError: A condition or label is not known.
            CheckpointError: The prior is not trained, or on another codebook.
        """
        ...

    def score(self, tokens: Tokens, wanted: Sequence[Mapping[str, object]] | None = None) -> Float[Tensor, "B N"]:
        """Log-likelihood of each id, in nats, given those before it and what is known of the utterance."""
        ...

    def decode_batch(self, tokens: Tokens) -> list[Audio]:
        """Speech of many clips."""
        ...


@runtime_checkable
class Inventory(Protocol):
    """The phonemes that a model knows, such as a :class:`vocable.text.phonemes.PhonemeSet`."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """In the order of their ids; the first is silence."""
        ...


@runtime_checkable
class Voiced(Protocol):
    """A tokenizer that keeps the voice beside its tokens: what is said can be decoded in any voice."""

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        """Tokens of one clip."""
        ...

    def decode(self, tokens: Tokens, voice: Audio | None = None) -> Audio:
        """Speech of one clip, in its own voice or in that of another recording."""
        ...

    def voice_of(self, audio: Audio) -> Float[Tensor, " V"]:
        """The voice heard in a recording.

        Raises:
            AudioError: It is too short to tell.
        """
        ...


@runtime_checkable
class Speaker(Voiced, Protocol):
    """A tokenizer that makes tokens of phonemes which nobody said."""

    @property
    def phonemes(self) -> Inventory:
        """What it can say."""
        ...

    def speak(self, phonemes: Sequence[str], voice: Audio, *, seed: int = 0) -> Tokens:
        """Tokens of phonemes in a voice.

        Raises:
            TextError: There are none, or one is not in the inventory.
            AudioError: The voice is too short.
            CheckpointError: What it speaks with is not trained.
        """
        ...


@runtime_checkable
class Recogniser(Protocol):
    """A tokenizer whose tokens tell which phonemes are said."""

    @property
    def phonemes(self) -> Inventory:
        """What it can tell apart."""
        ...

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        """Tokens of one clip."""
        ...

    def phoneme_path(self, tokens: Tokens) -> Int[Tensor, " S"]:
        """The phoneme's place in the inventory, S times at equal distances over one clip."""
        ...


@runtime_checkable
class Editor(Protocol):
    """A tokenizer whose tokens stand for the words of a text: words can be said as another recording says them."""

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        """Tokens of one clip and its text."""
        ...

    def decode(self, tokens: Tokens, voice: Audio | None = None) -> Audio:
        """Speech of one clip."""
        ...

    def words(self, tokens: Tokens) -> list[str]:
        """The words of one clip."""
        ...

    def seconds(self, tokens: Tokens) -> list[float]:
        """How long each of them lasts."""
        ...

    def swap_words(self, tokens: Tokens, donor: Tokens, first: int, last: int) -> Tokens:
        """Tokens with those of some words taken from another clip; 1 is the first word, the last is swapped, too.

        Raises:
            SpecError: There are no such words.
            TextError: They are not the same.
        """
        ...


@runtime_checkable
class Scorer(Editor, Protocol):
    """An :class:`Editor` that also tells how likely a recording is, given its text."""

    def score(self, audio: Audio, text: str, *, text_only: bool = False) -> Float[Tensor, " N"]:
        """Log-likelihood in nats of each of N units that the recording is made of, given those before it.

        Args:
            audio: The recording.
            text: What is said in it.
            text_only: Nothing is heard of it: what the text alone foretells.

        Raises:
            TextError: No letters in the text.
        """
        ...
