"""The page in the eyes of a parser: well formed, closed in itself, and with every figure."""

import base64
import hashlib
import math
import re
from pathlib import Path

import pytest

from tests.evaluate.card.cards import BAD, card
from tests.evaluate.tree import Tree
from vocable.errors import OutputError
from vocable.evaluate.card import Card, Column, Entry
from vocable.evaluate.page.report import render_report, write_report
from vocable.metrics.score import Figure


def test_the_same_card_gives_the_same_bytes(plain: str) -> None:
    assert render_report(card()) == plain


def test_the_page_is_well_formed_described_and_refers_to_nothing_outside(hostile: str) -> None:
    tree = Tree(hostile)
    assert tree.open == []
    ids = [attributes["id"] for _, attributes in tree.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in tree.elements:
        assert tag not in ("iframe", "object", "embed", "form", "base")
        assert not any(name.startswith("on") for name in attributes), f"{tag} {attributes}"
        for name in ("src", "href"):
            target = attributes.get(name) or "data:"
            assert target.startswith("data:") or target.removeprefix("#") in ids
        if tag in ("img", "audio"):
            assert attributes.get("alt") or attributes.get("aria-label")
        assert tag != "svg"  # their ids would clash: plots are images
    bare = re.sub(r"data:[\w/+]+;base64,[\w+/=]+", "", hostile)
    assert not re.search(r"https?:|@import|url\(", bare)


def test_only_our_script_may_run_whatever_the_texts_are(hostile: str) -> None:
    tree = Tree(hostile)
    assert [tag for tag, _ in tree.elements].count("script") == 1
    (script,) = re.findall(r"<script>(.*?)</script>", hostile, re.S)
    policy = next(str(attributes["content"]) for _, attributes in tree.elements if "http-equiv" in attributes)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.split("; ")[0] == "default-src 'none'"
    assert f"script-src 'sha256-{digest}'" in policy
    assert "<img src=x" not in hostile
    assert any(BAD in text for text in tree.texts)


def test_every_figure_of_the_card_stands_on_the_page(plain: str) -> None:
    text = " ".join(Tree(plain).texts)
    made = card()
    for entry in made.entries:
        for column in made.columns:
            figure = entry.figures.get(column.key)
            if figure is not None and not math.isnan(figure.mean):
                by = 100 if column.unit == "%" else 1
                assert f"{by * figure.mean:{column.form}}".replace("-", "−") in text, f"{entry.name} {column.key}"
    for wanted in ("2.72", "table 3", "n 77, 3 left out", "n 0, 80 left out", "2.53–2.65", "0.80–1.60", "undefined"):
        assert wanted in text
    for row in made.probes:
        assert f"{100 * row.figure.mean:.1f}" in text
    assert "nan" not in re.sub(r"<script>.*", "", text)


def test_reasons_captions_and_what_is_missing_are_said(plain: str) -> None:
    tree = Tree(plain)
    titles = [attributes["title"] for _, attributes in tree.elements if "title" in attributes]
    assert {"3 × silent", "80 × too short", "Word errors of ps-5.1.1."} <= set(titles)
    text = " ".join(tree.texts)
    for wanted in (
        "Codec2 700C, PESQ-WB: 3 × silent",
        "no sound",
        "AMR-WB: no encoder here",
        '"seed": 0',
        "wer@ps-5.1.1",
        "5 seeds, other speakers",
    ):
        assert wanted in text


def test_alarms_are_loud_and_absent_when_all_is_well(plain: str, hostile: str) -> None:
    assert "role=alert" not in plain
    assert hostile.index("role=alert") < hostile.index("class=tiles")


def test_the_best_is_the_best_of_those_that_compete() -> None:
    made = card()
    by_key = {column.key: column for column in made.columns}
    assert made.best_entries(by_key["pesq_wb"]) == {"Opus 12k"}  # identity is better, but an anchor
    assert made.best_entries(by_key["wer@ps-5.1.1"]) == {"Opus 12k"}
    assert made.best_entries(by_key["bit_rate"]) == set()


def test_a_card_of_nothing_and_one_of_others_columns_can_be_written(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", Card(title="empty", lead="", columns=[], entries=[]))
    assert "<h1>empty</h1>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    column = Column(key="topp", title="TopP", better="higher", caption="")
    figure = Figure(mean=0.5, low=math.nan, high=math.nan, n=1)
    entry = Entry(name="a", kind="tokenizer", family="a", note="", figures={"topp": figure})
    lone = Card(title="lone", lead="", columns=[column], entries=[entry])
    assert lone.main_columns == [column]
    assert Tree(render_report(lone)).open == []
    with pytest.raises(OutputError, match="cannot be written"):
        write_report(tmp_path / "nowhere" / "report.html", lone)
