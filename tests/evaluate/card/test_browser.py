"""The page in a real browser, with scripts and without."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.evaluate.browser import opened
from tests.evaluate.card.cards import FIGURES
from vocable.evaluate.card import Card
from vocable.evaluate.page.report import render_report


@pytest.fixture
def shown(browser: Any, tmp_path: Path, hostile: str) -> Iterator[Any]:
    """The page with hostile texts."""
    path = tmp_path / "report.html"
    path.write_text(hostile, encoding="utf-8")
    with opened(browser, path) as page:
        yield page


def column_texts(page: Any, title: str, at: int) -> list[str]:
    rows = page.locator(f"[aria-label='{title}'] tbody tr")
    return rows.evaluate_all(f"rows => rows.map(row => row.cells[{at}].firstChild.textContent)")


def test_a_clip_plays_and_only_one_at_a_time(shown: Any) -> None:
    heard = shown.evaluate(
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


def test_a_table_is_sorted_by_click_and_by_keyboard(shown: Any) -> None:
    by_pesq = sorted(FIGURES, key=lambda name: -FIGURES[name][3])
    head = shown.locator("[aria-label='All figures'] th button", has_text="PESQ-WB").first
    head.click()
    assert column_texts(shown, "All figures", 0) == by_pesq
    assert head.locator("..").get_attribute("aria-sort") == "descending"
    head.press("Enter")
    assert column_texts(shown, "All figures", 0) == by_pesq[::-1]
    assert head.locator("..").get_attribute("aria-sort") == "ascending"
    lower = shown.locator("[aria-label='All figures'] th button", has_text="WER").first
    lower.press("Space")
    assert column_texts(shown, "All figures", 0) == sorted(FIGURES, key=lambda name: FIGURES[name][5])
    assert shown.locator("[aria-label='All figures'] [aria-sort]").count() == 1
    undefined = shown.locator("[aria-label='All figures'] th button", has_text="SI-SDR").first
    for _ in range(2):
        undefined.click()
        assert column_texts(shown, "All figures", 0)[-1] == "elsewhere"


def test_a_metric_is_chosen(shown: Any) -> None:
    select = shown.locator(".choice select").first
    assert shown.locator(".choice").first.locator("table:visible").count() == 1
    select.select_option("WER, % ↓")
    table = shown.locator(".choice").first.locator("table:visible")
    assert table.locator("tbody td").nth(1).inner_text().split("\n")[0] == "32.5"


def test_nothing_is_wider_than_a_phone(shown: Any) -> None:
    shown.set_viewport_size({"width": 390, "height": 844})
    shown.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert shown.evaluate("document.documentElement.scrollWidth") == 390
    small = shown.evaluate(
        "[...document.querySelectorAll('.plot:not(details *) img')].map((p) => p.width / p.naturalWidth)"
    )
    assert 0.9 * 8 * 96 / 72 * min(small) >= 8  # pixels of the smallest letters, which have 8 points


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
            assert page.locator("text=the same sound as above").count() > 0
            panel = page.locator(".choice details").nth(1)
            panel.locator("summary").click()
            assert panel.locator("table").is_visible()
        context.close()
    assert shown[True] == shown[False]
    assert len(shown[True]) > 500


def test_a_wide_table_says_that_it_goes_on_until_its_end_is_seen(shown: Any) -> None:
    box = shown.locator("[aria-label='All figures']")
    shown.set_viewport_size({"width": 500, "height": 900})
    hint = box.locator("xpath=following-sibling::p[1]")
    hint.wait_for(state="visible")
    assert "goes on to the right" in hint.text_content()
    box.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
    hint.wait_for(state="hidden")
    shown.set_viewport_size({"width": 6000, "height": 900})
    box.evaluate("box => { box.scrollLeft = 0; }")
    hint.wait_for(state="hidden")


@pytest.mark.parametrize("name", ["\u202eclip", "\u2067a", "\u2069\u202eclip", "שלום", "clip\u202b", "a\u2066\u202eb"])
def test_marks_of_direction_in_a_name_turn_nothing_but_the_name(browser: Any, tmp_path: Path, name: str) -> None:
    made = Card(
        title=f"{name} first", lead="lead", columns=[], entries=[], quarantined={name: f"{name}: cannot be read; abc"},
        left_out=[f"{name} left out"], findings=[f"{name} is good"],
    )  # fmt: skip
    path = tmp_path / "report.html"
    path.write_text(render_report(made), encoding="utf-8")
    with opened(browser, path) as page:
        positions = page.evaluate(
            """() => {
              const node = document.querySelector("#missing ~ ul li").lastElementChild.previousSibling;
              const place = (at) => { const range = document.createRange(); range.setStart(node, at);
                range.setEnd(node, at + 1); return range.getBoundingClientRect().left; };
              const code = document.querySelector("#missing ~ ul li code").getBoundingClientRect();
              return [code.left, place(0)];
            }"""
        )
        assert positions[0] < positions[1]  # the colon stands after the name
