"""Rows to figures: rates over seconds, groups, codebook use over all clips, and anchors that are off."""

import math
from collections.abc import Sequence

import pytest
import torch

from vocable.errors import VocableError
from vocable.evaluate.card import Card, Column, Entry, ProbeRow
from vocable.evaluate.measures import Measure
from vocable.evaluate.runner import ResultRow
from vocable.evaluate.summary import (
    check_anchors,
    entry_figures,
    group_figures,
    level_usage,
    raise_alarms,
    to_json,
    usage_figures,
)
from vocable.metrics.score import Figure, Score, undefined
from vocable.tokens import Tokens, TokenSpec

GOOD = Column(key="good", title="Good", better="higher", caption="how good")
BAD = Column(key="bad", title="Bad", better="lower", caption="how bad")


def rows(*scores: Score) -> list[ResultRow]:
    return [
        ResultRow(
            entry="x", item=str(number), scores={"good": score},
            extra={"seconds": 1.0 + number, "payload_bits": 1000, "container_bits": 24},
        )
        for number, score in enumerate(scores)
    ]  # fmt: skip


def test_bits_per_second_are_all_bits_over_all_seconds() -> None:
    found = entry_figures(rows(Score(1.0), Score(2.0), Score(6.0)), [GOOD], 0)
    assert found["good"].mean == 3.0
    assert found["bit_rate"].mean == pytest.approx(3000 / 6)
    assert found["bit_rate_in_container"].mean == pytest.approx(3072 / 6)


def test_a_clip_that_was_not_coded_costs_no_bits_and_is_excluded() -> None:
    refused = ResultRow(entry="x", item="r", scores={"good": undefined("not coded: too short")}, extra={"seconds": 9.0})
    found = entry_figures([*rows(Score(1.0)), refused], [GOOD], 0)
    assert found["bit_rate"].mean == 1000.0
    assert found["good"].reasons == {"not coded: too short": 1}


def test_groups_of_one_value_are_no_breakdown() -> None:
    where = {"0": {"gender": "f", "corpus": "c"}, "1": {"gender": "m", "corpus": "c"}, "2": {"gender": "m"}}
    found = group_figures(rows(Score(1.0), Score(2.0), Score(4.0)), [GOOD], 0, where.__getitem__)
    assert found.keys() == {"gender"}
    assert {value: part["good"].mean for value, part in found["gender"].items()} == {"f": 1.0, "m": 3.0}


def tokens(ids: Sequence[Sequence[int]]) -> Tokens:
    frames = len(ids[0])
    return Tokens(
        ids=torch.tensor([ids]), lengths=torch.tensor([frames]), samples=torch.tensor([320 * frames]), tokenizer="x",
        spec=TokenSpec(sample_rate=16_000, hop=320, codebook_size=4, num_codebooks=len(ids)),
    )  # fmt: skip


def test_codebook_use_is_that_of_all_clips_together() -> None:
    levels = level_usage([tokens([[0, 0], [1, 1]]), tokens([[1, 1], [1, 1]])], 2)
    assert [level.distinct for level in levels] == [2, 1]
    found = usage_figures(levels, 50.0, 2)
    assert found["codebook_used"].mean == pytest.approx((0.5 + 0.25) / 2)
    assert found["bit_rate_entropy_coded"].mean == pytest.approx(50.0)
    assert [level.distinct for level in level_usage([tokens([[0, 1], [2, 3]])], 1)] == [2]


def anchors(identity: float, noise: float, column: Column) -> list[Entry]:
    return [
        Entry(
            name=name, kind="anchor", family=name, note="",
            figures={column.key: Figure(mean=value, low=value, high=value, n=3)},
        )
        for name, value in (("identity", identity), ("noise", noise))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("identity", "noise", "alarms"),
    [(4.6, 1.0, []), (4.0, 1.0, ["identity"]), (4.6, 3.0, ["noise"]), (3.0, 3.0, ["identity", "noise"])],
)
def test_anchors_that_are_off_are_named(identity: float, noise: float, alarms: list[str]) -> None:
    higher = Measure(column=GOOD, score=lambda pair: Score(0.0), ceiling=4.5, floor=2.0)
    lower = Measure(column=BAD, score=lambda pair: Score(0.0), ceiling=-4.5, floor=-2.0)
    assert [line.split()[2] for line in check_anchors([higher], anchors(identity, noise, GOOD))] == alarms
    assert [line.split()[2] for line in check_anchors([lower], anchors(-identity, -noise, BAD))] == alarms


def test_an_anchor_without_a_figure_or_a_bound_raises_no_alarm() -> None:
    higher = Measure(column=GOOD, score=lambda pair: Score(0.0), ceiling=4.5, floor=2.0)
    free = Measure(column=GOOD, score=lambda pair: Score(0.0))
    assert check_anchors([higher], anchors(math.nan, math.nan, GOOD)) == []
    assert check_anchors([free], anchors(0.0, 9.0, GOOD)) == []
    assert check_anchors([higher], []) == []


def test_the_summary_says_what_was_read_by_probes_and_reported_by_others() -> None:
    figure = Figure(mean=0.5, low=math.nan, high=math.nan, n=1, excluded=1, reasons={"silent": 1})
    entry = Entry(name="x", kind="tokenizer", family="x", note="", figures={"good": figure},
                  reported={"good": (0.7, "a paper")})  # fmt: skip
    probe = ProbeRow(entry="x", probe="speaker", view="level 1", metric="top-1 accuracy", better="higher",
                     figure=figure, chance=0.1, majority=math.nan, note="folds")  # fmt: skip
    card = Card(title="", lead="", columns=[GOOD], entries=[entry], probes=[probe])
    cells = to_json(card)["x"]
    assert cells["good"] == {
        "mean": 0.5, "interval": None, "n": 1, "excluded": 1, "reasons": {"silent": 1}, "unit": "", "better": "higher",
        "settings": "how good", "reported": 0.7, "reported_by": "a paper",
    }  # fmt: skip
    assert (
        cells["probe/speaker/level 1/top-1 accuracy"] | {"chance": 0.1, "majority": None}
        == cells["probe/speaker/level 1/top-1 accuracy"]
    )


def test_a_run_with_alarms_does_not_end_well() -> None:
    raise_alarms(Card(title="", lead="", columns=[], entries=[]))
    with pytest.raises(VocableError, match="anchor off"):
        raise_alarms(Card(title="", lead="", columns=[], entries=[], alarms=["anchor off: noise"]))
