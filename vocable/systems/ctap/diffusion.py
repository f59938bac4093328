"""Denoising diffusion over sequences: from phoneme embeddings to speech embeddings, and from phonemes to durations."""

import math
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.collective import global_sum, world
from vocable.nn.transformer import sinusoidal_embedding
from vocable.systems.ctap.config import DiffusionConfig

_STEP_DIM = 128  # dimension of the sinusoidal embedding of the step
_MAX_DURATION = 400  # spectra of one phoneme


class Diffusion(nn.Module):
    """Diffusion model of sequences, given a condition at each position and a voice.

    Non-causal dilated convolutions with gates predict the noise in a noisy sequence; their skip connections are summed.
    The condition is a bias in every layer. The step and the voice are added to every layer's input.

    Args:
        config: Sizes and noise schedule.
        width: Dimension D of the sequence.
        condition: Dimension C of the condition.
        voice: Dimension V of the voice embedding.

    Source:
        VQ-CTAP's "sequence-aware semantic connector: diffusion with bidirectional dilated convolutions"; sizes of the
        same authors' arXiv:2309.15512; Ho et al., arXiv:2006.11239; Kong et al., DiffWave, arXiv:2009.09761; v as in
        Salimans and Ho, arXiv:2202.00512.

    Example:
        >>> diffusion = Diffusion(DiffusionConfig(layers=2, steps=3), width=4, condition=6, voice=5).eval()
        >>> condition, voice, mask = torch.zeros(2, 7, 6), torch.zeros(2, 5), torch.ones(2, 7, dtype=torch.bool)
        >>> diffusion.loss(torch.zeros(2, 7, 4), condition, voice, mask).shape
        torch.Size([])
        >>> diffusion.sample(condition, voice, mask, seeds=[0, 1]).shape
        torch.Size([2, 7, 4])
    """

    def __init__(self, config: DiffusionConfig, *, width: int, condition: int, voice: int) -> None:
        super().__init__()
        channels = config.channels
        self.config, self.width = config, width
        self.in_proj = nn.Linear(width, channels)
        self.step_embedding = nn.Sequential(nn.Linear(_STEP_DIM, channels), nn.SiLU(), nn.Linear(channels, channels))
        self.voice_proj = nn.Linear(voice, channels)
        self.layers = nn.ModuleList(
            _GatedConvolution(channels, condition, config.kernel, 2 ** (index % config.dilation_cycle))
            for index in range(config.layers)
        )
        self.out_proj = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, width))
        nn.init.zeros_(cast("nn.Linear", self.out_proj[-1]).weight)

    @property
    def alphas_cumprod(self) -> Float[Tensor, " T"]:
        """Share of the signal's power that is left after each step. It is no buffer, as float16 would round it."""
        betas = torch.linspace(*self.config.betas, self.config.steps, dtype=torch.float64)
        return (1 - betas).cumprod(0).float().to(self.in_proj.weight.device)

    def forward(
        self, noisy: Float[Tensor, "B N D"], steps: Int[Tensor, " B"], condition: Float[Tensor, "B N C"],
        voice: Float[Tensor, "B V"], mask: Bool[Tensor, "B N"],
    ) -> Float[Tensor, "B N D"]:  # fmt: skip
        """Predict the noise in a noisy sequence; ``steps`` is the noise level of each row, 0 the first."""
        embedded = self.step_embedding(sinusoidal_embedding(steps, _STEP_DIM))
        bias = (embedded + self.voice_proj(voice))[:, None]
        hidden, skips = torch.relu(self.in_proj(noisy)), torch.zeros((), device=noisy.device)
        for layer in cast("list[_GatedConvolution]", list(self.layers)):
            hidden, skip = layer(hidden, condition, bias, mask)
            skips = skips + skip
        velocity = self.out_proj(torch.relu(skips / math.sqrt(len(self.layers))))
        # The noise has more dimensions than the network has channels. Its linear part goes around the network, which
        # predicts v = √ᾱ · noise − √(1 − ᾱ) · clean.
        alpha_bar = self.alphas_cumprod[steps][:, None, None]
        return (1 - alpha_bar).sqrt() * noisy + alpha_bar.sqrt() * velocity

    def loss(
        self, clean: Float[Tensor, "B N D"], condition: Float[Tensor, "B N C"], voice: Float[Tensor, "B V"],
        mask: Bool[Tensor, "B N"], loss_mask: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, ""]:  # fmt: skip
        """Return the mean squared error of the predicted noise, at random steps.

        An error counts where ``loss_mask`` is True; at all real positions by default. The loss is 0 if none counts. Its
        mean over processes is the error of the global batch.
        """
        weights = (mask if loss_mask is None else loss_mask).float()[..., None]
        steps = torch.randint(self.config.steps, (len(clean),), device=clean.device)
        alpha_bar = self.alphas_cumprod[steps][:, None, None]
        noise = torch.randn_like(clean)
        predicted = self(alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise, steps, condition, voice, mask)
        errors = ((predicted.float() - noise).square() * weights).sum()
        return world()[1] * errors / (global_sum(weights.sum()) * self.width).clamp(min=1.0)

    @torch.no_grad()
    def sample(
        self, condition: Float[Tensor, "B N C"], voice: Float[Tensor, "B V"], mask: Bool[Tensor, "B N"], *,
        seeds: list[int], temperature: float = 1.0,
    ) -> Float[Tensor, "B N D"]:  # fmt: skip
        """Sample sequences, each from its own seed alone.

        ``temperature`` is a factor of the noise; less than 1 favors likely sequences, 0 is deterministic.
        """
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        shape = (condition.shape[1], self.width)

        def draw_noise() -> Float[Tensor, "B N D"]:
            noise = torch.stack([torch.randn(shape, generator=generator) for generator in generators])
            return temperature * noise.to(condition.device)

        sequence, alphas_cumprod = draw_noise(), self.alphas_cumprod
        for step in reversed(range(self.config.steps)):
            alpha_bar = alphas_cumprod[step]
            previous = alphas_cumprod[step - 1] if step else torch.ones((), device=condition.device)
            alpha = alpha_bar / previous
            predicted = self(sequence, torch.full((len(seeds),), step, device=condition.device), condition, voice, mask)
            sequence = (sequence - (1 - alpha) / (1 - alpha_bar).sqrt() * predicted) / alpha.sqrt()
            if step:
                sequence = sequence + ((1 - previous) / (1 - alpha_bar) * (1 - alpha)).sqrt() * draw_noise()
        return sequence * mask[..., None]


class DurationDiffusion(nn.Module):
    """Diffusion model of phoneme durations.

    Args:
        config: Sizes and noise schedule.
        phonemes: Number of phonemes in the inventory.
        voice: Dimension V of the voice embedding.

    Attributes:
        log_stats: Mean and standard deviation of the natural logarithm of durations in spectra, over the corpus.
    """

    log_stats: Float[Tensor, "2"]

    def __init__(self, config: DiffusionConfig, phonemes: int, voice: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(phonemes, config.channels)
        self.diffusion = Diffusion(config, width=1, condition=config.channels, voice=voice)
        self.register_buffer("log_stats", torch.tensor([2.0, 0.6]))

    def loss(
        self, phonemes: Int[Tensor, "B L"], durations: Int[Tensor, "B L"], voice: Float[Tensor, "B V"],
        mask: Bool[Tensor, "B L"], loss_mask: Bool[Tensor, "B L"],
    ) -> Float[Tensor, ""]:  # fmt: skip
        """Return the diffusion loss of log durations, from durations in spectra; see :meth:`Diffusion.loss`."""
        clean = (durations.clamp(min=1).float().log() - self.log_stats[0]) / self.log_stats[1]
        return self.diffusion.loss(clean[..., None], self.embedding(phonemes), voice, mask, loss_mask)

    @torch.no_grad()
    def sample(
        self, phonemes: Int[Tensor, " L"], voice: Float[Tensor, "1 V"], seed: int, temperature: float = 1.0
    ) -> Float[Tensor, " L"]:
        """Sample the duration of each phoneme: 1.0 to 400.0 spectra; see :meth:`Diffusion.sample`."""
        mask = torch.ones(1, len(phonemes), dtype=torch.bool, device=phonemes.device)
        sampled = self.diffusion.sample(
            self.embedding(phonemes[None]), voice, mask, seeds=[seed], temperature=temperature
        )[0, :, 0]
        return (self.log_stats[0] + self.log_stats[1] * sampled).exp().clamp(1.0, _MAX_DURATION)


class _GatedConvolution(nn.Module):
    """A gated dilated convolution with a condition. Half of its output goes to the next layer, half to the skips."""

    def __init__(self, channels: int, condition: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, 2 * channels, kernel, padding=dilation * (kernel // 2), dilation=dilation)
        self.condition_proj = nn.Linear(condition, 2 * channels, bias=False)
        self.out_proj = nn.Linear(channels, 2 * channels)

    def forward(
        self, hidden: Float[Tensor, "B N H"], condition: Float[Tensor, "B N C"], bias: Float[Tensor, "B 1 H"],
        mask: Bool[Tensor, "B N"],
    ) -> tuple[Float[Tensor, "B N H"], Float[Tensor, "B N H"]]:  # fmt: skip
        inputs = ((hidden + bias) * mask[..., None]).transpose(1, 2)
        gate, value = (self.conv(inputs).transpose(1, 2) + self.condition_proj(condition)).chunk(2, dim=2)
        residual, skip = self.out_proj(torch.sigmoid(gate) * torch.tanh(value)).chunk(2, dim=2)
        return (hidden + residual) / math.sqrt(2.0), skip
