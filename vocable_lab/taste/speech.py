"""Speech from TASTE's tokens, and edits: words swapped for those of another recording."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vocable.audio import Audio
from vocable.metrics.score import Score, undefined
from vocable.metrics.text import normalize_english
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.tokens import Tokens

SLOWER = 0.8
"""Speed of the donor where no other recording has the same text."""

_MIN_DIFFERENCE = 0.01  # seconds by which a donor's word must differ in duration


def synthesize(
    tokenizer: TasteTokenizer, tokens: Tokens, *, seed: int, text_only: bool = False, known_length: bool = True
) -> Audio:
    """Decode one clip to speech, with units sampled one by one.

    Args:
        tokenizer: Tokenizer that produced the tokens.
        tokens: Tokens of one clip, with text and voice.
        seed: Seed of the sampled units.
        text_only: Whether to ignore the tokens and use the text alone.
        known_length: Whether the speech is as long as the clip; otherwise the model finds its end.

    Raises:
        ConfigError: If the units have no decoder.
    """
    units = tokenizer.units(tokens, seed=seed, text_only=text_only, known_length=known_length)
    voice = tokens.voice[0] if tokens.voice is not None else None
    return tokenizer.source.speech(units, voice, samples=int(tokens.samples[0]) if known_length else None)


def find_donors(texts: Mapping[str, str]) -> dict[str, str | None]:
    """Return for each clip another one with the same words; None where there is none.

    Example:
        >>> find_donors({"a": "Oh no", "b": "oh  no", "c": "yes"})
        {'a': 'b', 'b': 'a', 'c': None}
    """
    by_words: dict[tuple[str, ...], list[str]] = {}
    for key, text in texts.items():
        by_words.setdefault(tuple(text.lower().split()), []).append(key)
    found: dict[str, str | None] = {}
    for keys in by_words.values():
        found |= dict(zip(keys, [*keys[1:], keys[0]] if len(keys) > 1 else [None], strict=True))
    return {key: found[key] for key in texts}


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Tokens with one word of a donor.

    Attributes:
        tokens: Edited tokens.
        word: Index of the swapped word, from 0.
        longer: Duration of the donor's word minus that of the original, in seconds, by the tokens.
    """

    tokens: Tokens
    word: int
    longer: float


def swap_middle_word(tokenizer: TasteTokenizer, tokens: Tokens, donor: Tokens) -> Swap:
    """Swap the middle word of a clip for that of a donor.

    Args:
        tokenizer: Tokenizer that produced the tokens.
        tokens: Tokens of one clip.
        donor: Tokens of another clip with the same words.

    Raises:
        SpecError: If the model predicts no durations.
    """
    original, other = tokenizer.seconds(tokens), tokenizer.seconds(donor)
    word = len(original) // 2
    edited = tokenizer.swap_words(tokens, donor, word + 1, word + 1)
    return Swap(tokens=edited, word=word, longer=other[word] - original[word])


def score_heard_edit(words: Sequence[str], before: str, after: str, word: int) -> dict[str, Score]:
    """Score whether a recognizer hears the words of a text after one of them was swapped.

    Args:
        words: Words of the text.
        before: Transcript of the speech before the swap.
        after: Transcript of the speech after the swap.
        word: Index of the swapped word, from 0.

    Returns:
        ``word_heard``, and ``words_kept``: of the other words that were heard before, the share that is heard after;
        undefined where none was.

    Example:
        >>> found = score_heard_edit(["we", "saw", "it"], "we saw hit", "we saw it", word=1)
        >>> found["word_heard"].value, found["words_kept"].value
        (1.0, 1.0)
    """
    first, second = heard_words(words, before), heard_words(words, after)
    others = [second[at] for at, heard in enumerate(first) if heard and at != word]
    kept = undefined("no other word was heard before the edit")
    if others:
        kept = Score(sum(others) / len(others), weight=float(len(others)))
    return {"word_heard": Score(float(second[word])), "words_kept": kept}


def heard_words(words: Sequence[str], transcript: str) -> list[bool]:
    """Return whether each word of a text stands in a transcript, where both are aligned with the fewest errors.

    Both are normalized as for WER; a word that nothing is left of, such as a dash, counts as heard.

    Example:
        >>> heard_words(["Mr.", "Brown", "--", "sat", "down"], "mister brown sits down")
        [True, True, True, False, True]
    """
    from rapidfuzz.distance import Levenshtein

    parts = [normalize_english(word).split() for word in words]
    reference, hypothesis = [part for word in parts for part in word], normalize_english(transcript).split()
    numbers: dict[str, int] = {}
    sides = [[numbers.setdefault(part, len(numbers)) for part in side] for side in (reference, hypothesis)]
    equal = {
        at for step in Levenshtein.opcodes(*sides) if step.tag == "equal" for at in range(step.src_start, step.src_end)
    }
    ends = np.cumsum([len(word) for word in parts]).tolist()
    return [
        all(at in equal for at in range(end - len(word), end)) for word, end in zip(parts, ends, strict=True)
    ]  # fmt: skip


def score_edit(before: Sequence[float], after: Sequence[float], word: int, longer: float) -> dict[str, Score]:
    """Score how a swapped word's duration moved toward the donor's, and how the other words changed.

    Args:
        before: Duration of each word in seconds, before the swap.
        after: Duration of each word in seconds, after the swap.
        word: Index of the swapped word, from 0.
        longer: Duration of the donor's word minus that of the original, in seconds.

    Returns:
        ``toward_donor`` and ``carried``, undefined where the durations do not differ, and ``others_ms``, undefined
        where there is no other word.

    Example:
        >>> found = score_edit([0.5, 0.5, 0.5], [0.5, 0.7, 0.51], word=1, longer=0.25)
        >>> {key: round(score.value, 3) for key, score in found.items()}
        {'toward_donor': 1.0, 'carried': 0.8, 'others_ms': 5.0}
    """
    changes = np.array(after) - np.array(before)
    rest = np.abs(np.delete(changes, word)) * 1000
    others = Score(float(rest.mean()), weight=float(len(rest))) if len(rest) else undefined("there is no other word")
    if abs(longer) < _MIN_DIFFERENCE:
        equal = undefined("the donor's word has the same duration")
        return {"toward_donor": equal, "carried": equal, "others_ms": others}
    moved = float(changes[word])
    toward = Score(float(abs(longer - moved) < abs(longer)))
    return {"toward_donor": toward, "carried": Score(moved / longer, weight=abs(longer)), "others_ms": others}
