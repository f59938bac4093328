"""Complex spectra from the real outputs of a network."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor


def spectra_from_polar(head: Float[Tensor, "B S 3 F"], *, max_log_magnitude: float) -> Complex[Tensor, "B S F"]:
    """Convert log-magnitudes and phase directions to complex spectra.

    The phase is a direction (a, b) / |(a, b)| in the plane: unlike an angle it has no wrap-around to learn.

    Args:
        head: Log-magnitude, and the two coordinates of the phase direction, of any length.
        max_log_magnitude: Maximum of the log-magnitude; larger ones are clamped, so that none overflows.

    Source:
        Magnitude and phase by an inverse transform: Vocos, arXiv:2306.00814, section 3.2.

    Example:
        >>> head = torch.tensor([[[[0.0], [0.0], [5.0]]]])
        >>> spectra_from_polar(head, max_log_magnitude=6.0).abs().round(decimals=3)
        tensor([[[1.]]])
    """
    log_magnitude, real, imaginary = head.float().unbind(2)
    magnitude = log_magnitude.clamp(max=max_log_magnitude).exp()
    scale = magnitude * (real.square() + imaginary.square() + 1e-6).rsqrt()
    return torch.complex(real * scale, imaginary * scale)
