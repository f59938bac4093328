"""Editing how words are said: some words of a recording as another recording has them."""

import os
from dataclasses import dataclass

from vocable.audio import Audio
from vocable.errors import SpecError, TextError
from vocable.interfaces import WordEditor


@dataclass(frozen=True)
class Edited:
    """A recording with some words said otherwise.

    Attributes:
        audio: What it sounds like.
        unedited: The same made of the recording's own tokens: what it is to be compared with.
        words: Of the text.
        before: Seconds of each word before, as the tokens have them; ``after`` likewise.
        swapped: The first and the last word that were swapped; 1 is the first.
    """

    audio: Audio
    unedited: Audio
    words: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    swapped: tuple[int, int]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the audio into a file whose comment says that it was edited, and where.

        Raises:
            OutputError: The place or the format cannot be written.
        """
        first, last = self.swapped
        self.audio.write(path, f"Edited with vocable: words {first} to {last} are said as in another recording.")


def edit(
    tokenizer: object, clip: Audio, donor: Audio, words: tuple[int, int], text: str, donor_text: str | None = None
) -> Edited:
    """Say some words of a recording as they are said in another one; the voice and all other words stay.

    Args:
        tokenizer: Of text-aligned tokens, such as ``vocable.load("taste-small")``.
        clip: What is edited; any rate.
        donor: A recording with the same words at these places; any rate.
        words: The first and the last word that are swapped; 1 is the first of the text.
        text: What is said in ``clip``.
        donor_text: What is said in ``donor``; the same by default.

    Raises:
        SpecError: The tokenizer's tokens stand for no words, or there are no such words.
        TextError: The words that would be swapped are not the same.
        AudioError: A recording cannot be used.

    Source:
        TASTE, arXiv:2504.07053, section on text-aligned speech editing.
    """
    editor = as_editor(tokenizer)
    own, other = editor.encode(clip, text), editor.encode(donor, donor_text or text)
    there, theirs = editor.words(own), editor.words(other)
    first, last = words
    if not 1 <= first <= last <= min(len(there), len(theirs)):
        raise SpecError(f"words {first}:{last} of texts with {len(there)} and {len(theirs)} words; 1 is the first")
    mine, given = there[first - 1 : last], theirs[first - 1 : last]
    if mine != given:
        raise TextError(
            f"words {first}:{last} are '{' '.join(mine)}' in the recording and '{' '.join(given)}' in the donor; "
            "only the same words can be swapped"
        )
    edited = editor.swap_words(own, other, first, last)
    return Edited(
        audio=editor.decode(edited), unedited=editor.decode(own), words=tuple(there),
        before=tuple(editor.seconds(own)), after=tuple(editor.seconds(edited)),
        swapped=words,
    )  # fmt: skip


def as_editor(tokenizer: object) -> WordEditor:
    """A tokenizer whose tokens stand for words.

    Raises:
        SpecError: They do not.
    """
    if not isinstance(tokenizer, WordEditor):
        raise SpecError(
            f"tokens of a {type(tokenizer).__name__} stand for no words that could be swapped: those of TASTE do, such "
            "as taste-small"
        )
    return tokenizer
