"""The unit model: what is to be said, as vectors of subwords, to units one by one.

A row is [start][voice][subwords …][task][units …], without holes and with padding last, so that looking back is all the
mask it needs. The position before a unit says what it thinks of it; the one at the last unit says the end.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.errors import ConfigError
from vocable.nn.transformer import TransformerBlock, sinusoids
from vocable.systems.taste.config import UnitLmConfig
from vocable.systems.taste.relative import RelativeStack
from vocable.systems.taste.sampling import Sampling

_PREFIX = 2  # positions before the subwords: start and voice
_START, _TASK = 0, 1
_NOWHEN = -1.0  # where on the clock start, voice and task stand
_FINENESS = 100.0  # of the place within a subword: 0 to 1 are so many steps of a sinusoid
_LATEST = 2.0  # lengths of the last subword, that the place within it grows to
_BRIEFEST = 1e-3  # units that a subword lasts at least

Room = list[tuple[Tensor, Tensor]]  # each block's keys and values of the positions before


class UnitLm(nn.Module):
    """P(units, end | subwords, voice) = Π P(unit n | units before n, subwords, voice).

    Args:
        config: Sizes, and how positions are told apart.
        voice: Width V of a voice.

    Source:
        CosyVoice, arXiv:2407.05407, section 2.2; github.com/FunAudioLLM/CosyVoice (Apache-2.0)
        ``cosyvoice/llm/llm.py``: with ``relative`` positions the same parameters. The clock is ours.

    Example:
        >>> lm = UnitLm(UnitLmConfig(size=9, width=8, blocks=1, heads=2, hidden=16), voice=3).eval()
        >>> joint, subwords = torch.zeros(1, 2, 8), torch.ones(1, 2, dtype=torch.bool)
        >>> units = lm.sample(joint, torch.zeros(1, 3), rule=Sampling(), seed=0, limits=(4, 6))
        >>> lm(joint, subwords, units[None], torch.ones_like(units[None], dtype=torch.bool), torch.zeros(1, 3)).shape[2]
        10
    """

    def __init__(self, config: UnitLmConfig, voice: int) -> None:
        super().__init__()
        width = config.width
        self.size, self.heads, self.clock = config.size, config.heads, config.positions == "clock"
        self.special = nn.Embedding(2, width)  # start, task
        self.voice = nn.Linear(voice, width)
        self.table = nn.Embedding(config.size, width)
        self.blocks: RelativeStack | _ClockStack
        if self.clock:
            self.blocks = _ClockStack(config)
            self.here = nn.Linear(width, config.parts * width)
        else:
            self.blocks = RelativeStack(
                width, width, blocks=config.blocks, heads=config.heads, hidden=config.hidden, activate=F.relu,
                causal=True, rectified=True, dropout=config.dropout,
            )  # fmt: skip
        self.head = nn.Linear(width, config.size + 1)

    @property
    def end(self) -> int:
        """The id behind the last unit: K."""
        return self.size

    def forward(
        self, joint: Float[Tensor, "B U D"], subword_mask: Bool[Tensor, "B U"], units: Int[Tensor, "B N"],
        unit_mask: Bool[Tensor, "B N"], voices: Float[Tensor, "B V"], durations: Float[Tensor, "B U"] | None = None,
        known: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, "B E C"]:  # fmt: skip
        """Logits of every unit and of the end, each from the units before it.

        Args:
            joint: Vectors of the subwords.
            subword_mask: True on subwords, padding last.
            units: In [0, K) where they are real.
            unit_mask: True on units, padding last.
            voices: Of the speakers, or 0; their length does not count.
            durations: Of the subwords in units, for a model on the clock: stretched to last as long as the units.
            known: Which units those behind them are told of; all by default. What is hidden must be made up for by
                what was said and heard.

        Returns:
            E = N + 1 places, C = K + 1 entries: place n says what unit n is; a row's place behind its last unit is
            where the end, id K, belongs. Behind that they say nothing.

        Raises:
            ConfigError: This model is on the clock, and there are no durations.
        """
        subwords, counts = subword_mask.sum(1, keepdim=True), unit_mask.sum(1, keepdim=True)
        timing = self._timing(durations, subword_mask, counts.float())
        parts = self._parts(joint, units.masked_fill(~unit_mask, 0), voices, timing, known)
        # A row's positions, as places among the parts: those behind its last subword skip the padding there.
        length = _PREFIX + int((subwords + counts).max()) + 1
        row = torch.arange(length, device=joint.device)[None]
        among = torch.where(row < _PREFIX + subwords, row, row + joint.shape[1] - subwords).clamp(
            max=parts.shape[1] - 1
        )
        hidden = parts.gather(1, among[..., None].expand(-1, -1, parts.shape[2]))
        clock = None if timing is None else timing.clock(units.shape[1]).gather(1, among)
        hidden = self.blocks(hidden, clock)  # without a clock it is the mask that is None: padding comes last
        says = torch.arange(units.shape[1] + 1, device=joint.device) + _PREFIX + subwords
        says = says.clamp(max=length - 1)[..., None].expand(-1, -1, hidden.shape[2])
        return self.head(hidden.gather(1, says))

    @torch.no_grad()
    def sample(
        self, joint: Float[Tensor, "1 U D"], voices: Float[Tensor, "1 V"],
        durations: Float[Tensor, "1 U"] | None = None, *, rule: Sampling, seed: int, limits: tuple[int, int],
        total: float | None = None,
    ) -> Int[Tensor, " N"]:  # fmt: skip
        """Say one text.

        Args:
            joint: Vectors of its subwords.
            voices: Of the speaker, or 0.
            durations: Of the subwords in units, for a model on the clock.
            rule: How each unit is drawn.
            seed: The same seed draws the same units.
            limits: How many there are at least, and at most.
            total: Units that the durations are stretched to; by default they stay as they are.

        Raises:
            ConfigError: The limits contradict each other, or this model is on the clock and there are no durations.
        """
        least, most = limits
        if not 0 <= least <= most:
            raise ConfigError(f"limits are {least} to {most} units: at least 0 are wanted, and no more than at most")
        generator = torch.Generator().manual_seed(seed)
        row = Row(self, joint, voices, durations, most=most, total=total)
        drawn: list[int] = []
        while len(drawn) < most:
            logits = row.next(drawn[-1] if drawn else None)
            if len(drawn) < least:
                logits[self.end] = -torch.inf
            unit = rule.draw(logits, drawn, generator)
            if unit == self.end:
                break
            drawn.append(unit)
        return torch.tensor(drawn, dtype=torch.int64, device=joint.device)

    def _parts(
        self, joint: Tensor, units: Tensor, voices: Tensor, timing: "_Timing | None", known: Tensor | None = None
    ) -> Float[Tensor, "B P D"]:
        """[start, voice, subwords, task, units], with the padding of each."""
        batch = len(joint)
        start, task = (self.special.weight[which].expand(batch, 1, -1) for which in (_START, _TASK))
        voice = self.voice(F.normalize(voices, dim=1))[:, None]
        before = self.table(units) if known is None else self.table(units) * known[..., None]
        said = torch.cat([task, before], dim=1)
        if timing is not None:
            said = said + self._now(joint, timing, torch.arange(said.shape[1], device=joint.device))
        return torch.cat([start, voice, joint, said], dim=1)

    def _now(self, joint: Tensor, timing: "_Timing", units: Int[Tensor, " E"]) -> Float[Tensor, "B E D"]:
        """For each of these units, what is being said, and how much of it already."""
        which, place = timing.pieces(units)
        parts = self.here(joint).unflatten(2, (-1, joint.shape[2]))
        count = parts.shape[2]
        at = (place * count - 0.5).clamp(0, count - 1)  # between the middles of two parts: some of both
        below = at.floor().long()
        rows, share = torch.arange(len(joint), device=joint.device)[:, None], (at - below)[..., None]
        told = (1 - share) * parts[rows, which, below] + share * parts[rows, which, (below + 1).clamp(max=count - 1)]
        return told + sinusoids(_FINENESS * place, joint.shape[2])

    def _timing(self, durations: Tensor | None, mask: Tensor, totals: Tensor | None) -> "_Timing | None":
        if not self.clock:
            return None
        if durations is None:
            raise ConfigError("this unit model is on the clock: it needs the durations of the subwords")
        return _Timing.of(durations, mask, totals)


class Row:
    """One text's row as it grows, with the keys and values of what came before.

    Args:
        lm: The model.
        joint: (1, U, D) vectors of the subwords.
        voices: (1, V).
        durations: Of the subwords, for a model on the clock.
        most: Units there may be.
        total: Units that the durations are stretched to.
    """

    def __init__(
        self, lm: UnitLm, joint: Tensor, voices: Tensor, durations: Tensor | None, *, most: int, total: float | None
    ) -> None:
        self._lm, self._joint = lm, joint
        mask = torch.ones(joint.shape[:2], dtype=torch.bool, device=joint.device)
        stretched = None if total is None else torch.full((1, 1), float(total), device=joint.device)
        self._timing = lm._timing(durations, mask, stretched)
        self._parts = lm._parts(joint, mask.new_zeros((1, 0), dtype=torch.int64), voices, self._timing)
        self._known = self._said = 0
        shape = (1, lm.heads, self._parts.shape[1] + most, joint.shape[2] // lm.heads)
        self._room: Room = [(joint.new_empty(shape), joint.new_empty(shape)) for _ in lm.blocks.blocks]

    def next(self, unit: int | None) -> Float[Tensor, " C"]:
        """What the model thinks comes now.

        Args:
            unit: What came last; None to begin with.
        """
        timing = self._timing
        if unit is None:
            hidden = self._parts
            clock = None if timing is None else timing.clock(0)
        else:
            self._said += 1
            hidden = self._lm.table.weight[unit][None, None]
            clock = None
            if timing is not None:
                here = torch.tensor([self._said], device=hidden.device)
                hidden = hidden + self._lm._now(self._joint, timing, here)
                clock = here[None] - 1.0
        found = self._lm.blocks(hidden, clock, self._room, self._known)
        self._known += hidden.shape[1]
        return self._lm.head(found[0, -1])


@dataclass(frozen=True)
class _Timing:
    """When each subword is said, in units."""

    lasts: Float[Tensor, "B U"]
    ends: Float[Tensor, "B U"]
    counts: Int[Tensor, "B 1"]  # subwords

    @classmethod
    def of(cls, durations: Tensor, mask: Tensor, totals: Tensor | None) -> "_Timing":
        """Subwords one behind the other; stretched so that the last ends at the total."""
        lasts = durations.float().clamp(min=_BRIEFEST) * mask
        if totals is not None:
            lasts = lasts * (totals / lasts.sum(1, keepdim=True).clamp(min=_BRIEFEST))
        return cls(lasts, lasts.cumsum(1), mask.sum(1, keepdim=True))

    def clock(self, units: int) -> Float[Tensor, "B P"]:
        """Where each of the parts [start, voice, subwords, task, units] stands."""
        middles = self.ends - self.lasts / 2
        nowhen = middles.new_full((len(middles), 1), _NOWHEN)
        numbers = torch.arange(units, device=middles.device, dtype=middles.dtype).expand(len(middles), -1)
        return torch.cat([nowhen, nowhen, middles, nowhen, numbers], dim=1)

    def pieces(self, units: Int[Tensor, " E"]) -> tuple[Int[Tensor, "B E"], Float[Tensor, "B E"]]:
        """Which subword is said at each of these units, and the share of it that is over by then."""
        middles = (units + 0.5).expand(len(self.ends), -1).contiguous()
        which = torch.minimum(torch.searchsorted(self.ends, middles, right=True), self.counts - 1)
        end, lasts = self.ends.gather(1, which), self.lasts.gather(1, which)
        place = 1 - (end - middles) / lasts.clamp(min=_BRIEFEST)
        return which, place.clamp(0.0, _LATEST)


class _ClockStack(nn.Module):
    """Blocks whose attention is told how far apart two positions are on the clock."""

    def __init__(self, config: UnitLmConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            TransformerBlock(config.width, config.heads, config.hidden, causal=True, dropout=config.dropout)
            for _ in range(config.blocks)
        )
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, vectors: Tensor, clock: Tensor, room: Room | None = None, first: int = 0) -> Tensor:
        hidden = self.dropout(vectors)
        for index, block in enumerate(cast("list[TransformerBlock]", list(self.blocks))):
            hidden = block(hidden, held=None if room is None else (room[index], first), positions=clock)
        return self.norm(hidden)
