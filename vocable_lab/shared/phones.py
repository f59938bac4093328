"""What is said in recordings, and when: what a manifest says, else what an aligner finds."""

from collections.abc import Mapping
from functools import cache, cached_property

from vocable.audio import Audio
from vocable.data.alignment import Alignment, alignment_of
from vocable.data.alignment.make import find_aligner
from vocable.data.alignment.phones import words_of
from vocable.data.alignment.record import PhoneAligner
from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError, VocableError
from vocable.text.phonemes import SILENCE, strip_stress
from vocable.text.pronounce import ArpabetPronouncer

pronouncer = cache(ArpabetPronouncer)  # made once something has no phones


class Phones:
    """Phones of utterances; aligner and dictionary are loaded once they are needed."""

    def of(self, utterance: Utterance) -> list[str]:
        """The phones of a recording, without stress and silence: of ``phones``, of ``alignment`` or of the text.

        Raises:
            AlignmentError: Its line has none of them, or what it has cannot be used.
        """
        if "phones" not in utterance.extra and "alignment" in utterance.extra:
            alignment = alignment_of(utterance)
            assert alignment is not None
            return [strip_stress(symbol) for symbol in alignment.symbols if symbol != SILENCE]
        return [phone for word in self._words(utterance) for phone in word]

    def alignment(self, utterance: Utterance, audio: Audio) -> Alignment:
        """When they are said.

        Raises:
            AlignmentError: As :meth:`of`, or phones and speech do not go together.
            MissingDependencyError: It has to be found, and pocketsphinx is not installed.
        """
        known = alignment_of(utterance, audio.duration)
        return self._aligner.phones(audio, self._words(utterance)).alignment if known is None else known

    def of_all(self, clips: Mapping[str, Utterance]) -> tuple[dict[str, list[str]], dict[str, str]]:
        """The phones of each clip by its key, and why others have none.

        Raises:
            AlignmentError: None of them has.
        """
        said, failed = {}, {}
        for key, clip in clips.items():
            try:
                said[key] = self.of(clip)
            except AlignmentError as error:
                failed[key] = plain(error, clip)
        if not said:
            key, reason = next(iter(failed.items()))
            raise AlignmentError(
                f"not one of {len(failed)} clips says what is said in it; the first: {key}: {reason}; give a manifest "
                "with 'text', 'phones' or 'alignment'"
            )
        return said, failed

    def _words(self, utterance: Utterance) -> list[list[str]]:
        if "phones" in utterance.extra:
            return words_of(utterance)
        language = utterance.value("language") or "en"
        if not language.lower().startswith("en"):
            raise AlignmentError(f"{utterance.audio_path}: its text is in '{language}'; only English is pronounced")
        if not utterance.text:
            raise AlignmentError(f"{utterance.audio_path}: its line has no 'phones', 'alignment' or 'text'")
        return words_of(utterance, pronouncer)

    @cached_property
    def _aligner(self) -> PhoneAligner:
        return find_aligner("pocketsphinx")


def plain(error: VocableError, utterance: Utterance) -> str:
    """An error's reason without the folders of this machine.

    Example:
        >>> plain(AlignmentError("/home/a.flac: nobody speaks"), Utterance(audio_path="/home/a.flac"))
        'nobody speaks'
    """
    return str(error).replace(f"{utterance.audio_path}: ", "")
