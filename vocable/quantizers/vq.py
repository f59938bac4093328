"""Vector quantization with one codebook."""

from typing import Unpack

from vocable.quantizers.codebook import CodebookSettings, EmaCodebook, GradientCodebook
from vocable.quantizers.rvq import ResidualVectorQuantizer


class VectorQuantizer(ResidualVectorQuantizer):
    """Vector quantizer: a :class:`~vocable.quantizers.rvq.ResidualVectorQuantizer` with one level.

    Source:
        van den Oord et al., arXiv:1711.00937.

    Example:
        >>> vq = VectorQuantizer(codebook_size=256, dim=64)
        >>> vq.num_codebooks
        1
    """

    def __init__(
        self,
        *,
        codebook_size: int,
        dim: int,
        codebook: type[EmaCodebook] | type[GradientCodebook] = EmaCodebook,
        **settings: Unpack[CodebookSettings],
    ) -> None:
        super().__init__(num_codebooks=1, codebook_size=codebook_size, dim=dim, codebook=codebook, **settings)
