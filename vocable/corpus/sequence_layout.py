"""Layout of the sequences that a language model reads: vocabulary, prefixes, and the pattern of the codes."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from pydantic import Field

from vocable.corpus.patterns import EMPTY, PATTERNS, Pattern, PatternName
from vocable.errors import ConfigError, ShapeError
from vocable.schema import MAX_DEPTH, Entries, config
from vocable.tokens import TokenSpec

PAD, BOS, EOS, FILL = range(4)
"""Ids of padding, of the begin and the end of a document, and of places of a stream without a code."""

_SPECIAL, _BYTES = 4, 256
_Ids = Int[ndarray, " _"]


@dataclass(frozen=True)
class Document:
    """Contents of one document.

    Attributes:
        ids: Token ids of shape (Q, N).
        text: Transcript before the ids, or None.
        speaker: Name of the speaker before the ids, or None.
    """

    ids: Int[ndarray, "Q N"]
    text: str | None = None
    speaker: str | None = None


@config
class SequenceLayout:
    """Layout of documents: ``BOS [speaker] [text] codes EOS``, in S streams.

    A stream's ids are, in this order: PAD, BOS, EOS and FILL (0 to 3); 256 bytes of the text in UTF-8 if ``text`` is
    true; an unknown speaker, then those of ``speakers``, if there are any; the codes of the pattern. All streams have
    the same vocabulary. Prefix, BOS and EOS stand in the first stream, and the others have FILL there. The layout is
    plain data: ``vocable.schema.to_json`` writes it, ``parse`` reads it.

    Attributes:
        codebook_size: Number of entries K of a level.
        levels: Number of levels Q, counted from the first; tokens may have more, which are left out.
        pattern: Pattern of the codes: ``flatten`` has one stream, ``parallel`` and ``delay`` have Q.
        text: Whether the transcript stands before the codes.
        speakers: Names of the speakers that are told apart before the codes.

    Raises:
        ConfigError: If a speaker is listed twice.

    Example:
        >>> layout = SequenceLayout(codebook_size=10, levels=2, text=True, speakers=("ann",))
        >>> layout.vocabulary_size, layout.code_offset
        (282, 262)
        >>> sequence = layout.encode(Document(np.array([[1, 2], [3, 4]]), text="hi", speaker="ann"))
        >>> sequence.tolist()
        [[1, 261, 108, 109, 263, 275, 264, 276, 2]]
        >>> layout.decode(sequence).text
        'hi'
    """

    codebook_size: Entries
    levels: Annotated[int, Field(ge=1, le=MAX_DEPTH)] = 1
    pattern: PatternName = "flatten"
    text: bool = False
    speakers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for place, name in enumerate(self.speakers, start=1):
            if self._places[name] != place:
                raise ConfigError(f"speaker {name!r} is listed twice; list each once")

    @classmethod
    def of(cls, spec: TokenSpec, *, levels: int | None = None, pattern: PatternName = "flatten", text: bool = False,
           speakers: tuple[str, ...] = ()) -> "SequenceLayout":  # fmt: skip
        """Return the layout of tokens of a specification; all levels by default.

        Raises:
            ConfigError: If the tokens have fewer levels.
        """
        if levels is not None and levels > spec.num_codebooks:
            raise ConfigError(f"levels is {levels}: the tokens have {spec.num_codebooks}; choose at most that many")
        return cls(codebook_size=spec.codebook_size, levels=levels or spec.num_codebooks, pattern=pattern, text=text,
                   speakers=speakers)  # fmt: skip

    @property
    def coder(self) -> Pattern:
        """Pattern with its sizes."""
        return PATTERNS[self.pattern](self.levels, self.codebook_size)

    @property
    def streams(self) -> int:
        """Number of streams S."""
        return self.coder.streams

    @property
    def speaker_offset(self) -> int:
        """Id of the unknown speaker; those of ``speakers`` follow."""
        return _SPECIAL + _BYTES * self.text

    @property
    def code_offset(self) -> int:
        """Id of code 0."""
        return self.speaker_offset + (len(self.speakers) + 1 if self.speakers else 0)

    @property
    def vocabulary_size(self) -> int:
        """Number of ids of a stream."""
        return self.code_offset + self.coder.num_codes

    def prefix_length(self, text: str | None) -> int:
        """Return the number of ids before the codes, BOS included."""
        spoken = len((text or "").encode("utf-8", "replace")) if self.text else 0
        return 1 + bool(self.speakers) + spoken

    def lengths(self, frames: Int[ndarray, " R"], prefixes: Int[ndarray, " R"]) -> Int[ndarray, " R"]:
        """Return the number of steps L of documents with so many frames and ids before the codes."""
        return prefixes + self.coder.length(frames) + 1

    def encode(self, document: Document) -> Int[ndarray, "S L"]:
        """Return the ids of a document, int64.

        Raises:
            ShapeError: If the token ids have fewer levels than the layout, or lie outside of the codebook.
        """
        codes = self.coder.interleave(document.ids[: self.levels].astype(np.int64))
        prefix = [BOS]
        if self.speakers:
            prefix.append(self.speaker_offset + self._places.get(document.speaker or "", 0))
        if self.text:
            prefix += [_SPECIAL + byte for byte in (document.text or "").encode("utf-8", "replace")]
        sequence = np.full((codes.shape[0], len(prefix) + codes.shape[1] + 1), FILL, dtype=np.int64)
        sequence[0, : len(prefix)] = prefix
        sequence[:, len(prefix) : -1] = np.where(codes == EMPTY, FILL, codes + self.code_offset)
        sequence[0, -1] = EOS
        return sequence

    def decode(self, sequence: Int[ndarray, "S L"]) -> Document:
        """Return the contents of one document, the inverse of :meth:`encode`.

        A speaker that is not listed becomes None, and a missing text an empty one.

        Args:
            sequence: Ids from BOS to EOS; the EOS and what follows it may be missing, as in a sample that was cut.

        Raises:
            ShapeError: If it is no such document, or its codes do not follow the pattern.
        """
        first = sequence[0]
        if not first.size or first[0] != BOS:
            raise ShapeError("a document begins with BOS; cut the sequence there")
        ends = np.flatnonzero(first == EOS)
        stop = int(ends[0]) if ends.size else first.size
        body, at, speaker = first[1:stop], 1, None
        if self.speakers:
            if not body.size or not self.speaker_offset <= body[0] < self.code_offset:
                raise ShapeError("there is no speaker behind BOS; the sequence is of another layout")
            place = int(body[0]) - self.speaker_offset
            speaker, at = (self.speakers[place - 1] if place else None), 2
        spoken = first[at:stop]
        letters = (spoken >= _SPECIAL) & (spoken < _SPECIAL + _BYTES * self.text)
        count = int(np.argmin(letters)) if not letters.all() else spoken.size
        text = bytes((spoken[:count] - _SPECIAL).tolist()).decode("utf-8", "replace") if self.text else None
        codes = sequence[:, at + count : stop]
        if ((codes < self.code_offset) & (codes != FILL)).any() or (codes >= self.vocabulary_size).any():
            raise ShapeError("an id behind the prefix is no code; the sequence is of another layout, or not a document")
        return Document(self.coder.restore(np.where(codes == FILL, EMPTY, codes - self.code_offset)), text, speaker)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.speakers, start=1)}
