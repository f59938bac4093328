"""Real numbers to complex spectra: how a network says a magnitude and a phase."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor


def spectra_from_polar(head: Float[Tensor, "B S 3 F"], *, loudest: float) -> Complex[Tensor, "B S F"]:
    """Spectra from a log-magnitude, and a direction in the plane for the phase.

    A direction (a, b) / |(a, b)| has no wrap-around to learn, unlike an angle.

    Args:
        head: Log-magnitude, and the direction's two coordinates, of any length.
        loudest: Log-magnitudes are cut off there, so that none overflows.

    Source:
        Magnitude and phase by an inverse transform: Vocos, arXiv:2306.00814, section 3.2.

    Example:
        >>> spectra_from_polar(torch.tensor([[[[0.0], [0.0], [5.0]]]]), loudest=6.0).abs().round(decimals=3)
        tensor([[[1.]]])
    """
    level, across, up = head.float().unbind(2)
    scale = level.clamp(max=loudest).exp() * (across.square() + up.square() + 1e-6).rsqrt()
    return torch.complex(across * scale, up * scale)
