"""Network of the guided codec: encoder, residual quantizer, decoder."""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.quantizers import Quantized, ResidualVectorQuantizer
from vocable.systems.guided.config import GuidedConfig, SpectralConfig
from vocable.systems.guided.networks import SeanetDecoder, SeanetEncoder, SpectralDecoder, SpectralEncoder


class GuidedModel(nn.Module):
    """Waveform → latents → ids → latents → waveform, for masked batches.

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
        self.encoder: SpectralEncoder | SeanetEncoder
        self.decoder: SpectralDecoder | SeanetDecoder
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
        self, samples: Float[Tensor, "B T"], mask: Bool[Tensor, "B N"], levels: Int[Tensor, " B"] | None = None
    ) -> tuple[Float[Tensor, "B T"], Quantized]:
        """Run a training pass and return decoded samples and the quantizer's output.

        Args:
            samples: Samples in [-1, 1], T = N · hop, zero after each clip's end.
            mask: True on real frames.
            levels: Number of levels that each clip may use, in [1, Q] (level dropout); all by default.
        """
        quantized = self.quantizer(self.encoder(samples, mask), mask, levels)
        return self.decoder(quantized.latents, mask), quantized

    def reconstruct(self, samples: Float[Tensor, "B T"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B T"]:
        """Return decoded samples without quantizing, as a plain autoencoder."""
        return self.decoder(self.encoder(samples, mask) * mask[..., None], mask)
