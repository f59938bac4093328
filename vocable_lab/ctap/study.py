"""Studies of VQ-CTAP: bit rates, and kinds of codebooks."""

from dataclasses import replace

from vocable.errors import ConfigError
from vocable.systems.ctap.config import CodebookKind, CtapCodebookConfig
from vocable.systems.ctap.recipe import CtapRun
from vocable_lab.shared.codes import COLUMNS, Codes
from vocable_lab.subjects import Subject, Variant

_SIZES = (0.5, 1.0, 2.0)  # factors of the recipe's codebook size; 4096, 8192 and 16384 entries of the paper's
_KINDS: tuple[CodebookKind, ...] = ("ema", "gradient", "fsq")
_STRIDES = ((2, 2), (2, 4), (3, 4))  # 4, 8 and 12 spectra a token


def rates(run: CtapRun) -> list[Variant]:
    """Return variants with other codebook sizes and token rates; their windows have equal durations."""
    size = run.model.transcoder.codebook.size
    return [
        Variant(name=f"k{round(factor * size)}-r{first * second}",
                run=_with(run, _codebook(round(factor * size), run.model.transcoder.codebook.kind), (first, second)))
        for factor in _SIZES for first, second in _STRIDES
    ]  # fmt: skip


def quantizers(run: CtapRun) -> list[Variant]:
    """Return variants whose codebook learns by moving averages, by gradients, or is made of finite scalars."""
    size, strides = run.model.transcoder.codebook.size, run.model.transcoder.strides
    return [Variant(name=kind, run=_with(run, _codebook(size, kind), strides)) for kind in _KINDS]


def levels_of(size: int) -> tuple[int, ...]:
    """Return the number of values of each scalar of a finite scalar codebook: as many eights as possible, and fours.

    Args:
        size: Number of entries, a power of two.

    Raises:
        ConfigError: If the size is no power of two.

    Example:
        >>> levels_of(8192), levels_of(1024), levels_of(32)
        ((8, 8, 8, 4, 4), (8, 8, 4, 4), (8, 4))
    """
    bits = size.bit_length() - 1
    if size < 2 or size != 2**bits:
        raise ConfigError(f"a finite scalar codebook of {size} entries: take a power of two")
    fours = -bits % 3  # each takes a bit from an eight
    return (2,) if bits == 1 else (8,) * ((bits - 2 * fours) // 3) + (4,) * fours


def _codebook(size: int, kind: CodebookKind) -> CtapCodebookConfig:
    if kind == "fsq":
        return CtapCodebookConfig(size=size, kind=kind, fsq_levels=levels_of(size))
    return CtapCodebookConfig(size=size, kind=kind)


def _with(run: CtapRun, codebook: CtapCodebookConfig, strides: tuple[int, int]) -> CtapRun:
    """Return a run that trains a transcoder with this codebook as long as the recipe does, and no connector."""
    sizes = run.model.transcoder
    changed = replace(sizes, strides=strides, codebook=codebook)
    share = sizes.reduction / changed.reduction
    changed = replace(changed, window=round(sizes.window * share), margin=round(sizes.margin * share))
    steps = run.losses.second_stage_start(run.train.steps)
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
