"""Tokenizers as codecs, with all of their levels or the first few."""

from typing import ClassVar

from vocable.audio import Audio
from vocable.errors import ConfigError
from vocable.evaluate.codecs.base import Coded, Kind, like
from vocable.interfaces import Tokenizer
from vocable.tokens import Tokens, pack


class TokenizerCodec:
    """A tokenizer with the first so many levels of its tokens.

    Bits are those of a token file (:func:`vocable.tokens.pack`): the payload is the packed ids, and the voice vector
    where there is one; the container is the rest of the file. Several codecs of one tokenizer that get the same clip
    one after another share its encoding.

    Attributes:
        tokenizer: Anything that keeps the protocol.
        levels: How many are decoded; None for all.

    Raises:
        ConfigError: The tokenizer has not so many levels.

    Example:
        >>> import vocable
        >>> from vocable.testing import speechlike
        >>> codec = TokenizerCodec("guided-small", vocable.load("guided-small"), 4)
        >>> coded = codec.code(speechlike(16_000), "a.wav")
        >>> codec.name, coded.payload_bits, coded.audio.samples.shape
        ('guided-small@4', 2000, (16000,))
    """

    kind: ClassVar[Kind] = "tokenizer"

    def __init__(self, name: str, tokenizer: Tokenizer, levels: int | None = None) -> None:
        most = tokenizer.spec.num_codebooks
        if levels is not None and not 1 <= levels <= most:
            raise ConfigError(f"{name}: {levels} levels were asked of a tokenizer that has {most}")
        self.tokenizer = tokenizer
        self.levels = None if levels == most else levels
        self._name = name

    @property
    def name(self) -> str:
        """The tokenizer's, with the number of levels where they are not all: ``guided-small@4``."""
        return self._name if self.levels is None else f"{self._name}@{self.levels}"

    @property
    def family(self) -> str:
        """The tokenizer's name."""
        return self._name

    @property
    def note(self) -> str:
        """Levels, and the start of the digest."""
        spec = self.tokenizer.spec
        return f"{self.levels or spec.num_codebooks} of {spec.num_codebooks} levels, {self.tokenizer.digest[:19]}"

    def code(self, clip: Audio, key: str) -> Coded:
        """Encode, keep the levels, decode.

        Raises:
            AudioError: The tokenizer refuses the clip.
        """
        tokens = _encode(self.tokenizer, clip)
        if self.levels is not None:
            tokens = tokens.keep_levels(self.levels)
        made = self.tokenizer.decode(tokens)
        file = 8 * len(pack(tokens))
        payload = _payload_bits(tokens)
        return Coded(
            audio=like(clip, made.samples, made.sample_rate),
            payload_bits=payload, container_bits=file - payload, tokens=tokens,
        )  # fmt: skip


_last: list[tuple[Tokenizer, Audio, Tokens]] = []  # of this process: at most one


def _encode(tokenizer: Tokenizer, clip: Audio) -> Tokens:
    """Tokens of the clip; those of the last call if it was the very same."""
    for known, heard, tokens in tuple(_last):
        if known is tokenizer and heard is clip:
            return tokens
    tokens = tokenizer.encode(clip)
    _last[:] = [(tokenizer, clip, tokens)]
    return tokens


def _payload_bits(tokens: Tokens) -> int:
    """Bits in a token file that say something of the sound: ids, filled up to a byte, and voice vectors."""
    id_bits = max(1, (tokens.spec.codebook_size - 1).bit_length())
    ids = int(tokens.lengths.sum()) * tokens.spec.num_codebooks * id_bits
    voice = 0 if tokens.voice is None else 32 * tokens.voice.numel()
    return 8 * -(-ids // 8) + voice
