"""Format of a tokenizer's tokens: the one check of what files and callers bring to it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from vocable.errors import SpecError
from vocable.shapes import frames_for
from vocable.tokens import Tokens, TokenSpec
from vocable.voices import voice_bits

MAX_SECONDS = 3_600.0
"""Longest clip, in seconds, of tokens without a hop: nothing else bounds what a file may ask for."""

_SUBWORDS_PER_SECOND = 3.0  # of read English
NO_VOICE = "these tokens carry no usable voice; pass `voice`, a recording of the speaker to decode as"


@dataclass(frozen=True, kw_only=True)
class TokenFormat:
    """Format of the tokens that one tokenizer makes and reads.

    Attributes:
        spec: Specification with all levels. Tokens may have fewer levels.
        voice_width: Dimension V of the voice vectors beside the tokens; 0 if the tokenizer keeps none.
        voice_levels: Number of levels of each dimension of the voice vectors; None for float32.
        frames: Number of frames of every clip, where it is fixed.
        max_seconds: Function from a clip's frames to its longest duration in seconds, for tokens without a hop.
        frames_of_text: Function from a transcript to its number of frames, where tokens follow the text.
        text_bits: Bits of text, at most, that a frame stands for, where tokens follow the text.

    Example:
        >>> import torch
        >>> spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=4)
        >>> tokens = Tokens(ids=torch.zeros(1, 1, 3, dtype=torch.int64), lengths=torch.tensor([3]),
        ...                 samples=torch.tensor([16_000]), spec=spec, tokenizer="example")
        >>> TokenFormat(spec=spec).check(tokens)
        Traceback (most recent call last):
        vocable.errors.SpecError: clip 1 has 3 frames and 16000 samples, which take 50 frames; encode it again
    """

    spec: TokenSpec
    voice_width: int = 0
    voice_levels: int | None = None
    frames: int | None = None
    max_seconds: Callable[[int], float] = lambda frames: MAX_SECONDS
    frames_of_text: Callable[[str], int] | None = None
    text_bits: float = 0.0

    def bit_rate(self, seconds: float) -> float:
        """Return the bits per second of a clip with all that decoding needs: ids, text, and the voice vector.

        A clip of tokens that follow the text is taken to have three subwords a second.

        Args:
            seconds: Duration of the clip.

        Example:
            >>> spec = TokenSpec(sample_rate=16_000, hop=640, codebook_size=1024)
            >>> form = TokenFormat(spec=spec, voice_width=224)
            >>> round(form.bit_rate(3.0)), round(form.bit_rate(10.0)), form.spec.bit_rate
            (2639, 967, 250.0)
            >>> round(TokenFormat(spec=spec, voice_width=64, voice_levels=16).bit_rate(10.0))
            276
        """
        if self.spec.hop is not None:
            frames = seconds * self.spec.frame_rate
        else:
            frames = seconds * _SUBWORDS_PER_SECOND if self.frames is None else self.frames
        return (frames * (self.spec.bits_per_frame + self.text_bits) + self.voice_bits) / seconds

    @property
    def voice_bits(self) -> int:
        """Number of bits of a voice vector; 0 if the tokenizer keeps none."""
        return voice_bits(self.voice_width, self.voice_levels)

    def rate_text(self) -> str:
        """Return the rates of a clip of 3 s and of 10 s with all that it carries, as every table and page words them.

        Example:
            >>> spec = TokenSpec(sample_rate=16_000, hop=640, codebook_size=1024)
            >>> TokenFormat(spec=spec, voice_width=224).rate_text()
            '2,639 bit/s for 3 s, 967 bit/s for 10 s'
        """
        return ", ".join(f"{self.bit_rate(seconds):,.0f} bit/s for {seconds:g} s" for seconds in (3.0, 10.0))

    def rate_rows(self) -> list[tuple[str, str]]:
        """Return table rows with what a clip carries beside its ids, and the rate with it for 3 s and 10 s."""
        if self.spec.hop is not None and not self.voice_width:
            return []
        text = f"its text, {self.text_bits:.1f} bit a subword at most, and " if self.text_bits else ""
        kind = "float32" if self.voice_levels is None else f"{self.voice_levels} levels"
        voice = f"{self.voice_width} numbers of {kind}, {self.voice_bits:,} bit a clip"
        beside = text + (voice if self.voice_width else "nothing else")
        return [("beside the ids", beside), ("bit rate with it", self.rate_text())]

    def check(self, tokens: Tokens) -> None:
        """Raise a SpecError if tokens contradict themselves or this format."""
        tokens.check()  # again: their tensors can have been changed in place
        if replace(tokens.spec, num_codebooks=self.spec.num_codebooks) != self.spec:
            raise SpecError(f"these tokens are {tokens.spec}, this tokenizer makes {self.spec}")
        if tokens.spec.num_codebooks > self.spec.num_codebooks:
            raise SpecError(
                f"these tokens have {tokens.spec.num_codebooks} levels, this tokenizer {self.spec.num_codebooks}"
            )
        if not len(tokens):
            raise SpecError("these tokens hold no clip; encode at least one")
        self._check_voice(tokens)
        texts = tokens.text or (None,) * len(tokens)
        clips = zip(tokens.lengths.tolist(), tokens.samples.tolist(), texts, strict=True)
        for number, (frames, samples, text) in enumerate(clips, 1):
            self._check_clip(f"clip {number}", frames, samples, text)

    def _check_voice(self, tokens: Tokens) -> None:
        if tokens.voice is None:
            return
        width = tokens.voice.shape[1]
        if not self.voice_width:
            raise SpecError(f"these tokens carry a voice of {width} numbers, this tokenizer keeps none; encode again")
        if tokens.voice_levels not in (None, self.voice_levels):
            kept = "float32 numbers" if self.voice_levels is None else f"{self.voice_levels} levels"
            raise SpecError(
                f"the voice of these tokens has {tokens.voice_levels} levels, this tokenizer keeps {kept}; encode again"
            )
        if width != self.voice_width or not bool(tokens.voice.isfinite().all()):
            raise SpecError(
                f"{NO_VOICE} (theirs has {width} numbers, this tokenizer keeps {self.voice_width}, all of them finite)"
            )

    def _check_clip(self, clip: str, frames: int, samples: int, text: str | None) -> None:
        if not frames or not samples:
            raise SpecError(f"{clip} is empty: it has {frames} frames and {samples} samples; encode it again")
        if self.frames not in (None, frames):
            raise SpecError(f"these tokens have {frames} frames a clip, this tokenizer {self.frames}")
        rate, hop = self.spec.sample_rate, self.spec.hop
        if hop is not None and frames != frames_for(samples, hop):
            raise SpecError(
                f"{clip} has {frames} frames and {samples} samples, which take {frames_for(samples, hop)} frames; "
                "encode it again"
            )
        if hop is None and samples > self.max_seconds(frames) * rate:
            raise SpecError(
                f"{clip} has {frames} frames and {samples} samples, {samples / rate:.0f} s: at most "
                f"{self.max_seconds(frames):.0f} s belong to so many frames; cut the recording and encode it again"
            )
        if self.frames_of_text is not None and text is not None and self.frames_of_text(text) != frames:
            raise SpecError(
                f"{clip}: the text has {self.frames_of_text(text)} subwords, there are tokens for {frames}; one was "
                "altered"
            )
