"""The codec as a network: encoder, residual quantizer, decoder. Training and tokens both go through it."""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.quantizers import Quantized, ResidualVectorQuantizer
from vocable.systems.guided.config import GuidedConfig, SpectralConfig
from vocable.systems.guided.networks import SeanetDecoder, SeanetEncoder, SpectralDecoder, SpectralEncoder


class GuidedModel(nn.Module):
    """Waveform → latents → ids → latents → waveform, for whole masked batches.

    Args:
        config: Sizes; its ``backbone`` chooses the networks on both sides.

    Example:
        >>> from vocable.systems.guided import recipe as guided
        >>> model = GuidedModel(guided.tiny().model)
        >>> sum(parameter.numel() for parameter in model.parameters()) < 200_000
        True
    """

    def __init__(self, config: GuidedConfig) -> None:
        super().__init__()
        self.config = config
        backbone = config.backbone
        self.encoder: nn.Module
        self.decoder: nn.Module
        if isinstance(backbone, SpectralConfig):
            self.encoder, self.decoder = SpectralEncoder(backbone), SpectralDecoder(backbone)
        else:
            self.encoder, self.decoder = SeanetEncoder(backbone), SeanetDecoder(backbone)
        self.quantizer = ResidualVectorQuantizer(
            num_codebooks=config.num_codebooks,
            codebook_size=config.codebook_size,
            dim=backbone.latent_width,
            decay=config.codebook_decay,
            restart_below=config.restart_below,
        )

    def forward(
        self,
        samples: Float[Tensor, "B T"],
        mask: Bool[Tensor, "B N"],
        levels: Int[Tensor, " B"] | None = None,
    ) -> tuple[Float[Tensor, "B T"], Quantized]:
        """A training pass: the speech made again, and what the quantizer says of it.

        Args:
            samples: In [-1, 1], T = N · hop, zero behind each clip's end.
            mask: True on frames that hold any of the clip.
            levels: Levels each clip may use (level dropout).
        """
        quantized = self.quantizer(self.encoder(samples, mask), mask, levels)
        return self.decoder(quantized.latents, mask), quantized

    def reconstruct(self, samples: Float[Tensor, "B T"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B T"]:
        """The speech made again without quantizing: a plain autoencoder's pass."""
        return self.decoder(self.encoder(samples, mask) * mask[..., None], mask)
