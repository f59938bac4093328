"""Voice vectors beside tokens: float32 numbers, or a few levels of each dimension, which take as many bits in a file.

A quantized dimension takes one of L levels, evenly spaced from -:data:`LIMIT` to :data:`LIMIT`. Encoders of voices are
trained towards a standard normal distribution, so the range is the same for every model.
"""

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from vocable.bit_packing import bits_per_id, pack_ids, unpack_ids

LIMIT = 4.0
"""Largest value of a quantized dimension, in standard deviations of the prior. Values beyond it are clamped."""
MAX_LEVELS = 1 << 16
"""Largest number of levels of a dimension."""

_FLOAT_BITS = 32


def voice_bits(width: int, levels: int | None) -> int:
    """Return the number of bits that one voice vector takes in a file, a whole number of bytes.

    Args:
        width: Dimension V.
        levels: Number of levels L of each dimension; None for float32.

    Example:
        >>> voice_bits(64, None), voice_bits(64, 16), voice_bits(3, 5)
        (2048, 256, 16)
    """
    return 8 * -(-width * (_FLOAT_BITS if levels is None else bits_per_id(levels)) // 8)


def round_voice(voice: Float[Tensor, "*B V"], levels: int | None) -> Float[Tensor, "*B V"]:
    """Return voice vectors in float32, each dimension at its nearest level; rounding twice changes nothing.

    Args:
        voice: Voice vectors.
        levels: Number of levels L of each dimension, at least 2; None leaves the values as they are.

    Example:
        >>> round_voice(torch.tensor([-9.0, -0.1, 0.4, 3.0]), 3)
        tensor([-4.,  0.,  0.,  4.])
    """
    voice = voice.to(torch.float32)
    return voice if levels is None else _values(_places(voice, levels), levels).to(torch.float32)


def pack_voices(voices: Float[Tensor, "B V"], levels: int | None) -> bytes:
    """Return voice vectors as bytes; each begins at a whole byte.

    Args:
        voices: Voice vectors; where there are levels, of :func:`round_voice`.
        levels: Number of levels L. The place of a dimension among them takes ceil(log2 L) bits, least significant bit
            first. None stores little-endian float32.

    Example:
        >>> pack_voices(torch.tensor([[-4.0, 0.0, 4.0]]), 5).hex()
        '1001'
    """
    values = voices.detach().cpu()
    if levels is None:
        return bytes(values.float().numpy().astype("<f4").tobytes())
    places = _places(values.float(), levels).to(torch.int64).numpy()
    return b"".join(pack_ids([row], bits_per_id(levels)) for row in places)


def unpack_voices(data: bytes | memoryview, count: int, width: int, levels: int | None) -> Float32[ndarray, "B V"]:
    """Return the voice vectors in packed bytes; see :func:`pack_voices`.

    Args:
        data: Bytes of so many vectors.
        count: Number of vectors B.
        width: Dimension V.
        levels: Number of levels L; None for float32.

    Raises:
        ValueError: If a dimension is at no level.

    Example:
        >>> unpack_voices(bytes.fromhex("1001"), 1, 3, 5).tolist()
        [[-4.0, 0.0, 4.0]]
    """
    if levels is None:
        return np.frombuffer(data, dtype="<f4").astype(np.float32).reshape(count, width)
    bits, size = bits_per_id(levels), voice_bits(width, levels) // 8
    rows = [unpack_ids(data[row * size : (row + 1) * size], width, bits) for row in range(count)]
    places = torch.from_numpy(np.array(rows, dtype=np.int64).reshape(count, width))
    if places.numel() and int(places.max()) >= levels:
        raise ValueError(f"a voice is at level {int(places.max())} of {levels}")
    return _values(places, levels).to(torch.float32).numpy()


def _places(voice: Float[Tensor, "*B V"], levels: int) -> Float[Tensor, "*B V"]:
    """Return the number of the nearest level of each dimension, in [0, L - 1]; not a number stays so."""
    return ((voice.double().clamp(-LIMIT, LIMIT) + LIMIT) * ((levels - 1) / (2 * LIMIT))).round()


def _values(places: Tensor, levels: int) -> Float[Tensor, "*B V"]:
    """Return the values of levels by their numbers, symmetric around 0."""
    return (2 * places.double() - (levels - 1)) * (LIMIT / (levels - 1))
