"""Quantizers: latents to ids and back."""

from vocable.quantizers.base import Quantized
from vocable.quantizers.codebook import Codebook, EmaCodebook, GradientCodebook
from vocable.quantizers.fsq import FiniteScalarQuantizer
from vocable.quantizers.rvq import ResidualVectorQuantizer, VectorQuantizer
from vocable.quantizers.stochastic import StochasticVectorQuantizer

__all__ = [
    "Codebook",
    "EmaCodebook",
    "FiniteScalarQuantizer",
    "GradientCodebook",
    "Quantized",
    "ResidualVectorQuantizer",
    "StochasticVectorQuantizer",
    "VectorQuantizer",
]
