"""Clips cut into windows of one shape, so that a clip has the same tokens in any batch and in any pieces.

A kernel may round differently for another batch size or length, and one rounding can tip a nearest-entry choice. So a
network never meets another shape: windows of ``core + 2 · reach`` frames lie on a grid that starts at the clip's first
frame, each goes through alone, and of each the core is kept.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.shapes import frames_for

Window = tuple[Float[Tensor, "1 T"], Bool[Tensor, "1 N"], slice]  # samples, which frames are real, which to keep


class Counted:
    """Blocks of samples, and how many samples have gone by."""

    def __init__(self, blocks: Iterable[Float[ndarray, " T"]]) -> None:
        self.blocks, self.samples = blocks, 0

    def __iter__(self) -> Iterator[Float[ndarray, " T"]]:
        """The blocks, counted."""
        for block in self.blocks:
            self.samples += block.size
            yield block


def windows(blocks: Counted, core: int, reach: int, hop: int) -> Iterator[Window]:
    """Windows of core + 2 · reach frames, the cores side by side from the clip's first frame.

    Args:
        blocks: The clip in pieces of any size.
        core: Frames of each window that are kept.
        reach: Frames on either side of them.
        hop: Samples of a frame.
    """
    size = core + 2 * reach
    held = np.zeros(reach * hop, dtype=np.float32)
    first = -reach  # frame of the clip that the held samples begin with
    inner = slice(reach, reach + core)
    for block in blocks:
        held = np.concatenate([held, block])
        while held.size >= size * hop:
            real = torch.arange(first, first + size)[None] >= 0
            yield torch.from_numpy(held[: size * hop].copy())[None], real, inner
            held, first = held[core * hop :], first + core
    frames = frames_for(blocks.samples, hop)
    while first + reach < frames:
        padded = np.zeros(size * hop, dtype=np.float32)
        here = held[: size * hop]
        padded[: here.size] = here
        where = torch.arange(first, first + size)[None]
        keep = slice(reach, min(reach + core, frames - first))
        yield torch.from_numpy(padded)[None], (where >= 0) & (where < frames), keep
        held, first = held[core * hop :], first + core


def whole(blocks: Counted, hop: int) -> Iterator[Window]:
    """The whole clip as one window, for networks that must see it so."""
    samples = np.concatenate([np.zeros(0, dtype=np.float32), *blocks])
    frames = frames_for(samples.size, hop)
    if not frames:
        return
    padded = np.pad(samples, (0, frames * hop - samples.size))
    yield torch.from_numpy(padded)[None], torch.ones(1, frames, dtype=torch.bool), slice(None)


def spans(frames: int, core: int, reach: int) -> Iterator[tuple[Int[Tensor, " N"], Bool[Tensor, "1 N"], slice]]:
    """The same windows over a sequence that is there already.

    Yields:
        Which frames the window holds, each in [0, frames): those outside are no real ones; which are real; which of
        them to keep.

    Example:
        >>> [(where.tolist(), keep) for where, _, keep in spans(5, core=3, reach=1)]
        [([0, 0, 1, 2, 3], slice(1, 4, None)), ([2, 3, 4, 4, 4], slice(1, 3, None))]
    """
    for start in range(0, frames, max(core, 1)):
        where = torch.arange(start - reach, start + core + reach)
        real = (where >= 0) & (where < frames)
        yield where.clamp(0, frames - 1), real[None], slice(reach, reach + min(core, frames - start))
