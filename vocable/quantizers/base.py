"""Record that quantizers return."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Quantized:
    """Result of a quantizer in training.

    Attributes:
        ids: Ids of the chosen entries, in [0, K); 0 on padding and on dropped levels.
        latents: Sum of the chosen vectors, with a straight-through gradient to the input.
        levels: Chosen vector of each level, with a straight-through gradient to the input, and to the entry in a
            codebook that is trained by gradient. Zero on padding and on dropped levels.
        losses: Losses to weight and add: ``commitment``; ``codebook`` of gradient codebooks; ``uniformity`` of
            stochastic selection.
        stats: One value for each level, from moving counts: ``used`` (share of entries in use), ``perplexity``,
            ``entropy`` (bits), ``dead`` (number of entries not in use), ``restarts`` (number of restarted entries).
    """

    ids: Int[Tensor, "B Q N"]
    latents: Float[Tensor, "B N D"]
    levels: Float[Tensor, "Q B N D"]
    losses: dict[str, Float[Tensor, ""]]
    stats: dict[str, Float[Tensor, " Q"]]
