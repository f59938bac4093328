"""From frames to subwords: one vector for each subword of the text, of what was heard where it is said."""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.nn.transformer import sinusoids
from vocable.systems.taste.config import AggregatorConfig

_SHARPNESS = 20.0  # of where a subword is expected, before anything is learnt: half of it is left 0.19 of a clip away


@dataclass(frozen=True)
class Heard:
    """What was heard of the subwords.

    Attributes:
        vectors: One for each subword; 0 on padding.
        weights: How much of each frame went into each subword, by head; of the last layer.
    """

    vectors: Float[Tensor, "B U D"]
    weights: Float[Tensor, "B H U F"]


class Aggregator(nn.Module):
    """Each subword asks the deep layer where it is said, and takes from there what the shallow layer heard.

    A clip has the same vectors alone and in any batch: neither padded frames nor padded subwords are looked at.

    Args:
        config: Sizes.
        query: Width of the subwords' vectors.
        frame: Width of the frames.
        out: Width D of what comes out.

    Source:
        TASTE, arXiv:2504.07053, section 3.1; layout ``bottleneck`` fits the seed's count of parameters.

    Example:
        >>> sizes = AggregatorConfig(layout="full", width=8, heads=2)
        >>> frames, subwords = torch.ones(1, 9, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)
        >>> heard = Aggregator(sizes, query=4, frame=6, out=8)(
        ...     torch.zeros(1, 3, 4), torch.zeros(1, 9, 6), torch.zeros(1, 9, 6), subwords, frames,
        ...     torch.tensor([[0, 0, 1]]), torch.tensor([[0.1, 0.4, 0.8]]),
        ... )
        >>> heard.vectors.shape, heard.weights.shape
        (torch.Size([1, 3, 8]), torch.Size([1, 2, 3, 9]))
    """

    def __init__(self, config: AggregatorConfig, *, query: int, frame: int, out: int) -> None:
        super().__init__()
        self.mask_padding, self.padded_to, self.pooled = config.mask_padding, config.padded_to, config.pooled
        width = config.width
        self.decodes = config.layout == "decoder"
        if self.decodes:
            self.enter = nn.Linear(query, width)
            self.layers = nn.ModuleList(_Layer(config, frame) for _ in range(config.depth))
            self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, out))
        else:
            self.layers = nn.ModuleList([Attention(query, frame, width, config.heads, out)])
        if config.place:
            self.sharpness = nn.Parameter(torch.full((config.depth, config.heads), _SHARPNESS))
        if config.value_identity:
            for layer in self.layers:
                (layer.frames if isinstance(layer, _Layer) else cast("Attention", layer)).begin_as_identity()

    def forward(
        self, query: Float[Tensor, "B U C"], keys: Float[Tensor, "B F E"], values: Float[Tensor, "B F E"],
        subword_mask: Bool[Tensor, "B U"], frame_mask: Bool[Tensor, "B F"], words: Int[Tensor, "B U"],
        letters_place: Float[Tensor, "B U"],
    ) -> Heard:  # fmt: skip
        """Listen for the subwords.

        Args:
            query: What asks for each subword.
            keys: Frames that say where.
            values: Frames that say how.
            subword_mask: True on subwords, padding last.
            frame_mask: True on frames, padding last.
            words: Which word each subword belongs to, from 0 on.
            letters_place: The middle of each subword among the letters of the text, in [0, 1].
        """
        subwords, device = query.shape[1], query.device
        keys, values, frame_mask = self._padded(keys, values, frame_mask)
        seen = frame_mask[:, None].expand(-1, subwords, -1) if self.mask_padding else None
        away = self._away(frame_mask if self.mask_padding else torch.ones_like(frame_mask), letters_place)
        if self.decodes:
            hidden = self.enter(query)
            hidden = hidden + sinusoids(torch.arange(subwords, device=device), hidden.shape[2])
        else:
            hidden = query
        weights = keys.new_zeros(0)
        for index, layer in enumerate(self.layers):
            hidden, weights = layer(hidden, keys, values, seen, None if away is None else away[index], subword_mask)
        vectors = (self.leave(hidden) if self.decodes else hidden) * subword_mask[..., None]
        return Heard(pooled(vectors, subword_mask, words) if self.pooled else vectors, weights)

    @torch.no_grad()
    def scale(self, factor: float) -> None:
        """Make what comes out so many times as long, by its last linear layer."""
        last = self.leave[-1] if self.decodes else cast("Attention", self.layers[0]).out
        for value in cast("nn.Linear", last).parameters():
            value.mul_(factor)

    def _padded(self, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Frames of 0 behind the last, where a clip is padded to a length."""
        more = self.padded_to - keys.shape[1]
        if more <= 0:
            return keys, values, mask
        return F.pad(keys, (0, 0, 0, more)), F.pad(values, (0, 0, 0, more)), F.pad(mask, (0, more))

    def _away(self, mask: Tensor, places: Tensor) -> Float[Tensor, "A B H U F"] | None:
        """What scores lose for each layer and head the farther a frame is from where the letters are."""
        if not hasattr(self, "sharpness"):
            return None
        counts = mask.sum(1, keepdim=True).clamp(min=1)
        where = (torch.arange(mask.shape[1], device=mask.device) + 0.5) / counts
        squared = (where[:, None] - places[..., None]).square()
        return -F.softplus(self.sharpness)[:, None, :, None, None] * squared[None, :, None]


class Attention(nn.Module):
    """Queries of one width, keys and values of another.

    Args:
        query: Width of what asks.
        frame: Width of what is looked at.
        width: Of all heads together.
        heads: Divide the width.
        out: Width of what is found.
    """

    def __init__(self, query: int, frame: int, width: int, heads: int, out: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(query, width)
        self.key, self.value = nn.Linear(frame, width), nn.Linear(frame, width)
        self.out = nn.Linear(width, out)

    def begin_as_identity(self) -> None:
        """What is found is what is there."""
        nn.init.eye_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def forward(
        self, query: Float[Tensor, "B U C"], keys: Float[Tensor, "B F E"], values: Float[Tensor, "B F E"],
        seen: Bool[Tensor, "B U F"] | None, away: Float[Tensor, "B H U F"] | None = None,
        subword_mask: Bool[Tensor, "B U"] | None = None,
    ) -> tuple[Float[Tensor, "B U D"], Float[Tensor, "B H U F"]]:  # fmt: skip
        """What is found, and the weights it was found with, which are float32.

        Args:
            query: What asks.
            keys: What is looked at.
            values: What is found there.
            seen: What may be looked at; everything by default.
            away: Added to the scores.
            subword_mask: Of the queries, which do not meet here.
        """
        asked, key, value = (
            part(given).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part, given in ((self.query, query), (self.key, keys), (self.value, values))
        )
        scores = (asked @ key.transpose(2, 3)).float() / math.sqrt(asked.shape[3])
        if away is not None:
            scores = scores + away
        if seen is not None:
            scores = scores.masked_fill(~seen[:, None], -math.inf)
        weights = scores.softmax(-1)
        return self.out((weights.to(value.dtype) @ value).transpose(1, 2).flatten(2)), weights


class _Layer(nn.Module):
    """Of a decoder: subwords look at subwords, then at frames, then think; norms first, as in Whisper."""

    def __init__(self, config: AggregatorConfig, frame: int) -> None:
        super().__init__()
        width = config.width
        self.causal = config.causal
        self.before, self.between, self.behind = (nn.LayerNorm(width) for _ in range(3))
        self.pieces = Attention(width, width, width, config.heads, width)
        self.frames = Attention(width, frame, width, config.heads, width)
        self.expand, self.contract = nn.Linear(width, config.hidden), nn.Linear(config.hidden, width)

    def forward(
        self,
        hidden: Tensor,
        keys: Tensor,
        values: Tensor,
        seen: Tensor | None,
        away: Tensor | None,
        subword_mask: Tensor,
    ) -> tuple[Tensor, Tensor]:
        asks = self.before(hidden)
        size = hidden.shape[1]
        known = subword_mask[:, None].expand(-1, size, -1)
        if self.causal:
            known = known & torch.ones(size, size, dtype=torch.bool, device=hidden.device).tril()
        hidden = hidden + self.pieces(asks, asks, asks, known)[0]
        found, weights = self.frames(self.between(hidden), keys, values, seen, away)
        hidden = hidden + found
        return hidden + self.contract(F.gelu(self.expand(self.behind(hidden)))), weights


def pooled(
    vectors: Float[Tensor, "B U D"], mask: Bool[Tensor, "B U"], words: Int[Tensor, "B U"]
) -> Float[Tensor, "B U D"]:
    """Every subword gets the mean of its word's subwords.

    Args:
        vectors: Of subwords.
        mask: True on subwords.
        words: Which word each belongs to: at most its own number.

    Source:
        TASTE, arXiv:2504.07053, section 3: so that texts in other subwords can take the vectors.

    Example:
        >>> pooled(torch.tensor([[[1.0], [3.0], [5.0]]]), torch.ones(1, 3, dtype=torch.bool), torch.tensor([[0, 0, 1]]))
        tensor([[[2.],
                 [2.],
                 [5.]]])
    """
    real = mask[..., None].to(vectors.dtype)
    where = words.masked_fill(~mask, 0)[..., None]
    sums = torch.zeros_like(vectors).scatter_add(1, where.expand_as(vectors), vectors * real)
    counts = torch.zeros_like(real).scatter_add(1, where, real)
    return (sums / counts.clamp(min=1)).gather(1, where.expand_as(vectors)) * real


def letters_places(letters: Float[Tensor, "B U"], mask: Bool[Tensor, "B U"]) -> Float[Tensor, "B U"]:
    """The middle of each subword among the letters of its text, in [0, 1].

    Args:
        letters: Of each subword.
        mask: True on subwords.

    Example:
        >>> letters_places(torch.tensor([[3.0, 1.0]]), torch.ones(1, 2, dtype=torch.bool))
        tensor([[0.3750, 0.8750]])
    """
    real = letters * mask
    return (real.cumsum(1) - real / 2) / real.sum(1, keepdim=True).clamp(min=1)
