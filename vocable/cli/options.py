"""Options that several commands share, and readers of numbers."""

import math
from collections.abc import Callable
from typing import Annotated, Any

import typer

_MAX_SEED = (1 << 63) - 1  # what torch and numpy both take


def whole(least: int, most: int | None = None) -> Callable[[Any], int]:
    """Return a reader of whole numbers from ``least`` to ``most``, for ``typer.Option(parser=…)``.

    Example:
        >>> whole(1)("3")
        3
    """

    def read(text: object) -> int:
        wanted = f"at least {least}" if most is None else f"from {least} to {most}"
        try:
            value = int(str(text))
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise typer.BadParameter(f"'{str(text)[:40]}' is no whole number {wanted}.")
        return value

    return read


def number(least: float, most: float = math.inf) -> Callable[[Any], float]:
    """Return a reader of finite numbers from ``least`` to ``most``, for ``typer.Option(parser=…)``.

    Example:
        >>> number(0.0)("0.5")
        0.5
    """

    def read(text: object) -> float:
        wanted = f"of at least {least:g}" if math.isinf(most) else f"from {least:g} to {most:g}"
        try:
            value = float(str(text))
        except ValueError:
            value = math.nan
        if not (least <= value <= most and math.isfinite(value)):
            raise typer.BadParameter(f"'{str(text)[:40]}' is no number {wanted}.")
        return value

    return read


Count = whole(1)
SeedNumber = whole(0, _MAX_SEED)
Device = Annotated[
    str, typer.Option(metavar="NAME", help="Device of the networks, such as cpu, cuda (a GPU) or cuda:1.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files that exist. Without it, one that holds anything else stays.")
]
Levels = Annotated[
    int | None, typer.Option(parser=Count, metavar="N", help="Number of levels to use, from the first. Default: all.")
]
Beam = Annotated[
    int, typer.Option(parser=whole(1, 1024), metavar="N", help="Paths of the search for ids over residual levels: 8 "
                      "keeps more at the same rate, in 2.3 times the time.")
]  # fmt: skip
Vocoder = Annotated[
    str | None, typer.Option(help="Name or folder of a vocoder, or griffin-lim. Default: the best bundled one.")
]


def complain(line: str) -> None:
    """Print a line on standard error."""
    typer.echo(line, err=True)
