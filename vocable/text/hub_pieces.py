"""Pieces of words that another model uses."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from vocable.errors import CheckpointError, TextError
from vocable.text.split import Split, words_to_split
from vocable.text.written import CASES, check_case


class HubPieces:
    """The pieces of another model, such as Whisper: its file ``tokenizer.json``.

    Words are split one by one, with the space before them that they have in the text.

    Args:
        tokenizer: Of the package ``tokenizers``.
        name: Hub name or folder, by which it can be found again.
        case: One of :data:`~vocable.text.written.CASES`.

    Raises:
        ConfigError: There is no such case.
    """

    kind = "hub"

    def __init__(self, tokenizer: Tokenizer, name: str, case: str = "as_is") -> None:
        check_case(case)
        self.name, self.case, self._tokenizer = name, case, tokenizer
        table = sorted(tokenizer.get_vocab(with_added_tokens=True).items())
        self.digest = sha256(json.dumps(table).encode()).hexdigest()

    @classmethod
    def load(cls, name: str, case: str = "as_is", *, located: Callable[[str], str] = str) -> "HubPieces":
        """The pieces of a model.

        Args:
            name: A folder with a ``tokenizer.json``, or a hub name.
            case: One of :data:`~vocable.text.written.CASES`.
            located: Where a name lies on this machine, such as :func:`vocable.features.hub.located`.

        Raises:
            CheckpointError: There is no such file, or it is no tokenizer.
            ConfigError: There is no such case.
        """
        place = Path(located(name))
        try:
            if place.is_dir():
                tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
            else:
                tokenizer = Tokenizer.from_pretrained(name)
        except Exception as error:  # the package raises plain ones, and huggingface_hub those of its HTTP library
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise CheckpointError(
                f"{name}: has no tokenizer.json that can be used ({reason}); give a folder with one"
            ) from error
        return cls(tokenizer, name, case)

    @property
    def size(self) -> int:
        """Entries of the table, those that stand for no text included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def split(self, text: str) -> Split:
        """A text in pieces.

        Raises:
            TextError: There are no letters in it, too many, or some of which this table has no piece.
        """
        ids: list[int] = []
        words: list[int] = []
        for number, word in enumerate(words_to_split(text, self.case)):
            written = (" " if word.spaced else "") + word.letters + word.marks
            found = self._tokenizer.encode(written, add_special_tokens=False).ids
            if not found:
                raise TextError(f"{self.name} has no piece for {word.letters[:40]!r}; write it otherwise")
            ids += found
            words += [number] * len(found)
        texts = [self._tokenizer.decode([one], skip_special_tokens=False).strip() for one in ids]
        return Split(tuple(ids), tuple(words), tuple(texts))

    def to_json(self) -> dict[str, Any]:
        """Where the table is found, and which it is."""
        return {"kind": self.kind, "case": self.case, "name": self.name, "digest": self.digest}

    @classmethod
    def from_json(
        cls, values: object, where: str = "pieces", *, located: Callable[[str], str] = str
    ) -> "HubPieces":  # fmt: skip
        """The table that :meth:`to_json` names.

        Raises:
            CheckpointError: It names none, the table is not at hand, or it is another one.
        """
        match values:
            case {"kind": cls.kind, "case": str(case), "name": str(name), "digest": str(digest)} if case in CASES:
                found = cls.load(name, case, located=located)
            case _:
                raise CheckpointError(f"{where}: this names no table of pieces; copy the model again")
        if found.digest != digest:
            raise CheckpointError(f"{where}: {name} has other pieces than those learnt with; give its old folder")
        return found
