"""Windows of one shape over a clip, so that its tokens depend on neither batch nor block boundaries.

A kernel may round differently for another batch size or length, and one rounding error can change the nearest entry.
So a network never sees another shape: windows of ``core + 2 · reach`` frames lie on a grid that starts at the clip's
first frame. Each runs alone, and of each the core is kept.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.shapes import frames_for


class SampleWindow(NamedTuple):
    """A window of samples.

    Attributes:
        samples: Samples, T = N · hop; zero outside the clip.
        mask: True on frames that lie in the clip.
        core: Frames to keep of what the network returns.
    """

    samples: Float[Tensor, "1 T"]
    mask: Bool[Tensor, "1 N"]
    core: slice


class FrameWindow(NamedTuple):
    """A window of frames.

    Attributes:
        frames: Index of each frame in the clip; those outside it repeat the nearest one.
        mask: True on frames that lie in the clip.
        core: Frames to keep of what the network returns.
    """

    frames: Int[Tensor, " N"]
    mask: Bool[Tensor, "1 N"]
    core: slice


class CountedBlocks:
    """Blocks of samples that counts the samples as they are read.

    Args:
        blocks: Blocks of one clip, of any size.

    Attributes:
        samples: Number of samples read so far.
    """

    def __init__(self, blocks: Iterable[Float[ndarray, " T"]]) -> None:
        self._blocks, self.samples = blocks, 0

    def __iter__(self) -> Iterator[Float[ndarray, " T"]]:
        for block in self._blocks:
            self.samples += block.size
            yield block


def sample_windows(blocks: CountedBlocks, core: int, reach: int, hop: int) -> Iterator[SampleWindow]:
    """Cut a clip into windows whose cores lie side by side from its first frame.

    Args:
        blocks: Blocks of one clip, of any size.
        core: Frames of each window that are kept.
        reach: Frames of context on either side of them.
        hop: Samples of a frame.
    """
    size = core + 2 * reach
    buffer = np.zeros(reach * hop, dtype=np.float32)
    first = -reach  # frame of the clip that the buffer begins with
    for block in blocks:
        buffer = np.concatenate([buffer, block])
        while buffer.size >= size * hop:
            mask = torch.arange(first, first + size)[None] >= 0
            yield SampleWindow(torch.from_numpy(buffer[: size * hop].copy())[None], mask, slice(reach, reach + core))
            buffer, first = buffer[core * hop :], first + core
    frames = frames_for(blocks.samples, hop)
    while first + reach < frames:
        padded = np.zeros(size * hop, dtype=np.float32)
        rest = buffer[: size * hop]
        padded[: rest.size] = rest
        positions = torch.arange(first, first + size)[None]
        kept = slice(reach, min(reach + core, frames - first))
        yield SampleWindow(torch.from_numpy(padded)[None], (positions >= 0) & (positions < frames), kept)
        buffer, first = buffer[core * hop :], first + core


def utterance_window(blocks: CountedBlocks, hop: int) -> Iterator[SampleWindow]:
    """Return a whole clip as one window, for networks with an unlimited receptive field; none for an empty clip.

    Args:
        blocks: Blocks of one clip, of any size.
        hop: Samples of a frame.
    """
    samples = np.concatenate([np.zeros(0, dtype=np.float32), *blocks])
    frames = frames_for(samples.size, hop)
    if not frames:
        return
    padded = np.pad(samples, (0, frames * hop - samples.size))
    yield SampleWindow(torch.from_numpy(padded)[None], torch.ones(1, frames, dtype=torch.bool), slice(None))


def frame_windows(frames: int, core: int, reach: int) -> Iterator[FrameWindow]:
    """Cut a sequence of frames into the windows that :func:`sample_windows` cuts its samples into.

    Args:
        frames: Length of the sequence.
        core: Frames of each window that are kept.
        reach: Frames of context on either side of them.

    Example:
        >>> [(window.frames.tolist(), window.core) for window in frame_windows(5, core=3, reach=1)]
        [([0, 0, 1, 2, 3], slice(1, 4, None)), ([2, 3, 4, 4, 4], slice(1, 3, None))]
    """
    for start in range(0, frames, max(core, 1)):
        positions = torch.arange(start - reach, start + core + reach)
        mask = (positions >= 0) & (positions < frames)
        kept = slice(reach, reach + min(core, frames - start))
        yield FrameWindow(positions.clamp(0, frames - 1), mask[None], kept)
