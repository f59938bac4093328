"""Tokenizers as codecs, with all or the first few of their levels."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from vocable.audio import Audio
from vocable.errors import ConfigError
from vocable.evaluate.codecs.base import Coded, Kind, match_clip
from vocable.interfaces import Tokenizer
from vocable.systems.token_format import TokenFormat
from vocable.tokens import BEAM, Provenance, Tokens, pack
from vocable.voices import voice_bits


class TokenizerCodec:
    """A tokenizer that decodes from the first levels of its tokens.

    Bits are those of a token file (:func:`vocable.tokens.pack`) without provenance. The payload is the packed ids, the
    voice vector if there is one, and the text where ids stand for its subwords; the container is the rest of the file.
    Codecs of one tokenizer that code the same clip in a row share its encoding.

    Args:
        name: Name of the tokenizer.
        tokenizer: Any tokenizer.
        levels: Number of levels to decode from; None for all.
        texts: Transcripts by the key of the clip, for tokenizers whose ids stand for parts of the text.

    Raises:
        ConfigError: If the tokenizer has fewer levels.

    Example:
        >>> import vocable
        >>> from vocable.testing import speechlike
        >>> codec = TokenizerCodec("guided-small", vocable.load("guided-small"), 4)
        >>> coded = codec.code(speechlike(16_000), "a.wav")
        >>> codec.name, coded.payload_bits, coded.audio.samples.shape
        ('guided-small@4', 2000, (16000,))
    """

    kind: ClassVar[Kind] = "tokenizer"

    def __init__(
        self, name: str, tokenizer: Tokenizer, levels: int | None = None, texts: Mapping[str, str] | None = None
    ) -> None:
        available = tokenizer.spec.num_codebooks
        if levels is not None and not 1 <= levels <= available:
            raise ConfigError(f"{name}: {levels} levels were asked of a tokenizer that has {available}")
        self.tokenizer = tokenizer
        self.levels = None if levels == available else levels
        self.family = name
        self._texts = texts or {}

    @property
    def name(self) -> str:
        """Name of the tokenizer, with the number of levels if they are not all: ``guided-small@4``."""
        return self.family if self.levels is None else f"{self.family}@{self.levels}"

    @property
    def note(self) -> str:
        """Number of levels, the start of the digest, the beam over 1, and rates with a voice where there is one."""
        spec, beam = self.tokenizer.spec, getattr(self.tokenizer, BEAM, 1)
        parts = [f"{self.levels or spec.num_codebooks} of {spec.num_codebooks} levels", self.tokenizer.digest[:19]]
        parts += [f"{BEAM} {beam}"] if beam != 1 else []
        form = getattr(self.tokenizer, "format", None)
        if isinstance(form, TokenFormat) and form.voice_width:
            kept = replace(form.spec, num_codebooks=self.levels or spec.num_codebooks)
            parts.append(f"with all that a clip carries {replace(form, spec=kept).rate_text()}")
        return ", ".join(parts)

    def encode(self, clip: Audio, key: str) -> Tokens:
        """Return the tokens of a clip, with the kept levels."""
        # the text is given only where it is needed, because tokens carry it along
        text = self._texts.get(key) if self.tokenizer.spec.hop is None else None
        tokens = _encode(self.tokenizer, clip, text)
        return tokens if self.levels is None else tokens.keep_levels(self.levels)

    def code(self, clip: Audio, key: str) -> Coded:
        """Encode, keep the levels, decode."""
        tokens = self.encode(clip, key)
        decoded = self.tokenizer.decode(tokens)
        payload, file = _payload_bits(tokens), pack(replace(tokens, provenance=Provenance()))
        return Coded(
            audio=match_clip(clip, decoded.samples, decoded.sample_rate),
            payload_bits=payload, container_bits=8 * len(file) - payload, tokens=tokens,
        )  # fmt: skip


_last: list[tuple[Tokenizer, Audio, Tokens]] = []  # the last encoding of this process, at most one


def _encode(tokenizer: Tokenizer, clip: Audio, text: str | None) -> Tokens:
    """Return the tokens of the clip; those of the last call if it had the same tokenizer and clip."""
    for last_tokenizer, last_clip, tokens in tuple(_last):
        if last_tokenizer is tokenizer and last_clip is clip:
            return tokens
    tokens = tokenizer.encode(clip, text)
    _last[:] = [(tokenizer, clip, tokens)]
    return tokens


def _payload_bits(tokens: Tokens) -> int:
    """Return the bits that carry the sound: ids, filled up to a byte, voice vectors, and the texts of subwords."""
    id_bits = max(1, (tokens.spec.codebook_size - 1).bit_length())
    ids = int(tokens.lengths.sum()) * tokens.spec.num_codebooks * id_bits
    voice = 0 if tokens.voice is None else len(tokens) * voice_bits(tokens.voice.shape[1], tokens.voice_levels)
    texts = (tokens.text or ()) if tokens.spec.hop is None else ()
    return 8 * -(-ids // 8) + voice + sum(8 * len((text or "").encode()) for text in texts)
