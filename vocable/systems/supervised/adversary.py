"""Discriminators of decoded mel spectra, which keep them as sharp as those of recordings."""

from jaxtyping import Float
from torch import Tensor, nn

from vocable.nn.discriminator import ConvDiscriminator, DiscriminatorOutput
from vocable.systems.supervised.config import SpectraAdversaryConfig


class PatchDiscriminators(nn.Module):
    """Discriminators of patches of spectra, one at each time resolution.

    Args:
        config: Number of discriminators and their widths.

    Source:
        Isola et al., Image-to-image translation with conditional adversarial networks, arXiv:1611.07004, section 3.2.2:
        a score for each patch. Without the condition; on pooled copies as in MelGAN, arXiv:1910.06711, section 2.2.

    Example:
        >>> import torch
        >>> outputs = PatchDiscriminators(SpectraAdversaryConfig(width=4, scales=2))(torch.zeros(3, 32, 80))
        >>> [tuple(output.logits.shape) for output in outputs]
        [(3, 1, 8, 10), (3, 1, 4, 10)]
    """

    def __init__(self, config: SpectraAdversaryConfig) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(config.width, pooled) for pooled in range(config.scales))

    def forward(self, spectra: Float[Tensor, "B S F"]) -> list[DiscriminatorOutput]:
        """Return an output for each time resolution."""
        return [discriminator(spectra) for discriminator in self.scales]


class PatchDiscriminator(ConvDiscriminator):
    """Discriminator of patches of spectra at 1 / 2^``halvings`` of their rate."""

    maps_logits = False

    def __init__(self, width: int, halvings: int) -> None:
        layers = [
            nn.Conv2d(1, width, 3, padding=1),
            nn.Conv2d(width, 2 * width, (3, 4), (1, 2), 1),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1),
            nn.Conv2d(4 * width, 4 * width, 4, 2, 1),
        ]
        super().__init__(layers, nn.Conv2d(4 * width, 1, 3, padding=1), slope=0.2)
        self.halvings = halvings

    def forward(self, spectra: Float[Tensor, "B S F"]) -> DiscriminatorOutput:
        """Score spectra; each halving averages pairs of neighbors in time."""
        image = spectra[:, None]
        for _ in range(self.halvings):
            image = nn.functional.avg_pool2d(image, (2, 1))
        return self.score(image)
