"""Axis letters of the whole library, and masks from lengths.

| letter | axis                                   |
|--------|----------------------------------------|
| B      | clips in a batch                       |
| C      | audio channels                         |
| T      | audio samples                          |
| N      | token frames                           |
| S      | short-time spectra (sub-frames)        |
| L      | text positions                         |
| F      | feature or frequency bins              |
| D      | dimension of a latent or hidden vector |
| Q      | codebooks (residual levels)            |
| K      | entries of a codebook                  |
| M      | rows: frames of a batch, flattened     |

Annotations such as ``Float[Tensor, "B N D"]`` are checked while the tests run.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def mask_from_lengths(lengths: Int[Tensor, " B"], size: int) -> Bool[Tensor, "B N"]:
    """Return a mask of the real positions of each row.

    Args:
        lengths: Number of real positions of each row, in [0, size].
        size: Number of positions N in the padded batch.

    Returns:
        True on real positions, False on padding.

    Example:
        >>> mask_from_lengths(torch.tensor([1, 3]), 3).int().tolist()
        [[1, 0, 0], [1, 1, 1]]
    """
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


def frames_for(samples: int, hop: int) -> int:
    """Return the number of frames that cover a number of samples; the last frame may be partly padding.

    Example:
        >>> [frames_for(samples, 320) for samples in (0, 1, 320, 321)]
        [0, 1, 1, 2]
    """
    return -(-samples // hop)
