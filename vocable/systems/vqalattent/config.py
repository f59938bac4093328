"""Sizes of VQalAttent: the picture, the VQ-VAE, the prior."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any, Literal

from vocable.checks import DEEPEST, LARGEST, WIDEST, check_choice, check_heads, check_share, check_whole
from vocable.errors import ConfigError
from vocable.systems.vqalattent.image import ImageSpec
from vocable.tokens import TokenSpec

Codebook = Literal["ema", "gradient", "stochastic"]
Beginning = Literal["kmeans", "data", "normal", "uniform"]
Order = Literal["row_major", "time_major"]
Positions = Literal["absolute", "grid"]
LabelIds = Literal["own", "shared"]


@dataclass(frozen=True, kw_only=True)
class VqvaeConfig:
    """The network between picture and ids."""

    strides: tuple[int, int] = (2, 2)  # of the two strided convolutions; (2, 1) keeps four times as many ids
    width: int = 256  # channels of hidden layers
    residual_blocks: int = 3  # on either side
    code_width: int = 64  # of what is quantized
    codebook_size: int = 256
    codebook: Codebook = "ema"
    begin: Beginning = "kmeans"  # where the entries are at first
    temperature: float = 1.0  # of stochastic selection
    order: Order = "row_major"  # of the ids: mel row by mel row, or column by column

    def __post_init__(self) -> None:
        for name, kinds in (("codebook", Codebook), ("begin", Beginning), ("order", Order)):
            check_choice(self, name, kinds)
        check_whole(self, WIDEST, "width", "code_width")
        check_whole(self, DEEPEST, "residual_blocks")
        check_whole(self, LARGEST, "codebook_size")
        if set(self.strides) - {1, 2} or len(self.strides) != 2 or self.temperature <= 0:
            raise ConfigError(f"strides {self.strides} must be two of 1 and 2, temperature {self.temperature} over 0")

    @property
    def reduction(self) -> int:
        """Picture cells to one id along either axis."""
        return prod(self.strides)


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """The decoder-only transformer over ids."""

    blocks: int = 12
    heads: int = 8
    width: int = 256
    dropout: float = 0.1  # of what goes into the first block
    positions: Positions = "absolute"  # a vector for each position, or for its row and column too
    conditions: tuple[str, ...] = ("digit",)  # keys of the manifest, each a token before the ids, in this order
    label_ids: LabelIds = "own"  # labels have ids of their own, or use the first ids of the codebook
    unknown: float = 0.0  # share of labels that training hides, so that they may be left open
    temperature: float = 1.0  # of sampling, unless told otherwise
    top_p: float = 1.0  # likewise
    guidance: float = 0.0  # likewise

    def __post_init__(self) -> None:
        check_choice(self, "positions", Positions)
        check_choice(self, "label_ids", LabelIds)
        check_whole(self, WIDEST, "width", "heads")
        check_whole(self, DEEPEST, "blocks")
        check_heads(self)
        check_share(self, "unknown", "dropout")
        if len(set(self.conditions)) < len(self.conditions):
            raise ConfigError(f"conditions {', '.join(self.conditions)}: each is named once")
        if self.guidance and not self.unknown:
            raise ConfigError(
                f"guidance {self.guidance} compares with labels left open: training must hide some (unknown)"
            )
        if self.label_ids == "shared" and self.unknown:
            raise ConfigError("labels that share the codebook's ids cannot be left open: set unknown to 0")


@dataclass(frozen=True, kw_only=True)
class VqalattentConfig:
    """The whole system. ``labels`` are found in the training data: for each condition its values."""

    image: ImageSpec = field(default_factory=ImageSpec)
    vqvae: VqvaeConfig = field(default_factory=VqvaeConfig)
    prior: PriorConfig = field(default_factory=PriorConfig)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.image.bins % self.vqvae.reduction or self.image.frames % self.vqvae.reduction:
            raise ConfigError(
                f"a picture of {self.image.bins} × {self.image.frames} is no multiple of {self.vqvae.reduction} "
                "along both axes"
            )
        largest = max((len(values) for values in self.labels.values()), default=0)
        if self.prior.label_ids == "shared" and largest > self.vqvae.codebook_size:
            raise ConfigError(f"{largest} labels cannot share {self.vqvae.codebook_size} ids; use own ids")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of ids."""
        return self.image.bins // self.vqvae.reduction, self.image.frames // self.vqvae.reduction

    @property
    def frames(self) -> int:
        """Ids of an utterance, however long it is."""
        return prod(self.grid)

    @property
    def spec(self) -> TokenSpec:
        """What the tokens cover and carry: they follow the utterance and not the clock."""
        return TokenSpec(sample_rate=self.image.sample_rate, hop=None, codebook_size=self.vqvae.codebook_size)


def config_to_json(config: VqalattentConfig) -> dict[str, Any]:
    """A config as plain values."""
    return {**asdict(config), "labels": {key: list(values) for key, values in config.labels.items()}}


def config_from_json(values: dict[str, Any]) -> VqalattentConfig:
    """The inverse of :func:`config_to_json`.

    Raises:
        ConfigError: A key is missing or unknown, or a value is of the wrong kind or out of range.
    """
    try:
        vqvae, prior = dict(values["vqvae"]), dict(values["prior"])
        vqvae["strides"], prior["conditions"] = tuple(vqvae["strides"]), tuple(prior["conditions"])
        return VqalattentConfig(
            image=ImageSpec(**values["image"]),
            vqvae=VqvaeConfig(**vqvae),
            prior=PriorConfig(**prior),
            labels={str(key): tuple(map(str, names)) for key, names in values["labels"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"the model's configuration cannot be used ({error}); was it written by another version?"
        ) from error
