"""Phones of recordings and their times: from the manifest, else from the pronouncer and the aligner."""

from collections.abc import Iterable, Mapping
from functools import cache, cached_property

from vocable.audio import Audio
from vocable.data.alignment import Alignment, alignment_of
from vocable.data.alignment.make import find_aligner
from vocable.data.alignment.record import PhoneAligner
from vocable.data.alignment.words import words_of
from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError, MissingDependencyError, VocableError
from vocable.text.phonemes import ARPABET, SILENCE, strip_stress
from vocable.text.pronounce import ArpabetPronouncer

pronouncer = cache(ArpabetPronouncer)  # loaded at the first utterance without phones


class PhoneReader:
    """Reader of the phones of utterances. Aligner and dictionary are loaded at their first use."""

    def phones(self, utterance: Utterance) -> list[str]:
        """Return the phones of a recording without stress and silence: from ``phones``, ``alignment`` or the text.

        Raises:
            AlignmentError: If its manifest line has none of them, or what it has cannot be used.
        """
        alignment = alignment_of(utterance) if "phones" not in utterance.extra else None
        if alignment is not None:
            symbols = [symbol for symbol in alignment.symbols if symbol != SILENCE]
            plain = [strip_stress(symbol) for symbol in symbols]
            return plain if set(plain) <= set(ARPABET) else symbols  # IPA distinguishes case, and has no stress digits
        return [phone for word in self._words(utterance) for phone in word]

    def alignment(self, utterance: Utterance, audio: Audio) -> Alignment:
        """Return the phones of a recording with their times.

        Raises:
            AlignmentError: If it has no phones (see :meth:`phones`), or phones and speech do not match.
            MissingDependencyError: If it has no alignment and pocketsphinx is not installed.
        """
        alignment = alignment_of(utterance, audio.duration)
        return self._aligner.phones(audio, self._words(utterance)).alignment if alignment is None else alignment

    def why_not_aligned(self, utterances: Iterable[Utterance]) -> str:
        """Return why recordings without an ``alignment`` cannot be aligned on this machine; empty if they can."""
        try:
            _ = any("alignment" not in utterance.extra for utterance in utterances) and self._aligner
        except MissingDependencyError as error:
            return str(error)
        return ""

    def read_all(self, clips: Mapping[str, Utterance]) -> tuple[dict[str, list[str]], dict[str, str]]:
        """Return the phones of each clip by key, and the reasons why other clips have none.

        Raises:
            AlignmentError: If no clip has phones.
        """
        phones, failed = {}, {}
        for key, clip in clips.items():
            try:
                phones[key] = self.phones(clip)
            except AlignmentError as error:
                failed[key] = without_path(error, clip)
        if not phones:
            key, reason = next(iter(failed.items()))
            raise AlignmentError(
                f"none of {len(failed)} clips has phones; the first: {key}: {reason}; give a manifest "
                "with 'text', 'phones' or 'alignment'"
            )
        return phones, failed

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


def without_path(error: VocableError, utterance: Utterance) -> str:
    """Return an error's message without the path of the recording, which differs between machines.

    Example:
        >>> without_path(AlignmentError("/home/a.flac: nobody speaks"), Utterance(audio_path="/home/a.flac"))
        'nobody speaks'
    """
    path = utterance.audio_path
    return str(error).replace(f"{path}: ", "").replace(str(path), path.name)
