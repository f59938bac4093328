"""CosyVoice's blocks: attention is told how far apart two positions are."""

import math
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vocable.nn.transformer import Held


class RelativeBlock(nn.Module):
    """A transformer block whose attention is told how far apart two positions are.

    A query q at i and a key k at j meet as (q + u) · k + (q + v) · W r(i − j), r sines and cosines of the distance.

    Args:
        width: D.
        heads: Divide the width.
        hidden: Width of the network for each position.
        activate: Inside that.
        dropout: Of what attention and network add, in training.

    Source:
        Dai et al., arXiv:1901.02860, section 3.3, as in github.com/FunAudioLLM/CosyVoice (Apache-2.0)
        ``cosyvoice/transformer/attention.py`` and ``encoder_layer.py``: the same parameters.

    Example:
        >>> block = RelativeBlock(width=8, heads=2, hidden=16, activate=F.relu)
        >>> block(torch.zeros(2, 5, 8), distances(5, 0, 8)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(
        self, width: int, heads: int, hidden: int, activate: Callable[[Tensor], Tensor], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.heads, self.activate = heads, activate
        self.before = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.distance = nn.Linear(width, width, bias=False)
        self.content_bias = nn.Parameter(torch.empty(heads, width // heads))
        self.distance_bias = nn.Parameter(torch.empty(heads, width // heads))
        nn.init.xavier_uniform_(self.content_bias)
        nn.init.xavier_uniform_(self.distance_bias)
        self.between = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, hidden: Float[Tensor, "B L D"], apart: Float[Tensor, "R D"], seen: Bool[Tensor, "#B L J"] | None = None,
        held: Held | None = None,
    ) -> Float[Tensor, "B L D"]:  # fmt: skip
        """Look around, then think.

        Args:
            hidden: One vector for each position.
            apart: What :func:`distances` gives, from the farthest distance to the left down.
            seen: Which of the J positions each of the L may look at; all by default.
            held: Room for keys and values of the whole sequence, and how many are known: see ``TransformerBlock``.
        """
        normed = self.before(hidden)
        query, key, value = (self._heads(part(normed)) for part in (self.query, self.key, self.value))
        if held is not None:
            (keys, values), first = held
            behind = first + key.shape[2]
            keys[:, :, first:behind], values[:, :, first:behind] = key, value
            key, value = keys[:, :, :behind], values[:, :, :behind]
        far = self._heads(self.distance(apart)[None])
        scores = (query + self.content_bias[:, None]) @ key.transpose(2, 3)
        scores = scores + _shifted((query + self.distance_bias[:, None]) @ far.transpose(2, 3), key.shape[2])
        scores = scores / math.sqrt(query.shape[3])
        if seen is not None:
            scores = scores.masked_fill(~seen[:, None], -math.inf)
        found = scores.softmax(-1).to(value.dtype) @ value
        hidden = hidden + self.dropout(self.out(found.transpose(1, 2).flatten(2)))
        inside = self.dropout(self.activate(self.expand(self.between(hidden))))
        return hidden + self.dropout(self.contract(inside))

    def _heads(self, vectors: Float[Tensor, "B L D"]) -> Float[Tensor, "B H L E"]:
        return vectors.unflatten(2, (self.heads, -1)).transpose(1, 2)


class RelativeStack(nn.Module):
    """CosyVoice's encoder: a linear layer and a norm, blocks, a norm.

    Args:
        before: Width of what comes in.
        width: D.
        blocks: How many.
        heads: Divide the width.
        hidden: Width of the networks for each position.
        activate: Inside those.
        causal: No later position is looked at.
        rectified: What comes in is cut off below 0 behind its norm, as before the unit model.
        dropout: In training.

    Source:
        github.com/FunAudioLLM/CosyVoice (Apache-2.0) ``cosyvoice/transformer/encoder.py``, ``subsampling.py``
        (``linear`` and ``linear_legacy``), ``embedding.py`` (``rel_pos_espnet``).

    Example:
        >>> stack = RelativeStack(4, 8, blocks=1, heads=2, hidden=16, activate=F.silu, causal=True)
        >>> stack(torch.zeros(2, 5, 4)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(
        self, before: int, width: int, *, blocks: int, heads: int, hidden: int, activate: Callable[[Tensor], Tensor],
        causal: bool, rectified: bool = False, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.width, self.heads, self.causal, self.rectified = width, heads, causal, rectified
        self.enter = nn.Sequential(nn.Linear(before, width), nn.LayerNorm(width))
        self.blocks = nn.ModuleList(RelativeBlock(width, heads, hidden, activate, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, vectors: Float[Tensor, "B L C"], mask: Bool[Tensor, "B L"] | None = None,
        room: list[tuple[Tensor, Tensor]] | None = None, first: int = 0,
    ) -> Float[Tensor, "B L D"]:  # fmt: skip
        """Read a sequence.

        Args:
            vectors: One for each position.
            mask: True on real positions. Causal stacks need none where padding comes last.
            room: For causal stacks in use: each block's room for keys and values, of which ``first`` are known.
            first: As said.
        """
        length, known = vectors.shape[1], first + vectors.shape[1]
        hidden = self.dropout(self.enter(vectors))
        hidden = self.dropout((F.relu(hidden) if self.rectified else hidden) * math.sqrt(self.width))
        seen = None if mask is None else mask[:, None].expand(-1, length, -1)
        if self.causal and length > 1:
            past = torch.ones(1, length, known, dtype=torch.bool, device=vectors.device).tril(first)
            seen = past if seen is None else past & seen
        apart = distances(known, 0 if self.causal else length - 1, self.width, device=vectors.device)
        apart = self.dropout(apart.to(hidden.dtype))
        for index, block in enumerate(cast("list[RelativeBlock]", list(self.blocks))):
            hidden = block(hidden, apart, seen, None if room is None else (room[index], first))
        return self.norm(hidden)


def distances(left: int, right: int, width: int, device: torch.device | None = None) -> Float[Tensor, "R D"]:
    """A vector for each distance, from ``left`` − 1 positions to the left down to ``right`` to the right.

    Args:
        left: One more than the farthest distance to the left.
        right: The farthest distance to the right; 0 where nobody looks ahead.
        width: D.
        device: Where to.

    Source:
        As ``EspnetRelPositionalEncoding`` in CosyVoice: a sine and a cosine of each rate in turn.

    Example:
        >>> distances(2, 1, 2)
        tensor([[ 0.8415,  0.5403],
                [ 0.0000,  1.0000],
                [-0.8415,  0.5403]])
    """
    rates = torch.exp(-math.log(10_000) / width * torch.arange(0, width, 2, device=device))
    angles = torch.arange(left - 1, -right - 1, -1, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]


def _shifted(scores: Float[Tensor, "B H L R"], keys: int) -> Float[Tensor, "B H L J"]:
    """From distances to keys: row i of L begins L − 1 − i columns further to the right.

    Source:
        Dai et al., arXiv:1901.02860, appendix B.
    """
    rows, columns = scores.shape[2:]
    padded = F.pad(scores, (1, 0)).flatten(2)[..., rows:]
    return padded.unflatten(2, (rows, columns))[..., :keys]
