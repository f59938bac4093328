"""Forced alignment with CMU PocketSphinx and the English model inside its wheel, which needs no download."""

import re
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np

from vocable.audio import Audio
from vocable.data.alignment.record import Alignment, ScoredAlignment, Segment
from vocable.data.alignment.words import arpabet_words
from vocable.errors import AlignmentError, MissingDependencyError
from vocable.text.lexicon import VARIANT
from vocable.text.phonemes import SILENCE

_RATE = 16_000  # sample rate of the acoustic model in Hz
_FRAME = 0.01  # seconds
_OFFSET = 0.0128 - _FRAME / 2  # seconds from the start of a frame's window of 25.6 ms to the part that it stands for
_WORD = re.compile(r"[a-z']+")
_FILLERS = ("<", "[")  # first characters of the names of silences and noises
_PREFIX = "_"  # first character of the names of added words: no word of the dictionary begins so


class Aligner:
    """Forced aligner of the words or phones of a known text.

    The search is not pruned, so a pronunciation may differ from the dictionary's. The search for the best path through
    the lattice is off: it may end before the last word, if silence scores better.

    Attributes:
        name: Package and version.

    Raises:
        MissingDependencyError: If pocketsphinx is not installed.

    Source:
        Huggins-Daines et al., PocketSphinx, ICASSP 2006; package pocketsphinx (BSD).
    """

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise MissingDependencyError("alignment needs pocketsphinx; run pip install 'vocable[evaluate]'") from error
        self._decoder: Any = Decoder(loglevel="FATAL", lm=None, bestpath=False, beam=1e-200, wbeam=1e-200, pbeam=1e-200)
        self._added: set[str] = set()
        self.name = f"pocketsphinx-{metadata.version('pocketsphinx')}"

    def words(self, clip: Audio, text: str) -> list[Segment]:
        """Align the words of a text, in lower case, without the silences between them; return none if that fails."""
        try:
            self._decoder.set_align_text(" ".join(_WORD.findall(text.lower())))
        except RuntimeError:  # a word is not in the dictionary
            return []
        self._decode(_pcm(clip))
        return [
            Segment(VARIANT.sub("", one.word), one.start_frame * _FRAME, (one.end_frame + 1) * _FRAME)
            for one in self._decoder.seg() or ()
            if not one.word.startswith(_FILLERS)
        ]

    def phones(self, clip: Audio, words: Sequence[Sequence[str]]) -> ScoredAlignment:
        """Align the phones of words; see :meth:`~vocable.data.alignment.record.PhoneAligner.phones`."""
        names = [self._add_word(word) for word in arpabet_words(words)]
        pcm = _pcm(clip)
        self._decoder.set_align_text(" ".join(names))
        self._decode(pcm)
        found = [one.word for one in self._decoder.seg() or () if one.word.startswith(_PREFIX)]
        if found != names:
            raise AlignmentError(
                f"{len(found)} of {len(names)} words were found in {clip.duration:.2f} s; compare them with it"
            )
        self._decoder.set_alignment()  # a second pass, within the words that were found
        self._decode(pcm)
        phones = [
            (SILENCE if word.name.startswith(_FILLERS) else phone.name, phone)
            for word in self._decoder.get_alignment()
            for phone in word
        ]
        ends = [(phone.start + phone.duration) * _FRAME + _OFFSET for _, phone in phones]
        starts = [0.0, *ends]
        segments = tuple(Segment(one[0], start, end) for one, start, end in zip(phones, starts, ends, strict=False))
        spoken = [phone for symbol, phone in phones if symbol != SILENCE]
        score = sum(phone.score for phone in spoken) / sum(phone.duration for phone in spoken)
        return ScoredAlignment(Alignment(segments).fitted(clip.duration), score)

    def _decode(self, pcm: bytes) -> None:
        self._decoder.reinit_feat()  # forget the normalization of the previous clip
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()

    def _add_word(self, phones: Sequence[str]) -> str:
        """Add a word with these phones to the dictionary of the decoder; return its name."""
        name = _PREFIX + "-".join(phones)
        if name not in self._added:
            self._decoder.add_word(name, " ".join(phones), False)
            self._added.add(name)
        return name


def _pcm(clip: Audio) -> bytes:
    """Return 16-bit samples at the sample rate of the acoustic model."""
    return np.round(np.clip(clip.resample(_RATE).samples, -1.0, 1.0) * 32767).astype(np.int16).tobytes()
