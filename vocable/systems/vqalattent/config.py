"""Configuration of VQalAttent: the image, the VQ-VAE and the prior over its ids."""

from collections.abc import Mapping
from dataclasses import field
from math import prod
from typing import Annotated, Literal

from pydantic import Field

from vocable.errors import ConfigError
from vocable.schema import MAX_WIDTH, Depth, Entries, Share, Width, config
from vocable.tokens import TokenSpec

Strides = tuple[Literal[1, 2], Literal[1, 2]]
_Positive = Annotated[float, Field(gt=0)]
_AtLeastTwo = Annotated[int, Field(ge=2, le=MAX_WIDTH)]


@config
class ImageSpec:
    """Log-mel image of an utterance.

    Attributes:
        sample_rate: Hz.
        n_fft: Window and transform in samples, a multiple of 4.
        bins: Mel filters F: height of the image.
        frames: Spectra S: width of the image.
        trim_db: Level under that of the loudest place at which leading and trailing sound counts as silence.
        range_db: Depth of the scale under the loudest value, in dB.
        level: Loudest value that becomes 1: that of the whole ``corpus``, as in the paper, or that of each ``clip``,
            which keeps the loudness of the speaker and the noise of quiet places out of the image.

    Example:
        >>> round(ImageSpec().duration, 2)
        1.02
    """

    sample_rate: Annotated[int, Field(ge=1, le=1 << 20)] = 22_050
    n_fft: Annotated[int, Field(ge=8, le=MAX_WIDTH, multiple_of=4)] = 1024
    bins: _AtLeastTwo = 64
    frames: _AtLeastTwo = 88
    trim_db: _Positive = 15.0
    range_db: _Positive = 80.0
    level: Literal["corpus", "clip"] = "corpus"

    @property
    def hop(self) -> int:
        """Samples from one spectrum to the next at the original speed: a quarter of a window."""
        return self.n_fft // 4

    @property
    def duration(self) -> float:
        """Length in seconds of the speech that fills an image at its original speed."""
        return self.frames * self.hop / self.sample_rate


@config
class VqvaeConfig:
    """Sizes of the VQ-VAE between images and ids.

    Attributes:
        strides: Strides of the two strided convolutions. (2, 1) gives four times as many ids as (2, 2).
        width: Channels of the hidden layers.
        residual_blocks: Residual blocks in the encoder, and in the decoder.
        latent_dim: Dimension of the quantized vectors.
        codebook_size: Entries of the codebook.
        codebook: Codebook learned by moving averages, by gradients, or by gradients with stochastic selection.
        codebook_init: Initial values of the entries.
        temperature: Temperature of the stochastic selection at the end of its training. The nearest entry is taken in
            use.
        order: Order of the ids: mel row by mel row, or column by column.
    """

    strides: Strides = (2, 2)
    width: Width = 256
    residual_blocks: Depth = 3
    latent_dim: Width = 64
    codebook_size: Entries = 256
    codebook: Literal["ema", "gradient", "stochastic"] = "ema"
    codebook_init: Literal["kmeans", "data", "normal", "uniform"] = "kmeans"
    temperature: _Positive = 0.5
    order: Literal["row_major", "time_major"] = "row_major"

    @property
    def reduction(self) -> int:
        """Image cells to one id along either axis."""
        return prod(self.strides)


@config
class PriorConfig:
    """Sizes of the prior, a decoder-only transformer over ids, and defaults of sampling.

    Attributes:
        blocks: Transformer blocks.
        heads: Attention heads; they divide the width.
        width: Dimension of the embeddings and hidden states.
        dropout: Dropout rate of the embeddings.
        positions: Position embeddings: one for each position, or another two for its row and column.
        conditions: Manifest keys whose labels stand as tokens before the ids, in this order.
        label_ids: Labels have ``separate`` ids, or use the first ids of the codebook (``shared``).
        label_dropout: Share of labels that training hides, so that sampling may leave them open.
        temperature: Default temperature of sampling.
        top_p: Default probability mass of nucleus sampling.
        guidance: Default weight of classifier-free guidance.
    """

    blocks: Depth = 12
    heads: Width = 8
    width: Width = 256
    dropout: Share = 0.1
    positions: Literal["absolute", "grid"] = "absolute"
    conditions: tuple[str, ...] = ("digit",)
    label_ids: Literal["separate", "shared"] = "separate"
    label_dropout: Share = 0.0
    temperature: Annotated[float, Field(ge=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    guidance: Annotated[float, Field(ge=0)] = 0.0

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ConfigError(f"heads {self.heads} must divide width {self.width}")
        if len(set(self.conditions)) < len(self.conditions):
            raise ConfigError(f"conditions {', '.join(self.conditions)}: name each of them once")
        if self.guidance and not self.label_dropout:
            raise ConfigError(f"guidance {self.guidance} needs a prior trained with hidden labels: set label_dropout")
        if self.label_ids == "shared" and self.label_dropout:
            raise ConfigError("labels that share the codebook's ids cannot be left open: set label_dropout to 0")


@config
class VqalattentConfig:
    """Configuration of the whole system.

    Attributes:
        image: Image of an utterance.
        vqvae: Sizes of the VQ-VAE.
        prior: Sizes of the prior.
        labels: Values of each condition, as found in the training data.
    """

    image: ImageSpec = ImageSpec()
    vqvae: VqvaeConfig = VqvaeConfig()
    prior: PriorConfig = PriorConfig()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bins, frames, reduction = self.image.bins, self.image.frames, self.vqvae.reduction
        if bins % reduction or frames % reduction:
            raise ConfigError(f"an image of {bins} × {frames} is no multiple of {reduction} along both axes")
        largest = max((len(values) for values in self.labels.values()), default=0)
        if self.prior.label_ids == "shared" and largest > self.vqvae.codebook_size:
            raise ConfigError(f"{largest} labels cannot share {self.vqvae.codebook_size} ids; use separate ids")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of ids."""
        return self.image.bins // self.vqvae.reduction, self.image.frames // self.vqvae.reduction

    @property
    def frames(self) -> int:
        """Number of ids of an utterance, whatever its length."""
        return prod(self.grid)

    @property
    def spec(self) -> TokenSpec:
        """Token spec without a hop: the tokens divide the utterance, not the time."""
        return TokenSpec(sample_rate=self.image.sample_rate, hop=None, codebook_size=self.vqvae.codebook_size)
