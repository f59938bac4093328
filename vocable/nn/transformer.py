"""The transformer block: every position looks at others, then at itself; and positions that need not be learnt."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from vocable.errors import ConfigError

Held = tuple[tuple[Tensor, Tensor], int]  # keys and values (B, heads, positions, D / heads), and how many are known


class TransformerBlock(nn.Module):
    """Self-attention and a network for each position, each behind a layer norm and beside a skip.

    Args:
        width: D.
        heads: Of attention; divide the width.
        hidden: Width of the network for each position.
        causal: A position looks at itself and those before it, and at no other.
        dropout: Of what attention and network add, in training.

    Raises:
        ConfigError: The heads do not divide the width.

    Source:
        Vaswani et al., arXiv:1706.03762, norms first as in GPT-2; no bias in queries, keys and values.

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
        self, hidden: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"] | None = None, held: Held | None = None,
        positions: Float[Tensor, "B L"] | None = None,
    ) -> Float[Tensor, "B L D"]:  # fmt: skip
        """Look around, then think.

        Args:
            hidden: One vector for each position.
            mask: True on real positions, at least one a clip: nobody looks at the others. Not for causal blocks.
            held: For causal blocks in use: room for keys and values of the whole sequence, and how many of them are
                known already; ``hidden`` holds the positions after those.
            positions: Where each vector stands, in any unit: attention is told how far apart two of them are. The
                width of a head must be even.
        """
        query, key, value = self._split(hidden)
        if positions is not None:
            query, key = turned(torch.stack([query, key]), positions).to(value.dtype).unbind(0)
        if held is None and self.causal:
            seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        elif held is None:  # by hand: with a mask the fused kernel's backward pass in bfloat16 takes four times as long
            scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
            if mask is not None:
                scores = scores.masked_fill(~mask[:, None, None], -math.inf)
            seen = scores.softmax(-1).to(value.dtype) @ value
        else:
            (keys, values), first = held
            behind = first + key.shape[2]
            keys[:, :, first:behind], values[:, :, first:behind] = key, value
            seen = F.scaled_dot_product_attention(
                query, keys[:, :, :behind], values[:, :, :behind], is_causal=first == 0 and behind > 1
            )
        hidden = hidden + self.dropout(self.out(seen.transpose(1, 2).flatten(2)))
        return hidden + self.dropout(self.contract(F.gelu(self.expand(self.between(hidden)))))

    def weights(self, hidden: Float[Tensor, "B L D"]) -> Float[Tensor, "B H L L"]:
        """What :meth:`forward` of a causal block weighs positions with."""
        query, key, _ = self._split(hidden)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        later = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).triu(1)
        return scores.masked_fill(later, -math.inf).softmax(-1)

    def _split(self, hidden: Float[Tensor, "B L D"]) -> tuple[Tensor, Tensor, Tensor]:
        mixed = self.mixed(self.before(hidden)).unflatten(2, (3, self.heads, -1))
        query, key, value = mixed.permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value


def turned(vectors: Float[Tensor, "*any B H L D"], positions: Float[Tensor, "B L"]) -> Float[Tensor, "*any B H L D"]:
    """Vectors turned by angles that grow with their positions: dot products of two depend on how far apart they are.

    Args:
        vectors: Of an even width D; entry i and entry i + D / 2 are turned together.
        positions: Of any size; wavelengths reach from 2π to 10,000 · 2π.

    Source:
        Su et al., arXiv:2104.09864, section 3.2.

    Example:
        >>> pair = torch.tensor([1.0, 0.0]).expand(1, 1, 2, 2)
        >>> [turned(pair, torch.tensor([places]))[0, 0].prod(0).sum().item() for places in ([0.0, 1.0], [5.0, 6.0])]
        [0.5403023362159729, 0.5403022766113281]
    """
    half = vectors.shape[-1] // 2
    rates = 10_000.0 ** (-torch.arange(half, device=positions.device) / half)
    angles = (positions[..., None] * rates)[:, None]
    sine, cosine = angles.sin(), angles.cos()
    one, two = vectors[..., :half], vectors[..., half:]
    return torch.cat([one * cosine - two * sine, two * cosine + one * sine], dim=-1)


def sinusoids(positions: Shaped[Tensor, "*any"], width: int) -> Float[Tensor, "*any D"]:
    """A vector for each position: sines, then cosines, of wavelengths from 2π to 10,000 · 2π.

    Args:
        positions: Of any size; what counts is how far apart they are.
        width: D.

    Source:
        Vaswani et al., arXiv:1706.03762, section 3.5; laid out as in Whisper, arXiv:2212.04356.

    Example:
        >>> sinusoids(torch.arange(3), 4)[0].tolist()
        [0.0, 0.0, 1.0, 1.0]
    """
    step = math.log(10_000) / max(width // 2 - 1, 1)
    rates = torch.exp(-step * torch.arange(width // 2, device=positions.device))
    angles = positions[..., None] * rates
    return F.pad(torch.cat([angles.sin(), angles.cos()], dim=-1), (0, width % 2))
