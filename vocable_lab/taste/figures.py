"""Scores of one clip in TASTE's evaluation, and figures of all clips together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from vocable.features.whisper import WhisperEncoder
from vocable.metrics.codebook import usage_figure
from vocable.metrics.score import Figure, Score, point_figure, summarize, undefined
from vocable.metrics.units import UnitScores, score_units
from vocable.systems.taste.model import UnitPrediction
from vocable.systems.taste.objective import attention_centers
from vocable_lab.taste.words import Spans, subword_times

BINS = 10
"""Number of parts into which a word's duration is divided."""

_MIN_SHARE = 0.1  # of an equal share of the attention, from which on a frame counts as covered


def prediction_hits(prediction: UnitPrediction) -> UnitScores:
    """Return the scores of the units of a clip; the end symbol does not count."""
    return score_units(prediction.logits[:-1], prediction.units)


def repeats(units: Int[torch.Tensor, " N"]) -> Bool[ndarray, " N"]:
    """Return where a unit equals the previous one.

    Example:
        >>> repeats(torch.tensor([3, 3, 5, 5])).tolist()
        [False, True, False, True]
    """
    return torch.cat([torch.zeros(min(1, len(units)), dtype=torch.bool), units[1:] == units[:-1]]).numpy()


def prediction_scores(
    speech: UnitPrediction, unquantized: UnitPrediction | None, text_only: UnitPrediction,
    length_found: UnitPrediction | None = None,
) -> dict[str, Score]:  # fmt: skip
    """Score the prediction of one clip's units, by column, weighted by their number.

    Args:
        speech: Prediction with speech, quantized where the model quantizes.
        unquantized: Prediction without the quantizer; None where there is none.
        text_only: Prediction without speech.
        length_found: ``speech`` of a model that is not given the number of units; None to leave it out.
    """
    own, control, repeated = prediction_hits(speech), prediction_hits(text_only), repeats(speech.units)
    values: dict[str, ndarray] = {
        "top1": own.top1, "top5": own.top5, "loss": own.nats,
        "text_only_top1": control.top1, "text_only_top5": control.top5, "text_only_loss": control.nats,
        "repeat_last_top1": repeated, "gain_over_text": own.top1.astype(float) - control.top1,
        "gain_over_repeat": own.top1.astype(float) - repeated,
    }  # fmt: skip
    if unquantized is not None:
        free = prediction_hits(unquantized)
        values |= {"top1_unquantized": free.top1, "top5_unquantized": free.top5}
    if length_found is not None:
        found = prediction_hits(length_found)
        values |= {"top1_length_found": found.top1, "loss_length_found": found.nats}
    return {key: Score(float(one.mean()), weight=float(len(one))) for key, one in values.items()}


def length_error(found: int, true: int) -> Score:
    """Return the difference of the number of units that a model finds and the recording's, over the latter.

    Example:
        >>> length_error(90, 100).value
        0.1
    """
    return Score(abs(found - true) / true, weight=float(true))


def length_ratio(prediction: UnitPrediction) -> Score:
    """Return the mean length of the speech vectors over that of the text vectors."""
    assert prediction.acoustic is not None
    ratio = prediction.acoustic.norm(dim=1).mean() / prediction.text.norm(dim=1).mean()
    return Score(float(ratio), weight=float(len(prediction.text)))


def attention_entropy(prediction: UnitPrediction) -> Score:
    """Return the mean entropy of the subwords' attention, averaged over heads, in nats."""
    assert prediction.attention is not None
    weights = prediction.attention.double().mean(0)
    return Score(float(-torch.xlogy(weights, weights).sum(1).mean()), weight=float(len(weights)))


@dataclass(frozen=True, kw_only=True)
class AttentionError:
    """Distance of the attention from the forced alignment.

    Attributes:
        subwords: Milliseconds from the center of each subword's attention to its middle, shape (U,).
        words: The same for words, with the mean center of their subwords, shape (W,).
        coverage: Score of the column ``attention_coverage``.
    """

    subwords: Float[ndarray, " U"]
    words: Float[ndarray, " W"]
    coverage: Score


def attention_error(prediction: UnitPrediction, spans: Spans) -> AttentionError:
    """Compare the attention with the times of the words.

    Args:
        prediction: Prediction with attention weights.
        spans: Times of its words.

    Raises:
        AlignmentError: If the numbers of words differ.
    """
    assert prediction.attention is not None
    times, weights = subword_times(spans, prediction.subwords), prediction.attention.double().mean(0)
    centers = attention_centers(weights, 1.0).numpy()  # one unit a second: seconds
    words = np.array(prediction.subwords.word_ids)
    word_centers = np.bincount(words, centers) / np.bincount(words)
    frames = np.arange(weights.shape[1]) / WhisperEncoder.frame_rate
    inside = np.logical_or.reduce([(frames >= start) & (frames < end) for start, end in spans])
    shares = weights.mean(0).numpy() * len(frames)  # 1 is an equal share
    coverage = undefined("no frame lies in a word")
    if inside.any():
        coverage = Score(float((shares[inside] >= _MIN_SHARE).mean()), weight=float(inside.sum()))
    return AttentionError(
        subwords=np.abs(centers - times.mean(1)) * 1000,
        words=np.abs(word_centers - np.array(spans).mean(1)) * 1000,
        coverage=coverage,
    )


def word_parts(units: int, rate: float, spans: Spans) -> Int[ndarray, " N"]:
    """Return the part of its word that each unit lies in, 0 to 9; 10 is silence.

    Args:
        units: Number N of units.
        rate: Units a second.
        spans: Times of the words.

    Example:
        >>> word_parts(4, 2.0, [(0.0, 0.5), (1.0, 2.0)]).tolist()
        [5, 10, 2, 7]
    """
    parts = np.full(units, BINS)
    for index in range(units):
        middle = (index + 0.5) / rate
        for start, end in spans:
            if start <= middle < end:
                parts[index] = min(BINS - 1, int((middle - start) / (end - start) * BINS))
    return parts


# ---- figures of all clips -------------------------------------------------------------------------------------------


def unit_figures(
    clips: Mapping[str, Sequence[int]], speakers: Mapping[str, str], size: int, seed: int
) -> dict[str, Figure]:
    """Compute figures of the units of all clips: those in use, and prediction from their frequencies.

    Args:
        clips: Units of each clip, by item.
        speakers: Speaker of each clip, by item.
        size: Number K of units.
        seed: Seed of the intervals.

    Example:
        >>> found = unit_figures({"a": [1, 1, 2], "b": [1]}, {}, 4, seed=0)
        >>> found["majority_top1"].mean, found["units_in_use"].mean, round(found["uniform"].mean, 3)
        (0.75, 2.0, 1.609)
    """
    counts = np.bincount(np.concatenate([np.array(units) for units in clips.values()]), minlength=size)
    shares = counts[counts > 0] / counts.sum()
    majority = int(counts.argmax())
    hits = [Score(units.count(majority) / len(units), weight=float(len(units))) for units in map(list, clips.values())]
    used = usage_figure([torch.tensor(units) for units in clips.values()], size, seed)
    return {
        "majority_top1": summarize(hits, seed=seed, groups=[speakers.get(item, item) for item in clips]),
        "units_in_use": Figure(mean=used.mean * size, low=used.low * size, high=used.high * size, n=used.n),
        "unigram_entropy": point_figure(-float((shares * np.log(shares)).sum()), len(clips)),
        "uniform": point_figure(math.log(size + 1), len(clips)),
    }


def bit_rates(subwords: int, seconds: float, bits: tuple[float, float]) -> dict[str, Score]:
    """Compute the rates of a clip's tokens.

    Args:
        subwords: Number of subwords of its text.
        seconds: Duration of its audio.
        bits: Bits of a subword: of its speech tokens, and of the text.
    """
    speech, text = bits
    values = {"bits_per_second": speech, "text_bits_per_second": text, "pieces_per_second": 1.0}
    return {key: Score(subwords * each / seconds, weight=seconds) for key, each in values.items()}
