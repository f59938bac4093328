"""Windows of one shape over a clip, so that its tokens depend on neither batch nor block boundaries.

A kernel may round differently for another batch size or length, and one rounding error can change the nearest entry.
So a network never sees another shape: windows of ``core + 2 · reach`` frames lie on a grid that starts at the clip's
first frame. Each runs alone, and of each the core is kept.

Short clips leave most of a window empty. :func:`shared_windows` puts what several windows hold side by side into one of
the same shape, with empty frames between. For a network that masks its input at every layer, a frame is then computed
from the same numbers by the same kernels as before; only its place in the window differs.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.numerics import aligned
from vocable.shapes import frames_for


class Window(NamedTuple):
    """A window of N frames of a clip.

    Attributes:
        content: Samples of shape (1, N · hop), zero outside the clip. Or the index of each frame in the clip, of shape
            (N,), where frames outside repeat the nearest one.
        mask: True on frames that lie in the clip.
        core: Frames to keep of what the network returns.
    """

    content: Float[Tensor, "1 T"] | Int[Tensor, " N"]
    mask: Bool[Tensor, "1 N"]
    core: slice


def sample_windows(blocks: Iterable[Float[ndarray, " T"]], core: int, reach: int, hop: int) -> Iterator[Window]:
    """Cut a clip into windows whose cores lie side by side from its first frame.

    Args:
        blocks: Blocks of one clip, of any size.
        core: Frames of each window that are kept.
        reach: Frames of context on either side of them.
        hop: Samples of a frame.
    """
    size = core + 2 * reach
    buffer = np.zeros(reach * hop, dtype=np.float32)
    first, count = -reach, 0  # frame of the clip that the buffer begins with, and samples read so far
    for block in blocks:
        count += block.size
        buffer = np.concatenate([buffer, block])
        while buffer.size >= size * hop:
            mask = torch.arange(first, first + size)[None] >= 0
            yield Window(aligned(torch.from_numpy(buffer[: size * hop].copy()))[None], mask, slice(reach, reach + core))
            buffer, first = buffer[core * hop :], first + core
    frames = frames_for(count, hop)
    while first + reach < frames:
        padded = np.zeros(size * hop, dtype=np.float32)
        rest = buffer[: size * hop]
        padded[: rest.size] = rest
        positions = torch.arange(first, first + size)[None]
        kept = slice(reach, min(reach + core, frames - first))
        yield Window(aligned(torch.from_numpy(padded))[None], (positions >= 0) & (positions < frames), kept)
        buffer, first = buffer[core * hop :], first + core


@dataclass
class SharedWindow:
    """A window that holds parts of several clips, with at least ``reach`` empty frames between them.

    Attributes:
        content: Samples of shape (1, S), S = N · hop, zero between parts.
        mask: True on frames that lie in a clip.
        parts: Index of a clip, number of the part in the clip, and frames to keep of what the network returns.
        end: First frame behind the last part.
    """

    content: Float[Tensor, "1 S"]
    mask: Bool[Tensor, "1 N"]
    parts: list[tuple[int, int, slice]] = field(default_factory=list)
    end: int = 0


def shared_windows(clips: Sequence[Float[ndarray, " _"]], core: int, reach: int, hop: int) -> list[SharedWindow]:
    """Cut clips as :func:`sample_windows` does, and put what the windows hold into the first window with room for it.

    Args:
        clips: Samples of each clip.
        core: Frames of each window that are kept.
        reach: Frames of context on either side of them.
        hop: Samples of a frame.

    Example:
        >>> clips = [np.ones(frames, np.float32) for frames in (2, 3, 9)]
        >>> for window in shared_windows(clips, core=6, reach=1, hop=1):
        ...     window.content[0].int().tolist(), window.parts
        ([1, 1, 0, 1, 1, 1, 0, 0], [(0, 0, slice(0, 2, None)), (1, 0, slice(3, 6, None))])
        ([1, 1, 1, 1, 1, 1, 1, 0], [(2, 0, slice(0, 6, None))])
        ([1, 1, 1, 1, 0, 0, 0, 0], [(2, 1, slice(1, 4, None))])
    """
    size, shared = core + 2 * reach, list[SharedWindow]()
    for clip, samples in enumerate(clips):
        for number, (content, mask, kept) in enumerate(sample_windows([samples], core, reach, hop)):
            first, last = (int(frame) for frame in mask[0].nonzero()[[0, -1], 0])
            held = last + 1 - first
            window = next((one for one in shared if one.end + reach + held <= size and one.end), None)
            if window is None:
                window = SharedWindow(aligned(torch.zeros(1, size * hop)), torch.zeros(1, size, dtype=torch.bool))
                shared.append(window)
            place = window.end and window.end + reach
            window.content[0, place * hop : (place + held) * hop] = content[0, first * hop : (last + 1) * hop]
            window.mask[0, place : place + held] = True
            window.parts.append((clip, number, slice(place + kept.start - first, place + kept.stop - first)))
            window.end = place + held
    return shared


def frame_windows(frames: int, core: int, reach: int) -> Iterator[Window]:
    """Cut a sequence of frames into the windows that :func:`sample_windows` cuts its samples into.

    Example:
        >>> [(window.content.tolist(), window.core) for window in frame_windows(5, core=3, reach=1)]
        [([0, 0, 1, 2, 3], slice(1, 4, None)), ([2, 3, 4, 4, 4], slice(1, 3, None))]
    """
    for start in range(0, frames, max(core, 1)):
        positions = torch.arange(start - reach, start + core + reach)
        mask = (positions >= 0) & (positions < frames)
        kept = slice(reach, reach + min(core, frames - start))
        yield Window(positions.clamp(0, frames - 1), mask[None], kept)
