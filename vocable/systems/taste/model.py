"""TASTE's networks as one module: text encoder, aggregator, quantizer, fusion, duration predictor and unit model."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.quantizers import Quantized, ResidualVectorQuantizer
from vocable.quantizers.fsq import SummedFsq, equal_levels
from vocable.systems.taste.config import FusionKind, QuantizerConfig, TasteConfig
from vocable.systems.taste.data import TasteBatch
from vocable.systems.taste.networks import Aggregator
from vocable.systems.taste.unit_lm import TextEncoder, UnitLm
from vocable.text.subwords import Subwords

_INITIAL_DURATION = 5.0  # units per subword
_MIN_DURATION, _MAX_DURATION = 0.05, 500.0  # units per subword
_MIN_STD = 1e-3  # of a feature that hardly changes, so that its noise is not amplified
RENAMED_TENSORS = (  # names of vocable 0.1 as regular expressions, and names of today
    (r"^text\.table\.", "text.embedding."),
    (r"^(text\.encoder|lm\.blocks|aggregator|quantizer)\.enter\.", r"\1.in_proj."),
    (r"^(text|aggregator|quantizer|durations)\.leave\.", r"\1.out_proj."),
    (r"^(key|value)s\.middle$", r"\1_scaler.mean"),
    (r"^(key|value)s\.spread$", r"\1_scaler.std"),
    (r"^(aggregator\.layers\.\d+)\.before\.", r"\1.norm1."),
    (r"^(aggregator\.layers\.\d+)\.between\.", r"\1.norm2."),
    (r"^(aggregator\.layers\.\d+)\.behind\.", r"\1.norm3."),
    (r"^(aggregator\.layers\.\d+)\.pieces\.", r"\1.self_attn."),
    (r"^(aggregator\.layers\.\d+)\.frames\.", r"\1.cross_attn."),
    (r"^quantizer\.levels\.", "quantizer.residual."),
    (r"^fuse\.", "fusion."),
    (r"^lm\.voice\.", "lm.voice_proj."),
    (r"^lm\.table\.", "lm.embedding."),
    (r"^lm\.here\.", "lm.segment_proj."),
    (r"^lm\.blocks\.", "lm.decoder."),
)


class Fusion(nn.Module):
    """Combination of the text and the acoustic embedding of each subword.

    Args:
        kind: ``add``: text + acoustic. ``gated``: text + g · acoustic, with a gate g computed from both.
            ``weighted``: weighted mean of both, normalized; the two weights are learned. ``none``: text.
        width: Dimension D of the embeddings.

    Source:
        Sum: the seed. Weighted mean behind layer norms: TASTE, arXiv:2504.07053, section 3.

    Example:
        >>> text = torch.ones(1, 2, 4)
        >>> Fusion("add", 4)(text, None).equal(text)
        True
    """

    def __init__(self, kind: FusionKind, width: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "gated":
            self.gate = nn.Linear(2 * width, width)
        if kind == "weighted":
            self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
            self.weights = nn.Parameter(torch.zeros(2))  # logits of the weights of text and acoustic embedding

    def forward(self, text: Float[Tensor, "B U D"], acoustic: Float[Tensor, "B U D"] | None) -> Float[Tensor, "B U D"]:
        """Return the fused embeddings; None stands for acoustic embeddings of 0."""
        if self.kind == "none":
            return text
        acoustic = torch.zeros_like(text) if acoustic is None else acoustic
        if self.kind == "add":
            return text + acoustic
        if self.kind == "gated":
            return text + self.gate(torch.cat([text, acoustic], dim=2)).sigmoid() * acoustic
        shares = self.weights.softmax(0)
        return shares[0] * self.norms[0](text) + shares[1] * self.norms[1](acoustic)


class SpeechQuantizer(nn.Module):
    """Quantizer of acoustic embeddings: linear projection down, some levels of codebooks, linear projection up.

    The upward projection begins as the transpose of the downward one, which loses as little as possible.

    Args:
        config: Sizes.
        width: Dimension D of the embeddings.

    Source:
        TASTE, arXiv:2504.07053, section 3: 1280 → 256, 4 × 512, moving means. Finite scalars: TASLA,
        arXiv:2510.14934.

    Example:
        >>> quantizer = SpeechQuantizer(QuantizerConfig(num_codebooks=2, codebook_size=8, dim=4), width=6).eval()
        >>> ids = quantizer.encode(torch.zeros(1, 3, 6))
        >>> ids.shape, quantizer.decode(ids).shape
        (torch.Size([1, 2, 3]), torch.Size([1, 3, 6]))
    """

    def __init__(self, config: QuantizerConfig, width: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(width, config.dim)
        self.residual: ResidualVectorQuantizer | SummedFsq
        if config.kind == "fsq":
            self.residual = SummedFsq(
                num_codebooks=config.num_codebooks, levels=equal_levels(config.codebook_size), dim=config.dim
            )
        else:
            self.residual = ResidualVectorQuantizer(
                num_codebooks=config.num_codebooks, codebook_size=config.codebook_size, dim=config.dim
            )
        self.out_proj = nn.Linear(config.dim, width, bias=False)
        nn.init.orthogonal_(self.in_proj.weight)
        nn.init.zeros_(self.in_proj.bias)
        self.out_proj.weight.data.copy_(self.in_proj.weight.t())

    def forward(self, embeddings: Float[Tensor, "B U D"], mask: Bool[Tensor, "B U"]) -> Quantized:
        """Quantize a batch; in training mode the codebooks learn from it, see :class:`ResidualVectorQuantizer`."""
        quantized = self.residual(self.in_proj(embeddings), mask)
        return replace(quantized, latents=self.out_proj(quantized.latents), levels=self.out_proj(quantized.levels))

    @property
    def is_initialized(self) -> bool:
        """True once training has used the codebooks."""
        return bool(self.residual.codebooks[0].counts.any())

    @torch.no_grad()
    def encode(self, embeddings: Float[Tensor, "B U D"]) -> Int[Tensor, "B Q U"]:
        """Return the ids of all levels."""
        return self.residual.encode(self.in_proj(embeddings))

    def decode(self, ids: Int[Tensor, "B Q U"]) -> Float[Tensor, "B U D"]:
        """Return the embeddings of the ids of the first levels, of any number of them."""
        return self.out_proj(self.residual.decode(ids))


class DurationPredictor(nn.Module):
    """Predictor of the duration of each subword in units.

    Args:
        width: Dimension D of the fused embeddings.

    Example:
        >>> DurationPredictor(4)(torch.zeros(1, 2, 4)).exp().round().tolist()
        [[5.0, 5.0]]
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, 1)
        nn.init.zeros_(self.out_proj.weight)
        nn.init.constant_(self.out_proj.bias, math.log(_INITIAL_DURATION))

    def forward(self, joint: Float[Tensor, "B U D"]) -> Float[Tensor, "B U"]:
        """Return the logarithm of each subword's duration in units."""
        log_durations = self.out_proj(F.gelu(self.expand(self.norm(joint))))[..., 0]
        return log_durations.float().clamp(math.log(_MIN_DURATION), math.log(_MAX_DURATION))


class FeatureScaler(nn.Module):
    """Standardization of a frozen network's features; the identity until :meth:`fit`.

    Such features may lie ten standard deviations from 0, where a layer norm sees little but their constant part.

    Args:
        width: Number of features F.

    Example:
        >>> scaler = FeatureScaler(2)
        >>> scaler.fit([torch.tensor([[1.0, 10.0], [3.0, 30.0]])])
        >>> scaler(torch.tensor([[[3.0, 10.0]]])).tolist()
        [[[1.0, -1.0]]]
    """

    mean: Float[Tensor, " F"]
    std: Float[Tensor, " F"]

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    def fit(self, clips: Iterable[Float[Tensor, "_ F"]]) -> None:
        """Set means and standard deviations to those of some clips."""
        frames = torch.cat(list(clips)).double()
        self.mean.copy_(frames.mean(0))
        self.std.copy_(frames.std(0, correction=0).clamp(min=_MIN_STD))

    def forward(self, frames: Float[Tensor, "B N F"]) -> Float[Tensor, "B N F"]:
        """Return standardized frames."""
        return (frames - self.mean) / self.std


class TasteModel(nn.Module):
    """All networks of TASTE.

    The control of text alone is ``fuse(text, None)``; everything behind it is the same.

    Args:
        config: Sizes.

    Attributes:
        text: Text encoder, from subword ids and their mask to text embeddings.
        letters: Number of letters of each subword of the vocabulary.

    Example:
        >>> from vocable.systems.taste.config import AggregatorConfig, TextConfig, UnitLmConfig, seed_exact
        >>> text = TextConfig(vocabulary_size=50, embedding=8, width=8, blocks=1, heads=2, hidden=8)
        >>> lm = UnitLmConfig(width=8, blocks=1, heads=2, hidden=8)
        >>> aggregator = AggregatorConfig(layout="bottleneck", width=8, heads=2)
        >>> model = TasteModel(replace(seed_exact(), text=text, lm=lm, aggregator=aggregator))
        >>> model.text(torch.tensor([[1, 2, 3]]), torch.ones(1, 3, dtype=torch.bool)).shape
        torch.Size([1, 3, 8])
    """

    letters: Float[Tensor, " P"]

    def __init__(self, config: TasteConfig) -> None:
        super().__init__()
        self.config = config
        sizes, width, frame_dim = config.aggregator, config.lm.width, config.encoder.width
        self.text = TextEncoder(config.text, width)
        if sizes.standardize:
            layers = 1 + len(sizes.mixed_layers)
            self.key_scaler, self.value_scaler = FeatureScaler(frame_dim), FeatureScaler(layers * frame_dim)
        query_dim = width if sizes.layout == "full" else config.text.embedding
        self.aggregator = Aggregator(sizes, query_dim=query_dim, frame_dim=frame_dim, out_dim=width)
        self.quantizer = SpeechQuantizer(config.quantizer, width) if config.quantizer is not None else None
        self.fusion = Fusion(config.fusion, width)
        self.lm = UnitLm(config.lm, config.voice_width)
        self.durations = DurationPredictor(width) if config.lm.positions == "time" else None
        self.register_buffer("letters", _count_letters(config.subwords, config.text.vocabulary_size))
        if config.freeze_lm:
            for part in (self.lm.decoder, self.lm.head, self.lm.embedding):
                part.requires_grad_(False)

    def embed_speech(
        self, text: Float[Tensor, "B U D"], batch: TasteBatch
    ) -> tuple[Float[Tensor, "B U D"], Float[Tensor, "B H U F"]]:
        """Return the acoustic embedding of each subword, before quantization, and the attention weights, float32.

        Args:
            text: Text embeddings, from ``text``.
            batch: Subwords and frames.
        """
        queries = text if self.config.aggregator.layout == "full" else self.text.embedding(batch.subword_ids)
        positions = find_letter_positions(self.letters[batch.subword_ids], batch.subword_mask)
        keys, values = batch.keys, batch.values
        if self.config.aggregator.standardize:
            keys, values = self.key_scaler(keys), self.value_scaler(values)
        return self.aggregator(queries, keys, values, batch.subword_mask, batch.frame_mask, batch.word_ids, positions)

    def fit_scalers(self, clips: Iterable[TasteBatch]) -> None:
        """Fit the standardization of frames to some clips, if the configuration asks for it."""
        if self.config.aggregator.standardize:
            keys, values = zip(*((clip.keys[0], clip.values[0]) for clip in clips), strict=True)
            self.key_scaler.fit(keys)
            self.value_scaler.fit(values)

    def fuse(
        self, text: Float[Tensor, "B U D"], acoustic: Float[Tensor, "B U D"] | None
    ) -> tuple[Float[Tensor, "B U D"], Float[Tensor, "B U"] | None]:
        """Return the fused embeddings, and the logarithms of durations in units if the unit model needs them."""
        joint = self.fusion(text, acoustic)
        return joint, None if self.durations is None else self.durations(joint)


@dataclass(frozen=True, kw_only=True)
class UnitPrediction:
    """Teacher-forced prediction of a clip's units: each unit is predicted from the true units before it.

    Attributes:
        subwords: Text of the clip.
        units: Units of the clip.
        logits: Logits of each unit, and at position N those of the end; id K is the end.
        text: Text embeddings.
        acoustic: Acoustic embeddings; None for text alone.
        attention: Attention weights of the aggregator, by head; None for text alone.
        durations: Predicted duration of each subword, scaled to N units if that number is known; None without time
            positions.
    """

    subwords: Subwords
    units: Int[Tensor, " N"]
    logits: Float[Tensor, "E C"]
    text: Float[Tensor, "U D"]
    acoustic: Float[Tensor, "U D"] | None
    attention: Float[Tensor, "H U F"] | None
    durations: Float[Tensor, " U"] | None


@torch.inference_mode()
def predict_units(
    model: TasteModel, batch: TasteBatch, subwords: Subwords, *, text_only: bool = False, quantize: bool = True,
    known_length: bool = True,
) -> UnitPrediction:  # fmt: skip
    """Predict the units of one clip with teacher forcing, in evaluation mode.

    Args:
        model: Networks.
        batch: Batch of one clip with its units, on the model's device.
        subwords: Text of the clip.
        text_only: Whether to withhold the acoustic embeddings: the control.
        quantize: Whether acoustic embeddings go through the quantizer, if there is one.
        known_length: Whether predicted durations are scaled to the clip's number of units, as in training. Otherwise
            the model has to find it, as it has without a recording.
    """
    text = model.eval().text(batch.subword_ids, batch.subword_mask)
    acoustic, attention = (None, None) if text_only else model.embed_speech(text, batch)
    if acoustic is not None and quantize and model.quantizer is not None:
        acoustic = model.quantizer.decode(model.quantizer.encode(acoustic))
    joint, log_durations = model.fuse(text, acoustic)
    durations = None if log_durations is None else log_durations.exp()
    logits = model.lm(
        joint, batch.subword_mask, batch.units, batch.unit_mask, batch.voices, durations, known_length=known_length
    )
    scale = batch.units.shape[1] / durations.sum() if durations is not None and known_length else 1.0
    return UnitPrediction(
        subwords=subwords, units=batch.units[0].cpu(), logits=logits[0].float().cpu(), text=text[0].cpu(),
        acoustic=None if acoustic is None else acoustic[0].cpu(),
        attention=None if attention is None else attention[0].cpu(),
        durations=None if durations is None else (durations[0] * scale).cpu(),
    )  # fmt: skip


def count_parameters(model: TasteModel) -> dict[str, tuple[int, int, int]]:
    """Count the parameters of each part, as CosyVoice publishes them, and of the whole: total, trained and frozen."""
    lm = model.lm
    parts: dict[str, nn.Module | None] = {
        "text embedding": model.text.embedding, "text encoder": model.text.encoder, "affine": model.text.out_proj,
        "aggregator": model.aggregator, "quantizer": model.quantizer, "fusion": model.fusion,
        "durations": model.durations, "unit model": lm.decoder, "segments": getattr(lm, "segment_proj", None),
        "head": lm.head, "unit embedding": lm.embedding, "voice": lm.voice_proj, "special": lm.special, "whole": model,
    }  # fmt: skip
    counts = {}
    for name, part in parts.items():
        if parameters := [] if part is None else list(part.parameters()):
            total = sum(one.numel() for one in parameters)
            trained = sum(one.numel() for one in parameters if one.requires_grad)
            counts[name] = (total, trained, total - trained)
    return counts


def find_letter_positions(letters: Float[Tensor, "B U"], mask: Bool[Tensor, "B U"]) -> Float[Tensor, "B U"]:
    """Return the middle of each subword among the letters of its text, in [0, 1].

    Example:
        >>> find_letter_positions(torch.tensor([[3.0, 1.0]]), torch.ones(1, 2, dtype=torch.bool))
        tensor([[0.3750, 0.8750]])
    """
    real = letters * mask
    return (real.cumsum(1) - real / 2) / real.sum(1, keepdim=True).clamp(min=1)


def _count_letters(subwords: Mapping[str, Any], size: int) -> Float[Tensor, " P"]:
    """Return the number of letters of each subword; 1 each where the vocabulary is kept elsewhere."""
    vocabulary = subwords.get("vocabulary")
    if not isinstance(vocabulary, list) or len(vocabulary) != size:
        return torch.ones(size)
    return torch.tensor([float(max(1, len(str(entry).removeprefix("##")))) for entry in vocabulary])
