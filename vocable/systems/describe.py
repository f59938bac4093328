"""Tables that describe models and configurations, as ``vocable inspect`` shows them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from vocable.quantizers import Codebook, FiniteScalarQuantizer
from vocable.tokens import TokenSpec


@dataclass(frozen=True)
class Table:
    """A titled table.

    Attributes:
        title: Title over the table.
        rows: Cells, row by row.
        columns: Column names; empty for a table of labels and values.
    """

    title: str
    rows: Sequence[tuple[str, ...]]
    columns: tuple[str, ...] = ()


def spec_rows(spec: TokenSpec) -> list[tuple[str, str]]:
    """Return rows with the rates and sizes of a token spec.

    Example:
        >>> spec_rows(TokenSpec(sample_rate=16_000, hop=320, codebook_size=1024, num_codebooks=8))[-1]
        ('bit rate', '4000 bit/s')
    """
    common = [("sample rate", f"{spec.sample_rate} Hz"), ("codebooks", f"{spec.num_codebooks} × {spec.codebook_size}")]
    if spec.hop is None:
        return [*common, ("frames", "do not follow the clock")]
    frame_rate = f"{spec.frame_rate:g} Hz (hop {spec.hop})"
    token_rate, bit_rate = f"{spec.token_rate:g} tokens/s", f"{spec.bit_rate:g} bit/s"
    return [*common, ("frame rate", frame_rate), ("token rate", token_rate), ("bit rate", bit_rate)]


def parameter_rows(parts: Mapping[str, nn.Module]) -> list[tuple[str, str]]:
    """Return a row with the number of parameters of each part.

    Example:
        >>> parameter_rows({"head": nn.Linear(100, 10)})
        [('head parameters', '1,010')]
    """
    counts = {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}
    return [(f"{name} parameters", f"{count:,}") for name, count in counts.items()]


def codebook_table(codebooks: Iterable[Codebook | FiniteScalarQuantizer]) -> Table:
    """Return a table of the codebook usage at the end of training, one row a level."""
    stats = [codebook.stats() for codebook in codebooks]
    rows = [
        (str(level), f"{book['used']:.1%}", f"{book['perplexity']:.0f}", f"{book['entropy']:.2f}",
         f"{book['dead']:.0f}", f"{book['restarts']:.0f}")
        for level, book in enumerate(stats, 1)
    ]  # fmt: skip
    return Table("Codebooks in training", rows, ("level", "used", "perplexity", "entropy (bit)", "dead", "restarts"))
