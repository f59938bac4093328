"""Text to IPA in a hundred languages, through eSpeak NG where that is installed.

phonemizer and eSpeak NG are under the GPL (version 3): vocable neither holds nor needs them, and loads them only here.
"""

import logging
import re
from typing import Any

from vocable.errors import MissingDependencyError, TextError
from vocable.text.normalize import PAUSES
from vocable.text.phonemes import SILENCE
from vocable.text.pronounce import Spoken

_PARTS = re.compile(rf"([{PAUSES}…。、，！？；：¿¡()\[\]—–]+)")
_MARKS = str.maketrans("…。、，！？；：", "..,,!?;:")
_WORD = "|"  # between words, in what eSpeak returns


class EspeakPronouncer:
    """Text to IPA phones without stress.

    eSpeak reads numbers and symbols its own way and says what it does not know by its name ("grinning face"), so little
    is refused. It has no fixed alphabet: make the set of a corpus with :meth:`~vocable.text.phonemes.PhonemeSet.seen`.
    Where it says another number of words than are written, the stretch up to the next pause is one item.

    Args:
        language: As eSpeak names it, such as ``en-us``, ``de`` or ``fr-fr``.

    Attributes:
        name: eSpeak's version and the language.

    Raises:
        MissingDependencyError: phonemizer or eSpeak NG is not installed.
        TextError: eSpeak does not know the language.
    """

    def __init__(self, language: str = "en-us") -> None:
        backend = _backend()
        if not backend.is_supported_language(language):
            near = sorted(name for name in backend.supported_languages() if name[:2] == language[:2])
            choice = ", ".join(near) or "those that espeak-ng --voices lists"
            raise TextError(f"eSpeak does not speak {language[:20]!r}; take one of {choice}")
        quiet = logging.getLogger("vocable.espeak")
        quiet.setLevel(logging.ERROR)  # it warns of every word that it says as two
        self._espeak = backend(
            language, with_stress=False, language_switch="remove-flags", words_mismatch="ignore", logger=quiet
        )
        self.name = f"espeak-ng-{'.'.join(map(str, backend.version()))} {language}"

    def phones(self, text: str) -> list[Spoken]:
        """Words with their phones, and pauses, in order.

        Raises:
            TextError: Nothing in the text can be said.
        """
        from phonemizer.separator import Separator

        spoken: list[Spoken] = []
        between = Separator(phone=" ", word=f" {_WORD} ")
        for stretch, mark in _stretches(text):
            said = self._espeak.phonemize([stretch], separator=between, strip=True)[0]
            spoken += _paired(stretch.split(), [tuple(word.split()) for word in said.split(_WORD) if word.strip()])
            if mark and spoken and not spoken[-1].is_pause:
                spoken.append(Spoken(text=mark, phones=(SILENCE,), source="mark"))
        if not spoken:
            raise TextError(f"text {text[:40]!r}: there is nothing in it to say; give words")
        return spoken


def _stretches(text: str) -> list[tuple[str, str]]:
    """What is said in one go, and the mark behind it; a mark inside a number or a word is none.

    Example:
        >>> _stretches("Um 3.5 Uhr, ja! Gut")
        [('Um 3.5 Uhr', ','), ('ja', '!'), ('Gut', '')]
    """
    found: list[tuple[str, str]] = []
    start = 0
    for marks in _PARTS.finditer(text):
        inside = text[marks.start() - 1 : marks.start()].isalnum() and text[marks.end() : marks.end() + 1].isalnum()
        if inside and len(marks[0]) == 1 and marks[0] in ".,:":
            continue
        strongest = max(marks[0].translate(_MARKS), key=PAUSES.find)
        found.append((text[start : marks.start()].strip(), strongest if strongest in PAUSES else ","))
        start = marks.end()
    return [*found, (text[start:].strip(), "")]


def _paired(written: list[str], said: list[tuple[str, ...]]) -> list[Spoken]:
    if len(written) == len(said):
        return [Spoken(text=word, phones=phones, source="espeak") for word, phones in zip(written, said, strict=True)]
    phones = tuple(phone for word in said for phone in word)
    return [Spoken(text=" ".join(written), phones=phones, source="espeak")] if phones else []


def _backend() -> Any:
    try:
        from phonemizer.backend import EspeakBackend
        from phonemizer.backend.espeak.wrapper import EspeakWrapper
    except ImportError as error:
        raise MissingDependencyError(
            "IPA needs phonemizer and eSpeak NG, both under the GPL; run pip install 'vocable[ipa]'"
        ) from error
    try:
        import espeakng_loader
    except ImportError:
        pass  # then the system's
    else:
        EspeakWrapper.set_library(espeakng_loader.get_library_path())
        EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    if not EspeakBackend.is_available():
        raise MissingDependencyError("IPA needs eSpeak NG, under the GPL; run pip install 'vocable[ipa]'")
    return EspeakBackend
