"""Text to speech in any voice."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor

from vocable.arguments import Seed, check_arguments
from vocable.audio import Audio, AudioLike, as_audio
from vocable.audio_files.mark import SyntheticMark
from vocable.errors import SpecError, TextError
from vocable.interfaces import TextToSpeech
from vocable.systems.registry import models_for
from vocable.text.phonemes import ARPABET, SILENCE, PhonemeSet
from vocable.text.pronounce import ArpabetPronouncer, Pronouncer, Pronunciation, pronunciations_from_phones

_arpabet_pronouncer = cache(ArpabetPronouncer)  # it reads a dictionary and a model


@check_arguments
def synthesize(
    tokenizer: object, text: str | None, voice: AudioLike | Float[Tensor, " V"], *, seed: Seed = 0,
    pronouncer: Pronouncer | None = None, phonemes: Sequence[str] | None = None,
) -> Audio:  # fmt: skip
    """Synthesize a text in the voice of a recording. Nothing is trained on the way.

    Args:
        tokenizer: A :class:`~vocable.interfaces.TextToSpeech`, such as ``vocable.load("ctap-small")``.
        text: A sentence or a few, as memory grows with the length; None where phonemes are passed.
        voice: Recording of the speaker, at least half a second long, at any sample rate, or a voice vector (V,) of the
            model, such as one of its ``voices``.
        seed: Seed of the durations and of the sampled latents: equal seeds give equal samples.
        pronouncer: Converts the text to the model's phonemes; English to ARPAbet by default.
        phonemes: Phonemes to synthesize in place of the text: symbols of the model's inventory, ``SIL`` at pauses.

    Returns:
        Audio at the tokenizer's sample rate, with silence at both ends.

    Raises:
        SpecError: If the tokenizer does not synthesize from text, or the voice vector is not one of it.
        TextError: If there is nothing to say, a symbol has no pronunciation, a phoneme is not in the model's
            inventory, or that inventory is not ARPAbet and no pronouncer is passed.
        AudioError: If the voice is too short.
        CheckpointError: If the part of the model that synthesizes is not trained.

    Source:
        VQ-CTAP, arXiv:2408.05758: phonemes, their durations, the connector, the codebook, the speech decoder.

    Example:
        >>> import vocable
        >>> from vocable.testing import speechlike
        >>> ctap = vocable.load("ctap-small", vocoder="griffin-lim")
        >>> synthesize(ctap, None, speechlike(16_000), phonemes=["HH", "AY"]).sample_rate
        16000
    """
    model, speaker = as_text_to_speech(tokenizer), voice if isinstance(voice, Tensor) else as_audio(voice, "voice")
    inventory = PhonemeSet(model.phonemes.symbols)
    if phonemes is not None:
        symbols = with_silences(pronunciations_from_phones(phonemes, inventory, "phonemes"))
    elif text is not None:
        symbols = with_silences((pronouncer or _english_pronouncer(inventory)).phones(text))
        inventory.ids(symbols, f"text {text[:40]!r}")
    else:
        raise TextError("there is nothing to synthesize: pass a text, or phonemes")
    spoken = model.decode(model.speak(symbols, speaker, seed=seed))
    return replace(spoken, mark=SyntheticMark.by(model, "text-to-speech"))


def with_silences(words: Iterable[Pronunciation]) -> list[str]:
    """Concatenate the phonemes of words and pauses, with one silence at each end and at each pause.

    Example:
        >>> hi, pause = (Pronunciation(text="", phones=phones, source="given") for phones in (("HH", "AY"), ("SIL",)))
        >>> " ".join(with_silences([hi, pause, pause, hi]))
        'SIL HH AY SIL HH AY SIL'
    """
    phones = [SILENCE, *(phone for word in words for phone in word.phones), SILENCE]
    return [phone for before, phone in pairwise(["", *phones]) if not before == phone == SILENCE]


def as_text_to_speech(tokenizer: object) -> TextToSpeech:
    """Return the tokenizer; raise a SpecError if it does not synthesize speech from text."""
    if not isinstance(tokenizer, TextToSpeech):
        raise SpecError(f"a {type(tokenizer).__name__} synthesizes no speech from text; take {models_for('tts')}")
    return tokenizer


def _english_pronouncer(inventory: PhonemeSet) -> ArpabetPronouncer:
    foreign = [symbol for symbol in inventory.symbols[1:] if symbol not in ARPABET]
    if foreign:
        raise TextError(
            f"the model's phonemes are not ARPAbet ({', '.join(foreign[:8])}, …), to which English text is converted; "
            "pass phonemes of the model, or a pronouncer of its alphabet (--language, for IPA)"
        )
    return _arpabet_pronouncer()
