"""What every quantizer takes and returns."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Quantized:
    """What a quantizer returns.

    Attributes:
        ids: Chosen codebook entries, in [0, K); 0 where a frame is padding or a level is dropped.
        latents: Sum of the chosen vectors, with the gradient passed straight through to the input.
        levels: The chosen vector of each level, each with the gradient passed straight through to the input (and
            to the entry, in a codebook trained by gradient). Zero where padding or dropped.
        losses: Scalars to weight and add: ``commitment``; for gradient codebooks ``codebook``, for stochastic selection
            ``uniformity``.
        stats: One value for each level, from moving counts: ``used`` (share of entries in use), ``perplexity``,
            ``entropy`` (bits), ``dead`` (entries not in use), ``restarts`` (entries, so far).
    """

    ids: Int[Tensor, "B Q N"]
    latents: Float[Tensor, "B N D"]
    levels: Float[Tensor, "Q B N D"]
    losses: dict[str, Float[Tensor, ""]]
    stats: dict[str, Float[Tensor, " Q"]]


@runtime_checkable
class Quantizer(Protocol):
    """Latents to ids and back."""

    codebook_size: int
    num_codebooks: int

    def __call__(
        self,
        latents: Float[Tensor, "B N D"],
        mask: Bool[Tensor, "B N"],
        levels: Int[Tensor, " B"] | None = None,
    ) -> Quantized:
        """Quantize a training batch, updating the codebooks in training mode."""
        ...

    def encode(self, latents: Float[Tensor, "B N D"], num_levels: int | None = None) -> Int[Tensor, "B Q N"]:
        """Choose the ids of the first ``num_levels`` levels (all by default)."""
        ...

    def decode(self, ids: Int[Tensor, "B Q N"]) -> Float[Tensor, "B N D"]:
        """Look up and sum the vectors of any prefix of the levels."""
        ...
