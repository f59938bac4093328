"""What the evaluation of TASTE measures of one clip, and the figures that all clips make together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.features.whisper import WhisperEncoder
from vocable.metrics.codebook import usage_figure
from vocable.metrics.score import Figure, Score, point_figure, summarize, undefined
from vocable.systems.taste.model import UnitPrediction
from vocable.systems.taste.objective import attention_centers
from vocable_lab.taste.words import Spans, subword_times

BINS = 10  # parts of a word
_HEARD_LEAST = 0.1  # of an equal share of the attention, from which on a frame counts as looked at


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What a model says of each unit of a clip.

    Attributes:
        top1: Whether the likeliest is right.
        top5: Whether it is among the five likeliest.
        nats: Minus the logarithm of its probability.
    """

    top1: Bool[ndarray, " N"]
    top5: Bool[ndarray, " N"]
    nats: Float[ndarray, " N"]


def guessed(look: UnitPrediction) -> Guess:
    """How the units of a clip were predicted; the end behind them is not counted."""
    logits = look.logits[:-1].float()
    right = logits.topk(min(5, logits.shape[1]), dim=1).indices == look.units[:, None]
    nats = -logits.log_softmax(1).gather(1, look.units[:, None])[:, 0]
    return Guess(top1=right[:, 0].numpy(), top5=right.any(1).numpy(), nats=nats.numpy())


def repeated(units: Int[Tensor, " N"]) -> Bool[ndarray, " N"]:
    """Where the unit before is said once more.

    Example:
        >>> repeated(torch.tensor([3, 3, 5, 5])).tolist()
        [False, True, False, True]
    """
    return torch.cat([torch.zeros(min(1, len(units)), dtype=torch.bool), units[1:] == units[:-1]]).numpy()


def predicted(heard: UnitPrediction, unquantized: UnitPrediction | None, text: UnitPrediction) -> dict[str, Score]:
    """Scores of one clip by column, each weighing as much as the clip has units.

    Args:
        heard: With what is heard, through the quantizer where there is one.
        unquantized: Without it; None where there is none.
        text: When nothing is heard.
    """
    own, control, again = guessed(heard), guessed(text), repeated(heard.units)
    values: dict[str, ndarray] = {
        "top1": own.top1, "top5": own.top5, "loss": own.nats,
        "text_only_top1": control.top1, "text_only_top5": control.top5, "text_only_loss": control.nats,
        "repeat_last_top1": again, "gain_over_text": own.top1.astype(float) - control.top1,
        "gain_over_repeat": own.top1.astype(float) - again,
    }  # fmt: skip
    if unquantized is not None:
        free = guessed(unquantized)
        values |= {"top1_unquantized": free.top1, "top5_unquantized": free.top5}
    return {key: Score(float(one.mean()), weight=float(len(one))) for key, one in values.items()}


def weighed(look: UnitPrediction) -> Score:
    """How long the vectors that are heard are beside those of the text."""
    assert look.acoustic is not None
    share = look.acoustic.norm(dim=1).mean() / look.text.norm(dim=1).mean()
    return Score(float(share), weight=float(len(look.text)))


def attention_entropy(look: UnitPrediction) -> Score:
    """Nats of what each subword looks at, mean of the heads."""
    assert look.attention is not None
    looked = look.attention.double().mean(0)
    return Score(float(-torch.xlogy(looked, looked).sum(1).mean()), weight=float(len(looked)))


@dataclass(frozen=True, kw_only=True)
class Attended:
    """What a model looks at beside what forced alignment says.

    Attributes:
        subwords: Milliseconds from the centre of what each subword looks at to the subword's middle.
        words: The same of words, with the mean centre of their subwords.
        coverage: See the column ``attention_coverage``.
    """

    subwords: Float[ndarray, " U"]
    words: Float[ndarray, " W"]
    coverage: Score


def attended(look: UnitPrediction, spans: Spans) -> Attended:
    """What a model looks at, against when the words are said.

    Args:
        look: With weights.
        spans: Of its words.

    Raises:
        AlignmentError: There are more or fewer words than the text has.
    """
    assert look.attention is not None
    subwords, looked = subword_times(spans, look.subwords), look.attention.double().mean(0)
    centres = attention_centers(looked, 1.0).numpy()  # one unit a second: seconds
    words = np.array(look.subwords.word_ids)
    means = np.bincount(words, centres) / np.bincount(words)
    frames = np.arange(looked.shape[1]) / WhisperEncoder.frame_rate
    inside = np.logical_or.reduce([(frames >= start) & (frames < end) for start, end in spans])
    shares = looked.mean(0).numpy() * len(frames)  # 1 is an equal share
    covered = undefined("no frame lies in a word")
    if inside.any():
        covered = Score(float((shares[inside] >= _HEARD_LEAST).mean()), weight=float(inside.sum()))
    return Attended(
        subwords=np.abs(centres - subwords.mean(1)) * 1000,
        words=np.abs(means - np.array(spans).mean(1)) * 1000,
        coverage=covered,
    )


def places(units: int, rate: float, spans: Spans) -> Int[ndarray, " N"]:
    """In which part of its word each unit is said, 0 to 9; 10 is silence.

    Args:
        units: How many, N.
        rate: Of them, a second.
        spans: Of the words.

    Example:
        >>> places(4, 2.0, [(0.0, 0.5), (1.0, 2.0)]).tolist()
        [5, 10, 2, 7]
    """
    found = np.full(units, BINS)
    for at in range(units):
        middle = (at + 0.5) / rate
        for start, end in spans:
            if start <= middle < end:
                found[at] = min(BINS - 1, int((middle - start) / (end - start) * BINS))
    return found


# ---- of all clips ---------------------------------------------------------------------------------------------------


def median_figure(clips: Sequence[Sequence[float]], speakers: Sequence[str], seed: int, rounds: int = 1000) -> Figure:
    """Median of all clips' values together, with the percentile bootstrap interval over speakers.

    Args:
        clips: Values of each.
        speakers: Who speaks in each.
        seed: Of the bootstrap.
        rounds: Of it.

    Example:
        >>> median_figure([[1.0, 2.0], [9.0]], ["a", "b"], seed=0).mean
        2.0
    """
    by_speaker: dict[str, list[float]] = {}
    for values, who in zip(clips, speakers, strict=True):
        by_speaker.setdefault(who, []).extend(values)
    parts = [np.array(values) for values in by_speaker.values() if values]
    if not parts:
        return point_figure(math.nan, 0)
    mean, n = float(np.median(np.concatenate(parts))), sum(map(bool, clips))
    if len(parts) < 2:
        return point_figure(mean, n)
    random = np.random.default_rng(seed)
    drawn = [
        np.median(np.concatenate([parts[at] for at in random.integers(len(parts), size=len(parts))]))
        for _ in range(rounds)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Figure(mean=mean, low=float(low), high=float(high), n=n)


def unit_figures(
    clips: Mapping[str, Sequence[int]], speakers: Mapping[str, str], size: int, seed: int
) -> dict[str, Figure]:
    """What the units of all clips are like, and what knowing only that is worth.

    Args:
        clips: Units of each, by item.
        speakers: Who speaks, by item.
        size: K, how many units there are.
        seed: Of the intervals.

    Example:
        >>> found = unit_figures({"a": [1, 1, 2], "b": [1]}, {}, 4, seed=0)
        >>> found["majority_top1"].mean, found["units_in_use"].mean, round(found["uniform"].mean, 3)
        (0.75, 2.0, 1.609)
    """
    counts = np.bincount(np.concatenate([np.array(units) for units in clips.values()]), minlength=size)
    shares = counts[counts > 0] / counts.sum()
    commonest = int(counts.argmax())
    hits = [Score(units.count(commonest) / len(units), weight=float(len(units))) for units in map(list, clips.values())]
    used = usage_figure([torch.tensor(units) for units in clips.values()], size, seed)
    return {
        "majority_top1": summarize(hits, seed=seed, groups=[speakers.get(item, item) for item in clips]),
        "units_in_use": Figure(mean=used.mean * size, low=used.low * size, high=used.high * size, n=used.n),
        "unigram_entropy": point_figure(-float((shares * np.log(shares)).sum()), len(clips)),
        "uniform": point_figure(math.log(size + 1), len(clips)),
    }


def rates(subwords: int, seconds: float, bits: tuple[float, float]) -> dict[str, Score]:
    """What a clip's tokens cost.

    Args:
        subwords: Of its text.
        seconds: Of its audio.
        bits: Of a subword: of what is heard, and of the text.
    """
    heard, text = bits
    values = {"bits_per_second": heard, "text_bits_per_second": text, "pieces_per_second": 1.0}
    return {key: Score(subwords * each / seconds, weight=seconds) for key, each in values.items()}
