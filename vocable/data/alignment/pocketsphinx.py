"""Forced alignment with CMU PocketSphinx and the English model inside its wheel: offline, nothing to download."""

import re
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np

from vocable.audio import Audio
from vocable.data.alignment.phones import arpabet_words
from vocable.data.alignment.record import Aligned, Alignment, Segment
from vocable.errors import AlignmentError, MissingDependencyError
from vocable.text.phonemes import SILENCE

_RATE = 16_000  # Hz that the aligner listens at
_FRAME = 0.01  # seconds
_MIDDLE = (
    0.0128 - _FRAME / 2
)  # seconds: frame t is heard through a window of 25.6 ms from t on, so begins to count here
_WORD = re.compile(r"[a-z']+")
_VARIANT = re.compile(r"\(\d+\)$")  # of a word's pronunciations: "zero(2)"
_FILLERS = ("<", "[")  # how the names of silences and noises begin
_NAME = "_"  # how the names of words made of given phones begin: no word of the dictionary does


class Aligner:
    """Finds the words or the phones of a known text in speech.

    Nothing is pruned (wider beams move no boundary), so a pronunciation may be far from the dictionary's. The pass for
    the best path through the lattice is left out: it may end before the last word, where silence scores better.

    Attributes:
        name: Package and version.

    Raises:
        MissingDependencyError: pocketsphinx is not installed.

    Source:
        Huggins-Daines et al., PocketSphinx, ICASSP 2006; package pocketsphinx (BSD).
    """

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise MissingDependencyError("aligning needs pocketsphinx; run pip install 'vocable[evaluate]'") from error
        self._decoder: Any = Decoder(loglevel="FATAL", lm=None, bestpath=False, beam=1e-200, wbeam=1e-200, pbeam=1e-200)
        self._known: set[str] = set()
        self.name = f"pocketsphinx-{metadata.version('pocketsphinx')}"

    def words(self, clip: Audio, text: str) -> list[Segment]:
        """The words of a text, in lower case, without the silences between them; none where they do not go together."""
        try:
            self._decoder.set_align_text(" ".join(_WORD.findall(text.lower())))
        except RuntimeError:  # a word that is not in its dictionary
            return []
        self._listen(_pcm(clip))
        return [
            Segment(_VARIANT.sub("", one.word), one.start_frame * _FRAME, (one.end_frame + 1) * _FRAME)
            for one in self._decoder.seg() or ()
            if not one.word.startswith(_FILLERS)
        ]

    def phones(self, clip: Audio, words: Sequence[Sequence[str]]) -> Aligned:
        """The phones of words, and the silences before, between and behind the words.

        Args:
            clip: Of any rate.
            words: ARPAbet phones of each word; their stress does not count.

        Raises:
            AlignmentError: There are no phones, one is no ARPAbet phone, or phones and speech do not go together.
        """
        names = [self._name(word) for word in arpabet_words(words)]
        pcm = _pcm(clip)
        self._decoder.set_align_text(" ".join(names))
        self._listen(pcm)
        heard = [one.word for one in self._decoder.seg() or () if one.word.startswith(_NAME)]
        if heard != names:
            raise AlignmentError(
                f"{len(heard)} of {len(names)} words were found in {clip.duration:.2f} s; compare them with it"
            )
        self._decoder.set_alignment()  # a second pass, within the words that were found
        self._listen(pcm)
        found = [
            (SILENCE if word.name.startswith(_FILLERS) else phone.name, phone)
            for word in self._decoder.get_alignment()
            for phone in word
        ]
        ends = [(phone.start + phone.duration) * _FRAME + _MIDDLE for _, phone in found]
        starts = [0.0, *ends]
        segments = tuple(Segment(one[0], start, end) for one, start, end in zip(found, starts, ends, strict=False))
        said = [phone for symbol, phone in found if symbol != SILENCE]
        score = sum(phone.score for phone in said) / sum(phone.duration for phone in said)
        return Aligned(Alignment(segments).fitted(clip.duration), score)

    def _listen(self, pcm: bytes) -> None:
        self._decoder.reinit_feat()  # the front end keeps what it learnt of the clip before
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()

    def _name(self, phones: Sequence[str]) -> str:
        """A word of the decoder's dictionary that is pronounced so."""
        name = _NAME + "-".join(phones)
        if name not in self._known:
            self._decoder.add_word(name, " ".join(phones), False)
            self._known.add(name)
        return name


def _pcm(clip: Audio) -> bytes:
    """16-bit samples at the rate the aligner listens at."""
    return np.round(np.clip(clip.resample(_RATE).samples, -1.0, 1.0) * 32767).astype(np.int16).tobytes()
