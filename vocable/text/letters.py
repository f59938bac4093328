"""How a word that no dictionary has is said: letters to phones by a small network, offline."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.errors import CheckpointError, ConfigError, TextError
from vocable.folder import bundled, digest_of, read_model, write_model
from vocable.text.phonemes import ARPABET

SYSTEM = "letters"  # what model.json calls it
LETTERS = "abcdefghijklmnopqrstuvwxyz'"
SLOTS = 2  # phones that a letter can have
_DROPPED = 0.1  # share of hidden values, in training
_LONGEST = 64  # letters; the longest word of the dictionary has 34


@dataclass(frozen=True, kw_only=True)
class LettersConfig:
    """Sizes of the network.

    Raises:
        ConfigError: A value is no whole number, or out of range.
    """

    width: int = 128
    blocks: int = 6
    kernel: int = 5  # letters a block mixes; odd

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if type(value) is not int or not 1 <= value <= 4096:
                raise ConfigError(f"{name} is {value!r}: it must be a whole number in [1, 4096]")
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel is {self.kernel}: it must be odd")


class LettersNetwork(nn.Module):
    """Letters to phones or nothing, two slots a letter, for whole masked batches.

    A word is read off the most probable symbol of each slot as CTC does: repeats are one, blanks are none. Nothing
    looks further than ``blocks · (kernel // 2)`` letters, and nothing behind a word's end.

    Args:
        config: Sizes.

    Source:
        Graves et al., Connectionist temporal classification, ICML 2006.

    Example:
        >>> network = LettersNetwork(LettersConfig(width=8, blocks=1))
        >>> letters = ids_of_letters("word")[None]
        >>> network(letters, letters >= 0).shape
        torch.Size([1, 8, 40])
    """

    def __init__(self, config: LettersConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Embedding(len(LETTERS) + 1, config.width, padding_idx=0)
        self.blocks = nn.ModuleList(_Block(config.width, config.kernel) for _ in range(config.blocks))
        self.leave = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, SLOTS * (len(ARPABET) + 1)))

    def forward(self, letters: Int[Tensor, "B L"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B N K"]:
        """Log-probabilities of N = 2 · L slots over K symbols: 0 for none, then :data:`ARPABET`."""
        hidden = self.enter((letters + 1) * mask)
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.leave(hidden).float().unflatten(-1, (SLOTS, -1)).flatten(1, 2).log_softmax(-1)


class _Block(nn.Module):
    """Each letter with its neighbours, then by itself, with a skip."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.leave = nn.Linear(width, width)
        self.drop = nn.Dropout(_DROPPED)

    def forward(self, hidden: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        seen = self.norm(hidden) * mask[..., None]
        mixed = self.mix(seen.transpose(1, 2)).transpose(1, 2)
        return hidden + self.leave(self.drop(nn.functional.gelu(mixed)))


class LettersToPhones:
    """A trained network in use: a word at a time, so that no word's phones depend on another's.

    Args:
        network: It is put in evaluation mode.

    Attributes:
        name: ``g2p-en`` for the one in the box.
        digest: Of its weights.

    Example:
        >>> LettersToPhones.bundled().phones("vocable")
        ('V', 'OW', 'K', 'AH', 'B', 'AH', 'L')
    """

    def __init__(self, network: LettersNetwork, name: str = "letters") -> None:
        self.network = network.eval()
        self.name = name
        self.digest = digest_of(asdict(network.config), network.state_dict())

    @torch.inference_mode()
    def phones(self, word: str) -> tuple[str, ...]:
        """Phones of a word, without stress; equal words, equal phones.

        Args:
            word: Letters a to z and apostrophes, 64 at most.

        Raises:
            TextError: It has other characters or is too long, or the network finds no phone in it.
        """
        letters = ids_of_letters(word)[None].to(next(self.network.parameters()).device)
        found = collapse(self.network(letters, torch.ones_like(letters, dtype=torch.bool))[0].argmax(-1).tolist())
        if not found:
            raise TextError(f"{word!r}: the letter-to-sound model finds no phone in it; put the word in a lexicon")
        return found

    def save(self, folder: str | os.PathLike[str], *, half: bool = False) -> None:
        """Write a folder from which :meth:`load` makes this again; see :mod:`vocable.folder`.

        Raises:
            OutputError: The folder cannot be written.
        """
        write_model(folder, SYSTEM, asdict(self.network.config), self.network, half=half)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], name: str = "letters") -> "LettersToPhones":
        """Read what :meth:`save` wrote.

        Raises:
            CheckpointError: A file is missing, altered or of another version.
        """
        return cls(read_model(folder, lambda values: LettersNetwork(_config_from_json(values))).network, name)

    @classmethod
    def bundled(cls) -> "LettersToPhones":
        """The English one in the box, read once.

        Raises:
            CheckpointError: It is missing or altered.
        """
        return _boxed()


@lru_cache(maxsize=1)
def _boxed() -> LettersToPhones:
    folder = bundled(SYSTEM).get("g2p-en")
    if folder is None:
        raise CheckpointError("g2p-en: the letter-to-sound model is not in the box; install vocable again")
    return LettersToPhones.load(folder, "g2p-en")


def ids_of_letters(word: str) -> Int[Tensor, " L"]:
    """Letters to their places in :data:`LETTERS`.

    Raises:
        TextError: There are none, too many, or others.
    """
    if not 0 < len(word) <= _LONGEST:
        raise TextError(f"{word[:20]!r} has {len(word)} letters; a word has 1 to {_LONGEST}")
    wrong = next((character for character in word if character not in LETTERS), None)
    if wrong is not None:
        raise TextError(f"{word!r}: {wrong!r} is no letter of English; write the word with a to z and apostrophes")
    return torch.tensor([LETTERS.index(character) for character in word])


def collapse(symbols: list[int]) -> tuple[str, ...]:
    """The phones that slots stand for: of equal neighbours one, of blanks (0) none.

    Example:
        >>> collapse([3, 3, 0, 3, 20])
        ('AH', 'AH', 'K')
    """
    kept = (symbol for before, symbol in zip([0, *symbols], symbols, strict=False) if symbol not in (0, before))
    return tuple(ARPABET[symbol - 1] for symbol in kept)


def _config_from_json(values: Mapping[str, Any]) -> LettersConfig:
    try:
        return LettersConfig(**values)
    except TypeError as error:
        raise ConfigError(
            f"the letter-to-sound model's configuration cannot be used ({error}); was it written by another version?"
        ) from error
