"""Vector quantization by chance: an entry is drawn, the nearer the likelier, and use is pulled towards uniform."""

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
from vocable.quantizers.vq import VectorQuantizer


class StochasticVectorQuantizer(VectorQuantizer):
    """One codebook with P(entry | row) = softmax(−‖row − entry‖²).

    In training a row becomes a mixture of entries with weights from the relaxed (Gumbel-softmax) distribution, through
    which encoder and entries both get their gradient; the loss ``uniformity`` is KL(P ‖ uniform), ``commitment`` the
    expected squared distance. In use the likeliest entry is taken, which is the nearest: equal clips, equal tokens.

    Args:
        codebook_size: Entries K.
        dim: Width D of the latents.
        temperature: Of the relaxation; towards 0 the mixture becomes a draw.
        settings: ``decay``, ``restart_below``, ``seed``, ``begin``: see :class:`~vocable.quantizers.codebook.Codebook`.

    Raises:
        ConfigError: The temperature is not positive.

    Source:
        VQalAttent, arXiv:2411.14642, section II-A (Φ_SC), whose evaluation draws where this takes the likeliest;
        Jang et al., arXiv:1611.01144.

    Example:
        >>> quantizer = StochasticVectorQuantizer(codebook_size=4, dim=2)
        >>> latents = torch.randn(1, 8, 2, generator=torch.Generator().manual_seed(0))
        >>> sorted(quantizer(latents, torch.ones(1, 8, dtype=torch.bool)).losses)
        ['commitment', 'uniformity']
    """

    def __init__(
        self, *, codebook_size: int, dim: int, temperature: float = 1.0, **settings: Unpack[CodebookSettings]
    ) -> None:
        super().__init__(codebook_size=codebook_size, dim=dim, codebook=GradientCodebook, **settings)
        if temperature <= 0:
            raise ConfigError(f"temperature is {temperature}: it must be over 0")
        self.temperature = temperature

    def _quantize(self, latents: Tensor, mask: Tensor, levels: Tensor | None) -> Quantized:
        rows, (book,) = latents[mask], self.books
        learns = self.training and all_finite(rows.square().sum())
        if learns:
            book.start(rows.detach())
        distances = _squared_distances(rows, book.entries)
        surprise = F.log_softmax(-distances, dim=1)
        chances = surprise.exp()
        ids = surprise.argmax(1)
        mixture = book.lookup(ids)
        if self.training:
            noise = -torch.empty_like(surprise).exponential_().log()  # Gumbel
            drawn = (surprise + noise) / self.temperature
            ids, mixture = drawn.argmax(1), drawn.softmax(1) @ book.entries
        if learns:
            book.update(rows.detach(), ids)
        share = self._shares(torch.ones_like(ids))[0] / max(1, rows.shape[0])
        to_fixed = _squared_distances(rows, book.entries.detach())
        losses = {
            "commitment": share * (chances * to_fixed).sum() / self.dim,
            "uniformity": share * (chances * (surprise + log(self.codebook_size))).sum(),
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
