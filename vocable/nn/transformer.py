"""Transformer block, and positional encodings without parameters."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from vocable.errors import ConfigError

BlockCache = tuple[tuple[Tensor, Tensor], int]
"""Key-value cache of one block: keys and values of shape (B, H, L, D / H), and the number of cached positions."""


class TransformerBlock(nn.Module):
    """Pre-norm transformer block: self-attention and an MLP, each with a residual.

    Args:
        width: Dimension D of a position.
        heads: Number of attention heads H; must divide ``width``.
        hidden: Hidden dimension of the MLP.
        causal: Whether a position attends to itself and earlier positions alone.
        dropout: Dropout rate of both residual branches.

    Raises:
        ConfigError: If the heads do not divide the width.

    Source:
        Vaswani et al., arXiv:1706.03762, with pre-norm as in GPT-2; queries, keys and values have no bias.

    Example:
        >>> block = TransformerBlock(width=8, heads=2, hidden=16)
        >>> block(torch.zeros(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, width: int, heads: int, hidden: int, *, causal: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ConfigError(f"width {width} must be a multiple of heads {heads}")
        self.heads, self.causal = heads, causal
        self.before = nn.LayerNorm(width)
        self.mixed = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, hidden: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"] | None = None, cache: BlockCache | None = None,
        positions: Float[Tensor, "B L"] | None = None,
    ) -> Float[Tensor, "B L D"]:  # fmt: skip
        """Return the transformed positions.

        Args:
            hidden: Vectors of the positions.
            mask: True on real positions, at least one a clip; the others are not attended to. Not for causal blocks.
            cache: Key-value cache for causal blocks in inference. It is filled in place, and ``hidden`` holds the
                positions after those cached.
            positions: Position of each vector in any unit, for rotary embeddings. The dimension of a head must be even.
        """
        query, key, value = self._split(hidden)
        if positions is not None:
            query, key = apply_rotary(torch.stack([query, key]), positions).to(value.dtype).unbind(0)
        if cache is None and self.causal:
            attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        elif cache is None:  # explicit: with a mask the fused kernel's backward pass in bfloat16 is four times slower
            scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
            if mask is not None:
                scores = scores.masked_fill(~mask[:, None, None], -math.inf)
            attended = scores.softmax(-1).to(value.dtype) @ value
        else:
            (keys, values), start = cache
            end = start + key.shape[2]
            keys[:, :, start:end], values[:, :, start:end] = key, value
            attended = F.scaled_dot_product_attention(
                query, keys[:, :, :end], values[:, :, :end], is_causal=start == 0 and end > 1
            )
        hidden = hidden + self.dropout(self.out(attended.transpose(1, 2).flatten(2)))
        return hidden + self.dropout(self.contract(F.gelu(self.expand(self.between(hidden)))))

    def weights(self, hidden: Float[Tensor, "B L D"]) -> Float[Tensor, "B H L L"]:
        """Return the attention weights of a causal block, queries by keys."""
        query, key, _ = self._split(hidden)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        future = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).triu(1)
        return scores.masked_fill(future, -math.inf).softmax(-1)

    def _split(self, hidden: Float[Tensor, "B L D"]) -> tuple[Tensor, Tensor, Tensor]:
        mixed = self.mixed(self.before(hidden)).unflatten(2, (3, self.heads, -1))
        query, key, value = mixed.permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value


def apply_rotary(
    vectors: Float[Tensor, "*any B H L D"], positions: Float[Tensor, "B L"]
) -> Float[Tensor, "*any B H L D"]:
    """Apply rotary position embeddings: the dot product of two vectors depends on the distance of their positions.

    Args:
        vectors: Queries or keys of even dimension D; entries i and i + D / 2 are rotated together.
        positions: Position of each vector, in any unit; wavelengths range from 2π to 10,000 · 2π.

    Source:
        Su et al., arXiv:2104.09864, section 3.2.

    Example:
        >>> pair = torch.tensor([1.0, 0.0]).expand(1, 1, 2, 2)
        >>> [apply_rotary(pair, torch.tensor([steps]))[0, 0].prod(0).sum().item() for steps in ([0.0, 1.0], [5.0, 6.0])]
        [0.5403023362159729, 0.5403022766113281]
    """
    half = vectors.shape[-1] // 2
    rates = 10_000.0 ** (-torch.arange(half, device=positions.device) / half)
    angles = (positions[..., None] * rates)[:, None]
    sine, cosine = angles.sin(), angles.cos()
    one, two = vectors[..., :half], vectors[..., half:]
    return torch.cat([one * cosine - two * sine, two * cosine + one * sine], dim=-1)


def sinusoidal_embedding(positions: Shaped[Tensor, "*any"], width: int) -> Float[Tensor, "*any D"]:
    """Return sinusoidal position embeddings: sines, then cosines, of wavelengths from 2π to 10,000 · 2π.

    Args:
        positions: Positions of any shape, in any unit.
        width: Dimension D of an embedding.

    Source:
        Vaswani et al., arXiv:1706.03762, section 3.5; laid out as in Whisper, arXiv:2212.04356.

    Example:
        >>> sinusoidal_embedding(torch.arange(3), 4)[0].tolist()
        [0.0, 0.0, 1.0, 1.0]
    """
    step = math.log(10_000) / max(width // 2 - 1, 1)
    rates = torch.exp(-step * torch.arange(width // 2, device=positions.device))
    angles = positions[..., None] * rates
    return F.pad(torch.cat([angles.sin(), angles.cos()], dim=-1), (0, width % 2))
