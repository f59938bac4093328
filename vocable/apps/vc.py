"""Voice conversion: what one person says, in the voice of another."""

from vocable.audio import Audio
from vocable.errors import SpecError
from vocable.interfaces import Voiced
from vocable.systems.guided.mixing import mix_levels
from vocable.systems.guided.tokenizer import GuidedTokenizer


def convert(tokenizer: object, source: Audio, voice: Audio) -> Audio:
    """What is said in a recording, in another voice; nothing is trained on the way.

    Where the voice stands beside the tokens (VQ-CTAP), it is swapped. The guided codec keeps it in the levels behind
    the first: there the source's first level goes with the others of the voice, repeated to the source's length.

    Args:
        tokenizer: Such as ``vocable.load("ctap-small")``.
        source: Whose words are kept, and when they are said; any rate.
        voice: A recording of whoever shall speak, half a second or more; any rate.

    Returns:
        As long as the source, at the tokenizer's rate.

    Raises:
        SpecError: The tokenizer cannot part a voice from what is said.
        AudioError: The voice is too short.

    Source:
        VQ-CTAP, arXiv:2408.05758: tokens of the source, voice of the target. For the guided codec see
        :func:`vocable.systems.guided.mixing.mix_levels`.

    Example:
        >>> from vocable.recipes import ctap
        >>> from vocable.systems.ctap.model import CtapModel
        >>> from vocable.systems.ctap.tokenizer import CtapTokenizer
        >>> from vocable.testing import speechlike
        >>> tokenizer = CtapTokenizer(CtapModel(ctap.tiny().model))
        >>> made = convert(tokenizer, speechlike(8_000, 8_000), voice=speechlike(16_000, seed=1))
        >>> made.sample_rate, made.duration
        (8000, 1.0)
    """
    converter = as_converter(tokenizer)
    if isinstance(converter, GuidedTokenizer):
        return converter.decode(mix_levels(converter.encode(source), converter.encode(voice)))
    return converter.decode(converter.encode(source), voice)


def as_converter(tokenizer: object) -> Voiced | GuidedTokenizer:
    """A tokenizer that can change the voice.

    Raises:
        SpecError: It cannot.
    """
    if not isinstance(tokenizer, Voiced | GuidedTokenizer):
        raise SpecError(
            f"a {type(tokenizer).__name__} cannot part the voice from what is said: VQ-CTAP can, such as ctap-small, "
            "and the guided codec, by mixing levels"
        )
    return tokenizer
