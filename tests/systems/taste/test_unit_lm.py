"""Units one by one: rows, the clock, what is held, drawing."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.systems.taste.made import UNITS, batch_of, clock, durations, model_of, relative, row
from vocable.errors import ConfigError
from vocable.nn.transformer import sinusoidal_embedding
from vocable.systems.taste.config import TasteConfig
from vocable.systems.taste.unit_lm import IncrementalDecoder, Sampling, UnitLm, _Timing

LIKELIEST = Sampling(temperature=0.0)
BOTH = pytest.mark.parametrize("config", [clock(), relative()], ids=["clock", "relative"])


def told(config: Any, seed: int = 0) -> tuple[UnitLm, Tensor, Tensor, Tensor, Tensor]:
    """A unit model, a joint vector of each subword, units, a voice, durations."""
    model, batch = model_of(config), batch_of((5, 3, 17), seed=seed)
    joint = model.text(batch.subword_ids, batch.subword_mask).detach()
    return model.lm, joint, batch.units, batch.voices, durations(batch)


def at_once(lm: UnitLm, joint: Tensor, units: Tensor, voices: Tensor, lasts: Tensor) -> Tensor:
    mask = torch.ones(joint.shape[:2], dtype=torch.bool)
    return lm(joint, mask, units, torch.ones_like(units, dtype=torch.bool), voices, lasts).detach()


@BOTH
@torch.no_grad()
def test_one_by_one_it_thinks_what_it_thinks_at_once(config: Any) -> None:
    lm, joint, units, voices, lasts = told(config)
    together = at_once(lm, joint, units, voices, lasts)[0]
    growing = IncrementalDecoder(lm, joint, voices, lasts, count=17)
    alone = torch.stack([growing.next(unit) for unit in [None, *units[0].tolist()]])
    assert alone.shape == (18, 25)
    assert torch.allclose(alone, together, atol=1e-5)


@BOTH
def test_no_unit_looks_at_itself_or_later_ones(config: Any) -> None:
    lm, joint, units, voices, lasts = told(config)
    other = units.clone()
    other[:, 9] = (other[:, 9] + 1) % 24
    one, two = at_once(lm, joint, units, voices, lasts)[0], at_once(lm, joint, other, voices, lasts)[0]
    same = torch.isclose(one, two, atol=1e-6).all(1)
    assert same[:10].all()
    assert not same[10:].any()


@BOTH
def test_every_unit_looks_at_text_and_voice(config: Any) -> None:
    lm, joint, units, voices, lasts = told(config)
    one = at_once(lm, joint, units, voices, lasts)
    assert not torch.isclose(one, at_once(lm, joint, units, -voices, lasts), atol=1e-6).all(2).any()
    assert torch.allclose(one, at_once(lm, joint, units, 7 * voices, lasts), atol=1e-5)
    for subword in range(5):
        other = joint.clone()
        other[:, subword] = other[:, subword].flip(1)
        assert not torch.isclose(one, at_once(lm, other, units, voices, lasts), atol=1e-6).all(2).any()


@BOTH
def test_a_text_without_units_yet(config: Any) -> None:
    lm, joint, units, voices, lasts = told(config)
    assert at_once(lm, joint, units[:, :0], voices, lasts).shape == (1, 1, 25)


def test_on_the_clock_durations_are_needed() -> None:
    lm, joint, units, voices, _ = told(clock())
    mask = torch.ones_like(units, dtype=torch.bool)
    with pytest.raises(ConfigError, match="time positions: it needs the durations"):
        lm(joint, mask[:, :5], units, mask, voices)
    with pytest.raises(ConfigError, match="time positions: it needs the durations"):
        lm.sample(joint, voices, sampling=LIKELIEST, seed=0, count=2)


def test_only_the_shares_of_durations_count_where_the_units_are_known() -> None:
    lm, joint, units, voices, lasts = told(clock())
    one = at_once(lm, joint, units, voices, lasts)
    assert torch.allclose(one, at_once(lm, joint, units, voices, 3 * lasts), atol=1e-4)
    other = lasts.flip(1)
    assert not torch.allclose(one, at_once(lm, joint, units, voices, other), atol=1e-3)


def test_which_piece_is_said_when() -> None:
    lasts, mask = torch.tensor([[2.0, 1.0, 3.0], [1.0, 1.0, 9.0]]), torch.tensor([[True] * 3, [True, True, False]])
    timing = _Timing.of(lasts, mask, torch.tensor([[12.0], [4.0]]))
    which, place = timing.locate(torch.arange(7))
    assert which.tolist() == [[0, 0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 1, 1]]
    assert torch.allclose(place[0], torch.tensor([0.125, 0.375, 0.625, 0.875, 0.25, 0.75, 0.5 / 6]))
    assert torch.allclose(
        place[1], torch.tensor([0.25, 0.75, 0.25, 0.75, 1.25, 1.75, 2.0])
    )  # behind the end it goes on
    clock_ = timing.positions(3)
    assert clock_[0].tolist() == [-1, -1, 2, 5, 9, -1, 0, 1, 2]
    assert clock_[1, 2:4].tolist() == [1, 3]


@torch.no_grad()
def test_a_piece_of_no_length_is_never_said() -> None:
    lasts, mask = torch.tensor([[0.0, 4.0, 0.0]]), torch.ones(1, 3, dtype=torch.bool)
    which, place = _Timing.of(lasts, mask, None).locate(torch.arange(4))
    assert which.tolist() == [[1, 1, 1, 1]]
    assert bool(place.isfinite().all())
    lm, joint, units, voices, _ = told(clock())
    assert bool(at_once(lm, joint, units, voices, torch.zeros(1, 5)).isfinite().all())


@BOTH
def test_the_likeliest_units_are_those_it_thinks_likeliest(config: Any) -> None:
    lm, joint, _, voices, lasts = told(config)
    lm.head.bias.data[lm.end] = -50.0
    units = lm.sample(joint, voices, lasts, sampling=LIKELIEST, seed=0, count=12)
    assert len(units) == 12
    assert at_once(lm, joint, units[None], voices, lasts)[0, :-1].argmax(1).tolist() == units.tolist()


@BOTH
def test_one_seed_says_one_thing(config: Any) -> None:
    lm, joint, _, voices, lasts = told(config)
    said = [
        lm.sample(joint, voices, lasts, sampling=Sampling(temperature=2.0), seed=seed, count=9).tolist()
        for seed in (1, 1, 2)
    ]
    assert said[0] == said[1] != said[2]


@BOTH
def test_as_many_units_are_drawn_as_are_asked_for(config: Any) -> None:
    lm, joint, _, voices, lasts = told(config)
    say = {"sampling": Sampling(), "seed": 0}
    for likely in (50.0, -50.0):  # the end is never drawn
        lm.head.bias.data[lm.end] = likely
        drawn = lm.sample(joint, voices, lasts, **say, count=9)
        assert len(drawn) == 9
        assert 0 <= int(drawn.min()) <= int(drawn.max()) < 24
    assert len(lm.sample(joint, voices, lasts, **say, count=0)) == 0


def test_the_number_of_units_stretches_what_is_said() -> None:
    lm, joint, _, voices, lasts = told(clock())
    one = lm.sample(joint, voices, lasts, sampling=LIKELIEST, seed=0, count=20)
    assert torch.equal(one, lm.sample(joint, voices, 5 * lasts, sampling=LIKELIEST, seed=0, count=20))
    growing = [IncrementalDecoder(lm, joint, voices, lasts, count=count).next(None) for count in (17, 34)]
    assert not torch.allclose(*growing)


def test_a_length_that_is_not_known_ends_where_the_model_ends_it() -> None:
    lm, joint, units, voices, lasts = told(clock())
    say = {"sampling": Sampling(), "seed": 0, "count": 9, "known_length": False}
    lm.head.bias.data[lm.end] = 50.0
    assert len(lm.sample(joint, voices, lasts, **say)) == 1  # speech has at least one unit
    lm.head.bias.data[lm.end] = -50.0
    assert len(lm.sample(joint, voices, lasts, **say)) == 9
    mask = torch.ones(joint.shape[:2], dtype=torch.bool)
    inputs = (joint, mask, units, torch.ones_like(units, dtype=torch.bool), voices)
    found, stretched = (lm(*inputs, factor * lasts, known_length=False) for factor in (1, 3))
    assert not torch.allclose(found, stretched, atol=1e-3)  # durations are not scaled to the number of units
    known = lm(*inputs, lasts)
    exact = lasts * (units.shape[1] / lasts.sum())
    assert torch.allclose(known, lm(*inputs, exact, known_length=False), atol=1e-4)


def draws(rule: Sampling, logits: Tensor, before: list[int], count: int = 2000) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    drawn = [rule.draw(logits, before, generator) for _ in range(count)]
    return torch.bincount(torch.tensor(drawn), minlength=len(logits)) / count


CHANCES = torch.tensor([0.4, 0.3, 0.2, 0.1])


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (Sampling(top_p=1.0), [0.4, 0.3, 0.2, 0.1]),
        (Sampling(top_p=0.8), [0.4 / 0.9, 0.3 / 0.9, 0.2 / 0.9, 0.0]),
        (Sampling(top_p=0.1), [1.0, 0.0, 0.0, 0.0]),
        (Sampling(top_p=1.0, top_k=2), [0.4 / 0.7, 0.3 / 0.7, 0.0, 0.0]),
        (Sampling(top_p=1.0, temperature=0.5), [16 / 30, 9 / 30, 4 / 30, 1 / 30]),
        (LIKELIEST, [1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_among_the_likeliest(rule: Sampling, wanted: list[float]) -> None:
    assert torch.allclose(draws(rule, CHANCES.log(), []), torch.tensor(wanted), atol=0.04)


def test_a_repetition_is_drawn_again_among_all() -> None:
    rule = Sampling(top_p=0.1, window=10, repetition=0.2)  # always the first
    assert draws(rule, CHANCES.log(), [0])[0] == 1.0
    assert torch.allclose(draws(rule, CHANCES.log(), [0, 0]), CHANCES, atol=0.04)
    assert draws(rule, CHANCES.log(), [0, 0] + [3] * 9)[0] == 1.0  # one of them is longer ago than the window
    assert draws(replace(rule, window=0), CHANCES.log(), [0] * 20)[0] == 1.0


def test_what_is_forbidden_is_never_drawn() -> None:
    logits = CHANCES.log()
    logits[0] = -torch.inf
    for rule in (Sampling(), Sampling(top_p=1.0), LIKELIEST):
        assert draws(rule, logits, [1] * 10, 300)[0] == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top_p": 0.0}, "top_p is 0.0"), ({"top_p": 1.1}, "top_p is 1.1"), ({"top_k": 0}, "top_k is 0"),
        ({"window": -1}, "window is -1"), ({"repetition": 0.0}, "repetition is 0.0"),
        ({"temperature": -1.0}, "temperature is -1.0"), ({"temperature": float("nan")}, "temperature is nan"),
    ],
)  # fmt: skip
def test_rules_that_are_none(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Sampling(**changes)


def test_rows_of_many_lengths_are_packed_without_holes() -> None:
    """Were there a hole, the units of the shorter row would stand elsewhere."""
    model, batch = model_of(relative()), batch_of((2, 3, 9), (7, 3, 4))
    said = model.text(batch.subword_ids, batch.subword_mask)
    together = model.lm(said, batch.subword_mask, batch.units, batch.unit_mask, batch.voices)
    for index, units in ((0, 9), (1, 4)):
        one = row(batch, index)
        alone = model.lm(
            said[index : index + 1, : one.subword_ids.shape[1]], one.subword_mask, one.units, one.unit_mask, one.voices
        )
        assert torch.allclose(together[index, : units + 1], alone[0], atol=1e-5)


@pytest.mark.parametrize("config", [clock(), relative()], ids=["clock", "relative"])
def test_units_that_are_hidden_tell_nothing(config: TasteConfig) -> None:
    model, batch = model_of(config), batch_of((4, 20, 9), (3, 15, 6))
    joint, _ = model.fuse(model.text(batch.subword_ids, batch.subword_mask), None)
    lasting = durations(batch) if config.lm.positions == "time" else None

    def says(units: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        return model.lm(joint, batch.subword_mask, units, batch.unit_mask, batch.voices, lasting, known)

    nothing, others = torch.zeros_like(batch.unit_mask), (batch.units + 1) % UNITS.size
    assert torch.equal(says(batch.units, nothing), says(others, nothing))
    assert not torch.equal(says(batch.units, None), says(others, None))
    assert torch.equal(says(batch.units, ~nothing), says(batch.units, None))


def test_each_part_of_a_piece_is_told_of_itself() -> None:
    config = clock()
    model = model_of(config)
    parts, width = config.lm.segments, config.lm.width
    with torch.no_grad():  # part k of any subword says k
        model.lm.segment_proj.weight.zero_()
        model.lm.segment_proj.bias.copy_(torch.arange(parts).float().repeat_interleave(width))
    joint, lasts = torch.zeros(1, 1, width), torch.tensor([[20.0]])
    timing = model.lm._timing(lasts, torch.ones(1, 1, dtype=torch.bool), torch.tensor([[20.0]]))
    assert timing is not None
    units = torch.arange(20)
    told = (
        model.lm._condition(joint, timing, units)[0, :, 0]
        - sinusoidal_embedding(100.0 * (units + 0.5) / 20, width)[:, 0]
    )
    expected = ((units + 0.5) / 20 * parts - 0.5).clamp(0, parts - 1)
    torch.testing.assert_close(told, expected, atol=1e-4, rtol=0)
