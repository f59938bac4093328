"""Attention networks of TASTE: CosyVoice's transformer with relative positions, and the aggregator of frames."""

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.nn.transformer import sinusoidal_embedding
from vocable.systems.taste.config import AggregatorConfig

_INITIAL_SHARPNESS = 20.0  # halves a frame's weight 0.19 of a clip away from the expected position

KVCache = list[tuple[Tensor, Tensor]]
"""Keys and values of each block, of shape (B, H, T, D / H), with room for the whole sequence."""


class RelativeBlock(nn.Module):
    """Transformer block whose attention scores depend on the relative position of query and key.

    A query q at position i and a key k at position j score (q + u) · k + (q + v) · W r(i − j), where r are sines and
    cosines of the distance.

    Args:
        width: Dimension D of the block.
        heads: Number of attention heads; divides the width.
        hidden: Width of the feed-forward network.
        activation: Activation of the feed-forward network.
        dropout: Dropout rate of what attention and feed-forward network add.

    Source:
        Dai et al., arXiv:1901.02860, section 3.3, as in github.com/FunAudioLLM/CosyVoice (Apache-2.0)
        ``cosyvoice/transformer/attention.py`` and ``encoder_layer.py``: the same parameters.

    Example:
        >>> block = RelativeBlock(width=8, heads=2, hidden=16, activation=F.relu)
        >>> block(torch.zeros(2, 5, 8), distance_encodings(5, 0, 8)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(
        self, width: int, heads: int, hidden: int, activation: Callable[[Tensor], Tensor], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.heads, self.activation = heads, activation
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
        self, hidden: Float[Tensor, "B L D"], encodings: Float[Tensor, "R D"],
        attention_mask: Bool[Tensor, "#B L J"] | None = None, cache: tuple[Tensor, Tensor] | None = None,
        cached: int = 0,
    ) -> Float[Tensor, "B L D"]:  # fmt: skip
        """Apply attention and the feed-forward network.

        Args:
            hidden: Vectors of L positions.
            encodings: Encodings of all distances, from :func:`distance_encodings`.
            attention_mask: True where a position may attend to one of the J positions; everywhere by default.
            cache: Keys and values of the whole sequence. Those of ``hidden`` are written into it.
            cached: Number of positions before ``hidden`` that the cache holds.
        """
        normed = self.before(hidden)
        query, key, value = (self._split_heads(part(normed)) for part in (self.query, self.key, self.value))
        if cache is not None:
            keys, values = cache
            end = cached + key.shape[2]
            keys[:, :, cached:end], values[:, :, cached:end] = key, value
            key, value = keys[:, :, :end], values[:, :, :end]
        distances = self._split_heads(self.distance(encodings)[None])
        content = (query + self.content_bias[:, None]) @ key.transpose(2, 3)
        relative = (query + self.distance_bias[:, None]) @ distances.transpose(2, 3)
        scores = (content + _distances_to_keys(relative, key.shape[2])) / math.sqrt(query.shape[3])
        if attention_mask is not None:
            scores = scores.masked_fill(~attention_mask[:, None], -math.inf)
        attended = scores.softmax(-1).to(value.dtype) @ value
        hidden = hidden + self.dropout(self.out(attended.transpose(1, 2).flatten(2)))
        expanded = self.dropout(self.activation(self.expand(self.between(hidden))))
        return hidden + self.dropout(self.contract(expanded))

    def _split_heads(self, vectors: Float[Tensor, "B L D"]) -> Float[Tensor, "B H L E"]:
        return vectors.unflatten(2, (self.heads, -1)).transpose(1, 2)


class RelativeStack(nn.Module):
    """CosyVoice's transformer: input projection and norm, relative blocks, output norm.

    Args:
        in_dim: Dimension of the input.
        width: Dimension D of the blocks; ``heads``, ``hidden``, ``activation`` and ``dropout`` as in RelativeBlock.
        blocks: Number of blocks.
        causal: Whether a position attends to earlier ones only.
        rectify_input: Whether a ReLU follows the input norm, as in the unit model.

    Source:
        github.com/FunAudioLLM/CosyVoice (Apache-2.0) ``cosyvoice/transformer/encoder.py``, ``subsampling.py``
        (``linear`` and ``linear_legacy``), ``embedding.py`` (``rel_pos_espnet``).

    Example:
        >>> stack = RelativeStack(4, 8, blocks=1, heads=2, hidden=16, activation=F.silu, causal=True)
        >>> stack(torch.zeros(2, 5, 4)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(
        self, in_dim: int, width: int, *, blocks: int, heads: int, hidden: int,
        activation: Callable[[Tensor], Tensor], causal: bool, rectify_input: bool = False, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.width, self.heads, self.causal, self.rectify_input = width, heads, causal, rectify_input
        self.in_proj = nn.Sequential(nn.Linear(in_dim, width), nn.LayerNorm(width))
        self.blocks = nn.ModuleList(RelativeBlock(width, heads, hidden, activation, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, vectors: Float[Tensor, "B L C"], mask: Bool[Tensor, "B L"] | None = None, cache: KVCache | None = None,
        cached: int = 0,
    ) -> Float[Tensor, "B L D"]:  # fmt: skip
        """Encode a sequence.

        Args:
            vectors: Vectors of L positions.
            mask: True on real positions. A causal stack needs none where padding comes last.
            cache: Keys and values of each block, for incremental decoding with a causal stack.
            cached: Number of positions before ``vectors`` that the cache holds.
        """
        length, total = vectors.shape[1], cached + vectors.shape[1]
        hidden = self.dropout(self.in_proj(vectors))
        hidden = self.dropout((F.relu(hidden) if self.rectify_input else hidden) * math.sqrt(self.width))
        attention_mask = None if mask is None else mask[:, None].expand(-1, length, -1)
        if self.causal and length > 1:
            past = torch.ones(1, length, total, dtype=torch.bool, device=vectors.device).tril(cached)
            attention_mask = past if attention_mask is None else past & attention_mask
        ahead = 0 if self.causal else length - 1
        encodings = distance_encodings(total, ahead, self.width, device=vectors.device)
        encodings = self.dropout(encodings.to(hidden.dtype))
        for index, block in enumerate(cast("list[RelativeBlock]", list(self.blocks))):
            hidden = block(hidden, encodings, attention_mask, None if cache is None else cache[index], cached)
        return self.norm(hidden)


def distance_encodings(left: int, right: int, width: int, device: torch.device | None = None) -> Float[Tensor, "R D"]:
    """Encode distances from ``left`` − 1 positions to the left down to ``right`` positions to the right, in R rows.

    Source:
        ``EspnetRelPositionalEncoding`` of CosyVoice: a sine and a cosine of each rate in turn.

    Example:
        >>> distance_encodings(2, 1, 2)
        tensor([[ 0.8415,  0.5403],
                [ 0.0000,  1.0000],
                [-0.8415,  0.5403]])
    """
    rates = torch.exp(-math.log(10_000) / width * torch.arange(0, width, 2, device=device))
    angles = torch.arange(left - 1, -right - 1, -1, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]


def _distances_to_keys(scores: Float[Tensor, "B H L R"], keys: int) -> Float[Tensor, "B H L J"]:
    """Reorder scores by distance into scores by key: row i shifts by L − 1 − i (arXiv:1901.02860, appendix B)."""
    rows, columns = scores.shape[2:]
    padded = F.pad(scores, (1, 0)).flatten(2)[..., rows:]
    return padded.unflatten(2, (rows, columns))[..., :keys]


class Aggregator(nn.Module):
    """Cross-attention from subwords to frames: keys from a deep layer of Whisper, values from a shallow one or several.

    The keys tell where a subword is spoken, the values how it sounds. Of several layers of values each subword takes a
    weighted mean, whose weights depend on its query. A clip has the same embeddings alone and in any
    batch, because neither padded frames nor padded subwords are attended to.

    Args:
        config: Sizes.
        query_dim: Dimension of the queries.
        frame_dim: Dimension of the frames.
        out_dim: Dimension D of the acoustic embeddings.

    Source:
        TASTE, arXiv:2504.07053, section 3.1. Layout ``bottleneck`` fits the parameter count of the seed. A mix of
        layers for each text position: TASLA, arXiv:2510.14934.

    Example:
        >>> sizes = AggregatorConfig(layout="full", width=8, heads=2)
        >>> frames, subwords = torch.ones(1, 9, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)
        >>> embeddings, attention = Aggregator(sizes, query_dim=4, frame_dim=6, out_dim=8)(
        ...     torch.zeros(1, 3, 4), torch.zeros(1, 9, 6), torch.zeros(1, 9, 6), subwords, frames,
        ...     torch.tensor([[0, 0, 1]]), torch.tensor([[0.1, 0.4, 0.8]]),
        ... )
        >>> embeddings.shape, attention.shape
        (torch.Size([1, 3, 8]), torch.Size([1, 2, 3, 9]))
    """

    def __init__(self, config: AggregatorConfig, *, query_dim: int, frame_dim: int, out_dim: int) -> None:
        super().__init__()
        self.config, width = config, config.width
        if config.layout == "decoder":
            self.in_proj = nn.Linear(query_dim, width)
            self.layers = nn.ModuleList(_DecoderLayer(config, frame_dim) for _ in range(config.depth))
            self.out_proj = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, out_dim))
        else:
            attention = CrossAttention(query_dim, frame_dim, width, config.heads, out_dim, 1 + len(config.mixed_layers))
            self.layers = nn.ModuleList([attention])
        if config.position_bias:
            self.sharpness = nn.Parameter(torch.full((config.depth, config.heads), _INITIAL_SHARPNESS))
        for layer in self.layers if config.value_identity else ():  # attention starts as a weighted mean of its inputs
            value = cast("CrossAttention", getattr(layer, "cross_attn", layer)).value
            nn.init.eye_(value.weight)
            nn.init.zeros_(value.bias)

    def forward(
        self, queries: Float[Tensor, "B U C"], keys: Float[Tensor, "B F E"], values: Float[Tensor, "B F E_values"],
        subword_mask: Bool[Tensor, "B U"], frame_mask: Bool[Tensor, "B F"], word_ids: Int[Tensor, "B U"],
        letter_positions: Float[Tensor, "B U"],
    ) -> tuple[Float[Tensor, "B U D"], Float[Tensor, "B H U S"]]:  # fmt: skip
        """Aggregate frames to one embedding per subword, 0 on padding; and return the last layer's attention weights.

        Args:
            queries: Vector of each subword.
            keys: Frames of the deep layer.
            values: Frames of the shallow layer, and of the layers that are mixed with it, side by side.
            subword_mask: True on subwords, padding last.
            frame_mask: True on frames, padding last.
            word_ids: Index of the word that each subword belongs to.
            letter_positions: Position of each subword in its text, from :func:`find_letter_positions`.
        """
        count, masks = queries.shape[1], self.config.mask_padding
        if (more := self.config.padded_to - keys.shape[1]) > 0:
            keys, values = F.pad(keys, (0, 0, 0, more)), F.pad(values, (0, 0, 0, more))
            frame_mask = F.pad(frame_mask, (0, more))
        attention_mask = frame_mask[:, None].expand(-1, count, -1) if masks else None
        biases = self._position_biases(frame_mask if masks else torch.ones_like(frame_mask), letter_positions)
        if self.config.layout == "decoder":
            hidden = self.in_proj(queries)
            hidden = hidden + sinusoidal_embedding(torch.arange(count, device=queries.device), hidden.shape[2])
            for layer, bias in zip(self.layers, biases, strict=True):
                hidden, attention = layer(hidden, keys, values, attention_mask, bias, subword_mask)
            hidden = self.out_proj(hidden)
        else:
            hidden, attention = self.layers[0](queries, keys, values, attention_mask, biases[0])
        embeddings = hidden * subword_mask[..., None]
        if self.config.pool_words:
            embeddings = pool_words(embeddings, subword_mask, word_ids)
        return embeddings, attention

    @torch.no_grad()
    def scale_output(self, factor: float) -> None:
        """Multiply the weights of the last linear layer, and so the embeddings, by a factor."""
        last = self.out_proj[-1] if self.config.layout == "decoder" else cast("CrossAttention", self.layers[0]).out
        for parameter in cast("nn.Linear", last).parameters():
            parameter.mul_(factor)

    def _position_biases(self, mask: Tensor, positions: Tensor) -> Sequence[Tensor | None]:
        """Return, by layer, the negative squared distance of frames from the letters, times each head's sharpness."""
        if not self.config.position_bias:
            return [None] * self.config.depth
        counts = mask.sum(1, keepdim=True).clamp(min=1)
        frames = (torch.arange(mask.shape[1], device=mask.device) + 0.5) / counts
        squared = (frames[:, None] - positions[..., None]).square()
        return (-F.softplus(self.sharpness)[:, None, :, None, None] * squared[None, :, None]).unbind()


class CrossAttention(nn.Module):
    """Multi-head attention whose queries and memory may have different dimensions.

    Args:
        query_dim: Dimension of the queries.
        memory_dim: Dimension of keys and values before projection.
        width: Dimension of all heads together.
        heads: Number of heads; divides the width.
        out_dim: Dimension of the output.
        layers: Number of layers of values, side by side. They share the attention weights, and each query takes its own
            weighted mean of what it attends to in them.
    """

    def __init__(
        self, query_dim: int, memory_dim: int, width: int, heads: int, out_dim: int, layers: int = 1
    ) -> None:  # fmt: skip
        super().__init__()
        self.heads, self.layers = heads, layers
        self.query = nn.Linear(query_dim, width)
        self.key, self.value = nn.Linear(memory_dim, width), nn.Linear(memory_dim, width)
        self.out = nn.Linear(width, out_dim)
        if layers > 1:
            self.more_values = nn.ModuleList(nn.Linear(memory_dim, width) for _ in range(layers - 1))
            self.mix = nn.Linear(query_dim, layers)
            nn.init.zeros_(self.mix.weight)
            nn.init.zeros_(self.mix.bias)

    def forward(
        self, queries: Float[Tensor, "B U C"], keys: Float[Tensor, "B F E"], values: Float[Tensor, "B F E_values"],
        attention_mask: Bool[Tensor, "B U F"] | None, bias: Float[Tensor, "B H U F"] | None = None,
    ) -> tuple[Float[Tensor, "B U D"], Float[Tensor, "B H U F"]]:  # fmt: skip
        """Return the attended values, and the attention weights in float32.

        The mask is True where a query may attend, None for everywhere. The bias is added to the attention scores.
        """
        query, key = (self._split_heads(vectors) for vectors in (self.query(queries), self.key(keys)))
        scores = (query @ key.transpose(2, 3)).float() / math.sqrt(query.shape[3])
        if bias is not None:
            scores = scores + bias
        if attention_mask is not None:
            scores = scores.masked_fill(~attention_mask[:, None], -math.inf)
        weights = scores.softmax(-1)
        if self.layers == 1:
            return self.out(self._attend(weights, self.value(values))), weights
        projections = [self.value, *self.more_values]
        attended = [
            self._attend(weights, projection(layer))
            for projection, layer in zip(projections, values.chunk(self.layers, dim=2), strict=True)
        ]
        shares = self.mix(queries).softmax(2)[..., None]
        return self.out((torch.stack(attended, dim=2) * shares).sum(2)), weights

    def _split_heads(self, vectors: Float[Tensor, "B L D"]) -> Float[Tensor, "B H L E"]:
        return vectors.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def _attend(self, weights: Float[Tensor, "B H U F"], values: Float[Tensor, "B F D"]) -> Float[Tensor, "B U D"]:
        value = self._split_heads(values)
        return (weights.to(value.dtype) @ value).transpose(1, 2).flatten(2)


class _DecoderLayer(nn.Module):
    """Transformer decoder layer, norms first as in Whisper."""

    def __init__(self, config: AggregatorConfig, frame_dim: int) -> None:
        super().__init__()
        width = config.width
        self.causal = config.causal
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.self_attn = CrossAttention(width, width, width, config.heads, width)
        layers = 1 + len(config.mixed_layers)
        self.cross_attn = CrossAttention(width, frame_dim, width, config.heads, width, layers)
        self.expand, self.contract = nn.Linear(width, config.hidden), nn.Linear(config.hidden, width)

    def forward(
        self, hidden: Tensor, keys: Tensor, values: Tensor, frame_mask: Tensor | None, bias: Tensor | None,
        subword_mask: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        normed, size = self.norm1(hidden), hidden.shape[1]
        attention_mask = subword_mask[:, None].expand(-1, size, -1)
        if self.causal:
            attention_mask = attention_mask & torch.ones(size, size, dtype=torch.bool, device=hidden.device).tril()
        hidden = hidden + self.self_attn(normed, normed, normed, attention_mask)[0]
        attended, weights = self.cross_attn(self.norm2(hidden), keys, values, frame_mask, bias)
        hidden = hidden + attended
        return hidden + self.contract(F.gelu(self.expand(self.norm3(hidden)))), weights


def pool_words(
    vectors: Float[Tensor, "B U D"], mask: Bool[Tensor, "B U"], word_ids: Int[Tensor, "B U"]
) -> Float[Tensor, "B U D"]:
    """Return the mean of each word's vectors at each of its subwords (TASTE, arXiv:2504.07053, section 3).

    The mask is True on subwords; a word's index is at most that of its first subword.

    Example:
        >>> pool_words(torch.tensor([[[1.0], [3.0]]]), torch.ones(1, 2, dtype=torch.bool), torch.tensor([[0, 0]]))
        tensor([[[2.],
                 [2.]]])
    """
    real = mask[..., None].to(vectors.dtype)
    index = word_ids.masked_fill(~mask, 0)[..., None]
    sums = torch.zeros_like(vectors).scatter_add(1, index.expand_as(vectors), vectors * real)
    counts = torch.zeros_like(real).scatter_add(1, index, real)
    return (sums / counts.clamp(min=1)).gather(1, index.expand_as(vectors)) * real
