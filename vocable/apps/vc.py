"""Voice conversion: what one person says, in the voice of another."""

from dataclasses import dataclass

from vocable.audio import Audio
from vocable.errors import ConfigError, SpecError
from vocable.interfaces import HasVoice
from vocable.systems.guided.tokenizer import GuidedTokenizer, aligned, mix_levels

_ALIGN = ("repeat", "dtw")


@dataclass(frozen=True, kw_only=True)
class Mix:
    """How the levels of a guided codec are mixed.

    Attributes:
        levels: Of the source, from the first; the others are the voice's.
        upto: The last level that the voice gives; those after it are left out. All by default.
        align: ``repeat``: the voice is repeated to the source's length, or cut. ``dtw``: its frames stand where the
            same is said, for a recording of the same words.

    Raises:
        ConfigError: A value is out of range.
    """

    levels: int = 1
    upto: int | None = None
    align: str = "repeat"

    def __post_init__(self) -> None:
        if self.align not in _ALIGN:
            raise ConfigError(f"align is '{self.align}'; choose {' or '.join(_ALIGN)}")
        if self.levels < 1:
            raise ConfigError(f"levels is {self.levels}: at least the first is the source's")
        if self.upto is not None and self.upto <= self.levels:
            raise ConfigError(f"upto is {self.upto}: the voice's levels begin after the source's {self.levels}")


def convert(tokenizer: object, source: Audio, voice: Audio, mix: Mix | None = None) -> Audio:
    """What is said in a recording, in another voice; nothing is trained on the way.

    Where the voice stands beside the tokens (VQ-CTAP), it is swapped. The guided codec keeps it in the levels behind
    the first: there the source's first level goes with the others of the voice, or as ``mix`` says.

    Args:
        tokenizer: Such as ``vocable.load("ctap-small")``.
        source: Whose words are kept, and when they are said; any rate.
        voice: A recording of whoever shall speak, half a second or more; any rate.
        mix: Of a guided codec: which levels are the source's and the voice's, and how the voice's frames are paired.

    Returns:
        As long as the source, at the tokenizer's rate.

    Raises:
        SpecError: The tokenizer cannot part a voice from what is said, has no levels to mix, or not as many.
        AudioError: The voice is too short.

    Source:
        VQ-CTAP, arXiv:2408.05758: tokens of the source, voice of the target. For the guided codec see
        :func:`vocable.systems.guided.tokenizer.mix_levels` and ``aligned`` there.

    Example:
        >>> from vocable.systems.ctap import recipe as ctap
        >>> from vocable.systems.ctap.model import CtapModel
        >>> from vocable.systems.ctap.tokenizer import CtapTokenizer
        >>> from vocable.testing import speechlike
        >>> tokenizer = CtapTokenizer(CtapModel(ctap.tiny().model))
        >>> made = convert(tokenizer, speechlike(8_000, 8_000), voice=speechlike(16_000, seed=1))
        >>> made.sample_rate, made.duration
        (8000, 1.0)
    """
    converter = as_converter(tokenizer, mix)
    if isinstance(converter, GuidedTokenizer):
        mix = mix or Mix()
        beside = aligned(source, voice, converter.spec) if mix.align == "dtw" else None
        words, timbre = (
            converter.encode(clip).keep_levels(mix.upto or converter.spec.num_codebooks) for clip in (source, voice)
        )
        return converter.decode(mix_levels(words, timbre, mix.levels, beside))
    return converter.decode(converter.encode(source), voice)


def as_converter(tokenizer: object, mix: Mix | None = None) -> HasVoice | GuidedTokenizer:
    """A tokenizer that can change the voice, in this way.

    Raises:
        SpecError: It cannot.
    """
    if not isinstance(tokenizer, HasVoice | GuidedTokenizer):
        raise SpecError(
            f"a {type(tokenizer).__name__} cannot part the voice from what is said: VQ-CTAP can, such as ctap-small, "
            "and the guided codec, by mixing levels"
        )
    if mix is None:
        return tokenizer
    if not isinstance(tokenizer, GuidedTokenizer):
        raise SpecError(
            f"a {type(tokenizer).__name__} swaps the voice and mixes no levels: leave 'levels', 'upto' and 'align' "
            "out, or take a guided codec, such as guided-small"
        )
    there = tokenizer.spec.num_codebooks
    if mix.upto is not None and mix.upto > there:
        raise SpecError(f"levels up to {mix.upto} are asked of a codec that has {there}")
    if mix.levels >= there:
        raise SpecError(f"{mix.levels} of {there} levels are the source's: leave one at least to the voice")
    return tokenizer
