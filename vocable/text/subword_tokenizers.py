"""Subword tokenizers: byte pair encoding trained on texts, and the tokenizers of pretrained models."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from vocable.errors import CheckpointError, ConfigError, TextError
from vocable.files import check_regular, folder_exists, reason_of
from vocable.text.subwords import CASES, Subwords, SubwordTokenizer, check_case, require_words, split_words

UNKNOWN = "<unk>"
"""Subword of id 0, which stands for a letter that the training texts do not have."""

_INSIDE = "##"  # prefix of a subword that does not begin its word; a subword that begins one starts with a letter
_MAX_VOCABULARY = 1 << 17
_MAX_SUBWORD = 64  # characters


class BytePairTokenizer:
    """Byte pair encoding (BPE) trained on texts; the symbols that it merges are letters, not bytes.

    A letter that the training texts do not have is one unknown subword.

    Args:
        vocabulary: Subwords in the order of their ids. The first is :data:`UNKNOWN`. The prefix ``##`` marks a subword
            that does not begin its word.
        merges: Pairs of subwords that are merged, the most frequent pair first.
        case: One of :data:`~vocable.text.subwords.CASES`.

    Raises:
        ConfigError: If the case is unknown.
        TextError: If an entry of the vocabulary is invalid, or a merge makes a subword that is not in the vocabulary.

    Source:
        Sennrich, Haddow and Birch, arXiv:1508.07909; trained and applied by Hugging Face's ``tokenizers``.

    Example:
        >>> tokenizer = BytePairTokenizer.train(["THE DOG DIDN'T", "the other dog", "then they did"], size=32)
        >>> subwords = tokenizer.tokenize("The dog, they?")
        >>> subwords.texts, subwords.word_ids
        (('the', 'dog', 'the', 'y'), (0, 1, 2, 2))
        >>> tokenizer.tokenize("don't").num_words, tokenizer.tokenize("é").ids
        (1, (0,))
    """

    kind = "byte_pairs"

    def __init__(self, vocabulary: Sequence[str], merges: Sequence[tuple[str, str]], case: str = "lower") -> None:
        check_case(case)
        self.vocabulary, self.merges = _checked_vocabulary(vocabulary), _checked_merges(merges, vocabulary)
        self.case = case
        self._ids = {subword: number for number, subword in enumerate(self.vocabulary)}
        self._model = _bpe(self._ids, self.merges)

    @classmethod
    def train(cls, texts: Iterable[str], size: int, case: str = "lower") -> "BytePairTokenizer":
        """Train a tokenizer. The order of the texts does not change the result.

        Args:
            texts: Texts to train on; texts without letters are ignored.
            size: Largest size of the vocabulary. It is smaller if no more pairs occur twice.
            case: One of :data:`~vocable.text.subwords.CASES`.

        Raises:
            ConfigError: If the case is unknown, or the texts have more letters than ``size``.
            TextError: If no text has letters.
        """
        check_case(case)
        counts: Counter[str] = Counter()
        punctuation: set[str] = set()
        for text in texts:
            for word in split_words(text, case):
                counts[word.letters] += 1
                punctuation.update(word.marks)
        letters = sorted(set().union(*counts))
        marks = sorted(punctuation - set(letters))
        if not letters:
            raise TextError("there are no letters to learn subwords from; give texts")
        # The trainer assigns ids to other symbols at random, and breaks ties by id.
        symbols = [UNKNOWN, *letters, *(_INSIDE + symbol for symbol in (*letters, *marks))]
        if not len(symbols) <= size <= _MAX_VOCABULARY:
            raise ConfigError(
                f"size is {size}: it must be at least {len(symbols)}, for the letters of these texts, and at most "
                f"{_MAX_VOCABULARY}"
            )
        tokenizer = Tokenizer(_bpe({UNKNOWN: 0}, []))
        trainer = BpeTrainer(
            vocab_size=size, min_frequency=2, special_tokens=symbols, continuing_subword_prefix=_INSIDE,
            max_token_length=_MAX_SUBWORD - len(_INSIDE), show_progress=False,
        )  # fmt: skip
        words = (word for word, count in sorted(counts.items()) for _ in range(count))
        tokenizer.train_from_iterator(words, trainer)
        model = json.loads(tokenizer.to_str())["model"]
        vocabulary = sorted(model["vocab"], key=model["vocab"].__getitem__)
        return cls(vocabulary, [(left, right) for left, right in model["merges"]], case)

    @property
    def size(self) -> int:
        """Size of the vocabulary."""
        return len(self.vocabulary)

    def tokenize(self, text: str) -> Subwords:
        """Split a text into subwords; see :meth:`~vocable.text.subwords.SubwordTokenizer.tokenize`."""
        ids: list[int] = []
        word_ids: list[int] = []
        texts: list[str] = []
        for number, word in enumerate(require_words(text, self.case)):
            subword_ids = [token.id for token in self._model.tokenize(word.letters)]
            rest = word.letters
            for one in subword_ids:
                size = 1 if one == 0 else len(self.vocabulary[one].removeprefix(_INSIDE))
                texts.append(rest[:size])
                rest = rest[size:]
            ids += [*subword_ids, *(self._ids.get(_INSIDE + mark, 0) for mark in word.marks)]
            texts += word.marks
            word_ids += [number] * (len(subword_ids) + len(word.marks))
        return Subwords(tuple(ids), tuple(word_ids), tuple(texts))

    def to_json(self) -> dict[str, Any]:
        """Return vocabulary, merges and case as a JSON object."""
        return {
            "kind": self.kind, "case": self.case, "vocabulary": list(self.vocabulary),
            "merges": [list(pair) for pair in self.merges],
        }  # fmt: skip


class HubTokenizer:
    """Subword tokenizer of a pretrained model, such as Whisper, read from its ``tokenizer.json``.

    Words are tokenized one by one, each with the space before it, if the text has one there.

    Args:
        tokenizer: Tokenizer of the package ``tokenizers``.
        name: Hub name or folder, from which the tokenizer can be loaded again.
        case: One of :data:`~vocable.text.subwords.CASES`.

    Attributes:
        digest: SHA-256 of the vocabulary.

    Raises:
        ConfigError: If the case is unknown.
    """

    kind = "hub"

    def __init__(self, tokenizer: Tokenizer, name: str, case: str = "as_is") -> None:
        check_case(case)
        self.name, self.case, self._tokenizer = name, case, tokenizer
        vocabulary = sorted(tokenizer.get_vocab(with_added_tokens=True).items())
        self.digest = sha256(json.dumps(vocabulary).encode()).hexdigest()

    @classmethod
    def load(cls, name: str, case: str = "as_is", *, located: Callable[[str], str] = str) -> "HubTokenizer":
        """Load the tokenizer of a pretrained model.

        Args:
            name: Folder with a ``tokenizer.json``, or hub name.
            case: One of :data:`~vocable.text.subwords.CASES`.
            located: Function from a name to the folder of the model on this machine, such as
                :func:`vocable.features.hub.located`.

        Raises:
            CheckpointError: If the file is missing, or is no tokenizer.
            ConfigError: If the case is unknown.
        """
        place = Path(located(name))
        try:
            if folder_exists(place):
                check_regular(place / "tokenizer.json")
                tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
            else:
                tokenizer = Tokenizer.from_pretrained(name)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # plain ones, of an HTTP library, and panics of Rust, which are no Exception
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:300]
            raise CheckpointError(
                f"{name}: has no tokenizer.json that can be used ({reason}); give a folder with one"
            ) from error
        return cls(tokenizer, name, case)

    @property
    def size(self) -> int:
        """Size of the vocabulary, special tokens included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def tokenize(self, text: str) -> Subwords:
        """Split a text into subwords; see :meth:`~vocable.text.subwords.SubwordTokenizer.tokenize`."""
        ids: list[int] = []
        word_ids: list[int] = []
        for number, word in enumerate(require_words(text, self.case)):
            spelled = (" " if word.spaced else "") + word.letters + word.marks
            try:
                subword_ids = self._tokenizer.encode(spelled, add_special_tokens=False).ids
            except Exception as error:  # a table without its unknown symbol
                raise CheckpointError(
                    f"{self.name}: its tokenizer.json fails at {spelled[:40]!r} ({reason_of(error)}); copy it again"
                ) from error
            if not subword_ids:
                raise TextError(f"{self.name} has no subword for {word.letters[:40]!r}; spell it in another way")
            ids += subword_ids
            word_ids += [number] * len(subword_ids)
        texts = [self._tokenizer.decode([one], skip_special_tokens=False).strip() for one in ids]
        return Subwords(tuple(ids), tuple(word_ids), tuple(texts))

    def to_json(self) -> dict[str, Any]:
        """Return name, digest and case as a JSON object."""
        return {"kind": self.kind, "case": self.case, "name": self.name, "digest": self.digest}


def subword_tokenizer_from_json(
    values: object, where: str = "subwords", *, located: Callable[[str], str] = str
) -> SubwordTokenizer:
    """Make a subword tokenizer of the JSON object that its ``to_json`` returned.

    Args:
        values: JSON values, which may be anything.
        where: File or setting that the values come from; opens the message of an error.
        located: As in :meth:`HubTokenizer.load`.

    Raises:
        CheckpointError: If the values describe no tokenizer, or name one that is not on this machine or whose
            vocabulary differs.
    """
    match values:
        case {"kind": HubTokenizer.kind, "case": str(case), "name": str(name), "digest": str(digest)} if case in CASES:
            tokenizer = HubTokenizer.load(name, case, located=located)
            if tokenizer.digest != digest:
                raise CheckpointError(
                    f"{where}: {name} has other subwords than those the model was trained with; give the folder it was "
                    "trained with"
                )
            return tokenizer
        case {"kind": BytePairTokenizer.kind, "case": str(case), "vocabulary": list(table), "merges": list(merges)}:
            try:
                vocabulary = _checked_vocabulary(table)
                return BytePairTokenizer(vocabulary, _checked_merges(merges, vocabulary), case)
            except (TextError, ConfigError) as error:
                raise CheckpointError(f"{where}: {error}") from error
    raise CheckpointError(f"{where}: this is no table of subwords; copy the model again")


def _bpe(ids: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> BPE:
    return BPE(vocab=dict(ids), merges=list(merges), unk_token=UNKNOWN, continuing_subword_prefix=_INSIDE)


def _checked_vocabulary(vocabulary: Sequence[object]) -> tuple[str, ...]:
    if not 2 <= len(vocabulary) <= _MAX_VOCABULARY or vocabulary[0] != UNKNOWN:
        raise TextError(
            f"a table of {len(vocabulary)} subwords: it needs 2 to {_MAX_VOCABULARY}, the first of them {UNKNOWN}"
        )
    subwords = tuple(one for one in vocabulary if isinstance(one, str) and _is_subword(one))
    if len(subwords) < len(vocabulary) or len(set(subwords)) < len(subwords):
        raise TextError("the table of subwords has an entry that is invalid or a duplicate; train it again")
    return subwords


def _is_subword(entry: str) -> bool:
    letters = entry.removeprefix(_INSIDE)
    return 0 < len(letters) <= _MAX_SUBWORD and letters.isprintable() and not any(map(str.isspace, letters))


def _checked_merges(merges: Sequence[object], vocabulary: Sequence[str]) -> tuple[tuple[str, str], ...]:
    entries = set(vocabulary)
    checked: list[tuple[str, str]] = []
    for pair in merges:
        match pair:
            case [str(left), str(right)] if right.startswith(_INSIDE) and (
                {left, right, left + right.removeprefix(_INSIDE)} <= entries
            ):  # fmt: skip
                checked.append((left, right))
            case _:
                raise TextError(f"merge {len(checked) + 1} is {str(pair)[:40]!r}: it does not join two subwords")
    if len(set(checked)) < len(checked):
        raise TextError("the merges have a duplicate pair; train the subwords again")
    return tuple(checked)
