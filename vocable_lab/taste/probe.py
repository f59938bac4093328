"""What is known of units without the model: by the unit before, and by each layer of the encoder that it hears."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.features.whisper import WhisperEncoder
from vocable.metrics.score import Score

CLASSES = 64  # units that a layer is asked for: the commonest
_RIDGE = 1.0  # of the number of rows: the penalty beside variances of 1
_MOST = 4_000_000  # numbers of a clip that are kept

Halves = tuple[list[str], list[str]]  # items


def halves(speakers: Mapping[str, str]) -> Halves | None:
    """Items of every second speaker, and of the others; None where there is one speaker alone.

    Args:
        speakers: Who speaks, by item.

    Example:
        >>> halves({"a": "s1", "b": "s2", "c": "s1"})
        (['a', 'c'], ['b'])
        >>> halves({"a": "s1"})
    """
    place = {speaker: at % 2 for at, speaker in enumerate(sorted(set(speakers.values())))}
    if len(place) < 2:
        return None
    one, other = ([item for item, who in speakers.items() if place[who] == half] for half in (0, 1))
    return one, other


def bigram(clips: Mapping[str, Sequence[int]], parts: Halves, size: int) -> dict[str, dict[str, Score]]:
    """What knowing the unit before gives: each half of the speakers foretold from counts in the other.

    Args:
        clips: Units of each item.
        parts: See :func:`halves`.
        size: K.

    Returns:
        By item ``top1``, ``top5`` and ``loss``, each weighing as much as the clip has units.

    Source:
        Witten and Bell, IEEE Transactions on Information Theory 37(4), 1991, method C: a unit's followers weigh against
        how often units occur at all, which has 1 added to each count.

    Example:
        >>> found = bigram({"a": [1, 2, 1, 2], "b": [2, 1, 2, 1]}, (["a"], ["b"]), size=4)
        >>> found["b"]["top1"].value  # all but the first
        0.75
    """
    found = {}
    for fitted, told in (parts, parts[::-1]):
        alone = np.ones(size)
        after: dict[int, Counter[int]] = {}
        for item in fitted:
            np.add.at(alone, np.array(clips[item], dtype=np.int64), 1.0)
            for one, two in zip(clips[item], clips[item][1:], strict=False):
                after.setdefault(one, Counter())[two] += 1
        alone /= alone.sum()
        for item in told:
            found[item] = _foretold(clips[item], alone, after)
    return found


def to_units(frames: Float[Tensor, "A F D"], count: int, rate: float) -> Float[Tensor, "A N D"]:
    """Frames of layers as means over the units they lie in; a unit between two frames has the one before it.

    Args:
        frames: Of A layers.
        count: Units N.
        rate: Units a second.

    Example:
        >>> to_units(torch.tensor([[[1.0], [3.0], [5.0]]]), 2, 25.0).tolist()
        [[[2.0], [5.0]]]
    """
    within = (torch.arange(frames.shape[1]) * (rate / WhisperEncoder.frame_rate)).long().clamp(max=count - 1)
    sums = frames.new_zeros(frames.shape[0], count, frames.shape[2]).index_add(1, within, frames)
    counts = torch.bincount(within, minlength=count)[None, :, None]
    before = (torch.arange(count) * (WhisperEncoder.frame_rate / rate)).long().clamp(max=frames.shape[1] - 1)
    return torch.where(counts > 0, sums / counts.clamp(min=1), frames[:, before])


def kept(layers: int, width: int, count: int) -> Int[ndarray, " M"]:
    """Which of a clip's units are kept to probe: all, or so many evenly spread that they are not too many numbers.

    Example:
        >>> kept(5, 384, 100).size, kept(33, 1280, 700).size
        (100, 94)
    """
    most = max(1, _MOST // (layers * width))
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def layer_top1(
    frames: Mapping[str, Float[Tensor, "M D"]], units: Mapping[str, Int[Tensor, " M"]], parts: Halves
) -> tuple[dict[str, Score], dict[str, Score]]:
    """How often a linear probe reads a frame's unit from it, and how often the commonest unit is right.

    The 64 units that are commonest in one half of the speakers are told apart by ridge regression onto their places,
    fitted on that half and asked of the other; other units do not count. Each half is asked once.

    Args:
        frames: Of one layer, by item.
        units: Of the frames.
        parts: See :func:`halves`.

    Returns:
        By item, where it has one of the units: of the probe, and of the commonest.

    Example:
        >>> seen = {"a": torch.eye(4).repeat(9, 1), "b": torch.eye(4).repeat(9, 1)}
        >>> said = {"a": torch.arange(4).repeat(9), "b": torch.arange(4).repeat(9)}
        >>> found, commonest = layer_top1(seen, said, (["a"], ["b"]))
        >>> found["a"].value, commonest["a"].value
        (1.0, 0.25)
    """
    found: dict[str, Score] = {}
    commonest: dict[str, Score] = {}
    for fitted, asked in (parts, parts[::-1]):
        counts = torch.bincount(torch.cat([units[item] for item in fitted]))
        common = counts.argsort(descending=True, stable=True)[:CLASSES]
        common = common[counts[common] > 0]
        rows, classes = zip(*(_of_these(frames[item], units[item], common) for item in fitted), strict=True)
        probe = _ridge(torch.cat(rows), torch.cat(classes), len(common))
        for item in asked:
            inputs, wanted = _of_these(frames[item], units[item], common)
            if not len(wanted):
                continue
            weight = float(len(wanted))
            found[item] = Score(float((_asked(probe, inputs) == wanted).double().mean()), weight=weight)
            commonest[item] = Score(float((wanted == 0).double().mean()), weight=weight)
    return found, commonest


def _foretold(units: Sequence[int], alone: Float[ndarray, " K"], after: Mapping[int, Counter[int]]) -> dict[str, Score]:
    nats, ranks = [], []
    for place, unit in enumerate(units):
        shares = alone
        if place and (followers := after.get(units[place - 1])):
            kinds, total = len(followers), followers.total()
            shares = alone * (kinds / (total + kinds))
            for one, count in followers.items():
                shares[one] += count / (total + kinds)
        nats.append(-math.log(shares[unit]))
        ranks.append(int((shares > shares[unit]).sum()) + int((shares[:unit] == shares[unit]).sum()))
    weight, placed = float(len(units)), np.array(ranks)
    values = {"top1": (placed < 1).mean(), "top5": (placed < 5).mean(), "loss": np.mean(nats)}
    return {key: Score(float(value), weight=weight) for key, value in values.items()}


def _of_these(
    frames: Float[Tensor, "M D"], units: Int[Tensor, " M"], common: Int[Tensor, " C"]
) -> tuple[Float[Tensor, "R D"], Int[Tensor, " R"]]:
    """The frames whose unit is one of these, and which."""
    same = units[:, None] == common
    there = same.any(1)
    return frames[there].double(), same[there].int().argmax(1)


def _ridge(rows: Float[Tensor, "M D"], classes: Int[Tensor, " M"], count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and deviation of the rows, weights, and what stands for each class before anything is seen."""
    mean, deviation = rows.mean(0), rows.std(0, correction=0).clamp(min=1e-6)
    inputs = (rows - mean) / deviation
    wanted = torch.nn.functional.one_hot(classes, count).double()
    share = wanted.mean(0)
    penalty = _RIDGE * len(rows) * torch.eye(rows.shape[1], dtype=torch.float64)
    return mean, deviation, torch.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ (wanted - share)), share


def _asked(probe: tuple[Tensor, Tensor, Tensor, Tensor], rows: Float[Tensor, "R D"]) -> Int[Tensor, " R"]:
    mean, deviation, weights, share = probe
    return ((rows - mean) / deviation @ weights + share).argmax(1)
