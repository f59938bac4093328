"""Text to speech in any voice."""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby

from vocable.audio import Audio
from vocable.errors import SpecError, TextError
from vocable.interfaces import Speaker
from vocable.text.phonemes import ARPABET, SILENCE, PhonemeSet
from vocable.text.pronounce import ArpabetPronouncer, Pronouncer, Spoken, given


def synthesize(
    tokenizer: object, text: str | None, voice: Audio, *, seed: int = 0, pronouncer: Pronouncer | None = None,
    phonemes: Sequence[str] | None = None,
) -> Audio:  # fmt: skip
    """A text, said in the voice of a recording; nothing is trained on the way.

    Args:
        tokenizer: One that speaks, such as ``vocable.load("ctap-small")``.
        text: A sentence or a few, as memory grows with its length; None where the phonemes are given.
        voice: A recording of whoever shall speak, half a second or more; any rate.
        seed: Of how long each phoneme lasts and of how it is said: equal seeds, equal samples.
        pronouncer: From the text to the model's phonemes; English to ARPAbet by default.
        phonemes: What is said, whatever the text: of the model's inventory, ``SIL`` at pauses.

    Returns:
        At the tokenizer's rate, silence at both ends.

    Raises:
        SpecError: The tokenizer does not speak.
        TextError: There is nothing to say, a symbol cannot be said, a phoneme is not in the model's inventory, or that
            inventory is not ARPAbet and nobody says how the text is pronounced.
        AudioError: The voice is too short.
        CheckpointError: What the model speaks with is not trained.

    Source:
        VQ-CTAP, arXiv:2408.05758: phonemes, their durations, the connector, the codebook, the speech decoder.

    Example:
        >>> from vocable.systems.ctap import recipe as ctap
        >>> from vocable.systems.ctap.model import CtapModel
        >>> from vocable.systems.ctap.tokenizer import CtapTokenizer
        >>> from vocable.testing import speechlike
        >>> model = CtapModel(ctap.tiny().model)
        >>> _ = model.trained.fill_(1)  # as if it were
        >>> made = synthesize(CtapTokenizer(model), None, speechlike(16_000), phonemes="HH AH L OW".split())
        >>> made.sample_rate
        8000
    """
    speaker = as_speaker(tokenizer)
    inventory = PhonemeSet(speaker.phonemes.symbols)
    if phonemes is not None:
        said = with_silences(given(phonemes, inventory, "phonemes"))
    elif text is not None:
        said = with_silences((pronouncer or _english(inventory)).phones(text))
        inventory.ids(said, f"text {text[:40]!r}")
    else:
        raise TextError("there is nothing to say: give a text, or phonemes")
    return speaker.decode(speaker.speak(said, voice, seed=seed))


def with_silences(spoken: Iterable[Spoken]) -> list[str]:
    """The phonemes of words and pauses one after another, with one silence at each end and at each pause.

    Example:
        >>> hi, pause = (Spoken(text="", phones=phones, source="given") for phones in (("HH", "AY"), ("SIL",)))
        >>> " ".join(with_silences([hi, pause, pause, hi]))
        'SIL HH AY SIL HH AY SIL'
    """
    phones = [SILENCE, *(phone for one in spoken for phone in one.phones), SILENCE]
    runs = ((name == SILENCE, list(run)) for name, run in groupby(phones))
    return [name for silent, run in runs for name in (run[:1] if silent else run)]


def as_speaker(tokenizer: object) -> Speaker:
    """A tokenizer that speaks.

    Raises:
        SpecError: It does not.
    """
    if not isinstance(tokenizer, Speaker):
        raise SpecError(f"a {type(tokenizer).__name__} reads no text: VQ-CTAP does, such as ctap-small")
    return tokenizer


def _english(inventory: PhonemeSet) -> ArpabetPronouncer:
    foreign = [symbol for symbol in inventory.symbols[1:] if symbol not in ARPABET]
    if foreign:
        raise TextError(
            f"this model's phonemes are not ARPAbet ({', '.join(foreign[:8])}, …), which English text is turned into; "
            "give phonemes of its own, or a pronouncer for them"
        )
    return _pronouncer()


@cache
def _pronouncer() -> ArpabetPronouncer:
    return ArpabetPronouncer()  # once a process: it reads a dictionary and a model
