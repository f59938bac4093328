"""Phone recognizer of the package hama: a small CTC network whose weights are in the package."""

import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from itertools import groupby
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import MissingDependencyError

SAMPLE_RATE = 16_000
"""Sample rate of the network's input in Hz."""

FRAME_RATE = 50.0
"""Frames per second; frame n is centered on sample 320 · n."""

BOUNDARY, BLANK = "<wb>", "<blank>"
_HOP = 320  # samples
_LONGEST = 30 * SAMPLE_RATE - _HOP  # samples; the package ignores what comes after 1,500 frames, without a word
_CONTEXT = 2 * SAMPLE_RATE  # samples on either side of a window that the network sees, too
_WINDOW = 26 * SAMPLE_RATE  # samples between the contexts
_FLOOR = 1e-10  # least probability
_SYMBOLS_OF = {  # the phones of ARPAbet in alphabetical order, with their symbols
    "AA": "ɑ ɒ a", "AE": "æ", "AH": "ə ʌ ɐ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "t͡ʃ t͡ɕ",
    "D": "d", "DH": "ð", "EH": "ɛ", "ER": "ɝ ɚ ɜ", "EY": "eɪ e", "F": "f", "G": "g ɡ", "HH": "h ɦ", "IH": "ɪ ɨ",
    "IY": "i", "JH": "d͡ʒ", "K": "k kʰ", "L": "l ɫ", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ o", "OY": "ɔɪ",
    "P": "p pʰ", "R": "ɹ r ɻ", "S": "s", "SH": "ʃ ɕ", "T": "t tʰ ɾ", "TH": "θ", "UH": "ʊ", "UW": "u ʉ", "V": "v",
    "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
_ARPABET_OF = {symbol: phone for phone, symbols in _SYMBOLS_OF.items() for symbol in symbols.split()}
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_PAIRS = {"ju": ("Y", "UW"), "eə": ("EH", "R"), "ɪə": ("IH", "R"), "ja": ("Y", "AA"), "je": ("Y", "EH"),
          "jo": ("Y", "OW"), "jʌ": ("Y", "AH"), "wa": ("W", "AA"), "we": ("W", "EH"), "wi": ("W", "IY"),
          "wʌ": ("W", "AH")}  # fmt: skip


class HamaRecognizer:
    """Phones of any speech, recognized without a language model or a dictionary.

    The network was trained on English and Korean. Audio of 30 s and more is read in overlapping windows.
    Its vowels follow its own dictionary, in which function words are not reduced (``a`` is ``ə``, ``of`` is ``ɔ f``).
    Therefore compare it with :meth:`pronounce`, or with what it recognizes in the recording; against the CMU dictionary
    a quarter of the phones differ.

    Attributes:
        name: Package and version.
        symbols: The 191 symbols of the network, among them the phones in IPA, :data:`BOUNDARY` and :data:`BLANK`.

    Raises:
        MissingDependencyError: If hama is not installed, or has no library for this platform.

    Source:
        Package hama (Apache-2.0), github.com/hamanlp/hama. CTC: Graves et al., ICML 2006.

    Example:
        >>> recognizer = HamaRecognizer()
        >>> silence = Audio(np.zeros(16_000), 16_000)
        >>> recognizer.phones(silence), recognizer.log_probs(silence).shape
        ([], (51, 191))
    """

    def __init__(self) -> None:
        try:
            import hama
        except ImportError as error:
            raise MissingDependencyError(
                "recognizing phones needs hama; run pip install 'vocable[evaluate]'"
            ) from error
        try:
            self._model: Any = hama.ASRModel()
            self._spelling: Any = hama.G2PModel()
        except RuntimeError as error:
            raise MissingDependencyError(
                f"recognizing phones needs hama, which has no library for this platform ({error}); use another judge "
                "or aligner"
            ) from error
        self._pronunciations: dict[str, tuple[str, ...]] = {}
        self.name = f"hama-{metadata.version('hama')}"
        self.symbols = tuple(self._model.decoder_tokens)

    def log_probs(self, clip: Audio) -> Float[ndarray, "N k"]:
        """Return log-probabilities of the 191 symbols at each frame.

        Args:
            clip: Clip of any sample rate.
        """
        samples = np.clip(clip.resample(SAMPLE_RATE).samples, -1.0, 1.0)
        if len(samples) <= _LONGEST:
            return self._run(samples)
        parts = []
        for start in range(0, len(samples), _WINDOW):
            begin = max(0, start - _CONTEXT)
            frames = self._run(samples[begin : min(start + _WINDOW + _CONTEXT, begin + _LONGEST)])
            last = None if start + _WINDOW >= len(samples) else (start + _WINDOW - begin) // _HOP
            parts.append(frames[(start - begin) // _HOP : last])
        return np.concatenate(parts)

    def ipa(self, clip: Audio) -> list[str]:
        """Return the phones of a clip in IPA; none for silence."""
        return [symbol for symbol in self._decode(clip) if symbol != BOUNDARY]

    def phones(self, clip: Audio) -> list[str]:
        """Return the phones of a clip as ARPAbet without stress; none for silence.

        Phones that English does not have keep their IPA symbol. Diacritics are dropped.
        """
        return [phone for symbol in self.ipa(clip) for phone in arpabet_of(symbol)]

    def pronounce(self, words: Iterable[str]) -> list[str]:
        """Return the phones of words as ARPAbet, by the letter-to-sound model of the package.

        Args:
            words: Words of ``a`` to ``z`` and apostrophes, such as those of
                :func:`~vocable.text.normalize.to_words`; other words are passed over.
        """
        return [phone for word in words for phone in self._pronounce(word)]

    def classes(self) -> Float[ndarray, "k C"]:
        """Return the matrix that sums probabilities of symbols into the blank, the word boundary and the 39 phones.

        Symbols that are no phone of English count as blank.
        """
        columns = {BLANK: 0, BOUNDARY: 1, **{phone: at for at, phone in enumerate(_SYMBOLS_OF, start=2)}}
        matrix = np.zeros((len(self.symbols), len(columns)), dtype=np.float32)
        for row, symbol in enumerate(self.symbols):
            matrix[row, columns.get(_ARPABET_OF.get(symbol, symbol), 0)] = 1.0
        return matrix

    def arpabet_log_probs(self, clip: Audio) -> Float[ndarray, "N C"]:
        """Return log-probabilities of 41 classes at each frame.

        The classes are the blank, the boundary of words, and the 39 phones of ARPAbet in alphabetical order.
        """
        return np.log(np.maximum(np.exp(self.log_probs(clip)) @ self.classes(), _FLOOR))

    def _run(self, samples: Float[ndarray, " T"]) -> Float[ndarray, "N k"]:
        feeds = {"waveform": samples, "waveform_lengths": np.array([len(samples)])}
        (log_probs,) = self._model.session.run(["log_probs"], feeds)
        return np.asarray(log_probs[0])

    def _pronounce(self, word: str) -> tuple[str, ...]:
        if word not in self._pronunciations:
            letters = word.strip(".'")
            symbols = self._spelling.predict(letters).alignments if _WORD.fullmatch(letters) else []
            self._pronunciations[word] = tuple(phone for one in symbols for phone in arpabet_of(one.phoneme))
        return self._pronunciations[word]

    def _decode(self, clip: Audio) -> Iterator[str]:
        """Yield the symbols of the most probable classes, as the package's own greedy decoder does."""
        settings = self._model.decode_cfg
        scores = self.log_probs(clip) / settings.temperature
        scores[:, self._model.blank_id] += settings.blank_bias
        return (self.symbols[at] for at, _ in groupby(scores.argmax(1).tolist()) if at != self._model.blank_id)


def arpabet_of(symbol: str) -> Iterable[str]:
    """Return the ARPAbet phones of an IPA symbol of the network; none for a diacritic, itself if English has no such.

    Example:
        >>> arpabet_of("t͡ʃ"), arpabet_of("ju"), arpabet_of("̪"), arpabet_of("ø")
        (('CH',), ('Y', 'UW'), (), ('ø',))
    """
    if symbol in _PAIRS:
        return _PAIRS[symbol]
    if symbol in _ARPABET_OF:
        return (_ARPABET_OF[symbol],)
    return (symbol,) if any(character.isalpha() and character not in "ʰʱʲʷˀːˑˤ" for character in symbol) else ()
