"""VQ-VAE and prior as one network with one state, and what was measured of the corpus they learnt."""

import hashlib

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.errors import CheckpointError
from vocable.systems.vqalattent.config import VqalattentConfig
from vocable.systems.vqalattent.prior import Prior
from vocable.systems.vqalattent.vqvae import Vqvae

_UNTRAINED = 0  # of ``prior_of``


class VqalattentModel(nn.Module):
    """Both networks of the system.

    Args:
        config: Sizes and labels.

    Attributes:
        bounds: Decibels that 0 and 1 of a picture stand for.
        seconds: (C, V) mean seconds of speech for each label of each condition, all else under it 0; and ``typical``
            of all speech. A picture has lost its duration: this is where a new one gets it from.
        loudness: Mean decibels taken off a picture, where each has its own scale: the same for level.
        prior_of: A number made of the codebook that the prior learnt from; 0 if it has learnt nothing.

    Example:
        >>> from vocable.systems.vqalattent.config import PriorConfig, VqvaeConfig
        >>> config = VqalattentConfig(vqvae=VqvaeConfig(width=8), prior=PriorConfig(width=16, blocks=1))
        >>> VqalattentModel(config).bounds.tolist()
        [-80.0, 0.0]
    """

    bounds: Float[Tensor, "2"]
    seconds: Float[Tensor, "C V"]
    typical: Float[Tensor, ""]
    loudness: Float[Tensor, ""]
    prior_of: Tensor

    def __init__(self, config: VqalattentConfig) -> None:
        super().__init__()
        self.config = config
        self.vqvae = Vqvae(config)
        self.prior = Prior(config)
        values = max((len(names) for names in config.labels.values()), default=0)
        self.register_buffer("bounds", torch.tensor([-config.image.range_db, 0.0]))
        self.register_buffer("seconds", torch.zeros(len(config.prior.conditions), values))
        self.register_buffer("typical", torch.tensor(config.image.duration))
        self.register_buffer("loudness", torch.zeros(()))
        self.register_buffer("prior_of", torch.tensor(_UNTRAINED))

    def codebook_number(self) -> int:
        """A number that another codebook has not; stored as float16 and read again, a codebook keeps it."""
        (book,) = self.vqvae.quantizer.books
        return int.from_bytes(hashlib.sha256(book.entries.detach().cpu().half().numpy().tobytes()).digest()[:7], "big")

    def check_prior(self) -> None:
        """Raise where the prior cannot be used.

        Raises:
            CheckpointError: It is not trained, or learnt the ids of another codebook.
        """
        if int(self.prior_of) == _UNTRAINED:
            raise CheckpointError("this model's prior is not trained: it encodes and decodes, but cannot speak yet")
        if int(self.prior_of) != self.codebook_number():
            raise CheckpointError("this model's prior learnt the ids of another codebook; train it on this one")
