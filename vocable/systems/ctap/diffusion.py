"""Taking noise away: from phonemes to speech's place in the common space, and from phonemes to how long they last."""

import math
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.nn.transformer import sinusoids
from vocable.systems.ctap.config import DiffusionConfig

_STEP_WIDTH = 128  # of what says which step it is


class Diffusion(nn.Module):
    """Sequences from noise, given a condition for each position and a voice.

    Non-causal dilated convolutions with gates, their skips summed, tell the noise in a noisy sequence. The condition is
    a bias in every layer; the step and the voice are added to every layer's input.

    Args:
        config: Sizes and noise.
        width: D of what is made.
        condition: Width C of the condition.
        voice: Width V of a voice.

    Source:
        VQ-CTAP's "sequence-aware semantic connector: diffusion with bidirectional dilated convolutions"; sizes of the
        same authors' arXiv:2309.15512; Ho et al., arXiv:2006.11239; Kong et al., DiffWave, arXiv:2009.09761; v as in
        Salimans and Ho, arXiv:2202.00512.

    Example:
        >>> diffusion = Diffusion(DiffusionConfig(layers=2, steps=3), width=4, condition=6, voice=5).eval()
        >>> given, voice, mask = torch.zeros(2, 7, 6), torch.zeros(2, 5), torch.ones(2, 7, dtype=torch.bool)
        >>> diffusion.loss(torch.zeros(2, 7, 4), given, voice, mask).shape
        torch.Size([])
        >>> diffusion.sample(given, voice, mask, seeds=[0, 1]).shape
        torch.Size([2, 7, 4])
    """

    def __init__(self, config: DiffusionConfig, *, width: int, condition: int, voice: int) -> None:
        super().__init__()
        channels = config.channels
        self.config, self.width = config, width
        self.enter = nn.Linear(width, channels)
        self.step = nn.Sequential(nn.Linear(_STEP_WIDTH, channels), nn.SiLU(), nn.Linear(channels, channels))
        self.voice = nn.Linear(voice, channels)
        self.layers = nn.ModuleList(
            _Layer(channels, condition, config.kernel, 2 ** (place % config.cycle)) for place in range(config.layers)
        )
        self.leave = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, width))
        nn.init.zeros_(cast("nn.Linear", self.leave[-1]).weight)

    @property
    def kept(self) -> Float[Tensor, " T"]:
        """Share of the signal's power that is left after each step; no part of the state, as float16 would spoil it."""
        betas = torch.linspace(*self.config.betas, self.config.steps, dtype=torch.float64)
        return (1 - betas).cumprod(0).float().to(self.enter.weight.device)

    def forward(
        self, noisy: Float[Tensor, "B N D"], steps: Int[Tensor, " B"], given: Float[Tensor, "B N C"],
        voice: Float[Tensor, "B V"], mask: Bool[Tensor, "B N"],
    ) -> Float[Tensor, "B N D"]:  # fmt: skip
        """The noise that is in ``noisy`` after so many steps (0 is the first)."""
        where = sinusoids(steps, _STEP_WIDTH)
        beside = (self.step(where) + self.voice(voice))[:, None]
        hidden, skipped = torch.relu(self.enter(noisy)), torch.zeros((), device=noisy.device)
        for layer in cast("list[_Layer]", list(self.layers)):
            hidden, skip = layer(hidden, given, beside, mask)
            skipped = skipped + skip
        made = self.leave(torch.relu(skipped / math.sqrt(len(self.layers))))
        # noise has as many dimensions as what is made, more than the network has channels: what a straight line tells
        # of it goes around the network, which is left with v = √kept · noise − √(1 − kept) · clean
        kept = self.kept[steps][:, None, None]
        return (1 - kept).sqrt() * noisy + kept.sqrt() * made

    def loss(
        self, clean: Float[Tensor, "B N D"], given: Float[Tensor, "B N C"], voice: Float[Tensor, "B V"],
        mask: Bool[Tensor, "B N"], counted: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:  # fmt: skip
        """Mean squared error of the noise told, at steps drawn at random.

        Args:
            clean: What is to be made.
            given: The condition.
            voice: Of each sequence.
            mask: True on real positions.
            counted: True where an error costs; all real positions by default. Where none does, the loss is 0.
        """
        counts = (mask if counted is None else counted).float()[..., None]
        steps = torch.randint(self.config.steps, (len(clean),), device=clean.device)
        kept = self.kept[steps][:, None, None]
        noise = torch.randn_like(clean)
        told = self(kept.sqrt() * clean + (1 - kept).sqrt() * noise, steps, given, voice, mask)
        return ((told.float() - noise).square() * counts).sum() / (counts.sum() * self.width).clamp(min=1.0)

    @torch.no_grad()
    def sample(
        self, given: Float[Tensor, "B N C"], voice: Float[Tensor, "B V"], mask: Bool[Tensor, "B N"], *,
        seeds: list[int], temperature: float = 1.0,
    ) -> Float[Tensor, "B N D"]:  # fmt: skip
        """Draw sequences, each from its own seed and from no other.

        Args:
            given: The condition.
            voice: Of each sequence.
            mask: True on real positions.
            seeds: One for each sequence.
            temperature: Times the noise: under 1 the usual is likelier; 0 draws nothing.
        """
        sources = [torch.Generator().manual_seed(seed) for seed in seeds]
        shape = (given.shape[1], self.width)

        def noise() -> Float[Tensor, "B N D"]:
            drawn = torch.stack([torch.randn(shape, generator=source) for source in sources])
            return temperature * drawn.to(given.device)

        made = noise()
        for step in reversed(range(self.config.steps)):
            kept, before = self.kept[step], self.kept[step - 1] if step else torch.ones((), device=given.device)
            alpha = kept / before
            told = self(made, torch.full((len(seeds),), step, device=given.device), given, voice, mask)
            made = (made - (1 - alpha) / (1 - kept).sqrt() * told) / alpha.sqrt()
            if step:
                made = made + ((1 - before) / (1 - kept) * (1 - alpha)).sqrt() * noise()
        return made * mask[..., None]


class _Layer(nn.Module):
    """A gated dilated convolution with a condition; half of what it makes goes on, half is skipped to the end."""

    def __init__(self, channels: int, condition: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.convolve = nn.Conv1d(
            channels, 2 * channels, kernel, padding=dilation * (kernel // 2), dilation=dilation
        )  # fmt: skip
        self.condition = nn.Linear(condition, 2 * channels, bias=False)
        self.leave = nn.Linear(channels, 2 * channels)

    def forward(
        self, hidden: Float[Tensor, "B N H"], given: Float[Tensor, "B N C"], beside: Float[Tensor, "B 1 H"],
        mask: Bool[Tensor, "B N"],
    ) -> tuple[Float[Tensor, "B N H"], Float[Tensor, "B N H"]]:  # fmt: skip
        seen = ((hidden + beside) * mask[..., None]).transpose(1, 2)
        gate, value = (self.convolve(seen).transpose(1, 2) + self.condition(given)).chunk(2, dim=2)
        onward, skip = self.leave(torch.sigmoid(gate) * torch.tanh(value)).chunk(2, dim=2)
        return (hidden + onward) / math.sqrt(2.0), skip
