"""Studies of VQ-CTAP: how many bits a second, and which kind of codebook."""

from dataclasses import replace
from typing import Any

from vocable.errors import ConfigError
from vocable.systems.ctap.recipe import CtapRun
from vocable_lab.shared.codes import COLUMNS, Codes
from vocable_lab.subjects import Subject, Variant

_SIZES = (0.5, 1.0, 2.0)  # times the recipe's codebook: 4096, 8192, 16384 of the paper's
_STRIDES = ((2, 2), (2, 4), (3, 4))  # 4, 8 and 12 spectra to a token


def rates(run: CtapRun) -> list[Variant]:
    """Fewer or more entries, fewer or more tokens a second; windows of all last equally long."""
    sizes = run.model.transcoder
    return [
        Variant(name=f"k{round(factor * sizes.codebook_size)}-r{first * second}",
                run=_with(run, _codebook(round(factor * sizes.codebook_size), sizes.codebook), (first, second)))
        for factor in _SIZES for first, second in _STRIDES
    ]  # fmt: skip


def quantizers(run: CtapRun) -> list[Variant]:
    """Moving means, gradients, or finite scalars, with equally many entries."""
    size, strides = run.model.transcoder.codebook_size, run.model.transcoder.strides
    return [Variant(name=kind, run=_with(run, _codebook(size, kind), strides)) for kind in ("ema", "gradient", "fsq")]


def levels_of(size: int) -> tuple[int, ...]:
    """How many values each number of a finite scalar codebook has: as many of 8 as there can be, and 4.

    Args:
        size: Entries, a power of two.

    Raises:
        ConfigError: It is none.

    Example:
        >>> levels_of(8192), levels_of(1024), levels_of(32)
        ((8, 8, 8, 4, 4), (8, 8, 4, 4), (8, 4))
    """
    bits = size.bit_length() - 1
    if size < 2 or size != 2**bits:
        raise ConfigError(f"a finite scalar codebook of {size} entries: take a power of two")
    fours = -bits % 3  # each takes a bit from an eight
    return (2,) if bits == 1 else (8,) * ((bits - 2 * fours) // 3) + (4,) * fours


def _codebook(size: int, kind: str) -> dict[str, Any]:
    """The settings of a codebook."""
    return {"codebook_size": size, "codebook": kind} | ({"fsq_levels": levels_of(size)} if kind == "fsq" else {})


def _with(run: CtapRun, codebook: dict[str, Any], strides: tuple[int, int]) -> CtapRun:
    """The recipe's transcoder with these, trained as long as in the recipe; codes need no connector."""
    sizes = run.model.transcoder
    changed = replace(sizes, strides=strides, **codebook)
    share = sizes.reduction / changed.reduction
    changed = replace(changed, window=round(sizes.window * share), margin=round(sizes.margin * share))
    steps = run.losses.second_from(run.train.steps)
    return replace(
        run, model=replace(run.model, transcoder=changed), losses=replace(run.losses, transcoder_share=1.0),
        train=replace(run.train, steps=steps),
    )  # fmt: skip


STUDIES = {"rates": rates, "quantizers": quantizers}

SUBJECT = Subject(
    name="VQ-CTAP",
    example="ctap-tiny",
    run=CtapRun,
    studies=STUDIES,
    evaluation=Codes,
    columns=COLUMNS,
    split="dev",
)
