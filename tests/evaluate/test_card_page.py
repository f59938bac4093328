"""The report card in the eyes of a parser and of a real browser, with scripts and without."""

import base64
import dataclasses
import hashlib
import io
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.evaluate.cards import BAD, FIGURES, card
from vocable.errors import OutputError
from vocable.evaluate import card_sounds
from vocable.evaluate.card import Card, Column, Entry, Sample
from vocable.evaluate.card_page import card_to_markdown, render_card, write_card
from vocable.evaluate.card_plots import families, plot
from vocable.evaluate.card_sounds import longest_heard
from vocable.evaluate.card_text import best, main_columns
from vocable.metrics.score import Figure
from vocable.testing import speechlike

VOID = {"meta", "link", "img", "br"}


class Tree(HTMLParser):
    """Elements with attributes; a closing tag that closes something else is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def plain() -> str:
    return render_card(card())


@pytest.fixture(scope="module")
def hostile() -> str:
    return render_card(card(BAD))


@pytest.fixture
def opened(browser: Any, tmp_path: Path, hostile: str) -> Iterator[Any]:
    """The page with hostile texts; whatever a browser complains of or asks for fails the test."""
    path = tmp_path / "report.html"
    path.write_text(hostile, encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append("a dialog") or dialog.dismiss())
    page.on(
        "request",
        lambda request: None if request.url.startswith(("data:", path.as_uri())) else complaints.append(request.url),
    )
    page.add_init_script("addEventListener('securitypolicyviolation', (e) => console.error(e.violatedDirective))")
    page.goto(path.as_uri())
    yield page
    page.close()
    assert complaints == []


def column_texts(page: Any, title: str, at: int) -> list[str]:
    rows = page.locator(f"[aria-label='{title}'] tbody tr")
    return rows.evaluate_all(f"rows => rows.map(row => row.cells[{at}].firstChild.textContent)")


# ---- the text of the page -------------------------------------------------------------------------------------------


def test_the_same_card_gives_the_same_bytes(plain: str) -> None:
    assert render_card(card()) == plain


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
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
    bare = re.sub(r"data:[\w/]+;base64,[\w+/=]+", "", hostile)
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
    assert best(made, by_key["pesq_wb"]) == {"Opus 12k"}  # identity is better, but an anchor
    assert best(made, by_key["wer@ps-5.1.1"]) == {"Opus 12k"}
    assert best(made, by_key["bit_rate"]) == set()


def test_a_card_of_nothing_and_one_of_others_columns_can_be_written(tmp_path: Path) -> None:
    write_card(tmp_path / "report.html", Card(title="empty", lead="", columns=[], entries=[]))
    assert "<h1>empty</h1>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    column = Column(key="topp", title="TopP", better="higher", caption="")
    figure = Figure(mean=0.5, low=math.nan, high=math.nan, n=1)
    entry = Entry(name="a", kind="tokenizer", family="a", note="", figures={"topp": figure})
    lone = Card(title="lone", lead="", columns=[column], entries=[entry])
    assert main_columns(lone) == [column]
    assert Tree(render_card(lone)).open == []
    with pytest.raises(OutputError, match="cannot be written"):
        write_card(tmp_path / "nowhere" / "report.html", lone)


# ---- plots ----------------------------------------------------------------------------------------------------------


def test_families_never_look_alike() -> None:
    found = families(card().entries)
    assert [family.name for family in found] == ["guided-small", "spectral-tiny", "Opus", "Codec2", "Speex 4k"]
    assert [len(family.entries) for family in found] == [3, 2, 2, 2, 1]
    assert len({(family.look, family.mark) for family in found}) == len(found)
    assert [family.look == "other" for family in found] == [False, False, True, True, True]


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_marks_lie_where_the_figures_are(better: Any) -> None:
    rates, means = [500.0, 1000.0, 2000.0, 4000.0], [1.0, 2.0, 3.0, 4.0]
    column = Column(key="x", title="x", better=better, caption="")
    entries = [
        Entry(name=f"e{at}", kind="codec", family=f"f{at}", note="", bit_rate=rate,
              figures={"x": Figure(mean=mean, low=mean - 0.5, high=mean + 0.5, n=9)})
        for at, (rate, mean) in enumerate(zip(rates, means, strict=True))
    ]  # fmt: skip
    svg = plot(column, families(entries), {"identity": 5.0, "noise": 99.0})
    marks = re.findall(r"<path class=mark transform='translate\(([\d.]+) ([\d.]+)\)'", svg)
    x, y = np.array(marks, dtype=float).T
    assert np.diff(x) == pytest.approx(np.diff(x)[0], abs=0.2)  # the scale is logarithmic
    assert np.diff(y) == pytest.approx(np.diff(y)[0], abs=0.2)
    assert np.diff(y)[0] < 0  # larger is further up, whichever is better
    assert svg.count("class=anchor ") == 1  # one line; what lies far outside is named at the edge
    assert "noise 99.00 ↑" in svg
    assert [f">e{at}</text>" in svg for at in range(4)] == [True] * 4


def test_names_in_a_plot_lie_apart() -> None:
    made = card()
    svg = plot(made.columns[0], families(made.entries), {"identity": 4.64, "noise": 1.03})
    boxes = []
    for x, y, look, text in re.findall(r"<text x='([\d.]+)' y='([\d.]+)' class='(\S+.*?)'>([^<]+)<", svg):
        side = look.split()[-1]
        left = float(x) - 5.9 * len(text) * {"start": 0, "mid": 0.5, "end": 1}[side]
        boxes.append((left, float(y) - 9, left + 5.9 * len(text), float(y) + 2))
    assert len(boxes) >= 5
    for at, a in enumerate(boxes):
        for b in boxes[:at]:
            assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]


def test_what_has_no_figure_or_no_rate_is_not_drawn() -> None:
    column = card().columns[0]
    nothing = Figure(mean=math.nan, low=math.nan, high=math.nan, n=0)
    entries = [
        Entry(name="a", kind="codec", family="a", note="", bit_rate=1000.0, figures={column.key: nothing}),
        Entry(
            name="b",
            kind="decoded",
            family="b",
            note="",
            figures={column.key: Figure(mean=1.0, low=1.0, high=1.0, n=1)},
        ),
    ]
    assert plot(column, families(entries), {}) == ""


# ---- sounds ---------------------------------------------------------------------------------------------------------


def test_a_sound_is_in_the_page_once(plain: str) -> None:
    made = card()
    sounds = {sample.recording.samples.tobytes() for sample in made.samples}
    sounds |= {audio.samples.tobytes() for sample in made.samples for audio, _ in sample.made.values()}
    assert plain.count("data:audio/flac") == len(sounds)
    players = [attributes for tag, attributes in Tree(plain).elements if tag == "audio"]
    assert len(players) == sum(1 + len(sample.made) for sample in made.samples)
    assert all(attributes["preload"] == "none" for attributes in players)


def test_long_clips_are_cut_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch, plain: str) -> None:
    assert "are heard for" not in plain
    monkeypatch.setattr(card_sounds, "_SECONDS", 5.0)
    recording = speechlike(16_000 * 6)
    sample = Sample(utterance="long", why="worst STOI of a", facts={}, recording=recording, made={})
    page = render_card(dataclasses.replace(card(), samples=[sample]))
    assert "Clips are heard for 5 s at most" in page
    (sound,) = re.findall(r"data:audio/flac;base64,([^']+)", page)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound)), dtype="float32")
    assert samples.size == 5 * rate
    assert np.abs(samples - recording.samples[: samples.size].clip(-1, 1)).max() <= 1 / 32_768


def test_the_budget_is_shared_fairly() -> None:
    durations = list(np.random.default_rng(0).uniform(1, 35, 80))
    longest = longest_heard(durations, 600.0)
    assert 600 - 80 <= sum(min(longest, duration) for duration in durations) <= 600
    assert longest_heard([3.0, 4.0], 600.0) == math.inf


# ---- Markdown -------------------------------------------------------------------------------------------------------


def test_markdown_says_figures_probes_alarms_and_what_is_left_out() -> None:
    text = card_to_markdown(card())
    assert "| guided-small | 4,000 | 2.59 (2.53–2.65) | 0.905 (0.897–0.913) | 31.0 (28.0–34.0) |" in text
    assert "| Codec2 700C | 700 | 1.12 (1.08–1.15), n = 77, 3 left out |" in text
    assert "| guided-small | content | level 1 | PER, % ↓ | 31.0 (28.0–34.0), n = 412 | – | – |" in text
    assert "WARNING" not in text
    assert "- AMR-WB: no encoder here" in text


def test_hostile_text_is_text_in_markdown() -> None:
    text = card_to_markdown(card(BAD))
    assert "> [!WARNING]" in text
    assert "<" not in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert "\n" not in card_to_markdown(Card(title="a\n# b", lead="", columns=[], entries=[])).split("\n\n")[0]


# ---- a real browser -------------------------------------------------------------------------------------------------


def test_a_clip_plays_and_only_one_at_a_time(opened: Any) -> None:
    heard = opened.evaluate(
        """async () => {
          const [one, two] = document.querySelectorAll("audio");
          const until = async (what) => { while (!what()) await new Promise((done) => setTimeout(done, 10)); };
          one.loop = two.loop = true;
          await one.play();
          await until(() => one.currentTime > 0);
          await two.play();
          await until(() => two.currentTime > 0);
          const again = document.querySelector(".again audio");
          again.loop = true;
          await again.play();
          await until(() => again.currentTime > 0);
          return [one.paused, two.paused, again.paused, again.duration];
        }"""
    )
    assert heard == [True, True, False, pytest.approx(0.5, abs=0.01)]


def test_a_table_is_sorted_by_click_and_by_keyboard(opened: Any) -> None:
    by_pesq = sorted(FIGURES, key=lambda name: -FIGURES[name][3])
    head = opened.locator("[aria-label='All figures'] th button", has_text="PESQ-WB").first
    head.click()
    assert column_texts(opened, "All figures", 0) == by_pesq
    assert head.locator("..").get_attribute("aria-sort") == "descending"
    head.press("Enter")
    assert column_texts(opened, "All figures", 0) == by_pesq[::-1]
    assert head.locator("..").get_attribute("aria-sort") == "ascending"
    lower = opened.locator("[aria-label='All figures'] th button", has_text="WER").first
    lower.press("Space")
    assert column_texts(opened, "All figures", 0) == sorted(FIGURES, key=lambda name: FIGURES[name][5])
    assert opened.locator("[aria-label='All figures'] [aria-sort]").count() == 1
    undefined = opened.locator("[aria-label='All figures'] th button", has_text="SI-SDR").first
    for _ in range(2):
        undefined.click()
        assert column_texts(opened, "All figures", 0)[-1] == "elsewhere"


def test_a_metric_is_chosen(opened: Any) -> None:
    select = opened.locator(".choice select").first
    assert opened.locator(".choice").first.locator("table:visible").count() == 1
    select.select_option("WER, % ↓")
    table = opened.locator(".choice").first.locator("table:visible")
    assert table.locator("tbody td").nth(1).inner_text().split("\n")[0] == "32.5"


def test_nothing_is_wider_than_a_phone(opened: Any) -> None:
    opened.set_viewport_size({"width": 390, "height": 844})
    opened.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert opened.evaluate("document.documentElement.scrollWidth") == 390
    small = opened.evaluate(
        "[...document.querySelectorAll('.plot:not(details *) text')].map((t) => t.getBoundingClientRect().height)"
    )
    assert min(small) >= 10


def test_without_scripts_the_same_figures_are_read(browser: Any, tmp_path: Path, plain: str) -> None:
    path = tmp_path / "report.html"
    path.write_text(plain, encoding="utf-8")
    shown = {}
    for enabled in (True, False):
        context = browser.new_context(java_script_enabled=enabled)
        page = context.new_page()
        page.goto(path.as_uri())
        shown[enabled] = [" ".join(text.split()) for text in page.locator("td, th").all_text_contents()]
        if not enabled:
            assert page.locator("text=this sound stands further up").count() > 0
            panel = page.locator(".choice details").nth(1)
            panel.locator("summary").click()
            assert panel.locator("table").is_visible()
        context.close()
    assert shown[True] == shown[False]
    assert len(shown[True]) > 500
