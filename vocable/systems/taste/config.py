"""Configuration of TASTE: text encoder, aggregator, quantizer and unit model, and the sizes that were published."""

import json
from dataclasses import replace
from math import log2
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from vocable.errors import ConfigError
from vocable.features.whisper import EncoderSpec
from vocable.quantizers.fsq import equal_levels
from vocable.schema import MAX_DEPTH, Depth, Entries, Share, Width, config, later
from vocable.systems.units import UnitsSpec
from vocable.tokens import TokenSpec

FusionKind = Literal["add", "gated", "weighted", "none"]
_Layer = Annotated[int, Field(ge=-1, le=MAX_DEPTH)]
_MAX_SUBWORDS_CHARACTERS = 16 << 20  # of the subword tokenizer, as JSON
WHISPER = EncoderSpec(name="openai/whisper-large-v3", digest="any", width=1280, depth=32)
S3 = UnitsSpec(name="s3", level=1, digest="any", sample_rate=16_000, hop=320, size=4096, voice_width=192)


def _check_heads(width: int, heads: int) -> None:
    if width % heads:
        raise ConfigError(f"heads is {heads}: it must divide the width, {width}")


@config
class AggregatorConfig:
    """Cross-attention from subwords to Whisper frames, which gives one acoustic embedding per subword.

    Attributes:
        layout: Networks and queries. ``bottleneck``: one attention layer that is queried by the subword embeddings.
            ``full``: one attention layer that is queried by the text encoder's output. ``decoder``: a transformer
            decoder over the subword embeddings.
        width: Dimension of queries, keys and values, all heads together.
        heads: Number of attention heads; divides the width.
        depth: Number of decoder layers; 1 in the other layouts.
        hidden: Width of a decoder's feed-forward networks.
        causal: Whether a decoder's self-attention is causal.
        key_layer: Whisper layer of the keys, 0 is the input of the first; −1 is the last.
        value_layer: Whisper layer of the values.
        mixed_layers: More layers of values. Each subword weighs all of them by its query.
        pool_words: Whether all subwords of a word get the mean of their embeddings.
        position_bias: Whether each head expects a subword where its letters stand in the text.
        mask_padding: Whether padding is masked. False reproduces a suspected fault of the seed.
        padded_to: Number of frames that a clip is padded to with zeros, as Whisper pads to 1500; 0 for no padding.
        value_identity: Whether the value projection is initialized to the identity.
        standardize: Whether Whisper's features are standardized over the training data.
    """

    layout: Literal["bottleneck", "full", "decoder"] = "decoder"
    width: Width = 1280
    heads: Width = 20
    depth: Depth = 1
    hidden: Width = 5120
    causal: bool = True
    key_layer: _Layer = -1
    value_layer: _Layer = 8
    mixed_layers: Annotated[tuple[_Layer, ...], Field(max_length=64), later(())] = ()
    pool_words: bool = False
    position_bias: bool = False
    mask_padding: bool = True
    padded_to: Annotated[int, Field(ge=0, le=1 << 16)] = 0
    value_identity: bool = False
    standardize: bool = False

    def __post_init__(self) -> None:
        _check_heads(self.width, self.heads)
        if self.depth > 1 and self.layout != "decoder":
            raise ConfigError(f"depth is {self.depth}: layout '{self.layout}' has 1 layer; 'decoder' may have more")


@config
class TextConfig:
    """Text encoder.

    Attributes:
        vocabulary_size: Number of subwords.
        embedding: Dimension of the subword embeddings.
        width: Dimension of the encoder.
        blocks: Number of transformer blocks.
        heads: Number of attention heads; divides the width.
        hidden: Width of the feed-forward networks.
        causal: Whether a subword attends to earlier ones only.
        positions: ``relative`` positions as in CosyVoice, or ``sinusoid`` position encodings.
        dropout: Dropout rate in training.
    """

    vocabulary_size: Entries = 51_866
    embedding: Width = 512
    width: Width = 1024
    blocks: Depth = 6
    heads: Width = 16
    hidden: Width = 4096
    causal: bool = True
    positions: Literal["relative", "sinusoid"] = "relative"
    dropout: Share = 0.1

    def __post_init__(self) -> None:
        _check_heads(self.width, self.heads)


@config
class UnitLmConfig:
    """Autoregressive model of speech units.

    Attributes:
        size: Number of units K; the end of the sequence is one more id.
        width: Dimension of the blocks, and of text and acoustic embeddings.
        blocks: Number of transformer blocks.
        heads: Number of attention heads; divides the width.
        hidden: Width of the feed-forward networks.
        positions: ``relative``: sequence positions, first the subwords, then the units, as in CosyVoice. ``time``:
            subwords stand at the time at which they are spoken.
        segments: Number of equal parts that a subword's duration is divided into; a projection of the subword's
            embedding for each of them conditions the units in it. Used with ``time`` positions.
        dropout: Dropout rate in training.
    """

    size: Entries = 4096
    width: Width = 1024
    blocks: Depth = 14
    heads: Width = 16
    hidden: Width = 4096
    positions: Literal["relative", "time"] = "relative"
    segments: Depth = 1
    dropout: Share = 0.1

    def __post_init__(self) -> None:
        _check_heads(self.width, self.heads)
        if self.positions == "time" and self.width // self.heads % 2:
            raise ConfigError(f"width {self.width} with {self.heads} heads: time positions need a head of even width")


@config
class QuantizerConfig:
    """Quantizer of acoustic embeddings.

    Attributes:
        kind: ``residual`` codebooks, or ``fsq``: as many finite scalar quantizers, whose vectors add up.
        num_codebooks: Number of levels Q.
        codebook_size: Number of entries K per level; a power of two with ``fsq``.
        dim: Dimension of the entries.
    """

    kind: Annotated[Literal["residual", "fsq"], later("residual")] = "residual"

    num_codebooks: Annotated[int, Field(ge=1, le=64)] = 4
    codebook_size: Annotated[int, Field(ge=2, le=1 << 20)] = 512
    dim: Width = 256

    def __post_init__(self) -> None:
        if self.kind == "fsq":
            equal_levels(self.codebook_size)  # which refuses other sizes


@config
class TasteConfig:
    """Configuration of a whole TASTE. No field has a default, so that a file that lacks one is refused.

    Attributes:
        encoder: Whisper encoder that gives the frames.
        units: Speech units that are predicted.
        subwords: Subword tokenizer, as its ``to_json`` writes it.
        aggregator: Aggregator of frames.
        text: Text encoder.
        lm: Unit model.
        quantizer: Quantizer; None for a model that predicts units from continuous embeddings and makes no tokens.
        fusion: Combination of text and acoustic embedding. ``add``: their sum. ``gated``: a sum through a learned
            gate. ``weighted``: a learned weighted mean of both, normalized. ``none``: the text embedding alone.
        freeze_lm: Whether blocks, head and embedding of the unit model keep their weights.
        temperature: Default temperature of sampled units; 0 takes the most likely unit.
    """

    encoder: EncoderSpec
    units: UnitsSpec
    subwords: dict[str, JsonValue]
    aggregator: AggregatorConfig
    text: TextConfig
    lm: UnitLmConfig
    quantizer: QuantizerConfig | None
    fusion: FusionKind
    freeze_lm: bool
    temperature: Annotated[float, Field(ge=0, le=100)]

    def __post_init__(self) -> None:
        if len(json.dumps(self.subwords, allow_nan=False)) > _MAX_SUBWORDS_CHARACTERS:
            raise ConfigError(f"subwords: the tokenizer has more than {_MAX_SUBWORDS_CHARACTERS >> 20} MiB")
        if self.units.size != self.lm.size:
            raise ConfigError(f"lm.size is {self.lm.size}, but there are {self.units.size} units")
        sizes = self.aggregator
        named = [("key_layer", sizes.key_layer), ("value_layer", sizes.value_layer)]
        for name, layer in (*named, *(("mixed_layers", layer) for layer in sizes.mixed_layers)):
            if layer > self.encoder.depth:
                raise ConfigError(f"{name} is {layer}: {self.encoder.name} has layers 0 to {self.encoder.depth}")
        width, needed = self.aggregator.width, self.encoder.width
        if self.aggregator.value_identity and width != needed:
            raise ConfigError(f"aggregator.width is {width}: value_identity needs the width of the encoder, {needed}")

    @property
    def layers(self) -> tuple[int, ...]:
        """Whisper layers of keys and of values, and those mixed with the values, counted from 0."""
        count, sizes = self.encoder.depth + 1, self.aggregator
        return tuple(layer % count for layer in (sizes.key_layer, sizes.value_layer, *sizes.mixed_layers))

    @property
    def voice_width(self) -> int:
        """Dimension of the unit model's speaker input: 1, always zero, where the units have no voice."""
        return max(self.units.voice_width, 1)

    @property
    def spec(self) -> TokenSpec | None:
        """Token spec, with one token per subword and no fixed frame rate; None without a quantizer."""
        if self.quantizer is None:
            return None
        return TokenSpec(
            sample_rate=self.units.sample_rate, hop=None, codebook_size=self.quantizer.codebook_size,
            num_codebooks=self.quantizer.num_codebooks,
        )  # fmt: skip

    @property
    def bits(self) -> tuple[float, float]:
        """Bits per subword: of its tokens (0 without a quantizer), and of its text at most.

        Source:
            TASTE, arXiv:2504.07053: 4 · log2 512 = 36; the text has log2 of the vocabulary's size.

        Example:
            >>> taste().bits[0], round(taste().bits[1], 2)
            (36.0, 15.66)
        """
        speech = 0.0 if self.spec is None else self.spec.num_codebooks * log2(self.spec.codebook_size)
        return speech, log2(self.text.vocabulary_size)


def seed_exact(encoder: EncoderSpec = WHISPER, units: UnitsSpec = S3) -> TasteConfig:
    """Return the seed's configuration: CosyVoice-300M's text side, its frozen unit model, and 2.1 M parameters between.

    Source:
        The seed's table 3 (312.8 M parameters, 112.3 M of them trained) against CosyVoice's configuration,
        github.com/FunAudioLLM/CosyVoice ``examples/libritts/cosyvoice/conf/cosyvoice.yaml``. No other split fits.
        Of two layouts that fit, this one takes keys of Whisper's width.
    """
    return TasteConfig(
        encoder=encoder, units=units, subwords={}, text=TextConfig(), lm=UnitLmConfig(size=units.size), fusion="add",
        aggregator=AggregatorConfig(layout="bottleneck", width=512, heads=16), quantizer=None, freeze_lm=True,
        temperature=1.0,
    )  # fmt: skip


def full_mha(encoder: EncoderSpec = WHISPER, units: UnitsSpec = S3) -> TasteConfig:
    """Return :func:`seed_exact` with the attention of the seed's text: 16 heads of 64, queried by the text encoder."""
    return replace(seed_exact(encoder, units), aggregator=AggregatorConfig(layout="full", width=1024, heads=16))


def taste(encoder: EncoderSpec = WHISPER, units: UnitsSpec = S3) -> TasteConfig:
    """Return the paper's configuration.

    The aggregator is as large as distil-Whisper's decoder, whose weights are not loaded. The paper puts two more
    blocks between quantizer and unit model.

    Source:
        TASTE, arXiv:2504.07053, section 3 and appendix; github.com/mtkresearch/TASTE-SpokenLM.
    """
    aggregator = AggregatorConfig(
        width=encoder.width, heads=max(1, encoder.width // 64), depth=2, hidden=4 * encoder.width,
        value_layer=min(6, encoder.depth), pool_words=True, value_identity=True,
    )  # fmt: skip
    return replace(
        seed_exact(encoder, units), aggregator=aggregator, text=TextConfig(blocks=3, heads=8, hidden=2048),
        lm=UnitLmConfig(size=units.size, blocks=7, heads=8, hidden=2048), quantizer=QuantizerConfig(),
        fusion="weighted", freeze_lm=False,
    )  # fmt: skip


def small(encoder: EncoderSpec, units: UnitsSpec, subwords: dict[str, Any], size: int) -> TasteConfig:
    """Return a configuration with under 8 M parameters and time positions, for two CPU cores and hours of speech.

    Args:
        encoder: Whisper encoder, such as tiny.en with width 384 and 4 layers.
        units: Speech units, such as 1024 at 25 Hz.
        subwords: Subword tokenizer, as its ``to_json`` writes it.
        size: Vocabulary size of the subword tokenizer.
    """
    aggregator = AggregatorConfig(
        width=256, heads=8, depth=2, hidden=512, causal=False, key_layer=encoder.depth,
        value_layer=encoder.depth // 2, position_bias=True, standardize=True,
    )  # fmt: skip
    text = TextConfig(
        vocabulary_size=size, embedding=256, width=256, blocks=2, heads=4, hidden=512, causal=False,
        positions="sinusoid",
    )  # fmt: skip
    lm = UnitLmConfig(
        size=units.size, width=256, blocks=5, heads=4, hidden=768, positions="time", segments=6, dropout=0.2
    )  # fmt: skip
    return TasteConfig(
        encoder=encoder, units=units, subwords=subwords, aggregator=aggregator, text=text, lm=lm, fusion="weighted",
        quantizer=QuantizerConfig(dim=128), freeze_lm=False, temperature=1.0,
    )  # fmt: skip


def tiny(encoder: EncoderSpec, units: UnitsSpec, subwords: dict[str, Any], size: int) -> TasteConfig:
    """Return :func:`small` with every part as small as possible, for tests."""
    base = small(encoder, units, subwords, size)
    return replace(
        base, aggregator=replace(base.aggregator, width=16, heads=2, hidden=32),
        text=replace(base.text, embedding=12, width=16, blocks=1, heads=2, hidden=32, dropout=0.0),
        lm=replace(base.lm, width=16, blocks=2, heads=2, hidden=32, segments=2, dropout=0.0),
        quantizer=QuantizerConfig(num_codebooks=2, codebook_size=8, dim=8),
    )  # fmt: skip


_RENAMED = {
    "aggregator": {"pooled": "pool_words", "place": "position_bias", "standard": "standardize"},
    "text": {"size": "vocabulary_size"},
    "lm": {"parts": "segments"},
    "quantizer": {"levels": "num_codebooks", "size": "codebook_size"},
}


def migrate(values: dict[str, Any]) -> dict[str, Any]:
    """Return today's form of a configuration that vocable 0.1 wrote."""
    names = {"pieces": "subwords", "frozen_lm": "freeze_lm"}
    migrated = {names.get(key, key): value for key, value in values.items()}
    for part, renamed in _RENAMED.items():
        if migrated[part] is not None:
            migrated[part] = {renamed.get(key, key): value for key, value in migrated[part].items()}
    if migrated["lm"]["positions"] == "clock":
        migrated["lm"]["positions"] = "time"
    return migrated
