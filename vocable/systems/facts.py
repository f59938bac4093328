"""What a system tells of itself, as tables: how its parts appear in ``vocable inspect`` without anyone knowing them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from vocable.tokens import TokenSpec


@dataclass(frozen=True)
class Table:
    """A titled table; without column names it has two, a label and a value."""

    title: str
    rows: Sequence[tuple[str, ...]]
    columns: tuple[str, ...] = ()


@runtime_checkable
class Factual(Protocol):
    """A tokenizer, or a model's configuration, that can be described."""

    def facts(self) -> list[Table]:
        """What there is to know: sizes, rates, the state of the codebooks."""
        ...


def spec_rows(spec: TokenSpec) -> list[tuple[str, str]]:
    """What tokens cover and carry, line by line.

    Example:
        >>> spec_rows(TokenSpec(sample_rate=16_000, hop=320, codebook_size=1024, num_codebooks=8))[-1]
        ('bit rate', '4000 bit/s')
    """
    clock = [("sample rate", f"{spec.sample_rate} Hz"), ("codebooks", f"{spec.num_codebooks} × {spec.codebook_size}")]
    if spec.hop is None:
        return [*clock, ("frames", "do not follow the clock")]
    return [
        *clock,
        ("frame rate", f"{spec.frame_rate:g} Hz (hop {spec.hop})"),
        ("token rate", f"{spec.token_rate:g} tokens/s"),
        ("bit rate", f"{spec.bit_rate:g} bit/s"),
    ]


def parameter_rows(parts: Mapping[str, nn.Module]) -> list[tuple[str, str]]:
    """How many parameters each part has.

    Example:
        >>> parameter_rows({"head": nn.Linear(100, 10)})
        [('head parameters', '1,010')]
    """
    counts = {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}
    return [(f"{name} parameters", f"{count:,}") for name, count in counts.items()]


@runtime_checkable
class Used(Protocol):
    """A codebook that knows how it is used."""

    def stats(self) -> dict[str, Tensor]:
        """By the names of :class:`~vocable.quantizers.base.Quantized`."""
        ...


def codebook_table(books: Sequence[Used]) -> Table:
    """Codebooks as training left them."""
    stats = [book.stats() for book in books]
    rows = [
        (str(level), f"{book['used']:.1%}", f"{book['perplexity']:.0f}", f"{book['entropy']:.2f}",
         f"{book['dead']:.0f}", f"{book['restarts']:.0f}")
        for level, book in enumerate(stats, 1)
    ]  # fmt: skip
    return Table("Codebooks in training", rows, ("level", "used", "perplexity", "entropy (bit)", "dead", "restarts"))
