"""Prediction of units without the model: from the previous unit, and from each layer of the encoder."""

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

CLASSES = 64
"""Number of units that a layer's probe distinguishes: the commonest."""

_RIDGE = 1.0  # penalty over the number of rows, beside variances of 1
_MAX_VALUES = 4_000_000  # values of a clip that are kept

Halves = tuple[list[str], list[str]]  # items


def split_speakers(speakers: Mapping[str, str]) -> Halves | None:
    """Split items into those of every second speaker and the others; None with one speaker alone.

    Args:
        speakers: Speaker of each item.

    Example:
        >>> split_speakers({"a": "s1", "b": "s2", "c": "s1"})
        (['a', 'c'], ['b'])
        >>> split_speakers({"a": "s1"})
    """
    half_of = {speaker: index % 2 for index, speaker in enumerate(sorted(set(speakers.values())))}
    if len(half_of) < 2:
        return None
    first, second = ([item for item, speaker in speakers.items() if half_of[speaker] == half] for half in (0, 1))
    return first, second


def score_bigram(clips: Mapping[str, Sequence[int]], parts: Halves, size: int) -> dict[str, dict[str, Score]]:
    """Score prediction from the previous unit: each half of the speakers by counts in the other.

    Args:
        clips: Units of each item.
        parts: Halves, from :func:`split_speakers`.
        size: Number K of units.

    Returns:
        By item ``top1``, ``top5`` and ``loss``, weighted by the number of units.

    Source:
        Witten and Bell, IEEE Transactions on Information Theory 37(4), 1991, method C: counts of a unit's followers are
        smoothed with the frequencies of all units, which have 1 added to each count.

    Example:
        >>> found = score_bigram({"a": [1, 2, 1, 2], "b": [2, 1, 2, 1]}, (["a"], ["b"]), size=4)
        >>> found["b"]["top1"].value  # all but the first
        0.75
    """
    found = {}
    for train, test in (parts, parts[::-1]):
        unigram = np.ones(size)
        followers: dict[int, Counter[int]] = {}
        for item in train:
            np.add.at(unigram, np.array(clips[item], dtype=np.int64), 1.0)
            for unit, following in zip(clips[item], clips[item][1:], strict=False):
                followers.setdefault(unit, Counter())[following] += 1
        unigram /= unigram.sum()
        for item in test:
            found[item] = _score_units(clips[item], unigram, followers)
    return found


def pool_to_units(frames: Float[Tensor, "A F D"], count: int, rate: float) -> Float[Tensor, "A N D"]:
    """Average the frames of layers over the units that they lie in; a unit without frames gets the one before it.

    Args:
        frames: Frames of A layers.
        count: Number N of units.
        rate: Units a second.

    Example:
        >>> pool_to_units(torch.tensor([[[1.0], [3.0], [5.0]]]), 2, 25.0).tolist()
        [[[2.0], [5.0]]]
    """
    unit_of = (torch.arange(frames.shape[1]) * (rate / WhisperEncoder.frame_rate)).long().clamp(max=count - 1)
    sums = frames.new_zeros(frames.shape[0], count, frames.shape[2]).index_add(1, unit_of, frames)
    counts = torch.bincount(unit_of, minlength=count)[None, :, None]
    before = (torch.arange(count) * (WhisperEncoder.frame_rate / rate)).long().clamp(max=frames.shape[1] - 1)
    return torch.where(counts > 0, sums / counts.clamp(min=1), frames[:, before])


def select_units(layers: int, width: int, count: int) -> Int[ndarray, " M"]:
    """Return the indices of the units of a clip to probe: all, or evenly spread ones within the limit of values.

    Example:
        >>> select_units(5, 384, 100).size, select_units(33, 1280, 700).size
        (100, 94)
    """
    limit = max(1, _MAX_VALUES // (layers * width))
    return np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(np.int64))


def score_layer(
    frames: Mapping[str, Float[Tensor, "M D"]], units: Mapping[str, Int[Tensor, " M"]], parts: Halves
) -> tuple[dict[str, Score], dict[str, Score]]:
    """Score a linear probe that predicts units from the frames of a layer, and the majority guess.

    Ridge regression distinguishes the 64 units that are commonest in one half of the speakers. It is fitted on that
    half and tested on the other; other units do not count. Each half is tested once.

    Args:
        frames: Frames of one layer, by item.
        units: Unit of each frame, by item.
        parts: Halves, from :func:`split_speakers`.

    Returns:
        Top-1 of the probe and of the commonest unit, by item, for items with one of the units.

    Example:
        >>> frames = {"a": torch.eye(4).repeat(9, 1), "b": torch.eye(4).repeat(9, 1)}
        >>> units = {"a": torch.arange(4).repeat(9), "b": torch.arange(4).repeat(9)}
        >>> probe, majority = score_layer(frames, units, (["a"], ["b"]))
        >>> probe["a"].value, majority["a"].value
        (1.0, 0.25)
    """
    top1: dict[str, Score] = {}
    majority: dict[str, Score] = {}
    for train, test in (parts, parts[::-1]):
        counts = torch.bincount(torch.cat([units[item] for item in train]))
        common = counts.argsort(descending=True, stable=True)[:CLASSES]
        common = common[counts[common] > 0]
        rows, classes = zip(*(_select_classes(frames[item], units[item], common) for item in train), strict=True)
        probe = _fit_ridge(torch.cat(rows), torch.cat(classes), len(common))
        for item in test:
            inputs, targets = _select_classes(frames[item], units[item], common)
            if not len(targets):
                continue
            weight = float(len(targets))
            top1[item] = Score(float((_predict(probe, inputs) == targets).double().mean()), weight=weight)
            majority[item] = Score(float((targets == 0).double().mean()), weight=weight)
    return top1, majority


def _score_units(
    units: Sequence[int], unigram: Float[ndarray, " K"], followers: Mapping[int, Counter[int]]
) -> dict[str, Score]:
    """Score the prediction of each unit from the previous one."""
    nats, ranks = [], []
    for index, unit in enumerate(units):
        shares = unigram
        if index and (counts := followers.get(units[index - 1])):
            kinds, total = len(counts), counts.total()
            shares = unigram * (kinds / (total + kinds))
            for following, count in counts.items():
                shares[following] += count / (total + kinds)
        nats.append(-math.log(shares[unit]))
        ranks.append(int((shares > shares[unit]).sum()) + int((shares[:unit] == shares[unit]).sum()))
    weight, rank = float(len(units)), np.array(ranks)
    values = {"top1": (rank < 1).mean(), "top5": (rank < 5).mean(), "loss": np.mean(nats)}
    return {key: Score(float(value), weight=weight) for key, value in values.items()}


def _select_classes(
    frames: Float[Tensor, "M D"], units: Int[Tensor, " M"], common: Int[Tensor, " C"]
) -> tuple[Float[Tensor, "R D"], Int[Tensor, " R"]]:
    """Return the frames whose unit is a common one, and the index of that unit among the common ones."""
    equal = units[:, None] == common
    is_common = equal.any(1)
    return frames[is_common].double(), equal[is_common].int().argmax(1)


def _fit_ridge(
    rows: Float[Tensor, "M D"], classes: Int[Tensor, " M"], count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Fit ridge regression onto one-hot classes; return mean and deviation of the rows, weights, and bias."""
    mean, deviation = rows.mean(0), rows.std(0, correction=0).clamp(min=1e-6)
    inputs = (rows - mean) / deviation
    targets = torch.nn.functional.one_hot(classes, count).double()
    bias = targets.mean(0)
    penalty = _RIDGE * len(rows) * torch.eye(rows.shape[1], dtype=torch.float64)
    return mean, deviation, torch.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ (targets - bias)), bias


def _predict(probe: tuple[Tensor, Tensor, Tensor, Tensor], rows: Float[Tensor, "R D"]) -> Int[Tensor, " R"]:
    mean, deviation, weights, bias = probe
    return ((rows - mean) / deviation @ weights + bias).argmax(1)
