"""Stochastic vector quantization: entries are sampled by distance, and their use is regularized to be uniform."""

from math import log
from typing import Unpack

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vocable.collective import all_finite
from vocable.errors import ConfigError
from vocable.quantizers.base import Quantized
from vocable.quantizers.codebook import CodebookSettings, GradientCodebook
from vocable.quantizers.rvq import VectorQuantizer


class StochasticVectorQuantizer(VectorQuantizer):
    """Vector quantizer with P(entry | row) = softmax(−‖row − entry‖²).

    In training an entry is sampled by the Gumbel trick, and encoder and entries get their gradient through the relaxed
    (Gumbel-softmax) sample, a mixture of entries. The loss ``uniformity`` is KL(P ‖ uniform), and ``commitment`` is the
    expected squared distance. In evaluation the most likely entry is taken, which is the nearest one.

    A decoder sees in training what it is used with if rows become single entries (``hard``) and the noise has faded
    at the end. A decoder of mixtures has never seen the single entries of its use.

    Args:
        codebook_size: Number of entries K.
        dim: Dimension D of the latents.
        temperature: Temperature of the relaxation; towards 0 the mixture becomes a one-hot sample.
        hard: Whether a row becomes the sampled entry, with the gradient of the mixture (straight-through), or the
            mixture itself.
        settings: Arguments of :class:`~vocable.quantizers.codebook.Codebook`.

    Attributes:
        temperature: As above; a training may change it from step to step.
        hard: As above.
        noise: Factor of the Gumbel noise: 1 samples from P, 0 takes the most likely entry.

    Raises:
        ConfigError: If the temperature is not positive.

    Source:
        VQalAttent, arXiv:2411.14642, section II-A (Φ_SC), whose evaluation samples where this takes the most likely;
        Jang et al., arXiv:1611.01144 (``hard`` is their straight-through estimator).

    Example:
        >>> quantizer = StochasticVectorQuantizer(codebook_size=4, dim=2)
        >>> latents = torch.randn(1, 8, 2, generator=torch.Generator().manual_seed(0))
        >>> sorted(quantizer(latents, torch.ones(1, 8, dtype=torch.bool)).losses)
        ['commitment', 'uniformity']
    """

    def __init__(
        self, *, codebook_size: int, dim: int, temperature: float = 1.0, hard: bool = False,
        **settings: Unpack[CodebookSettings],
    ) -> None:  # fmt: skip
        super().__init__(codebook_size=codebook_size, dim=dim, codebook=GradientCodebook, **settings)
        if temperature <= 0:
            raise ConfigError(f"temperature is {temperature}: it must be positive")
        self.temperature, self.hard, self.noise = temperature, hard, 1.0

    def _quantize(self, latents: Tensor, mask: Tensor, levels: Tensor | None) -> Quantized:
        rows, (book,) = latents[mask], self.codebooks
        is_updating = self.training and all_finite(rows.square().sum())
        if is_updating:
            book.initialize(rows.detach())
        log_probabilities = F.log_softmax(-_squared_distances(rows, book.entries), dim=1)
        probabilities = log_probabilities.exp()
        ids = log_probabilities.argmax(1)
        mixture = book.lookup(ids)
        if self.training:
            gumbel = -torch.empty_like(log_probabilities).exponential_().log()
            logits = (log_probabilities + self.noise * gumbel) / self.temperature
            ids, mixture = logits.argmax(1), logits.softmax(1) @ book.entries
            if self.hard:
                mixture = book.lookup(ids).detach() + (mixture - mixture.detach())
        if is_updating:
            book.update(rows.detach(), ids)
        share = self._shares(torch.ones_like(ids))[0] / max(1, rows.shape[0])
        detached_distances = _squared_distances(rows, book.entries.detach())
        losses = {
            "commitment": share * (probabilities * detached_distances).sum() / self.dim,
            "uniformity": share * (probabilities * (log_probabilities + log(self.codebook_size))).sum(),
        }
        spread = torch.zeros_like(latents).masked_scatter(mask[..., None], mixture)
        return Quantized(
            ids=torch.zeros_like(mask, dtype=torch.int64).masked_scatter(mask, ids)[:, None],
            latents=spread,
            levels=spread[None],
            losses=losses,
            stats={name: value[None] for name, value in book.stats().items()},
        )


def _squared_distances(rows: Float[Tensor, "M D"], entries: Float[Tensor, "K D"]) -> Float[Tensor, "M K"]:
    return rows.square().sum(1, keepdim=True) + entries.square().sum(1) - 2.0 * rows @ entries.t()
