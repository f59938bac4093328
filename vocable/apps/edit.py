"""Word editing: some words of a recording spoken as in another recording, with a tokenizer of text-aligned tokens."""

import os
from dataclasses import dataclass, replace

from vocable.arguments import check_arguments
from vocable.audio import Audio, AudioLike, as_audio
from vocable.audio_files.mark import SyntheticMark
from vocable.errors import SpecError
from vocable.interfaces import WordEditor
from vocable.systems.registry import models_for


@dataclass(frozen=True)
class Edited:
    """Result of an edit.

    Attributes:
        audio: Edited recording.
        unedited: Recording decoded from its own tokens, to compare the edit with.
        words: Words of the text.
        before: Duration of each word in seconds before the edit, according to the tokens.
        after: Duration of each word in seconds after the edit.
        swapped: First and last word that were edited, counted from 1.
    """

    audio: Audio
    unedited: Audio
    words: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    swapped: tuple[int, int]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the audio to a file whose comment names the edited words.

        Raises:
            OutputError: If the path or the format cannot be written.
        """
        self.audio.write(path)


@check_arguments
def edit(
    tokenizer: object,
    clip: AudioLike,
    donor: AudioLike,
    words: tuple[int, int],
    text: str,
    donor_text: str | None = None,
) -> Edited:
    """Replace some words of a recording by their rendition in another one. The voice and all other words stay.

    Args:
        tokenizer: Tokenizer of text-aligned tokens, such as ``vocable.load("taste-small")``.
        clip: Recording to edit, at any sample rate.
        donor: Recording with the same words at these places, at any sample rate.
        words: First and last word to replace, counted from 1.
        text: Transcript of ``clip``.
        donor_text: Transcript of ``donor``; ``text`` by default.

    Raises:
        SpecError: If the tokens are not aligned to words, or there are no such words.
        TextError: If the words to replace differ.

    Source:
        TASTE, arXiv:2504.07053, section on text-aligned speech editing.
    """
    if not isinstance(tokenizer, WordEditor):
        raise SpecError(f"tokens of a {type(tokenizer).__name__} are not aligned to words; take {models_for('edit')}")
    clip, donor = as_audio(clip, "clip"), as_audio(donor, "donor")
    tokens, donor_tokens = tokenizer.encode(clip, text), tokenizer.encode(donor, donor_text or text)
    edited = tokenizer.swap_words(tokens, donor_tokens, *words)
    first, last = words
    mark = SyntheticMark.by(tokenizer, "word editing", f"Words {first} to {last} are said as in another recording.")
    return Edited(
        audio=replace(tokenizer.decode(edited), mark=mark), unedited=tokenizer.decode(tokens),
        words=tuple(tokenizer.words(tokens)), before=tuple(tokenizer.seconds(tokens)),
        after=tuple(tokenizer.seconds(edited)), swapped=words,
    )  # fmt: skip
