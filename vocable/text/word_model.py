"""Words of a language for recognition: their pronunciations and a trigram model of them, in a model folder."""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any

import numpy as np
import torch
from numpy import ndarray
from pydantic import Field
from torch import Tensor, nn

from vocable.errors import CheckpointError, ConfigError
from vocable.folder import bundled, read_model, write_model
from vocable.numerics import reproducible
from vocable.schema import MAX_ENTRIES, config, parse, to_json
from vocable.text.letters import LABELS
from vocable.text.ngram import END, START, NgramModel
from vocable.text.word_search import WordSearch, WordSearchConfig

SYSTEM = "words"  # the system in model.json
NAME = "words-en"
_STEP = 0.08  # nats between two stored logarithms
_MAX_WORDS = 1 << 16  # as a stored word is a number of 16 bits
_Count = Annotated[int, Field(ge=0, le=MAX_ENTRIES)]


@config
class WordModelConfig:
    """Words and sizes of the tables.

    Attributes:
        lexicon: A line for each word: the word and its pronunciations, separated by tabs, whose phones are separated
            by spaces.
        bigrams: Number of bigrams.
        trigrams: Number of trigrams.
    """

    lexicon: str
    bigrams: _Count
    trigrams: _Count

    def __post_init__(self) -> None:
        lines = self.lexicon.splitlines()
        if not 0 < len(lines) <= _MAX_WORDS - 2:
            raise ConfigError(f"lexicon: there are {len(lines)} words; give 1 to {_MAX_WORDS - 2}")
        for number, line in enumerate(lines, 1):
            if not line.partition("\t")[0]:
                raise ConfigError(f"lexicon, line {number}: {line[:40]!r} has no word")
        if len(self.spellings) < len(lines):
            raise ConfigError(f"lexicon: only {len(self.spellings)} of {len(lines)} words are different ones")

    @property
    def spellings(self) -> dict[str, tuple[str, ...]]:
        """Pronunciations of each word."""
        rows = (line.split("\t") for line in self.lexicon.splitlines())
        return {word: tuple(variants) for word, *variants in rows}


class _Tables(nn.Module):
    """N-grams in the order of their contexts; logarithms in steps of :data:`_STEP`."""

    def __init__(self, config: WordModelConfig) -> None:
        super().__init__()
        self.config = config
        words, bigrams, trigrams = len(config.spellings) + 2, config.bigrams, config.trigrams
        shapes: dict[str, tuple[int, torch.dtype]] = {
            "unigram_costs": (words, torch.uint8), "unigram_backoffs": (words, torch.int8),
            "bigram_counts": (words, torch.int32), "bigram_words": (bigrams, torch.uint16),
            "bigram_costs": (bigrams, torch.uint8), "bigram_backoffs": (bigrams, torch.int8),
            "trigram_counts": (bigrams, torch.uint16), "trigram_words": (trigrams, torch.uint16),
            "trigram_costs": (trigrams, torch.uint8),
        }  # fmt: skip
        for name, (size, dtype) in shapes.items():
            self.register_buffer(name, torch.zeros(size, dtype=dtype))


class WordModel:
    """Pronunciations of words, and a trigram model of them.

    Args:
        spellings: Pronunciations of each word: phones that are separated by spaces.
        lm: Language model. Words that it does not know are not found.

    Example:
        >>> model = WordModel.bundled()
        >>> model.spellings["tomato"], "cat" in model.lm.ids
        (('T AH M EY T OW', 'T AH M AA T OW'), True)
    """

    def __init__(self, spellings: Mapping[str, Sequence[str]], lm: NgramModel) -> None:
        self.spellings = {word: tuple(variants) for word, variants in spellings.items()}
        self.lm = lm

    def search(self, symbols: Sequence[str], settings: WordSearchConfig | None = None) -> WordSearch:
        """Return a search for words in the probabilities of phonemes.

        Args:
            symbols: Phonemes in the order of their labels; the first is the blank.
            settings: Settings of the search.

        Raises:
            ConfigError: If no pronunciation is made of these phonemes.
        """
        labels = {symbol: label for label, symbol in enumerate(symbols) if label}
        spellings = {
            word: [tuple(labels[phone] for phone in variant.split()) for variant in variants
                   if all(phone in labels for phone in variant.split())]
            for word, variants in self.spellings.items()
        }  # fmt: skip
        return WordSearch(spellings, self.lm, settings)

    def search_letters(self, settings: WordSearchConfig | None = None) -> WordSearch:
        """Return a search for words in the probabilities of the blank and then of letters.

        Label 0 is the blank; the others are those of :data:`~vocable.text.letters.LABELS`, the space among them.
        """
        written = {word: "".join(letter for letter in word if letter in LABELS) for word in self.spellings}
        spellings = {
            word: [tuple(1 + LABELS.index(letter) for letter in letters)]
            for word, letters in written.items()
            if letters
        }
        return WordSearch(spellings, self.lm, settings, separator=1 + LABELS.index(" "))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write a model folder; logarithms are rounded to .08 nats. See :func:`vocable.folder.write_model`.

        Raises:
            ConfigError: If the vocabulary of the language model is not the words with START and END, sorted.
            OutputError: If the folder cannot be written.
        """
        lm = self.lm
        if lm.vocabulary != _vocabulary(self.spellings):
            raise ConfigError("the words of the language model are not those of the lexicon, sorted; mix it over these")
        lexicon = "\n".join("\t".join((word, *variants)) for word, variants in self.spellings.items())
        settings = WordModelConfig(lexicon=lexicon, bigrams=len(lm.keys[0]), trigrams=len(lm.keys[1]))
        tables, size = _Tables(settings), len(lm.vocabulary)
        (first, second), (pair, third) = np.divmod(lm.keys[0], size), np.divmod(lm.keys[1], size)
        values: dict[str, ndarray] = {
            "unigram_costs": _costs(lm.log_probs[0]), "unigram_backoffs": _steps(lm.backoffs[0]),
            "bigram_counts": np.bincount(first, minlength=size).astype(np.int32),
            "bigram_words": second.astype(np.uint16), "bigram_costs": _costs(lm.log_probs[1]),
            "bigram_backoffs": _steps(lm.backoffs[1]),
            "trigram_counts": np.bincount(pair, minlength=len(first)).astype(np.uint16),
            "trigram_words": third.astype(np.uint16), "trigram_costs": _costs(lm.log_probs[2]),
        }  # fmt: skip
        tables.load_state_dict({name: torch.from_numpy(value) for name, value in values.items()}, assign=True)
        write_model(folder, SYSTEM, to_json(settings), tables)

    @classmethod
    @reproducible
    def load(cls, folder: str | os.PathLike[str]) -> "WordModel":
        """Read a model folder that :meth:`save` wrote.

        Raises:
            CheckpointError: If a file is missing, altered or of another version, or its tables contradict themselves.
        """
        stored: Any = read_model(folder, lambda values: _Tables(parse(WordModelConfig, values, "config"))).network
        values: dict[str, Tensor] = stored.state_dict()
        tables = {name: value.numpy().astype(np.int64) for name, value in values.items()}
        spellings = stored.config.spellings
        words = _vocabulary(spellings)
        try:
            keys = tuple(
                _keys(tables[f"{name}_counts"], tables[f"{name}_words"], len(words)) for name in ("bigram", "trigram")
            )
        except ValueError as error:
            raise CheckpointError(f"{folder}: the n-grams cannot be used ({error}); copy the model again") from error
        costs = tuple(-_STEP * tables[f"{name}_costs"] for name in ("unigram", "bigram", "trigram"))
        backoffs = tuple(_STEP * tables[f"{name}_backoffs"] for name in ("unigram", "bigram"))
        lm = NgramModel(words, (keys[0], keys[1]), (costs[0], costs[1], costs[2]), (backoffs[0], backoffs[1]))
        return cls(spellings, lm)

    @classmethod
    @cache
    def bundled(cls) -> "WordModel":
        """Return the bundled English model, which is read once a process.

        Raises:
            CheckpointError: If the model is missing or altered.
        """
        folder = bundled(SYSTEM).get(NAME)
        if folder is None:
            raise CheckpointError(f"{NAME}: the bundled model of words is missing; install vocable again")
        return cls.load(folder)


@cache
def bundled_search(symbols: tuple[str, ...]) -> WordSearch:
    """Return the search for English words in the probabilities of phonemes, which is made once a process."""
    return WordModel.bundled().search(symbols)


def _vocabulary(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*words, START, END}))


def _costs(log_probs: ndarray) -> ndarray:
    return np.clip(np.rint(-log_probs / _STEP), 0, 255).astype(np.uint8)


def _steps(backoffs: ndarray) -> ndarray:
    return np.clip(np.rint(backoffs / _STEP), -127, 127).astype(np.int8)


def _keys(counts: ndarray, words: ndarray, size: int) -> ndarray:
    """Return the keys of n-grams; raise a ValueError if they are not sorted, or a word is unknown."""
    if (counts < 0).any() or counts.sum() != len(words):
        raise ValueError(f"{counts.sum()} words are promised, {len(words)} are there")
    if len(words) and words.max() >= size:
        raise ValueError(f"word {words.max()} of {size}")
    keys = np.repeat(np.arange(len(counts)), counts) * size + words
    if (np.diff(keys) <= 0).any():
        raise ValueError("they are not in order")
    return keys
