"""The page in a real browser: raters with a telephone and with a keyboard go through it to the end."""

import csv
import re
from pathlib import Path
from typing import Any

from tests.lab.listening.listening import build_test
from vocable_lab.listening.analysis import analyze
from vocable_lab.listening.build import ListeningTest, build
from vocable_lab.listening.key import read_key


def _open(browser: Any, built: ListeningTest, **options: Any) -> tuple[Any, list[str]]:
    """The page, where a rater would find it, and what the console complained of."""
    page = browser.new_context(**options).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("file:", "data:", "blob:")) or said.append(request.url))
    page.goto(built.page.as_uri())
    return page, said


def _hear_all(page: Any) -> None:
    for button in page.locator("#sounds .play").all():
        button.click()
        page.wait_for_function("button => button.classList.contains('played')", arg=button.element_handle())


def _fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def _save(page: Any, folder: Path) -> Path:
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save the ratings file").click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def test_a_rater_with_a_telephone_goes_through_a_mushra_test(
    browser: Any, folders: dict[str, Path], tmp_path: Path
) -> None:
    built = build_test(folders, tmp_path / "test.html", scales=("quality", "prosody"))
    key = read_key(built.key)
    telephone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page, said = _open(browser, built, **telephone)
    assert _fits(page)
    page.get_by_role("textbox", name="Your rater id").fill("../no")
    page.get_by_role("button", name="Start").tap()
    assert page.locator("#start").is_visible()  # the id would be a file's name
    page.get_by_role("textbox", name="Your rater id").fill("ann")
    page.get_by_role("button", name="Start").tap()
    seen = []
    for at in range(built.screens):
        assert page.locator("#count").inner_text() == f"{at + 1} of {built.screens}"
        assert _fits(page)
        sliders = page.get_by_role("slider")
        assert sliders.first.is_disabled()
        assert "to the end" in page.locator("#hint").inner_text()
        _hear_all(page)
        count = sliders.count()
        assert count == (5 if at < 2 else 3)
        for place in range(count):
            assert page.locator("#next").is_disabled()
            sliders.nth(place).focus()
            page.keyboard.press("End")
            for _ in range(place):
                page.keyboard.press("ArrowLeft")
            assert sliders.nth(place).get_attribute("aria-valuetext") == f"{100 - place}, Excellent"
        seen.append(page.locator("#question").inner_text())
        if at == 1:  # a rater may close the page and come back
            page.locator("#next").click()
            page.reload()
            page.get_by_role("textbox", name="Your rater id").fill("ann")
            page.get_by_role("button", name="Start").tap()
        else:
            page.locator("#next").click()
    assert len(set(seen[:2])) == len(set(seen[2:])) == 1  # each scale by itself
    assert _fits(page)
    path = _save(page, tmp_path)
    assert path.name == f"ratings-{key.test}-ann.csv"
    found = analyze([path], built.key)
    assert [*found.raters, *found.excluded] == ["ann"]
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert sorted(row["stimulus"] for row in rows) == sorted(key.stimuli)
    assert all(0 < float(row["seconds"]) < 60 for row in rows)
    assert {row["rating"] for row in rows} == {"100", "99", "98", "97", "96"}
    assert said == []


def test_a_rater_with_a_keyboard_goes_through_a_mos_test(
    browser: Any, folders: dict[str, Path], tmp_path: Path
) -> None:
    built = build(folders["recordings"], {"codec-two": folders["codec-two"]}, tmp_path / "test.html", kind="mos")
    key = read_key(built.key)
    page, said = _open(browser, built, viewport={"width": 1000, "height": 800}, color_scheme="dark")
    page.get_by_role("button", name="Play a clip").click()
    page.get_by_text("Play it again").wait_for()
    page.get_by_role("textbox", name="Your rater id").fill("bob")
    page.keyboard.press("Enter")
    for _ in range(built.screens):
        named = page.locator("#question").inner_text()
        assert page.get_by_role("button", name=re.compile("^Play Reference")).count() == ("quality" not in named)
        assert page.get_by_role("radio").count() == 5
        assert page.get_by_role("radio", name="5 Excellent").is_disabled()
        for button in page.locator("#sounds .play").all():
            button.focus()
            page.keyboard.press("Space")
            page.wait_for_function("button => button.classList.contains('played')", arg=button.element_handle())
        page.get_by_role("radio", name="4 Good").focus()
        page.keyboard.press("Space")
        page.locator("#next").focus()
        page.keyboard.press("Enter")
    path = _save(page, tmp_path)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1 + len(key.stimuli)
    assert analyze([path], built.key).excluded == {"bob": f"all {len(key.stimuli)} ratings are 4"}
    assert said == []


def test_every_rater_has_an_order_of_their_own_and_keeps_it(browser: Any, mushra: ListeningTest) -> None:
    orders = {}
    for rater in ("ann", "bob", "cat", "ann"):
        page, _ = _open(browser, mushra)
        page.evaluate("""() => { window.Audio = class {
            constructor(from) { (window.made ??= []).push(from); }
            addEventListener() {}
            pause() {}
        }; }""")
        page.get_by_role("textbox", name="Your rater id").fill(rater)
        page.get_by_role("button", name="Start").click()
        heard = page.evaluate("window.made")
        assert orders.setdefault(rater, heard) == heard
        page.context.close()
    assert len({tuple(order) for order in orders.values()}) == 3


def test_without_storage_the_page_still_works(browser: Any, mushra: ListeningTest) -> None:
    page, said = _open(browser, mushra)
    page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('forbidden'); }})")
    page.reload()
    assert page.locator("#memory").inner_text() == ""
    page.get_by_role("textbox", name="Your rater id").fill("ann")
    page.get_by_role("button", name="Start").click()
    assert page.get_by_role("slider").count() == 5
    assert said == []
