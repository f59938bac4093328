"""Networks of VQalAttent: a VQ-VAE between images and ids, and a prior, a decoder-only transformer over ids."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.errors import ConfigError
from vocable.nn.transformer import TransformerBlock
from vocable.quantizers import Quantized, StochasticVectorQuantizer, VectorQuantizer
from vocable.quantizers.codebook import EmaCodebook, GradientCodebook
from vocable.systems.vqalattent.config import VqalattentConfig

_KERNELS = {1: 3, 2: 4}  # by stride

_MAX_GUIDANCE = 1e6  # above it logits overflow


class Vqvae(nn.Module):
    """Encoder, quantizer and decoder of whole images in [0, 1].

    Encoder and decoder have three convolutions and some residual blocks each. Latents stand in the order of the ids.

    Args:
        config: Configuration of the system.

    Source:
        VQalAttent, arXiv:2411.14642, section III, with the kernels of MONAI's VQ-VAE, which the paper builds on.

    Example:
        >>> from vocable.systems.vqalattent.config import VqvaeConfig
        >>> network = Vqvae(VqalattentConfig(vqvae=VqvaeConfig(width=8))).eval()
        >>> ids = network.encode(torch.rand(1, 64, 88))
        >>> ids.shape, network.decode(ids).shape
        (torch.Size([1, 352]), torch.Size([1, 64, 88]))
    """

    def __init__(self, config: VqalattentConfig) -> None:
        super().__init__()
        sizes = config.vqvae
        self.grid, self.order = config.grid, sizes.order
        first, second = sizes.strides
        self.encoder = nn.Sequential(
            nn.Conv2d(1, sizes.width, _KERNELS[first], first, padding=1), nn.ReLU(),
            nn.Conv2d(sizes.width, sizes.width, _KERNELS[second], second, padding=1), nn.ReLU(),
            *(_ResidualBlock(sizes.width) for _ in range(sizes.residual_blocks)),
            nn.Conv2d(sizes.width, sizes.latent_dim, 3, padding=1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(sizes.latent_dim, sizes.width, 3, padding=1),
            *(_ResidualBlock(sizes.width) for _ in range(sizes.residual_blocks)),
            nn.ConvTranspose2d(sizes.width, sizes.width, _KERNELS[second], second, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(sizes.width, 1, _KERNELS[first], first, padding=1),
        )  # fmt: skip
        kind: Callable[..., VectorQuantizer | StochasticVectorQuantizer]
        if sizes.codebook == "stochastic":
            kind = partial(StochasticVectorQuantizer, temperature=sizes.temperature)
        else:
            kind = partial(VectorQuantizer, codebook=EmaCodebook if sizes.codebook == "ema" else GradientCodebook)
        self.quantizer = kind(codebook_size=sizes.codebook_size, dim=sizes.latent_dim, init=sizes.codebook_init)

    def forward(self, images: Float[Tensor, "B F S"]) -> tuple[Float[Tensor, "B F S"], Quantized]:
        """Reconstruct images in training; return them with the ids, latents and losses of the quantizer."""
        latents = self.latents(images)
        quantized = self.quantizer(latents, torch.ones(latents.shape[:2], dtype=torch.bool, device=latents.device))
        return self.render(quantized.latents), quantized

    def latents(self, images: Float[Tensor, "B F S"]) -> Float[Tensor, "B N D"]:
        """Return the latents before quantizing, in the order of the ids."""
        grid = self.encoder(images[:, None].contiguous(memory_format=torch.channels_last))
        return (grid if self.order == "row_major" else grid.transpose(2, 3)).flatten(2).transpose(1, 2)

    def render(self, latents: Float[Tensor, "B N D"]) -> Float[Tensor, "B F S"]:
        """Decode quantized latents to images, not clipped to [0, 1]."""
        by_row = self.order == "row_major"
        grid = latents.transpose(1, 2).unflatten(2, self.grid if by_row else self.grid[::-1])
        grid = grid if by_row else grid.transpose(2, 3)
        return self.decoder(grid.contiguous(memory_format=torch.channels_last))[:, 0]

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "B F S"]) -> Int[Tensor, "B N"]:
        """Return the ids of images."""
        return self.quantizer.encode(self.latents(images).float())[:, 0]

    def decode(self, ids: Int[Tensor, "B N"]) -> Float[Tensor, "B F S"]:
        """Decode ids to images in [0, 1]."""
        return self.render(self.quantizer.decode(ids[:, None])).clamp(0.0, 1.0)


class _ResidualBlock(nn.Module):
    """Two convolutions and a skip connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, hidden: Float[Tensor, "B D R C"]) -> Float[Tensor, "B D R C"]:
        return torch.relu(hidden + self.conv2(torch.relu(self.conv1(hidden))))


class Prior(nn.Module):
    """Autoregressive prior: P(ids | conditions) = Π P(id_i | ids before i, conditions).

    The sequence is [BOS, one token for each condition, ids …]. The head has one output for each codebook entry and no
    other, so that only ids can be sampled.

    Args:
        config: Configuration with the conditions and their labels.

    Source:
        VQalAttent, arXiv:2411.14642, section III: 12 blocks, 8 heads, "BOS" and a class token; blocks as in MONAI
        (layer norm first, no bias in queries, keys and values, GELU, learned positions). The paper gives no width: 256.

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
        self.label_ids, self.label_dropout = sizes.label_ids, sizes.label_dropout
        counts = [len(config.labels.get(key, ())) for key in sizes.conditions]
        separate = sizes.label_ids == "separate"
        # rows of the token embedding: codebook entries, BOS, then for each condition "left open" and its labels
        firsts = self.codebook_size + 1 + np.cumsum([0, *(count + 1 for count in counts)])
        self.label_offsets = (firsts[:-1] + 1).tolist() if separate else [0] * len(counts)
        self.token_embedding = nn.Embedding(int(firsts[-1]) if separate else self.codebook_size + 1, sizes.width)
        self.position_embedding = nn.Embedding(1 + len(counts) + self.frames, sizes.width)
        if sizes.positions == "grid":
            self.axis_embeddings = nn.ModuleList(nn.Embedding(size, sizes.width) for size in config.grid)
        self.order = config.vqvae.order
        self.dropout = nn.Dropout(sizes.dropout)
        self.blocks = nn.ModuleList(
            TransformerBlock(sizes.width, sizes.heads, 4 * sizes.width, causal=True) for _ in range(sizes.blocks)
        )
        self.norm = nn.LayerNorm(sizes.width)
        self.head = nn.Linear(sizes.width, self.codebook_size)
        self.apply(_init_weights)

    def forward(self, ids: Int[Tensor, "B N"], labels: Int[Tensor, "B C"]) -> Float[Tensor, "B N K"]:
        """Compute the logits of each id from the ids before it.

        Args:
            ids: Ids in [0, K).
            labels: Index of each condition's label among its values; -1 leaves it open.

        Raises:
            ConfigError: If a label is left open and labels share the codebook's ids.
        """
        prefix = self._prefix(labels)
        hidden = self.dropout(self._embed(prefix, ids))
        for block in self._blocks:
            hidden = block(hidden)
        return self.head(self.norm(hidden[:, prefix.shape[1] - 1 :]))

    def loss(self, ids: Int[Tensor, "B N"], labels: Int[Tensor, "B C"]) -> Float[Tensor, ""]:
        """Return the mean cross-entropy of an id in nats; in training some labels are hidden."""
        if self.training and self.label_dropout:  # half of that share: all labels of a row at once
            single = torch.rand(labels.shape, device=labels.device) < self.label_dropout / 2
            whole_row = torch.rand(len(labels), 1, device=labels.device) < self.label_dropout / 2
            labels = torch.where(single | whole_row, -1, labels)
        return F.cross_entropy(self(ids, labels).flatten(0, 1).float(), ids.flatten())

    @torch.no_grad()
    def log_likelihood(self, ids: Int[Tensor, "B N"], labels: Int[Tensor, "B C"]) -> Float[Tensor, "B N"]:
        """Return the log-likelihood of each id given those before it, in nats; a row's sum is that of the utterance."""
        return self(ids, labels).float().log_softmax(-1).gather(2, ids[..., None])[..., 0]

    @torch.no_grad()
    def sample(
        self, labels: Int[Tensor, "B C"], seeds: Sequence[int], *, temperature: float = 1.0, top_k: int | None = None,
        top_p: float = 1.0, guidance: float = 0.0, cache: bool = True,
    ) -> Int[Tensor, "B N"]:  # fmt: skip
        """Sample ids; the settings are those of :func:`vocable.generate`. A row depends on its own seed alone.

        With guidance g the logits are logits + g · (logits − logits with all labels open), which doubles the work.
        Without ``cache``, the keys and values of earlier positions, every id costs a whole sequence.

        Raises:
            ConfigError: If a setting is out of range, or guidance is asked of a prior trained with all labels shown.

        Source:
            Guidance: Ho and Salimans, arXiv:2207.12598, on logits as in Make-A-Scene, arXiv:2203.13131, section 3.4.
        """
        if not (temperature >= 0 and math.isfinite(temperature)):
            raise ConfigError(f"temperature is {temperature}: give 0 or more")
        if top_k is not None and not 1 <= top_k <= self.codebook_size:
            raise ConfigError(f"top_k is {top_k}: give 1 to {self.codebook_size}")
        if not 0 < top_p <= 1:
            raise ConfigError(f"top_p is {top_p}: give more than 0 and at most 1")
        if not 0 <= guidance <= _MAX_GUIDANCE or (guidance and not self.label_dropout):
            raise ConfigError(
                f"guidance is {guidance}: give 0, or more to a prior trained with hidden labels, at most "
                f"{_MAX_GUIDANCE:g}"
            )
        if guidance:
            labels = torch.cat([labels, torch.full_like(labels, -1)])
        uniform = torch.from_numpy(np.stack([np.random.default_rng(seed).random(self.frames) for seed in seeds]))
        prefix = self._prefix(labels)
        sequence, new, positions = prefix, prefix, self._positions()
        shape = (len(self.blocks), 2, len(labels), self._blocks[0].heads, len(positions))  # of keys and values
        kv_cache = positions.new_empty(*shape, positions.shape[1] // shape[3]) if cache else None
        for index in range(self.frames):
            if kv_cache is None:
                new = sequence
            start = sequence.shape[1] - new.shape[1]
            hidden = self.token_embedding(new) + positions[start : sequence.shape[1]]
            for number, block in enumerate(self._blocks):
                cached = None if kv_cache is None else ((kv_cache[number, 0], kv_cache[number, 1]), start)
                hidden = block(hidden, cache=cached)
            logits = self.head(self.norm(hidden[:, -1]))
            if guidance:
                conditional, unconditional = logits.chunk(2)
                logits = conditional + guidance * (conditional - unconditional)
            new = _sample_ids(logits, uniform[:, index].to(logits.device), temperature, top_k, top_p)
            new = torch.cat([new, new]) if guidance else new
            sequence = torch.cat([sequence, new], dim=1)
        return sequence[: len(seeds), prefix.shape[1] :]

    @torch.no_grad()
    def attention(self, ids: Int[Tensor, "B N"], labels: Int[Tensor, "B C"]) -> list[Float[Tensor, "B H L L"]]:
        """Return the attention weights of each block: from each query (row) to each key (column), prefix first."""
        hidden = self._embed(self._prefix(labels), ids)
        maps = []
        for block in self._blocks:
            maps.append(block.weights(hidden))
            hidden = block(hidden)
        return maps

    @property
    def _blocks(self) -> list[TransformerBlock]:
        return cast("list[TransformerBlock]", list(self.blocks))

    def _embed(self, prefix: Int[Tensor, "B P"], ids: Int[Tensor, "B N"]) -> Float[Tensor, "B L D"]:
        """Return the embeddings of a sequence without its last id, which predicts nothing."""
        sequence = torch.cat([prefix, ids[:, :-1]], dim=1)
        return self.token_embedding(sequence) + self._positions()[: sequence.shape[1]]

    def _positions(self) -> Float[Tensor, "L D"]:
        """Return the position embeddings of a whole sequence."""
        if not hasattr(self, "axis_embeddings"):
            return self.position_embedding.weight
        rows, columns = (cast("nn.Embedding", axis).weight for axis in self.axis_embeddings)
        cells = rows[:, None] + columns[None]
        cells = (cells if self.order == "row_major" else cells.transpose(0, 1)).flatten(0, 1)
        prefix = self.position_embedding.num_embeddings - self.frames
        return self.position_embedding.weight + F.pad(cells, (0, 0, prefix, 0))

    def _prefix(self, labels: Int[Tensor, "B C"]) -> Int[Tensor, "B P"]:
        """Return the BOS token and the tokens of the labels."""
        if self.label_ids == "shared" and bool((labels < 0).any()):
            raise ConfigError("this prior's labels share the codebook's ids: none of them can be left open")
        bos = torch.full((labels.shape[0], 1), self.codebook_size, device=labels.device)
        offsets = torch.tensor(self.label_offsets, device=labels.device, dtype=labels.dtype)
        return torch.cat([bos, labels + offsets], dim=1)


def _sample_ids(
    logits: Float[Tensor, "B K"], uniform: Float[Tensor, " B"], temperature: float, top_k: int | None, top_p: float
) -> Int[Tensor, "B 1"]:
    """Sample one id a row by inverting the cumulative distribution at a uniform number in [0, 1)."""
    if temperature == 0:
        return logits.argmax(1, keepdim=True)
    exact = logits.double()
    shifted = exact - exact.amax(1, keepdim=True)  # so that no temperature overflows
    probabilities, ids = (shifted / temperature).softmax(1).sort(dim=1, descending=True, stable=True)
    kept = probabilities.cumsum(1) - probabilities < top_p  # mass before an id: the first is always kept
    if top_k is not None:
        kept[:, top_k:] = False
    cumulative = (probabilities * kept).cumsum(1)
    index = (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(1, keepdim=True)
    return ids.gather(1, torch.minimum(index, kept.sum(1, keepdim=True) - 1))


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
