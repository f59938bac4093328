"""Retrieval: equal to the naive computation, never lucky in a tie, and small in memory."""

import math
import resource

import pytest
import torch
from torch import Tensor

from vocable.metrics.retrieval import retrieval_scores, retrieve

PHONES = torch.arange(60) // 6  # ten phones of six frames each


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_retrieval_equals_the_naive_one_in_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = _random(90, 8)
    keys, labels = 3 * queries + 2.5 * _random(90, 8, seed=1), torch.arange(90) % 13
    best = (queries @ keys.T).topk(5).indices
    found = best == torch.arange(90)[:, None]
    expected = {k: float(found[:, :k].any(1).double().mean()) for k in (1, 5)}
    for block in (7, 90, 1000):
        monkeypatch.setattr("vocable.metrics.retrieval._BLOCK", block)
        scores = retrieval_scores(queries, keys, labels)
        assert [scores[f"top{k}"].value for k in (1, 5)] == pytest.approx(list(expected.values()), abs=1e-12)
        assert scores["phoneme"].value == pytest.approx(float((labels[best[:, 0]] == labels).double().mean()))
        assert torch.equal(retrieve(queries, keys).nearest, best[:, 0])
    assert scores["top1"].weight == 90.0
    assert 0.1 < expected[1] < 1.0


def test_the_same_frames_are_found_and_strangers_are_found_by_chance() -> None:
    frames, labels = torch.nn.functional.normalize(_random(500, 16), dim=1), torch.arange(500) % 7
    same = retrieval_scores(frames, 5 * frames, labels)
    assert same["top1"].value == same["top5"].value == same["phoneme"].value == 1.0
    strangers = retrieval_scores(frames, _random(500, 16, seed=1), labels)
    assert strangers["chance"].value == 1 / 500
    assert strangers["top5"].value == pytest.approx(0.01, abs=0.015)
    assert same["times_chance"].value == 500.0


def test_identical_keys_are_found_only_by_label() -> None:
    keys = torch.nn.functional.normalize(_random(10, 32), dim=1)[PHONES]
    scores = retrieval_scores(keys + 0.001 * _random(60, 32, seed=1), keys, PHONES)
    assert scores["top1"].value == scores["top5"].value == 0.0
    assert scores["phoneme"].value == 1.0


def test_collapsed_encoders_find_nothing() -> None:
    same, labels = torch.ones(50, 8), torch.arange(50) % 5
    for queries, keys in ((same, same), (same, _random(50, 8)), (torch.zeros(50, 8), _random(50, 8))):
        scores = retrieval_scores(queries, keys, labels)
        assert scores["top1"].value <= scores["chance"].value + 1e-9
        assert scores["phoneme"].value <= 1 / 5 + 1e-9
    assert not retrieve(same, same).hits(5).any()


def test_degenerate_retrieval_is_undefined_or_a_miss() -> None:
    frames, labels = _random(5, 3), torch.arange(5)
    for few in (0, 1):
        scores = retrieval_scores(frames[:few], frames[:few], labels[:few])
        assert {score.reason for score in scores.values()} == {"fewer than 2 frames"}
    assert retrieve(frames[:0], frames[:0]).hits().shape == (0,)
    broken = frames.index_fill(0, torch.tensor([1]), math.nan)
    assert retrieval_scores(frames, broken, labels)["top1"].reason == "1 of 5 frames hold NaN or infinity"
    assert not retrieve(frames, broken).hits()[1]


def test_memory_does_not_grow_with_the_square() -> None:
    frames = _random(12_000, 4)  # all similarities: 576 MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    retrieve(frames, frames)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # KiB
