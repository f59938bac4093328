"""Voice conversion with any tokenizer that offers it."""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from vocable.arguments import check_arguments
from vocable.audio import Audio, AudioLike, as_audio
from vocable.audio_files.mark import SyntheticMark
from vocable.errors import SpecError
from vocable.interfaces import HasVoice, Mix, VoiceConverter
from vocable.systems.registry import models_for

__all__ = ["Mix", "as_converter", "convert"]


@check_arguments
def convert(
    tokenizer: object, source: AudioLike, voice: AudioLike | Float[Tensor, " V"], mix: Mix | None = None
) -> Audio:  # fmt: skip
    """Convert a recording to another voice. Nothing is trained.

    A tokenizer that keeps the voice beside its tokens swaps it. The guided codec keeps it in the levels after the
    first. It combines the source's first level with the other levels of the voice, or other levels as ``mix`` selects.

    Args:
        tokenizer: Tokenizer such as ``vocable.load("ctap-small")``.
        source: Recording whose words and timing are kept, at any sample rate.
        voice: Recording of the target speaker, half a second or more, at any sample rate, or a voice vector (V,) of a
            tokenizer that has such.
        mix: For a guided codec: levels of either recording and pairing of their frames.

    Returns:
        Audio as long as the source, at the tokenizer's sample rate.

    Raises:
        SpecError: If the tokenizer cannot convert voices, or does not mix levels in this way.
        AudioError: If the voice is too short.

    Source:
        VQ-CTAP, arXiv:2408.05758: tokens of the source, voice of the target. For the guided codec see
        :func:`vocable.systems.guided.tokenizer.mix_levels`.

    Example:
        >>> from vocable.systems.ctap import recipe as ctap
        >>> from vocable.systems.ctap.networks import CtapModel
        >>> from vocable.systems.ctap.tokenizer import CtapTokenizer
        >>> from vocable.testing import speechlike
        >>> tokenizer = CtapTokenizer(CtapModel(ctap.tiny().model))
        >>> converted = convert(tokenizer, speechlike(8_000, 8_000), voice=speechlike(16_000, seed=1))
        >>> converted.sample_rate, converted.duration
        (8000, 1.0)
    """
    converter = as_converter(tokenizer, mix)
    speaker = voice if isinstance(voice, Tensor) and isinstance(tokenizer, HasVoice) else as_audio(voice, "voice")
    converted = converter.convert(as_audio(source, "source"), speaker, mix)
    return replace(converted, mark=SyntheticMark.by(converter, "voice conversion"))


def as_converter(tokenizer: object, mix: Mix | None = None) -> VoiceConverter:
    """Return the tokenizer; raise a SpecError if it does not convert voices, or not in this way."""
    if not isinstance(tokenizer, VoiceConverter):
        raise SpecError(f"a {type(tokenizer).__name__} cannot convert voices; take {models_for('vc')}")
    tokenizer.check_mix(mix)
    return tokenizer
