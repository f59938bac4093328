"""Letter-to-sound model: a small convolutional network that pronounces words which no dictionary has, offline."""

import os
from collections.abc import Sequence
from functools import cache
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from vocable.errors import CheckpointError, ConfigError, TextError
from vocable.folder import Migration, bundled, digest_of, read_model, write_model
from vocable.numerics import reproducible
from vocable.schema import config, parse, to_json
from vocable.text.phonemes import ARPABET

SYSTEM = "letters"  # the system in model.json
LETTERS = "abcdefghijklmnopqrstuvwxyz'"
LABELS = f" {LETTERS}"  # of a recognizer of letters: the space between words, and the letters
SLOTS = 2  # output positions per letter: the most phones that a letter can have
_DROPOUT = 0.1
_MAX_LETTERS = 64  # the longest word of the dictionary has 34
_MIGRATION = Migration(
    config=dict,
    tensors=[(r"^enter\.", "embedding."), (r"^leave\.", "head."), (r"^(blocks\.\d+)\.leave\.", r"\1.out_proj.")],
)
_Size = Annotated[int, Field(ge=1, le=4096)]


@config
class LettersConfig:
    """Sizes of the network.

    Attributes:
        width: Channels, 1 to 4096.
        blocks: Number of blocks, 1 to 4096.
        kernel: Letters that a block mixes, an odd number.
    """

    width: _Size = 128
    blocks: _Size = 6
    kernel: _Size = 5

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel is {self.kernel}: it must be odd")


class LettersNetwork(nn.Module):
    """Network from letters to phones or blanks, two output positions per letter, for padded and masked batches.

    A word is read from the most probable symbol of each position as in CTC: repeats are merged, blanks are dropped. The
    receptive field is ``blocks · (kernel // 2)`` letters on either side, and ends at the end of the word.

    Args:
        config: Sizes of the network.

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
        self.embedding = nn.Embedding(len(LETTERS) + 1, config.width, padding_idx=0)
        self.blocks = nn.ModuleList(_Block(config.width, config.kernel) for _ in range(config.blocks))
        self.head = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, SLOTS * (len(ARPABET) + 1)))

    def forward(self, letters: Int[Tensor, "B L"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B N K"]:
        """Return log-probabilities at N = 2 · L positions of K symbols: 0 is the blank, then :data:`ARPABET`."""
        hidden = self.embedding((letters + 1) * mask)
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.head(hidden).float().unflatten(-1, (SLOTS, -1)).flatten(1, 2).log_softmax(-1)


class _Block(nn.Module):
    """Residual block: a convolution over letters, then a linear layer."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.out_proj = nn.Linear(width, width)
        self.drop = nn.Dropout(_DROPOUT)

    def forward(self, hidden: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        masked = self.norm(hidden) * mask[..., None]
        mixed = self.mix(masked.transpose(1, 2)).transpose(1, 2)
        return hidden + self.out_proj(self.drop(nn.functional.gelu(mixed)))


class LettersToPhones:
    """Trained letter-to-sound model, applied word by word, so that the phones of a word depend on that word alone.

    Args:
        network: Trained network; it is put in evaluation mode.
        name: Name in reports.
        aliases: Digests that the same weights had in earlier formats.

    Attributes:
        name: ``g2p-en`` for the bundled model.
        digest: Digest of configuration and weights.

    Example:
        >>> LettersToPhones.bundled().phones("vocable")
        ('V', 'OW', 'K', 'AH', 'B', 'AH', 'L')
    """

    def __init__(self, network: LettersNetwork, name: str = "letters", aliases: tuple[str, ...] = ()) -> None:
        self.network, self.name, self.aliases = network.eval(), name, aliases
        self.digest = digest_of(to_json(network.config), network.state_dict())

    @reproducible
    @torch.inference_mode()
    def phones(self, word: str) -> tuple[str, ...]:
        """Return the phones of a word of at most 64 letters and apostrophes, without stress.

        Raises:
            TextError: If the word has other characters or is too long, or the network finds no phone in it.
        """
        letters = ids_of_letters(word)[None].to(next(self.network.parameters()).device)
        phones = collapse(self.network(letters, torch.ones_like(letters, dtype=torch.bool))[0].argmax(-1).tolist())
        if not phones:
            raise TextError(f"{word!r}: the letter-to-sound model finds no phone in it; put the word in a lexicon")
        return phones

    def save(self, folder: str | os.PathLike[str], *, half: bool = False) -> None:
        """Write a model folder; ``half`` stores float16. See :func:`vocable.folder.write_model`."""
        write_model(folder, SYSTEM, to_json(self.network.config), self.network, half=half, aliases=self.aliases)

    @classmethod
    @reproducible
    def load(cls, folder: str | os.PathLike[str], name: str = "letters") -> "LettersToPhones":
        """Read a model folder that :meth:`save` wrote.

        Raises:
            CheckpointError: If a file is missing, altered or of another version.
        """
        stored = read_model(
            folder, lambda values: LettersNetwork(parse(LettersConfig, values, "config")), migration=_MIGRATION
        )
        return cls(stored.network, name, stored.aliases)

    @classmethod
    @cache
    def bundled(cls) -> "LettersToPhones":
        """Return the bundled English model, which is read once a process.

        Raises:
            CheckpointError: If the model is missing or altered.
        """
        folder = bundled(SYSTEM).get("g2p-en")
        if folder is None:
            raise CheckpointError("g2p-en: the bundled letter-to-sound model is missing; install vocable again")
        return cls.load(folder, "g2p-en")


def ids_of_letters(word: str) -> Int[Tensor, " L"]:
    """Convert letters to their positions in :data:`LETTERS`.

    Raises:
        TextError: If the word is empty or too long, or has other characters.
    """
    if not 0 < len(word) <= _MAX_LETTERS:
        raise TextError(f"{word[:20]!r} has {len(word)} letters; a word has 1 to {_MAX_LETTERS}")
    wrong = next((character for character in word if character not in LETTERS), None)
    if wrong is not None:
        raise TextError(f"{word!r}: {wrong!r} is no letter of English; write the word with a to z and apostrophes")
    return torch.tensor([LETTERS.index(character) for character in word])


def labels_of_words(words: Sequence[str]) -> list[int]:
    """Return the positions in :data:`LABELS` of words and of the spaces between them; other characters are left out.

    Example:
        >>> "".join(LABELS[label] for label in labels_of_words(["the", "b.", ",", "c.'s"]))
        "the b c's"
    """
    spelled = ["".join(letter for letter in word.lower() if letter in LETTERS) for word in words]
    return [LABELS.index(letter) for letter in " ".join(word for word in spelled if word)]


def collapse(symbols: list[int]) -> tuple[str, ...]:
    """Return the phones of CTC symbols: equal neighbours are merged, blanks (0) dropped.

    Example:
        >>> collapse([3, 3, 0, 3, 20])
        ('AH', 'AH', 'K')
    """
    kept = (symbol for before, symbol in zip([0, *symbols], symbols, strict=False) if symbol not in (0, before))
    return tuple(ARPABET[symbol - 1] for symbol in kept)
