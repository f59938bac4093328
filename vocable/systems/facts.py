"""What a system tells of itself, as tables: how its parts appear in ``vocable inspect`` without anyone knowing them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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
        return [*clock, ("frames", "follow the text")]
    return [
        *clock,
        ("frame rate", f"{spec.frame_rate:g} Hz (hop {spec.hop})"),
        ("token rate", f"{spec.token_rate:g} tokens/s"),
        ("bit rate", f"{spec.bit_rate:g} bit/s"),
    ]
