"""Random masks of spectrograms during training."""

import torch
from jaxtyping import Float
from torch import Tensor


def mask_spectrogram(
    frames: Float[Tensor, "B S F"], num_masks: int, *, max_time: int, frequency: bool = False
) -> Float[Tensor, "B S F"]:
    """Set random stretches of time, and of frequency, of each row to 0, with torch's random state (SpecAugment).

    Args:
        frames: Standardized frames.
        num_masks: Number of masks along each axis.
        max_time: Upper bound of the width of a mask along time; at most an eighth of the frames.
        frequency: Whether to mask frequencies, too, up to a sixth of them.

    Source:
        Park et al., SpecAugment, arXiv:1904.08779: frequency and time masks.

    Example:
        >>> mask_spectrogram(torch.ones(1, 20, 8), 0, max_time=16).min()
        tensor(1.)
    """
    batch, size, bins = frames.shape
    axes = [(1, size, min(max_time, size // 8)), *([(2, bins, bins // 6)] if frequency else [])]
    for axis, length, max_width in axes * num_masks:
        width, start = (bound * torch.rand(batch, 1).to(frames.device) for bound in (max_width, length))
        positions = torch.arange(length, device=frames.device)
        masked = (positions >= start) & (positions < start + width)
        frames = frames.masked_fill(masked[..., None] if axis == 1 else masked[:, None], 0.0)
    return frames
