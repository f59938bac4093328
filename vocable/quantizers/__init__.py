"""Quantizers: latents to ids and back."""

from vocable.quantizers.base import Quantized, Quantizer
from vocable.quantizers.codebook import Codebook, EmaCodebook, GradientCodebook
from vocable.quantizers.fsq import FiniteScalarQuantizer
from vocable.quantizers.rvq import ResidualVectorQuantizer
from vocable.quantizers.stochastic import StochasticVectorQuantizer
from vocable.quantizers.vq import VectorQuantizer

__all__ = [
    "Codebook",
    "EmaCodebook",
    "FiniteScalarQuantizer",
    "GradientCodebook",
    "Quantized",
    "Quantizer",
    "ResidualVectorQuantizer",
    "StochasticVectorQuantizer",
    "VectorQuantizer",
]
