"""Units, retrieval, durations: equal to the naive computation, blind to padding, never lucky in a tie."""

import math
import resource

import pytest
import torch
from torch import Tensor

from vocable.errors import ConfigError, ShapeError
from vocable.metrics.score import Score, summarise
from vocable.metrics.units import (
    Retrieval,
    contrastive_retrieval,
    duration_consistency,
    duration_mse,
    unit_accuracy,
    unit_anchors,
)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    targets = torch.randint(0, 20, (3, 30), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(30)[None] < torch.tensor([30, 11, 1])[:, None]
    logits = _random(3, 30, 20) + 2 * torch.nn.functional.one_hot(targets, 20)
    return logits, targets, mask


def test_accuracy_and_cross_entropy_equal_torch(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, targets, mask = batch
    found = unit_accuracy(logits, targets, mask, ks=(1, 5)).model
    for k in (1, 5):
        likeliest = logits[mask].topk(k).indices
        wanted = (likeliest == targets[mask][:, None]).any(dim=1).double().mean()
        assert found.top[k].value == pytest.approx(float(wanted), abs=1e-12)
        assert found.top[k].weight == 42.0
    loss = float(torch.nn.functional.cross_entropy(logits[mask], targets[mask]))
    assert found.nats.value == pytest.approx(loss, rel=1e-6)
    assert found.perplexity.value == pytest.approx(math.exp(loss), rel=1e-6)


def test_padding_and_batching_change_nothing(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, targets, mask = batch
    whole = unit_accuracy(logits, targets, mask)
    padded = unit_accuracy(
        logits.masked_fill(~mask[..., None], math.nan), targets.masked_fill(~mask, -100), mask
    )  # fmt: skip
    assert padded == whole
    rows = [unit_accuracy(logits[at, None], targets[at, None], mask[at, None]).model for at in range(3)]
    assert summarise([row.top[1] for row in rows]).mean == pytest.approx(whole.model.top[1].value, abs=1e-12)
    assert summarise([row.nats for row in rows]).mean == pytest.approx(whole.model.nats.value, rel=1e-6)


def test_ties_are_misses() -> None:
    flat = torch.zeros(1, 4, 8)
    found = unit_accuracy(flat, torch.zeros(1, 4, dtype=torch.long), torch.ones(1, 4, dtype=torch.bool), ks=(1, 7))
    assert (found.model.top[1].value, found.model.top[7].value) == (0.0, 0.0)
    assert found.model.perplexity.value == pytest.approx(8.0)


def test_anchors_are_what_guessing_gives() -> None:
    targets = torch.tensor([[2, 2, 3, 2, 5], [5, 2, 0, 0, 0]])
    mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    told = unit_anchors(targets, mask, 8, ks=(1, 2, 8))
    assert [told.uniform.top[k].value for k in (1, 2)] == [1 / 8, 2 / 8]
    assert told.uniform.perplexity.value == pytest.approx(8.0)
    assert [told.unigram.top[k].value for k in (1, 2)] == [4 / 7, 6 / 7]
    shares = torch.tensor([4, 2, 1]) / 7
    assert told.unigram.nats.value == pytest.approx(float(-(shares * shares.log()).sum()))
    assert [told.repeat_last.top[k].value for k in (1, 2)] == [1 / 7, 2 / 7]  # the 2 after 2; the 2 after 2, 3
    assert told.repeat_last.nats.reason == "repeating gives no probabilities"
    assert told.repeat_last.perplexity == told.repeat_last.nats
    assert told.unigram.top[8].reason == "8 of 8 units cannot miss"
    constant = unit_anchors(torch.full((1, 5), 3), torch.ones(1, 5, dtype=torch.bool), 8, ks=(1,))
    assert constant.unigram.perplexity.value == 1.0
    assert constant.repeat_last.top[1].value == 4 / 5


def test_no_model_blind_to_its_input_beats_the_unigram(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, targets, mask = batch
    blind = unit_accuracy(logits[:1, :1].expand_as(logits), targets, mask)
    assert all(blind.model.top[k].value <= blind.anchors.unigram.top[k].value for k in (1, 5))
    assert blind.model.nats.value >= blind.anchors.unigram.nats.value


def test_degenerate_units_are_undefined_and_wrong_ones_refused(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, targets, mask = batch
    empty = unit_accuracy(logits, targets, torch.zeros_like(mask))
    everything = [empty.model, empty.anchors.uniform, empty.anchors.unigram, empty.anchors.repeat_last]
    assert {guess.top[5].reason for guess in everything} == {"no position is real"}
    broken = unit_accuracy(logits.index_fill(2, torch.tensor([3]), math.nan), targets, mask)
    assert broken.model.top[1].reason == broken.model.perplexity.reason == "the logits hold NaN"
    assert broken.anchors.unigram.top[1].defined
    assert unit_accuracy(torch.full_like(logits, math.inf), targets, mask).model.nats.reason == "a logit is infinite"
    impossible = unit_accuracy(logits.scatter(2, targets[..., None], -math.inf), targets, mask)
    assert impossible.model.perplexity.value == math.inf
    assert impossible.model.top[5].value == 0.0
    with pytest.raises(ShapeError, match=r"targets lie in \[-1, \d+\] but there are 20 units"):
        unit_accuracy(logits, targets.index_fill(1, torch.tensor([0]), -1), mask)
    with pytest.raises(ConfigError, match=r"ks is \(0, 1\)"):
        unit_accuracy(logits, targets, mask, ks=(0, 1))


def _naive(speech: Tensor, phonemes: Tensor, k: int, labels: Tensor) -> float:
    near = torch.nn.functional.normalize(speech, dim=1) @ torch.nn.functional.normalize(phonemes, dim=1).T
    return float((labels[near.topk(k).indices] == labels[:, None]).any(dim=1).double().mean())


def _values(found: Retrieval) -> list[float]:
    return [score.value for part in (found.speech_to_phoneme, found.phoneme_to_speech) for score in part.values()]


@pytest.mark.parametrize("labelled", [False, True])
def test_retrieval_equals_the_naive_one_in_any_block(labelled: bool) -> None:
    speech = _random(90, 8)
    phonemes = 3 * speech + 2.5 * _random(90, 8, seed=1)
    labels = torch.arange(90) % 13 if labelled else None
    pair = (speech, phonemes), (phonemes, speech)
    right = labels if labels is not None else torch.arange(90)
    wanted = [_naive(*order, k, right) for order in pair for k in (1, 5)]
    for block in (7, 90, 1000):
        found = contrastive_retrieval(speech, phonemes, labels=labels, block=block)
        assert _values(found) == pytest.approx(wanted, abs=1e-12)
    assert found.speech_to_phoneme[1].weight == 90.0
    assert 0.1 < wanted[0] < 1.0


def test_the_same_frames_are_found_and_strangers_are_found_by_chance() -> None:
    frames = _random(500, 16)
    assert _values(contrastive_retrieval(frames, 5 * frames)) == [1.0] * 4
    strangers = contrastive_retrieval(frames, _random(500, 16, seed=1))
    assert strangers.chance[5].value == 5 / 500
    assert strangers.speech_to_phoneme[5].value == pytest.approx(0.01, abs=0.015)


def test_chance_with_labels_is_that_of_drawing_without_replacement() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    found = contrastive_retrieval(_random(4, 3), _random(4, 3), labels=labels)
    assert found.chance[1].value == pytest.approx((3 * 3 / 4 + 1 / 4) / 4)
    found = contrastive_retrieval(_random(4, 3), _random(4, 3), (2,), labels=labels)
    assert found.chance[2].value == pytest.approx((3 * 1 + 1 - 3 / 4 * 2 / 3) / 4)  # two draws miss three 0s: never
    guesses = [
        contrastive_retrieval(_random(40, 4, seed=2 * at), _random(40, 4, seed=2 * at + 1), labels=torch.arange(40) % 4)
        for at in range(40)
    ]
    for k in (1, 5):
        mean = sum(found.speech_to_phoneme[k].value for found in guesses) / 40
        assert mean == pytest.approx(guesses[0].chance[k].value, abs=0.04)


def test_identical_phoneme_frames_are_found_only_by_label() -> None:
    phones = torch.arange(60) // 6  # ten phones of six frames each
    phonemes = _random(10, 32)[phones]
    speech = phonemes + 0.01 * _random(60, 32, seed=1)
    alone = contrastive_retrieval(speech, phonemes, block=7)
    assert alone.speech_to_phoneme[1].value == alone.speech_to_phoneme[5].value == 0.0
    assert _values(contrastive_retrieval(speech, phonemes, labels=phones, block=7)) == [1.0] * 4


def test_collapsed_encoders_find_nothing() -> None:
    same = torch.ones(50, 8)
    labels = torch.arange(50) % 5
    for speech, phonemes in ((same, same), (same, _random(50, 8)), (torch.zeros(50, 8), _random(50, 8))):
        found = contrastive_retrieval(speech, phonemes, (1,), labels=labels)
        assert max(_values(found)) <= found.chance[1].value + 1e-9
    assert _values(contrastive_retrieval(same, same, labels=labels)) == [0.0] * 4


def test_degenerate_retrieval_is_undefined() -> None:
    frames = _random(5, 3)
    assert contrastive_retrieval(frames, frames).speech_to_phoneme[5].reason == "5 of 5 frames cannot miss"
    assert contrastive_retrieval(frames[:0], frames[:0]).chance[1].reason == "there is no frame"
    broken = frames.index_fill(0, torch.tensor([1]), math.nan)
    assert contrastive_retrieval(frames, broken).phoneme_to_speech[1].reason == "1 of 5 frames hold NaN or infinity"
    assert contrastive_retrieval(1e38 * frames, 1e-38 * frames).speech_to_phoneme[1].value == 1.0
    with pytest.raises(ConfigError, match="block is 0"):
        contrastive_retrieval(frames, frames, block=0)


def test_memory_does_not_grow_with_the_square() -> None:
    frames = _random(12_000, 4)  # all similarities: 576 MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    contrastive_retrieval(frames, frames, (1,))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # KiB


def test_durations_count_what_agrees() -> None:
    said = [("a", 0.0, 0.1), ("b", 0.1, 0.4), ("c", 0.4, 0.9)]
    again = [("a", 1.0, 1.1), ("b", 1.1, 1.6), ("c", 1.6, 1.9)]
    assert [duration_consistency(said, again, tolerance).value for tolerance in (0, 0.1, 0.2)] == [1 / 3, 1 / 3, 1.0]
    assert duration_mse(said, again, 100.0).value == pytest.approx((20**2 + 20**2) / 3)
    assert duration_mse(said, again, 100.0).weight == 3.0
    assert duration_mse(again, said, 100.0) == duration_mse(said, again, 100.0)
    assert duration_consistency(said, said, 0) == Score(1.0, weight=3.0)
    assert duration_mse(said, said, 100.0).value == 0.0


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ([], [], "there is no symbol"),
        ([("a", 0, 1)], [], "there are 1 symbols in one recording and 0 in the other"),
        ([("a", 0, 1), ("b", 1, 2)], [("a", 0, 1), ("c", 1, 2)], "symbol 2 is 'b' in one recording and 'c'"),
        ([("a", 2, 1)], [("a", 0, 1)], "symbol 1, 'a', ends before it starts"),
        ([("a", 0, 1)], [("a", 0, math.nan)], "symbol 1, 'a', ends before it starts or has no time"),
    ],
)
def test_durations_that_do_not_belong_together_are_undefined(one: list, other: list, reason: str) -> None:
    for score in (duration_consistency(one, other, 0.05), duration_mse(one, other, 100)):
        assert not score.defined
        assert score.reason.startswith(reason)


def test_impossible_settings_of_durations_are_named() -> None:
    with pytest.raises(ConfigError, match="tolerance is -1"):
        duration_consistency([], [], -1)
    with pytest.raises(ConfigError, match="frame_rate is 0"):
        duration_mse([], [], 0)
