"""Sizes of TASTE: the text side, the aggregator, the quantizer, the unit model; and the sizes that were published."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import log2
from typing import Any, Literal

from vocable.checks import DEEPEST, WIDEST, check_choice, check_heads, check_share, check_switches, check_whole, plain
from vocable.errors import ConfigError
from vocable.features.whisper import EncoderSpec
from vocable.systems.units import UnitsSpec
from vocable.tokens import TokenSpec

Layout = Literal["bottleneck", "full", "decoder"]
Fusion = Literal["add", "gated", "weighted", "none"]
_LARGEST = 1 << 20  # subwords and units that a file may ask for
_NESTED = 6  # how deep the subwords' own values may lie
WHISPER = EncoderSpec(name="openai/whisper-large-v3", digest="any", width=1280, depth=32)
S3 = UnitsSpec(name="s3", level=1, digest="any", sample_rate=16_000, hop=320, size=4096, voice_width=192)


@dataclass(frozen=True, kw_only=True)
class AggregatorConfig:
    """What makes one vector for each subword of the frames that were heard.

    Attributes:
        layout: ``bottleneck`` asks with the table's vectors of the pieces, ``full`` with what the text encoder makes of
            them, each once; ``decoder`` is a transformer that asks in each of its layers.
        width: Of queries, keys and values, all heads together.
        heads: Divide the width.
        depth: Layers of a decoder.
        hidden: Width of a decoder's networks for each position.
        causal: The self-attention of a decoder looks at no later subword.
        key_layer: Of the encoder; says where a subword is said. −1 is the last.
        value_layer: Of the encoder; says what it sounds like.
        pooled: All subwords of a word get the mean of their vectors.
        place: Each head expects a subword about where its letters stand in the text.
        mask_padding: Off, nothing is masked, and padding counts as if it were speech: a fault, to look for.
        padded_to: Frames, all 0, that a clip is padded to, as Whisper pads to 1500; 0: none but those of a batch.
        value_identity: The values' projection begins as the identity.
        standard: Frames are standardised, feature by feature, over the speech learnt from.
    """

    layout: Layout = "decoder"
    width: int = 1280
    heads: int = 20
    depth: int = 1
    hidden: int = 5120
    causal: bool = True
    key_layer: int = -1
    value_layer: int = 8
    pooled: bool = False
    place: bool = False
    mask_padding: bool = True
    padded_to: int = 0
    value_identity: bool = False
    standard: bool = False

    def __post_init__(self) -> None:
        check_choice(self, "layout", Layout)
        check_whole(self, WIDEST, "width", "heads", "hidden")
        check_whole(self, DEEPEST, "depth")
        check_whole(self, DEEPEST, "key_layer", "value_layer", least=-1)
        check_switches(self, "causal", "pooled", "place", "mask_padding", "value_identity", "standard")
        check_heads(self)
        if self.depth > 1 and self.layout != "decoder":
            raise ConfigError(f"depth is {self.depth}: layout '{self.layout}' has 1 layer; 'decoder' may have more")


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """What the text is read with.

    Attributes:
        size: Subwords in the table.
        embedding: Width of the table.
        width: Of the encoder.
        blocks: Of the encoder.
        heads: Divide the width.
        hidden: Width of the networks for each position.
        causal: No later subword is looked at.
        positions: ``relative`` as in CosyVoice, or ``sinusoid``.
        dropout: In training.
    """

    size: int = 51_866
    embedding: int = 512
    width: int = 1024
    blocks: int = 6
    heads: int = 16
    hidden: int = 4096
    causal: bool = True
    positions: Literal["relative", "sinusoid"] = "relative"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_whole(self, _LARGEST, "size")
        check_whole(self, WIDEST, "embedding", "width", "heads", "hidden")
        check_whole(self, DEEPEST, "blocks")
        check_switches(self, "causal")
        check_choice(self, "positions", Literal["relative", "sinusoid"])
        check_heads(self)
        check_share(self, "dropout")


@dataclass(frozen=True, kw_only=True)
class UnitLmConfig:
    """What says the units one by one.

    Attributes:
        size: Units K; the end is one more.
        width: Of the blocks, and of the vectors that text and speech are joined in.
        blocks: Of the model.
        heads: Divide the width.
        hidden: Width of the networks for each position.
        positions: ``relative`` as in CosyVoice: subwords, then units. ``clock``: subwords stand where they are said.
        parts: On the clock, of a subword: for each of them the subword's vector says something else.
        dropout: In training.
    """

    size: int = 4096
    width: int = 1024
    blocks: int = 14
    heads: int = 16
    hidden: int = 4096
    positions: Literal["relative", "clock"] = "relative"
    parts: int = 1
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_whole(self, _LARGEST, "size")
        check_whole(self, WIDEST, "width", "heads", "hidden")
        check_whole(self, DEEPEST, "blocks", "parts")
        check_choice(self, "positions", Literal["relative", "clock"])
        check_heads(self)
        check_share(self, "dropout")
        if self.positions == "clock" and self.width // self.heads % 2:
            raise ConfigError(f"width {self.width} with {self.heads} heads: on the clock a head's width must be even")


@dataclass(frozen=True, kw_only=True)
class QuantizerConfig:
    """Ids of what is heard of a subword.

    Attributes:
        levels: Codebooks Q.
        size: Entries K of each.
        dim: Width of the entries.
    """

    levels: int = 4
    size: int = 512
    dim: int = 256

    def __post_init__(self) -> None:
        check_whole(self, 64, "levels")
        check_whole(self, _LARGEST, "size", least=2)
        check_whole(self, WIDEST, "dim")


@dataclass(frozen=True, kw_only=True)
class TasteConfig:
    """The whole system.

    Attributes:
        encoder: Whose frames are heard.
        units: What is predicted.
        pieces: The table of pieces, as its ``to_json`` has it.
        aggregator: See :class:`AggregatorConfig`.
        text: See :class:`TextConfig`.
        lm: See :class:`UnitLmConfig`.
        quantizer: None where what is heard stays continuous.
        fusion: What is heard is added to what the text says (``add``), added through a gate (``gated``), or both are
            normalised and weighed (``weighted``); ``none``: it is not taken up, the control of text alone.
        frozen_lm: Blocks, head and table of the unit model stay as they are.
        temperature: That units are drawn with, unless told otherwise.
    """

    encoder: EncoderSpec = WHISPER
    units: UnitsSpec = S3
    pieces: dict[str, Any] = field(default_factory=dict)
    aggregator: AggregatorConfig = field(default_factory=AggregatorConfig)
    text: TextConfig = field(default_factory=TextConfig)
    lm: UnitLmConfig = field(default_factory=UnitLmConfig)
    quantizer: QuantizerConfig | None = None
    fusion: Fusion = "add"
    frozen_lm: bool = False
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_choice(self, "fusion", Fusion)
        check_switches(self, "frozen_lm")
        if type(self.temperature) is not float or not 0 <= self.temperature <= 100:
            raise ConfigError(f"temperature is {self.temperature!r:.40}: a number of 0 or more is wanted")
        _check_units(self.units)
        if type(self.pieces) is not dict or not plain(self.pieces, _NESTED):
            raise ConfigError(
                "pieces are no JSON object of plain values; take what to_json of a table of subwords gives"
            )
        if self.units.size != self.lm.size:
            raise ConfigError(f"lm.size is {self.lm.size}, but there are {self.units.size} units")
        for name in ("key_layer", "value_layer"):
            if getattr(self.aggregator, name) > self.encoder.depth:
                asked = getattr(self.aggregator, name)
                raise ConfigError(f"{name} is {asked}: {self.encoder.name} has layers 0 to {self.encoder.depth}")
        if self.aggregator.value_identity and self.aggregator.width != self.encoder.width:
            raise ConfigError(
                f"value_identity wants the aggregator as wide as the encoder: {self.aggregator.width} is not "
                f"{self.encoder.width}"
            )

    @property
    def layers(self) -> tuple[int, int]:
        """The layers of keys and of values, counted from 0."""
        key, value = self.aggregator.key_layer, self.aggregator.value_layer
        depth = self.encoder.depth
        return (depth if key < 0 else key), (depth if value < 0 else value)

    @property
    def voice_width(self) -> int:
        """Numbers of the voice that the unit model is given; one, zero, where the units keep none."""
        return max(self.units.voice_width, 1)

    @property
    def spec(self) -> TokenSpec | None:
        """What a token carries: one a subword of the text, whenever that is said. None without a quantizer."""
        if self.quantizer is None:
            return None
        return TokenSpec(
            sample_rate=self.units.sample_rate, hop=None, codebook_size=self.quantizer.size,
            num_codebooks=self.quantizer.levels,
        )  # fmt: skip

    @property
    def bits(self) -> tuple[float, float]:
        """Bits of a subword: of what is heard (0 without a quantizer), and of the text at most.

        Source:
            TASTE, arXiv:2504.07053: 4 · log2 512 = 36; the text is log2 of the table's size.

        Example:
            >>> taste().bits[0], round(taste().bits[1], 2)
            (36.0, 15.66)
        """
        heard = self.quantizer.levels * log2(self.quantizer.size) if self.quantizer is not None else 0.0
        return heard, log2(self.text.size)


def config_to_json(config: TasteConfig) -> dict[str, Any]:
    """A config as plain values."""
    return asdict(config)


def config_from_json(values: Mapping[str, Any]) -> TasteConfig:
    """The inverse of :func:`config_to_json`.

    Raises:
        ConfigError: A key is missing or unknown, or a value is of the wrong kind or out of range.
    """
    try:
        quantizer = values["quantizer"]
        return TasteConfig(
            encoder=EncoderSpec(**values["encoder"]),
            units=UnitsSpec(**values["units"]),
            pieces=values["pieces"],
            aggregator=AggregatorConfig(**values["aggregator"]),
            text=TextConfig(**values["text"]),
            lm=UnitLmConfig(**values["lm"]),
            quantizer=None if quantizer is None else QuantizerConfig(**quantizer),
            fusion=values["fusion"],
            frozen_lm=values["frozen_lm"],
            temperature=float(values["temperature"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"the model's configuration cannot be used ({error}); was it written by another version?"
        ) from error


def seed_exact(encoder: EncoderSpec = WHISPER, units: UnitsSpec = S3) -> TasteConfig:
    """The seed's system: CosyVoice-300M's text side and unit model, the latter frozen, and 2.1 M parameters between.

    Source:
        The seed's table 3 (312.8 M parameters, 112.3 M of them trained) against CosyVoice's configuration,
        github.com/FunAudioLLM/CosyVoice ``examples/libritts/cosyvoice/conf/cosyvoice.yaml``: no other split fits, and
        of two layouts that fit this is the one that takes keys of Whisper's width.
    """
    asks = AggregatorConfig(layout="bottleneck", width=512, heads=16)
    return TasteConfig(
        encoder=encoder, units=units, aggregator=asks, lm=UnitLmConfig(size=units.size), fusion="add", frozen_lm=True
    )  # fmt: skip


def full_mha(encoder: EncoderSpec = WHISPER, units: UnitsSpec = S3) -> TasteConfig:
    """As :func:`seed_exact`, with attention as the seed's text has it: 16 heads of 64, asked by the text encoder."""
    asks = AggregatorConfig(layout="full", width=1024, heads=16)
    return TasteConfig(
        encoder=encoder, units=units, aggregator=asks, lm=UnitLmConfig(size=units.size), fusion="add", frozen_lm=True
    )  # fmt: skip


def taste(encoder: EncoderSpec = WHISPER, units: UnitsSpec = S3) -> TasteConfig:
    """The paper's tokenizer. Its aggregator is as large as distil-Whisper's decoder, whose weights are not taken.

    What the quantizer gives goes to the unit model as it is; the paper has 2 more blocks there.

    Source:
        TASTE, arXiv:2504.07053, section 3 and appendix; github.com/mtkresearch/TASTE-SpokenLM.
    """
    asks = AggregatorConfig(
        layout="decoder", width=encoder.width, heads=max(1, encoder.width // 64), depth=2, hidden=4 * encoder.width,
        value_layer=min(6, encoder.depth), pooled=True, value_identity=True,
    )  # fmt: skip
    return TasteConfig(
        encoder=encoder, units=units, aggregator=asks,
        text=TextConfig(blocks=3, heads=8, hidden=2048),
        lm=UnitLmConfig(size=units.size, blocks=7, heads=8, hidden=2048),
        quantizer=QuantizerConfig(), fusion="weighted",
    )  # fmt: skip


def small(encoder: EncoderSpec, units: UnitsSpec, pieces: Mapping[str, Any], size: int) -> TasteConfig:
    """For two processor cores and some hours of speech: under 8 M parameters, on the clock.

    Args:
        encoder: Such as Whisper tiny.en, of 384 values and 4 layers.
        units: Such as 1024 at 25 Hz.
        pieces: As their ``to_json`` has them.
        size: How many subwords there are.
    """
    asks = AggregatorConfig(
        layout="decoder", width=256, heads=8, depth=2, hidden=512, causal=False, key_layer=encoder.depth,
        value_layer=encoder.depth // 2, place=True, standard=True,
    )  # fmt: skip
    return TasteConfig(
        encoder=encoder, units=units, pieces=dict(pieces), aggregator=asks,
        text=TextConfig(
            size=size, embedding=256, width=256, blocks=2, heads=4, hidden=512, causal=False, positions="sinusoid"
        ),
        lm=UnitLmConfig(
            size=units.size, width=256, blocks=5, heads=4, hidden=768, positions="clock", parts=6, dropout=0.2
        ),
        quantizer=QuantizerConfig(dim=128), fusion="weighted",
    )  # fmt: skip


def tiny(encoder: EncoderSpec, units: UnitsSpec, pieces: Mapping[str, Any], size: int) -> TasteConfig:
    """Every part of :func:`small`, as small as it goes: for tests, in seconds."""
    asks = AggregatorConfig(
        layout="decoder", width=16, heads=2, depth=2, hidden=32, causal=False, key_layer=encoder.depth,
        value_layer=encoder.depth // 2, place=True, standard=True,
    )  # fmt: skip
    return TasteConfig(
        encoder=encoder, units=units, pieces=dict(pieces), aggregator=asks,
        text=TextConfig(
            size=size, embedding=12, width=16, blocks=1, heads=2, hidden=32, causal=False, positions="sinusoid",
            dropout=0.0,
        ),
        lm=UnitLmConfig(
            size=units.size, width=16, blocks=2, heads=2, hidden=32, positions="clock", parts=2, dropout=0.0
        ),
        quantizer=QuantizerConfig(levels=2, size=8, dim=8), fusion="weighted",
    )  # fmt: skip


def _check_units(units: UnitsSpec) -> None:
    if not all(type(one) is str and 0 < len(one) <= 200 and one.isprintable() for one in (units.name, units.digest)):
        raise ConfigError(f"units: name {units.name!r:.80} and digest {units.digest!r:.80} must be short texts")
    check_whole(units, _LARGEST, "sample_rate", "hop", "size")
    check_whole(units, DEEPEST, "level")
    check_whole(units, WIDEST, "voice_width", least=0)
