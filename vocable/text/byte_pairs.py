"""Pieces of words that are learnt from texts."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from vocable.errors import CheckpointError, ConfigError, TextError
from vocable.text.split import Split, words_to_split
from vocable.text.written import check_case, written_words

UNKNOWN = "<unk>"
_INSIDE = "##"  # before a piece that does not begin its word; what begins one is a letter, never #
_LARGEST = 1 << 17  # pieces of a table
_LONGEST_PIECE = 64  # characters


class BytePairs:
    """Pieces that were learnt: the pairs of letters, and of what came of them, that are most frequent.

    There are no bytes in spite of the name: a letter that was not seen while learning is one unknown piece.

    Args:
        vocabulary: The pieces in the order of their ids: first :data:`UNKNOWN`; ``##`` stands before those that do not
            begin a word.
        merges: Pairs of pieces that become one, the most frequent first.
        case: One of :data:`~vocable.text.written.CASES`.

    Raises:
        ConfigError: There is no such case.
        TextError: This is no table of pieces, or a merge makes a piece that is not in it.

    Source:
        Sennrich, Haddow and Birch, arXiv:1508.07909; learnt and applied by Hugging Face's ``tokenizers``.

    Example:
        >>> pieces = BytePairs.learn(["THE DOG DIDN'T", "the other dog", "then they did"], size=32)
        >>> split = pieces.split("The dog, they?")
        >>> split.texts, split.words
        (('the', 'dog', 'the', 'y'), (0, 1, 2, 2))
        >>> pieces.split("don't").n_words, pieces.split("é").ids
        (1, (0,))
    """

    kind = "byte_pairs"

    def __init__(self, vocabulary: Sequence[str], merges: Sequence[tuple[str, str]], case: str = "lower") -> None:
        check_case(case)
        self.vocabulary, self.merges, self.case = _checked_table(vocabulary), _checked_merges(merges, vocabulary), case
        self._ids = {piece: number for number, piece in enumerate(self.vocabulary)}
        self._model = _model(self._ids, self.merges)
        self._known: dict[str, list[int]] = {}  # words that were split before

    @classmethod
    def learn(cls, texts: Iterable[str], size: int, case: str = "lower") -> "BytePairs":
        """The pieces of some texts; of equal texts in whatever order, equal pieces.

        Args:
            texts: Those without letters are passed over.
            size: Pieces at most; fewer where the texts have no more pairs that are seen twice.
            case: One of :data:`~vocable.text.written.CASES`.

        Raises:
            ConfigError: There is no such case, or the letters alone are more than ``size``.
            TextError: There are no letters at all.
        """
        check_case(case)
        counts: Counter[str] = Counter()
        seen: set[str] = set()
        for text in texts:
            for word in written_words(text, case):
                counts[word.letters] += 1
                seen.update(word.marks)
        letters = sorted(set().union(*counts))
        marks = sorted(seen - set(letters))
        if not letters:
            raise TextError("there are no letters to learn pieces from; give texts")
        # the trainer draws the ids of what it is not given at random, and settles ties by ids
        table = [UNKNOWN, *letters, *(_INSIDE + one for one in (*letters, *marks))]
        if not len(table) <= size <= _LARGEST:
            raise ConfigError(
                f"size is {size}: these texts need {len(table)} pieces for their letters alone, and {_LARGEST} are the "
                "most; give another size"
            )
        tokenizer = Tokenizer(_model({UNKNOWN: 0}, []))
        trainer = BpeTrainer(
            vocab_size=size, min_frequency=2, special_tokens=table, continuing_subword_prefix=_INSIDE,
            max_token_length=_LONGEST_PIECE - len(_INSIDE), show_progress=False,
        )  # fmt: skip
        words = (word for word, count in sorted(counts.items()) for _ in range(count))
        tokenizer.train_from_iterator(words, trainer)
        learnt = json.loads(tokenizer.to_str())["model"]
        return cls(
            sorted(learnt["vocab"], key=learnt["vocab"].__getitem__), [(a, b) for a, b in learnt["merges"]], case
        )

    @property
    def size(self) -> int:
        """Entries of the table."""
        return len(self.vocabulary)

    def split(self, text: str) -> Split:
        """A text in pieces.

        Raises:
            TextError: There are no letters in it, or too many.
        """
        ids: list[int] = []
        words: list[int] = []
        texts: list[str] = []
        for number, word in enumerate(words_to_split(text, self.case)):
            found = self._of(word.letters)
            left = word.letters
            for one in found:
                size = 1 if one == 0 else len(self.vocabulary[one].removeprefix(_INSIDE))
                texts.append(left[:size])
                left = left[size:]
            ids += [*found, *(self._ids.get(_INSIDE + mark, 0) for mark in word.marks)]
            texts += word.marks
            words += [number] * (len(found) + len(word.marks))
        return Split(tuple(ids), tuple(words), tuple(texts))

    def to_json(self) -> dict[str, Any]:
        """The table and how it is applied."""
        return {
            "kind": self.kind, "case": self.case, "vocabulary": list(self.vocabulary),
            "merges": [list(pair) for pair in self.merges],
        }  # fmt: skip

    @classmethod
    def from_json(cls, values: object, where: str = "pieces") -> "BytePairs":
        """What :meth:`to_json` wrote, or an error if it is anything else.

        Raises:
            CheckpointError: It is.
        """
        match values:
            case {"kind": cls.kind, "case": str(case), "vocabulary": list(vocabulary), "merges": list(merges)}:
                try:
                    table = _checked_table(vocabulary)
                    return cls(table, _checked_merges(merges, table), case)
                except (TextError, ConfigError) as error:
                    raise CheckpointError(f"{where}: {error}") from error
            case _:
                raise CheckpointError(f"{where}: this is no table of pieces; copy the model again")

    def _of(self, letters: str) -> list[int]:
        if letters not in self._known:
            if len(self._known) >= _LARGEST:
                self._known.clear()
            self._known[letters] = [token.id for token in self._model.tokenize(letters)]
        return self._known[letters]


def _model(ids: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> BPE:
    return BPE(vocab=dict(ids), merges=list(merges), unk_token=UNKNOWN, continuing_subword_prefix=_INSIDE)


def _checked_table(vocabulary: Sequence[object]) -> tuple[str, ...]:
    if not 2 <= len(vocabulary) <= _LARGEST or vocabulary[0] != UNKNOWN:
        raise TextError(f"a table of {len(vocabulary)} pieces: it wants 2 to {_LARGEST}, the first of them {UNKNOWN}")
    table = tuple(piece for piece in vocabulary if isinstance(piece, str) and _is_piece(piece))
    if len(table) < len(vocabulary) or len(set(table)) < len(table):
        raise TextError("the table of pieces has an entry that is none, or is there twice; learn it again")
    return table


def _is_piece(piece: str) -> bool:
    letters = piece.removeprefix(_INSIDE)
    return 0 < len(letters) <= _LONGEST_PIECE and letters.isprintable() and not any(map(str.isspace, letters))


def _checked_merges(merges: Sequence[object], vocabulary: Sequence[str]) -> tuple[tuple[str, str], ...]:
    known = set(vocabulary)
    checked: list[tuple[str, str]] = []
    for pair in merges:
        match pair:
            case [str(left), str(right)] if (
                {left, right, left + right.removeprefix(_INSIDE)} <= known and right.startswith(_INSIDE)
            ):  # fmt: skip
                checked.append((left, right))
            case _:
                raise TextError(f"merge {len(checked) + 1} is {str(pair)[:40]!r}: no two pieces that make another one")
    if len(set(checked)) < len(checked):
        raise TextError("the merges have a pair twice; learn the pieces again")
    return tuple(checked)
