"""VQ-VAE and prior as one network with one state dict, with statistics of the training corpus."""

import hashlib
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.errors import CheckpointError
from vocable.folder import Migration
from vocable.systems.vqalattent.config import VqalattentConfig
from vocable.systems.vqalattent.networks import Prior, Vqvae


class VqalattentModel(nn.Module):
    """Both networks of the system.

    Args:
        config: Configuration with the labels of the training data.

    Attributes:
        bounds: Decibels that 0 and 1 of an image stand for, shape (2,).
        label_durations: Mean seconds of speech of each label of each condition, shape (C, V), padded with 0. An image
            has lost its duration; a generated one gets it from here.
        mean_duration: Mean seconds of speech of the corpus.
        mean_level: Mean decibels subtracted from an image, where every clip is scaled by its own level.
        prior_codebook: Fingerprint of the codebook that the prior was trained on; 0 before its training.

    Example:
        >>> from vocable.systems.vqalattent.config import PriorConfig, VqvaeConfig
        >>> config = VqalattentConfig(vqvae=VqvaeConfig(width=8), prior=PriorConfig(width=16, blocks=1))
        >>> VqalattentModel(config).bounds.tolist()
        [-80.0, 0.0]
    """

    bounds: Float[Tensor, "2"]
    label_durations: Float[Tensor, "C V"]
    mean_duration: Float[Tensor, ""]
    mean_level: Float[Tensor, ""]
    prior_codebook: Tensor

    def __init__(self, config: VqalattentConfig) -> None:
        super().__init__()
        self.config = config
        self.vqvae = Vqvae(config)
        self.prior = Prior(config)
        values = max((len(names) for names in config.labels.values()), default=0)
        self.register_buffer("bounds", torch.tensor([-config.image.range_db, 0.0]))
        self.register_buffer("label_durations", torch.zeros(len(config.prior.conditions), values))
        self.register_buffer("mean_duration", torch.tensor(config.image.duration))
        self.register_buffer("mean_level", torch.zeros(()))
        self.register_buffer("prior_codebook", torch.tensor(0))

    @property
    def has_prior(self) -> bool:
        """True once the prior is trained."""
        return bool(self.prior_codebook)

    def codebook_fingerprint(self) -> int:
        """Return a number that identifies the codebook; it survives storage as float16."""
        (book,) = self.vqvae.quantizer.codebooks
        return int.from_bytes(hashlib.sha256(book.entries.detach().cpu().half().numpy().tobytes()).digest()[:7], "big")

    def check_prior(self) -> None:
        """Raise a CheckpointError if the prior is not trained, or was trained on the ids of another codebook."""
        if not self.has_prior:
            raise CheckpointError("this model's prior is not trained: the model encodes and decodes, but cannot sample")
        if int(self.prior_codebook) != self.codebook_fingerprint():
            raise CheckpointError("this model's prior was trained on the ids of another codebook; train it on this one")


def _from_format_1(values: dict[str, Any]) -> dict[str, Any]:
    """Return today's configuration from that of vocable 0.1."""
    vqvae, prior = dict(values["vqvae"]), dict(values["prior"])
    vqvae["latent_dim"], vqvae["codebook_init"] = vqvae.pop("code_width"), vqvae.pop("begin")
    prior["label_dropout"] = prior.pop("unknown")
    prior["label_ids"] = "separate" if prior["label_ids"] == "own" else prior["label_ids"]
    return {**values, "vqvae": vqvae, "prior": prior}


MIGRATION = Migration(
    config=_from_format_1,
    tensors=[
        (r"^prior\.tokens\.", "prior.token_embedding."),
        (r"^prior\.places\.", "prior.position_embedding."),
        (r"^prior\.lines\.", "prior.axis_embeddings."),
        (r"^seconds$", "label_durations"),
        (r"^typical$", "mean_duration"),
        (r"^loudness$", "mean_level"),
        (r"^prior_of$", "prior_codebook"),
        (r"^(vqvae\.\w+\.\d+)\.first\.", r"\1.conv1."),
        (r"^(vqvae\.\w+\.\d+)\.second\.", r"\1.conv2."),
    ],
)
