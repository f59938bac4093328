"""Text encoder and unit model, which are CosyVoice's language model, and the sampling of units.

The unit model is autoregressive. A sequence is [start][voice][subwords …][task][units …], packed without gaps and with
padding last, so a causal mask is all that it needs. The position before a unit predicts it; the last unit's position
predicts the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from vocable.errors import ConfigError
from vocable.nn.transformer import TransformerBlock, sinusoidal_embedding
from vocable.schema import config
from vocable.systems.taste.config import TextConfig, UnitLmConfig
from vocable.systems.taste.networks import KVCache, RelativeStack

_PREFIX = 2  # positions before the subwords: start and voice
_NO_TIME = -1.0  # time of the start, voice and task tokens
_PROGRESS_SCALE = 100.0  # steps of a sinusoid from the beginning of a subword to its end
_MAX_PROGRESS = 2.0  # in durations of the last subword, after which units may follow
_MIN_DURATION = 1e-3  # of a subword, in units


@config
class Sampling:
    """Nucleus sampling of units with a rule against repetition: a unit that repeats is drawn anew from all units.

    Attributes:
        top_p: Probability that the candidates have together: the fewest most likely units that reach it.
        top_k: Maximal number of candidates.
        window: Number of previous units in which repetitions are counted.
        repetition: Share of the window that makes a unit a repetition.
        temperature: Temperature of the logits; 0 takes the most likely unit.

    Source:
        VALL-E 2, arXiv:2406.05370, section 4.4, with CosyVoice's numbers: github.com/FunAudioLLM/CosyVoice
        (Apache-2.0) ``cosyvoice/utils/common.py``.

    Example:
        >>> sampling, generator = Sampling(top_k=1), torch.Generator().manual_seed(0)
        >>> sampling.draw(torch.tensor([0.0, 9.0, 1.0]), [], generator)
        1
    """

    top_p: Annotated[float, Field(gt=0, le=1)] = 0.8
    top_k: Annotated[int, Field(ge=1)] = 25
    window: Annotated[int, Field(ge=0)] = 10
    repetition: Annotated[float, Field(gt=0)] = 0.1
    temperature: Annotated[float, Field(ge=0)] = 1.0

    def draw(self, logits: Float[Tensor, " K"], previous: Sequence[int], generator: torch.Generator) -> int:
        """Draw one id.

        Args:
            logits: Logits of K ids; an id of −∞ is never drawn.
            previous: Ids drawn before, the latest last.
            generator: Random generator on the CPU, so that a seed gives the same ids on every device.
        """
        exact = logits.detach().double().cpu()
        if self.temperature == 0:
            return int(exact.argmax())
        probabilities = ((exact - exact.max()) / self.temperature).softmax(0)
        ranked, ids = probabilities.sort(descending=True, stable=True)
        candidates = ranked.cumsum(0) - ranked < self.top_p  # by what lies before: the first is always kept
        candidates[self.top_k :] = False
        drawn = int(ids[torch.multinomial(ranked * candidates, 1, generator=generator)])
        recent = previous[max(0, len(previous) - self.window) :]
        if self.window and recent.count(drawn) >= self.window * self.repetition:
            drawn = int(torch.multinomial(probabilities, 1, generator=generator))
        return drawn


class TextEncoder(nn.Module):
    """Encoder from subwords to text embeddings.

    Args:
        config: Sizes.
        out_dim: Dimension D of the text embeddings.

    Source:
        CosyVoice, arXiv:2407.05407, section 2.2. With ``sinusoid`` positions, blocks as in GPT-2.

    Example:
        >>> sizes = TextConfig(vocabulary_size=9, embedding=4, width=8, blocks=1, heads=2, hidden=16)
        >>> encoder = TextEncoder(sizes, out_dim=6)
        >>> encoder(torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 3, 6])
    """

    def __init__(self, config: TextConfig, out_dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary_size, config.embedding)
        self.encoder: RelativeStack | _SinusoidStack
        if config.positions == "relative":
            self.encoder = RelativeStack(
                config.embedding, config.width, blocks=config.blocks, heads=config.heads, hidden=config.hidden,
                activation=F.silu, causal=config.causal, dropout=config.dropout,
            )  # fmt: skip
        else:
            self.encoder = _SinusoidStack(config)
        self.out_proj = nn.Linear(config.width, out_dim)

    def forward(self, subwords: Int[Tensor, "B U"], mask: Bool[Tensor, "B U"]) -> Float[Tensor, "B U D"]:
        """Return the text embedding of each subword, 0 on padding."""
        return self.out_proj(self.encoder(self.embedding(subwords), mask)) * mask[..., None]


def _transformer_blocks(config: TextConfig | UnitLmConfig, *, causal: bool) -> nn.ModuleList:
    return nn.ModuleList(
        TransformerBlock(config.width, config.heads, config.hidden, causal=causal, dropout=config.dropout)
        for _ in range(config.blocks)
    )


class _SinusoidStack(nn.Module):
    """Input projection, sinusoidal position encodings, transformer blocks, norm."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.in_proj = nn.Linear(config.embedding, config.width)
        self.blocks = _transformer_blocks(config, causal=config.causal)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, vectors: Float[Tensor, "B U C"], mask: Bool[Tensor, "B U"]) -> Float[Tensor, "B U D"]:
        hidden = self.in_proj(vectors)
        hidden = hidden + sinusoidal_embedding(torch.arange(hidden.shape[1], device=hidden.device), hidden.shape[2])
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.norm(hidden)


class UnitLm(nn.Module):
    """Unit model P(units, end | subwords, voice) = Π P(unit n | units before n, subwords, voice).

    Args:
        config: Sizes and kind of positions.
        voice: Dimension V of voice vectors.

    Attributes:
        end: Id of the end of the sequence, K.

    Source:
        CosyVoice, arXiv:2407.05407, section 2.2; github.com/FunAudioLLM/CosyVoice (Apache-2.0)
        ``cosyvoice/llm/llm.py``: with ``relative`` positions the same parameters. Time positions are vocable's own.

    Example:
        >>> lm = UnitLm(UnitLmConfig(size=9, width=8, blocks=1, heads=2, hidden=16), voice=3).eval()
        >>> joint, mask = torch.zeros(1, 2, 8), torch.ones(1, 2, dtype=torch.bool)
        >>> units = lm.sample(joint, torch.zeros(1, 3), sampling=Sampling(), seed=0, count=6)
        >>> lm(joint, mask, units[None], torch.ones_like(units[None], dtype=torch.bool), torch.zeros(1, 3)).shape[2]
        10
    """

    def __init__(self, config: UnitLmConfig, voice: int) -> None:
        super().__init__()
        width = config.width
        self.end, self.heads, self.timed = config.size, config.heads, config.positions == "time"
        self.special = nn.Embedding(2, width)  # start, task
        self.voice_proj = nn.Linear(voice, width)
        self.embedding = nn.Embedding(config.size, width)
        self.decoder: RelativeStack | _TimedStack
        if self.timed:
            self.decoder = _TimedStack(config)
            self.segment_proj = nn.Linear(width, config.segments * width)
        else:
            self.decoder = RelativeStack(
                width, width, blocks=config.blocks, heads=config.heads, hidden=config.hidden, activation=F.relu,
                causal=True, rectify_input=True, dropout=config.dropout,
            )  # fmt: skip
        self.head = nn.Linear(width, config.size + 1)

    def forward(
        self, joint: Float[Tensor, "B U D"], subword_mask: Bool[Tensor, "B U"], units: Int[Tensor, "B N"],
        unit_mask: Bool[Tensor, "B N"], voices: Float[Tensor, "B V"], durations: Float[Tensor, "B U"] | None = None,
        visible: Bool[Tensor, "B N"] | None = None, *, known_length: bool = True,
    ) -> Float[Tensor, "B E C"]:  # fmt: skip
        """Return the logits of every unit and of the end, given the units before it.

        Args:
            joint: Fused embedding of each subword.
            subword_mask: True on subwords, padding last.
            units: Unit ids in [0, K).
            unit_mask: True on units, padding last.
            voices: Voice vectors, or zeros; they are normalized to length 1.
            durations: Duration of each subword in units, for time positions.
            visible: False on units whose embedding is dropped from the input; all are visible by default.
            known_length: Whether durations are scaled to the number of units. Relative positions never use it.

        Returns:
            Logits of E = N + 1 positions and C = K + 1 ids. Position n predicts unit n. A sequence's position behind
            its last unit predicts the end, id K; positions behind that have no meaning.

        Raises:
            ConfigError: If the model has time positions and there are no durations.
        """
        subwords, counts = subword_mask.sum(1, keepdim=True), unit_mask.sum(1, keepdim=True)
        timing = self._timing(durations, subword_mask, counts.float() if known_length else None)
        inputs = self._embed(joint, units.masked_fill(~unit_mask, 0), voices, timing, visible)
        # Packed positions as indices into the inputs: those behind the last subword skip the padding there.
        length = _PREFIX + int((subwords + counts).max()) + 1
        packed = torch.arange(length, device=joint.device)[None]
        index = torch.where(packed < _PREFIX + subwords, packed, packed + joint.shape[1] - subwords)
        index = index.clamp(max=inputs.shape[1] - 1)
        hidden = inputs.gather(1, index[..., None].expand(-1, -1, inputs.shape[2]))
        positions = None if timing is None else timing.positions(units.shape[1]).gather(1, index)
        hidden = self.decoder(hidden, positions)  # a relative stack takes this None as its mask: padding comes last
        last = torch.arange(units.shape[1] + 1, device=joint.device) + _PREFIX + subwords
        last = last.clamp(max=length - 1)[..., None].expand(-1, -1, hidden.shape[2])
        return self.head(hidden.gather(1, last))

    @torch.no_grad()
    def sample(
        self, joint: Float[Tensor, "1 U D"], voices: Float[Tensor, "1 V"],
        durations: Float[Tensor, "1 U"] | None = None, *, sampling: Sampling, seed: int, count: int,
        known_length: bool = True,
    ) -> Int[Tensor, " N"]:  # fmt: skip
        """Sample the units of one text.

        Args:
            joint: Fused embedding of each subword.
            voices: Voice vector, or zeros.
            durations: Duration of each subword in units, for time positions.
            sampling: Sampling rule.
            seed: Seed of the random generator.
            count: Number of units N, or the largest one.
            known_length: Whether there are ``count`` units, to which durations are scaled. Otherwise durations stay
                as they are, and sampling stops where the end is drawn.
        """
        generator = torch.Generator().manual_seed(seed)
        decoder = IncrementalDecoder(self, joint, voices, durations, count=count, known_length=known_length)
        units: list[int] = []
        while len(units) < count:
            logits = decoder.next(units[-1] if units else None)
            if known_length or not units:
                logits[self.end] = -torch.inf
            drawn = sampling.draw(logits, units, generator)
            if drawn == self.end:
                break
            units.append(drawn)
        return torch.tensor(units, dtype=torch.int64, device=joint.device)

    def _embed(
        self, joint: Tensor, units: Tensor, voices: Tensor, timing: "_Timing | None", visible: Tensor | None = None
    ) -> Float[Tensor, "B P D"]:
        """Return the inputs [start, voice, subwords, task, units], padding included."""
        start, task = (one.expand(len(joint), 1, -1) for one in self.special.weight)
        voice = self.voice_proj(F.normalize(voices, dim=1))[:, None]
        embedded = self.embedding(units) if visible is None else self.embedding(units) * visible[..., None]
        after = torch.cat([task, embedded], dim=1)
        if timing is not None:
            after = after + self._condition(joint, timing, torch.arange(after.shape[1], device=joint.device))
        return torch.cat([start, voice, joint, after], dim=1)

    def _condition(self, joint: Tensor, timing: "_Timing", units: Int[Tensor, " E"]) -> Float[Tensor, "B E D"]:
        """Return, for each unit, the current subword's segment projection and an encoding of its progress."""
        subwords, progress = timing.locate(units)
        segments = self.segment_proj(joint).unflatten(2, (-1, joint.shape[2]))
        count = segments.shape[2]
        at = (progress * count - 0.5).clamp(0, count - 1)  # interpolates between the middles of two segments
        below = at.floor().long()
        rows, share = torch.arange(len(joint), device=joint.device)[:, None], (at - below)[..., None]
        above = (below + 1).clamp(max=count - 1)
        mixed = (1 - share) * segments[rows, subwords, below] + share * segments[rows, subwords, above]
        return mixed + sinusoidal_embedding(_PROGRESS_SCALE * progress, joint.shape[2])

    def _timing(self, durations: Tensor | None, mask: Tensor, totals: Tensor | None) -> "_Timing | None":
        if self.timed and durations is None:
            raise ConfigError("this unit model has time positions: it needs the durations of the subwords")
        return _Timing.of(durations, mask, totals) if self.timed and durations is not None else None


class IncrementalDecoder:
    """Decoding of one sequence unit by unit, with a cache of keys and values; arguments as in :meth:`UnitLm.sample`."""

    def __init__(
        self, lm: UnitLm, joint: Tensor, voices: Tensor, durations: Tensor | None, *, count: int,
        known_length: bool = True,
    ) -> None:  # fmt: skip
        self._lm, self._joint = lm, joint
        mask = torch.ones(joint.shape[:2], dtype=torch.bool, device=joint.device)
        totals = torch.full((1, 1), float(count), device=joint.device) if known_length else None
        self._timing = lm._timing(durations, mask, totals)
        self._prompt = lm._embed(joint, mask.new_zeros((1, 0), dtype=torch.int64), voices, self._timing)
        self._cached = 0
        shape = (1, lm.heads, self._prompt.shape[1] + count, joint.shape[2] // lm.heads)
        self._cache: KVCache = [(joint.new_empty(shape), joint.new_empty(shape)) for _ in lm.decoder.blocks]

    def next(self, unit: int | None) -> Float[Tensor, " C"]:
        """Return the logits of the next unit, after a unit, or None at the beginning."""
        timing, positions = self._timing, None
        if unit is None:
            inputs, positions = self._prompt, None if timing is None else timing.positions(0)
        else:
            inputs = self._lm.embedding.weight[unit][None, None]
            if timing is not None:
                index = torch.tensor([self._cached - self._prompt.shape[1] + 1], device=inputs.device)
                inputs = inputs + self._lm._condition(self._joint, timing, index)
                positions = index[None] - 1.0
        hidden = self._lm.decoder(inputs, positions, self._cache, self._cached)
        self._cached += inputs.shape[1]
        return self._lm.head(hidden[0, -1])


@dataclass(frozen=True)
class _Timing:
    """Durations, ends and number of the subwords of each sequence, in units."""

    durations: Float[Tensor, "B U"]
    ends: Float[Tensor, "B U"]
    counts: Int[Tensor, "B 1"]

    @classmethod
    def of(cls, durations: Tensor, mask: Tensor, totals: Tensor | None) -> "_Timing":
        """Place subwords one behind the other, scaled so that the last ends at the total."""
        durations = durations.float().clamp(min=_MIN_DURATION) * mask
        if totals is not None:
            durations = durations * (totals / durations.sum(1, keepdim=True).clamp(min=_MIN_DURATION))
        return cls(durations, durations.cumsum(1), mask.sum(1, keepdim=True))

    def positions(self, units: int) -> Float[Tensor, "B P"]:
        """Return the time of each input [start, voice, subwords, task, units]; a subword's is its middle."""
        middles = self.ends - self.durations / 2
        none = middles.new_full((len(middles), 1), _NO_TIME)
        numbers = torch.arange(units, device=middles.device, dtype=middles.dtype).expand(len(middles), -1)
        return torch.cat([none, none, middles, none, numbers], dim=1)

    def locate(self, units: Int[Tensor, " E"]) -> tuple[Int[Tensor, "B E"], Float[Tensor, "B E"]]:
        """Return the subword that is spoken at the middle of each unit, and the share of it that is over by then."""
        middles = (units + 0.5).expand(len(self.ends), -1).contiguous()
        subwords = torch.minimum(torch.searchsorted(self.ends, middles, right=True), self.counts - 1)
        end, duration = self.ends.gather(1, subwords), self.durations.gather(1, subwords)
        progress = 1 - (end - middles) / duration.clamp(min=_MIN_DURATION)
        return subwords, progress.clamp(0.0, _MAX_PROGRESS)


class _TimedStack(nn.Module):
    """Transformer blocks with rotary positions in time."""

    def __init__(self, config: UnitLmConfig) -> None:
        super().__init__()
        self.blocks = _transformer_blocks(config, causal=True)
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, vectors: Tensor, positions: Tensor, cache: KVCache | None = None, cached: int = 0) -> Tensor:
        hidden = self.dropout(vectors)
        for index, block in enumerate(cast("list[TransformerBlock]", list(self.blocks))):
            hidden = block(hidden, cache=None if cache is None else (cache[index], cached), positions=positions)
        return self.norm(hidden)
