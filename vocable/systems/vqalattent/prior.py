"""The prior: a decoder-only transformer that says how likely each next id is, given those before and what is asked.

The sequence is [BOS, a token for each condition, ids …]. The head has one output for each entry of the codebook and no
other, so that nothing but an id can ever be drawn.
"""

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.errors import ConfigError
from vocable.nn.transformer import TransformerBlock
from vocable.systems.vqalattent.config import VqalattentConfig

_Cache = list[tuple[Tensor, Tensor]]  # keys and values (B, heads, positions, D / heads) of each block


class Prior(nn.Module):
    """P(ids | conditions) = Π P(id_i | ids before i, conditions).

    Args:
        config: Sizes, conditions and their labels.

    Source:
        VQalAttent, arXiv:2411.14642, section III: 12 blocks, 8 heads, "BOS" and a class token; blocks as in MONAI
        (layer norm first, no bias in queries, keys and values, GELU, learnt positions). Width unsaid: 256.

    Example:
        >>> from vocable.systems.vqalattent.config import PriorConfig
        >>> sizes = PriorConfig(blocks=1, heads=2, width=8, conditions=("digit",))
        >>> prior = Prior(VqalattentConfig(prior=sizes, labels={"digit": ("0", "1")})).eval()
        >>> ids = prior.sample(torch.tensor([[1]]), [0])
        >>> ids.shape, prior.log_likelihood(ids, torch.tensor([[1]])).shape
        (torch.Size([1, 352]), torch.Size([1, 352]))
    """

    def __init__(self, config: VqalattentConfig) -> None:
        super().__init__()
        sizes = config.prior
        self.frames, self.codebook_size = config.frames, config.vqvae.codebook_size
        self.conditions = sizes.conditions
        self.label_ids, self.unknown = sizes.label_ids, sizes.unknown
        counts = [len(config.labels.get(key, ())) for key in sizes.conditions]
        own = sizes.label_ids == "own"
        # rows of the token table: codebook entries, BOS, then for each condition "not said" and its labels
        firsts = self.codebook_size + 1 + np.cumsum([0, *(count + 1 for count in counts)])
        self.offsets = (firsts[:-1] + 1).tolist() if own else [0] * len(counts)
        self.tokens = nn.Embedding(int(firsts[-1]) if own else self.codebook_size + 1, sizes.width)
        self.places = nn.Embedding(1 + len(counts) + self.frames, sizes.width)
        if sizes.positions == "grid":
            self.lines = nn.ModuleList(nn.Embedding(size, sizes.width) for size in config.grid)
        self.order = config.vqvae.order
        self.dropout = nn.Dropout(sizes.dropout)
        self.blocks = nn.ModuleList(
            TransformerBlock(sizes.width, sizes.heads, 4 * sizes.width, causal=True) for _ in range(sizes.blocks)
        )
        self.norm = nn.LayerNorm(sizes.width)
        self.head = nn.Linear(sizes.width, self.codebook_size)
        self.apply(_initialised)

    def forward(self, ids: Int[Tensor, "B N"], labels: Int[Tensor, "B C"]) -> Float[Tensor, "B N K"]:
        """Logits of each id, from the ids before it.

        Args:
            ids: In [0, K).
            labels: The place of each condition's label among its values; -1 leaves it open.

        Raises:
            ConfigError: A label is left open and labels share the codebook's ids.
        """
        start = self._prefix(labels)
        sequence = torch.cat([start, ids[:, :-1]], dim=1)
        hidden = self.dropout(self.tokens(sequence) + self._positions()[: sequence.shape[1]])
        for block in self._blocks:
            hidden = block(hidden)
        return self.head(self.norm(hidden[:, start.shape[1] - 1 :]))

    def loss(self, ids: Int[Tensor, "B N"], labels: Int[Tensor, "B C"]) -> Float[Tensor, ""]:
        """Mean cross-entropy of an id in nats; in training some labels are hidden."""
        if self.training and self.unknown:  # half of that share: all labels of a row at once
            each, whole = (
                torch.rand(labels.shape, device=labels.device),
                torch.rand(len(labels), 1, device=labels.device),
            )
            labels = torch.where((each < self.unknown / 2) | (whole < self.unknown / 2), -1, labels)
        return F.cross_entropy(self(ids, labels).flatten(0, 1).float(), ids.flatten())

    @torch.no_grad()
    def log_likelihood(self, ids: Int[Tensor, "B N"], labels: Int[Tensor, "B C"]) -> Float[Tensor, "B N"]:
        """Of each id given those before it, in nats; their sum is that of the utterance."""
        logits = self(ids, labels).float().log_softmax(-1)
        return logits.gather(2, ids[..., None])[..., 0]

    @torch.no_grad()
    def sample(
        self, labels: Int[Tensor, "B C"], seeds: Sequence[int], *, temperature: float = 1.0, top_k: int | None = None,
        top_p: float = 1.0, guidance: float = 0.0, cache: bool = True,
    ) -> Int[Tensor, "B N"]:  # fmt: skip
        """Draw ids.

        Args:
            labels: As :meth:`forward` takes them.
            seeds: One for each row: a row depends on its own seed and on no other row.
            temperature: Under 1 the likely becomes likelier; 0 always takes the likeliest.
            top_k: Draw among so many of the likeliest.
            top_p: Draw among the fewest that have this much probability together.
            guidance: Away from what would be said if nothing were asked: logits + guidance · (logits − those with all
                labels open). Twice the work. 0 draws from the prior itself.
            cache: Keep keys and values of the positions before; without, each id costs the whole sequence again.

        Raises:
            ConfigError: A setting is out of range, or there is guidance and training never hid a label.

        Source:
            Guidance: Ho and Salimans, arXiv:2207.12598, on logits as in Make-A-Scene, arXiv:2203.13131, section 3.4.
        """
        _check(temperature, top_k, top_p, self.codebook_size)
        if guidance < 0 or (guidance and not self.unknown):
            raise ConfigError(f"guidance is {guidance}: 0 or more is wanted, and a prior trained with labels hidden")
        if guidance:
            labels = torch.cat([labels, torch.full_like(labels, -1)])
        chances = torch.from_numpy(np.stack([np.random.default_rng(seed).random(self.frames) for seed in seeds]))
        prefix = self._prefix(labels)
        held: _Cache | None = self._room(len(labels), prefix.device) if cache else None
        sequence, fresh, positions = prefix, prefix, self._positions()
        for position in range(self.frames):
            if held is None:
                fresh = sequence
            first = sequence.shape[1] - fresh.shape[1]
            hidden = self.tokens(fresh) + positions[first : sequence.shape[1]]
            for index, block in enumerate(self._blocks):
                hidden = block(hidden, held=None if held is None else (held[index], first))
            logits = self.head(self.norm(hidden[:, -1]))
            if guidance:
                asked, nothing = logits.chunk(2)
                logits = asked + guidance * (asked - nothing)
            fresh = _draw(logits, chances[:, position].to(logits.device), temperature, top_k, top_p)
            fresh = torch.cat([fresh, fresh]) if guidance else fresh
            sequence = torch.cat([sequence, fresh], dim=1)
        return sequence[: len(seeds), prefix.shape[1] :]

    @torch.no_grad()
    def attention(self, ids: Int[Tensor, "B N"], labels: Int[Tensor, "B C"]) -> list[Float[Tensor, "B H L L"]]:
        """Attention weights of each block and head: which position (row) looks at which (column), prefix first."""
        sequence = torch.cat([self._prefix(labels), ids[:, :-1]], dim=1)
        hidden = self.tokens(sequence) + self._positions()[: sequence.shape[1]]
        maps = []
        for block in self._blocks:
            maps.append(block.weights(hidden))
            hidden = block(hidden)
        return maps

    @property
    def _blocks(self) -> list[TransformerBlock]:
        return cast("list[TransformerBlock]", list(self.blocks))

    def _positions(self) -> Float[Tensor, "L D"]:
        """A vector for each position of a whole sequence."""
        if not hasattr(self, "lines"):
            return self.places.weight
        rows, columns = (cast("nn.Embedding", line).weight for line in self.lines)
        cells = rows[:, None] + columns[None]
        cells = (cells if self.order == "row_major" else cells.transpose(0, 1)).flatten(0, 1)
        return self.places.weight + F.pad(cells, (0, 0, self.places.num_embeddings - self.frames, 0))

    def _prefix(self, labels: Int[Tensor, "B C"]) -> Int[Tensor, "B P"]:
        if self.label_ids == "shared" and bool((labels < 0).any()):
            raise ConfigError("this prior's labels share the codebook's ids: none of them can be left open")
        begin = torch.full((labels.shape[0], 1), self.codebook_size, device=labels.device)
        return torch.cat([begin, labels + torch.tensor(self.offsets, device=labels.device, dtype=labels.dtype)], dim=1)

    def _room(self, rows: int, device: torch.device) -> _Cache:
        """Empty keys and values for a whole sequence."""
        heads, length = self._blocks[0].heads, self.places.num_embeddings
        shape = (rows, heads, length, self.places.embedding_dim // heads)
        dtype = self.places.weight.dtype
        return [
            (torch.empty(shape, device=device, dtype=dtype), torch.empty(shape, device=device, dtype=dtype))
            for _ in self._blocks
        ]


def _draw(
    logits: Float[Tensor, "B K"], chances: Float[Tensor, " B"], temperature: float, top_k: int | None, top_p: float
) -> Int[Tensor, "B 1"]:
    """One id a row: where its chance, a number in [0, 1), falls when the probabilities stand in a line."""
    if temperature == 0:
        return logits.argmax(1, keepdim=True)
    exact = logits.double()
    below = exact - exact.amax(1, keepdim=True)  # so that no temperature makes it overflow
    sizes, ids = (below / temperature).softmax(1).sort(dim=1, descending=True, stable=True)
    kept = sizes.cumsum(1) - sizes < top_p  # what lies before an id has less than top_p: the first is always kept
    if top_k is not None:
        kept[:, top_k:] = False
    line = (sizes * kept).cumsum(1)
    place = (line <= chances[:, None] * line[:, -1:]).sum(1, keepdim=True)
    return ids.gather(1, torch.minimum(place, kept.sum(1, keepdim=True) - 1))


def _check(temperature: float, top_k: int | None, top_p: float, most: int) -> None:
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise ConfigError(f"temperature is {temperature}: 0 or more is wanted")
    if top_k is not None and not 1 <= top_k <= most:
        raise ConfigError(f"top_k is {top_k}: 1 to {most} is wanted")
    if not 0 < top_p <= 1:
        raise ConfigError(f"top_p is {top_p}: over 0 and at most 1 is wanted")


def _initialised(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
