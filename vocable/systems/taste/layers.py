"""What text and units are read with, how text and speech are joined, ids of speech, durations."""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.nn.transformer import TransformerBlock, sinusoids
from vocable.quantizers import Quantized, ResidualVectorQuantizer
from vocable.systems.taste.config import Fusion, QuantizerConfig, TextConfig
from vocable.systems.taste.relative import RelativeStack

_USUAL = 5.0  # units of a subword, before anything is learnt
_BRIEFEST, _LONGEST = 0.05, 500.0  # units that a subword may last


class TextEncoder(nn.Module):
    """Subwords of a text to the vectors that the unit model is told it with.

    Args:
        config: Sizes.
        out: Width D of the vectors.

    Source:
        CosyVoice, arXiv:2407.05407, section 2.2; with ``sinusoid`` positions, blocks as in GPT-2.

    Example:
        >>> sizes = TextConfig(size=9, embedding=4, width=8, blocks=1, heads=2, hidden=16)
        >>> TextEncoder(sizes, out=6)(torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 3, 6])
    """

    def __init__(self, config: TextConfig, out: int) -> None:
        super().__init__()
        self.table = nn.Embedding(config.size, config.embedding)
        self.encoder: RelativeStack | SinusoidText
        if config.positions == "relative":
            self.encoder = RelativeStack(
                config.embedding, config.width, blocks=config.blocks, heads=config.heads, hidden=config.hidden,
                activate=F.silu, causal=config.causal, dropout=config.dropout,
            )  # fmt: skip
        else:
            self.encoder = SinusoidText(config)
        self.leave = nn.Linear(config.width, out)

    def forward(self, subwords: Int[Tensor, "B U"], mask: Bool[Tensor, "B U"]) -> Float[Tensor, "B U D"]:
        """Read texts; behind their ends the vectors are 0."""
        return self.leave(self.encoder(self.table(subwords), mask)) * mask[..., None]


class SinusoidText(nn.Module):
    """Blocks over vectors with sinusoids of their places.

    Args:
        config: Sizes.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.enter = nn.Linear(config.embedding, config.width)
        self.blocks = nn.ModuleList(
            TransformerBlock(config.width, config.heads, config.hidden, causal=config.causal, dropout=config.dropout)
            for _ in range(config.blocks)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(self, vectors: Float[Tensor, "B U C"], mask: Bool[Tensor, "B U"]) -> Float[Tensor, "B U D"]:
        """Read texts."""
        hidden = self.enter(vectors)
        hidden = hidden + sinusoids(torch.arange(hidden.shape[1], device=hidden.device), hidden.shape[2])
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.norm(hidden)


class Joined(nn.Module):
    """What a text says and what was heard of it, as one.

    Args:
        fusion: ``add``: said + heard. ``gated``: said + g · heard, g of both. ``weighted``: of both, normalised, a mean
            whose two weights are learnt. ``none``: said alone.
        width: D.

    Source:
        Added: the seed. Weighted, behind layer norms: TASTE, arXiv:2504.07053, section 3.

    Example:
        >>> said = torch.ones(1, 2, 4)
        >>> Joined("add", 4)(said, None).equal(said)
        True
    """

    def __init__(self, fusion: Fusion, width: int) -> None:
        super().__init__()
        self.fusion = fusion
        if fusion == "gated":
            self.gate = nn.Linear(2 * width, width)
        if fusion == "weighted":
            self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
            self.weights = nn.Parameter(torch.zeros(2))  # of said and heard, before their softmax

    def forward(self, said: Float[Tensor, "B U D"], heard: Float[Tensor, "B U D"] | None) -> Float[Tensor, "B U D"]:
        """Join; None, or 0, is nothing heard."""
        if self.fusion == "none":
            return said
        if heard is None:
            heard = torch.zeros_like(said)
        if self.fusion == "add":
            return said + heard
        if self.fusion == "gated":
            return said + self.gate(torch.cat([said, heard], dim=2)).sigmoid() * heard
        shares = self.weights.softmax(0)
        return shares[0] * self.norms[0](said) + shares[1] * self.norms[1](heard)


class SpeechQuantizer(nn.Module):
    """Vectors of subwords to ids and back: a linear layer down, residual codebooks, a linear layer up.

    Up is the transpose of down to begin with, so that an untrained quantizer takes away as little as it must.

    Args:
        config: Sizes.
        width: D of the vectors.

    Source:
        TASTE, arXiv:2504.07053, section 3: 1280 → 256, 4 × 512, moving means.

    Example:
        >>> quantizer = SpeechQuantizer(QuantizerConfig(levels=2, size=8, dim=4), width=6).eval()
        >>> ids = quantizer.encode(torch.zeros(1, 3, 6))
        >>> ids.shape, quantizer.decode(ids).shape
        (torch.Size([1, 2, 3]), torch.Size([1, 3, 6]))
    """

    def __init__(self, config: QuantizerConfig, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(width, config.dim)
        self.levels = ResidualVectorQuantizer(num_codebooks=config.levels, codebook_size=config.size, dim=config.dim)
        self.leave = nn.Linear(config.dim, width, bias=False)
        nn.init.orthogonal_(self.enter.weight)
        nn.init.zeros_(self.enter.bias)
        with torch.no_grad():
            self.leave.weight.copy_(self.enter.weight.t())

    def forward(
        self, vectors: Float[Tensor, "B U D"], mask: Bool[Tensor, "B U"], levels: Int[Tensor, " B"] | None = None
    ) -> Quantized:
        """Quantize a batch; in training the codebooks learn from it. See ``ResidualVectorQuantizer``."""
        found = self.levels(self.enter(vectors), mask, levels)
        return replace(found, latents=self.leave(found.latents), levels=self.leave(found.levels))

    @property
    def begun(self) -> bool:
        """Whether training has given the codebooks entries; until then all their vectors are 0."""
        return bool(self.levels.books[0].entries.any())

    @torch.no_grad()
    def encode(self, vectors: Float[Tensor, "B U D"], num_levels: int | None = None) -> Int[Tensor, "B Q U"]:
        """Ids of the first levels, all by default."""
        return self.levels.encode(self.enter(vectors), num_levels)

    def decode(self, ids: Int[Tensor, "B Q U"]) -> Float[Tensor, "B U D"]:
        """Vectors of ids of any number of the levels, the first of them first."""
        return self.leave(self.levels.decode(ids))


class Durations(nn.Module):
    """How long each subword is said.

    Args:
        width: D of the vectors of subwords.

    Example:
        >>> Durations(4)(torch.zeros(1, 2, 4)).exp().round().tolist()
        [[5.0, 5.0]]
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, width)
        self.leave = nn.Linear(width, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.constant_(self.leave.bias, math.log(_USUAL))

    def forward(self, joint: Float[Tensor, "B U D"]) -> Float[Tensor, "B U"]:
        """The logarithm of each subword's units."""
        found = self.leave(F.gelu(self.expand(self.norm(joint))))[..., 0]
        return found.float().clamp(math.log(_BRIEFEST), math.log(_LONGEST))
