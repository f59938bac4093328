"""Text to IPA in about a hundred languages, by eSpeak NG.

phonemizer and eSpeak NG are under the GPL (version 3): vocable does not depend on them, and imports them only here.
"""

import logging
import re
from typing import Any

from vocable.errors import MissingDependencyError, TextError
from vocable.text.normalize import PAUSES
from vocable.text.phonemes import SILENCE
from vocable.text.pronounce import Pronunciation

_PARTS = re.compile(rf"([{PAUSES}…。、，！？；：¿¡()\[\]—–]+)")
_MARKS = str.maketrans("…。、，！？；：", "..,,!?;:")
_WORD = "|"  # separator of words in the output of eSpeak


class EspeakPronouncer:
    """Text to IPA phones without stress.

    eSpeak reads numbers and symbols in its own way, and reads unknown symbols by their names ("grinning face"), so it
    refuses little. It has no fixed alphabet: make a :class:`~vocable.text.phonemes.PhonemeSet` of the symbols of your
    corpus. If eSpeak returns another number of words than are written, the whole phrase up to the next pause is one
    item.

    Args:
        language: Language code of eSpeak, such as ``en-us``, ``de`` or ``fr-fr``.

    Attributes:
        name: Version of eSpeak and the language.

    Raises:
        MissingDependencyError: If phonemizer or eSpeak NG is not installed.
        TextError: If eSpeak does not know the language.
    """

    def __init__(self, language: str = "en-us") -> None:
        backend = _backend()
        if not backend.is_supported_language(language):
            near = sorted(name for name in backend.supported_languages() if name[:2] == language[:2])
            choice = ", ".join(near) or "those that espeak-ng --voices lists"
            raise TextError(f"eSpeak does not speak {language[:20]!r}; use one of {choice}")
        quiet = logging.getLogger("vocable.espeak")
        quiet.setLevel(logging.ERROR)  # eSpeak warns of every word that it reads as two
        self._espeak = backend(
            language, with_stress=False, language_switch="remove-flags", words_mismatch="ignore", logger=quiet
        )
        self.name = f"espeak-ng-{'.'.join(map(str, backend.version()))} {language}"

    def phones(self, text: str) -> list[Pronunciation]:
        """Return words with their phones, and pauses; see :meth:`~vocable.text.pronounce.Pronouncer.phones`."""
        from phonemizer.separator import Separator

        result: list[Pronunciation] = []
        separator = Separator(phone=" ", word=f" {_WORD} ")
        for phrase, mark in _phrases(text):
            ipa = self._espeak.phonemize([phrase], separator=separator, strip=True)[0]
            result += _paired(phrase.split(), [tuple(word.split()) for word in ipa.split(_WORD) if word.strip()])
            if mark and result and not result[-1].is_pause:
                result.append(Pronunciation(text=mark, phones=(SILENCE,), source="mark"))
        if not result:
            raise TextError(f"text {text[:40]!r}: there is nothing in it to say; give words")
        return result


def _phrases(text: str) -> list[tuple[str, str]]:
    """Split a text at pauses; return each phrase with the mark after it. A mark inside a number or a word is no pause.

    Example:
        >>> _phrases("Um 3.5 Uhr, ja! Gut")
        [('Um 3.5 Uhr', ','), ('ja', '!'), ('Gut', '')]
    """
    phrases: list[tuple[str, str]] = []
    start = 0
    for marks in _PARTS.finditer(text):
        inside = text[marks.start() - 1 : marks.start()].isalnum() and text[marks.end() : marks.end() + 1].isalnum()
        if inside and len(marks[0]) == 1 and marks[0] in ".,:":
            continue
        strongest = max(marks[0].translate(_MARKS), key=PAUSES.find)
        phrases.append((text[start : marks.start()].strip(), strongest if strongest in PAUSES else ","))
        start = marks.end()
    return [*phrases, (text[start:].strip(), "")]


def _paired(words: list[str], phones: list[tuple[str, ...]]) -> list[Pronunciation]:
    """Pair words with their phones; a phrase whose numbers of words differ becomes one item."""
    if len(words) == len(phones):
        pairs = zip(words, phones, strict=True)
        return [Pronunciation(text=word, phones=one, source="espeak") for word, one in pairs]
    joined = tuple(phone for word in phones for phone in word)
    return [Pronunciation(text=" ".join(words), phones=joined, source="espeak")] if joined else []


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
        pass  # use the library of the system
    else:
        EspeakWrapper.set_library(espeakng_loader.get_library_path())
        EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    if not EspeakBackend.is_available():
        raise MissingDependencyError("IPA needs eSpeak NG, under the GPL; run pip install 'vocable[ipa]'")
    return EspeakBackend
