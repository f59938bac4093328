"""Speech that TASTE's evaluation makes: clips said again, donors of words, and what became of each word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vocable.audio import Audio
from vocable.metrics.score import Score, undefined
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.tokens import Tokens

SLOWER = 0.8  # speed of the donor, where nobody else says the text
_ALIKE = 0.01  # seconds by which words last alike


def said(tokenizer: TasteTokenizer, tokens: Tokens, *, seed: int, text_only: bool = False) -> Audio:
    """Tokens of one clip as speech, with units drawn one by one.

    Args:
        tokenizer: Theirs.
        tokens: With their text and voice.
        seed: The same draws the same units.
        text_only: The tokens are not looked at.

    Raises:
        ConfigError: The units have no decoder.
    """
    units = tokenizer.units(tokens, seed=seed, text_only=text_only)
    voice = tokens.voice[0] if tokens.voice is not None else None
    return tokenizer.source.speech(units, voice, samples=int(tokens.samples[0]))


def donors(texts: Mapping[str, str]) -> dict[str, str | None]:
    """For each clip another one with the same words; None where there is none.

    Example:
        >>> donors({"a": "Oh no", "b": "oh  no", "c": "yes"})
        {'a': 'b', 'b': 'a', 'c': None}
    """
    alike: dict[tuple[str, ...], list[str]] = {}
    for key, text in texts.items():
        alike.setdefault(tuple(text.lower().split()), []).append(key)
    found: dict[str, str | None] = {}
    for keys in alike.values():
        found |= dict(zip(keys, [*keys[1:], keys[0]] if len(keys) > 1 else [None], strict=True))
    return {key: found[key] for key in texts}


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Tokens one word of which is a donor's.

    Attributes:
        tokens: With that word.
        word: Which, from 0 on.
        longer: Seconds by which it lasts longer at the donor's, as tokens have it.
    """

    tokens: Tokens
    word: int
    longer: float


def swap(tokenizer: TasteTokenizer, tokens: Tokens, donor: Tokens) -> Swap:
    """Swap the middle word.

    Args:
        tokenizer: Theirs.
        tokens: Of one clip.
        donor: Of another one that says the same.

    Raises:
        SpecError: The model tells no durations.
    """
    here, there = tokenizer.seconds(tokens), tokenizer.seconds(donor)
    word = len(here) // 2
    made = tokenizer.swap_words(tokens, donor, word + 1, word + 1)
    return Swap(tokens=made, word=word, longer=there[word] - here[word])


def edited(before: Sequence[float], after: Sequence[float], word: int, longer: float) -> dict[str, Score]:
    """Whether a word's duration moved toward a donor's, and what became of the other words.

    Args:
        before: Seconds of each word.
        after: Of each word when one is swapped.
        word: Which, from 0 on.
        longer: Seconds by which it lasts longer at the donor's.

    Returns:
        ``toward_donor`` and ``carried``, undefined where there is nothing to move, and ``others_ms``, undefined where
        there is no other word.

    Example:
        >>> found = edited([0.5, 0.5, 0.5], [0.5, 0.7, 0.51], word=1, longer=0.25)
        >>> {key: round(score.value, 3) for key, score in found.items()}
        {'toward_donor': 1.0, 'carried': 0.8, 'others_ms': 5.0}
    """
    changes = np.array(after) - np.array(before)
    rest = np.abs(np.delete(changes, word)) * 1000
    others = Score(float(rest.mean()), weight=float(len(rest))) if len(rest) else undefined("there is no other word")
    if abs(longer) < _ALIKE:
        alike = undefined("the donor's word lasts as long")
        return {"toward_donor": alike, "carried": alike, "others_ms": others}
    moved = float(changes[word])
    toward = Score(float(abs(longer - moved) < abs(longer)))
    return {"toward_donor": toward, "carried": Score(moved / longer, weight=abs(longer)), "others_ms": others}
