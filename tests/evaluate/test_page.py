"""Templates and assets of pages: text stays text, a script runs only if the policy names it, assets parse."""

import base64
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest

import vocable.evaluate.page
import vocable_lab.listening
from vocable.evaluate.page import isolate, render_template

FOLDERS = [Path(str(package.__file__)).parent for package in (vocable.evaluate.page, vocable_lab.listening)]
ASSETS = sorted(file for folder in FOLDERS for file in folder.iterdir() if file.suffix in (".css", ".js"))


def test_a_name_that_is_no_text_can_be_written() -> None:
    html = render_template("base.html.j2", title=os.fsdecode(b"caf\xe9 & co.wav"))
    assert "<title>caf? &amp; co.wav</title>" in html


def test_a_hostile_title_stays_text() -> None:
    html = render_template("base.html.j2", title="</title><script>alert(1)</script>\u202e")
    assert "<script" not in html
    assert "<title>\u2068&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;\u202e\u2069</title>" in html


def test_a_page_without_a_script_allows_none() -> None:
    html = render_template("base.html.j2", title="title")
    assert "script" not in html
    assert "default-src 'none'" in html


def test_the_policy_names_the_script_there_is() -> None:
    html = render_template("base.html.j2", title="title", script="report.js")
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    (digest,) = re.findall(r"script-src 'sha256-([^']+)'", html)
    assert base64.b64decode(digest) == hashlib.sha256(script.encode()).digest()
    assert script == (FOLDERS[0] / "report.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("asset", ASSETS, ids=lambda file: file.name)
def test_an_asset_can_be_inlined_and_refers_to_nothing(asset: Path) -> None:
    text = asset.read_text(encoding="utf-8")
    assert "</" not in text
    assert not re.search(r"https?:|@import|url\(|innerHTML|eval", text)
    bare = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for opening, closing in ("{}", "()", "[]"):
        assert bare.count(opening) == bare.count(closing)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_browser_parses_every_asset(browser: Any, folder: Path) -> None:
    page = browser.new_page()
    for asset in sorted(folder.glob("*.js")):
        page.evaluate("source => { new Function(source); }", asset.read_text(encoding="utf-8"))
    for asset in sorted(folder.glob("*.css")):
        text = re.sub(r"\S*::-moz[^}]*\}", "", asset.read_text(encoding="utf-8"))  # another browser's
        rules = page.evaluate(
            """source => {
              const sheet = new CSSStyleSheet();
              sheet.replaceSync(source);
              return [...sheet.cssRules].filter((rule) => rule.style && !rule.style.length).length
                || -sheet.cssRules.length;
            }""",
            text,
        )
        top = len(re.findall(r"\{", re.sub(r"@media[^{]*\{((?:[^{}]*\{[^{}]*\})*[^{}]*)\}", "{}", text)))
        assert rules == -top, f"{asset.name}: a rule of the file is not one of the browser's, or is empty"
    page.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clip-1.wav", "clip-1.wav"),
        ("\u202eabc", "\u2068\u202eabc\u2069"),
        ("שלום", "\u2068שלום\u2069"),
        ("a\u2067b", "\u2068a\u2067b\u2069\u2069"),  # its own isolate is closed
        ("a\u2069\u2069\u202eb", "\u2068a\u202eb\u2069"),  # it cannot end the isolation
        ("\u2066a\u2069\u2069b", "\u2068\u2066a\u2069b\u2069"),
    ],
)
def test_the_direction_of_a_text_stays_with_it(text: str, expected: str) -> None:
    assert isolate(text) == expected
    assert f"<title>{expected}</title>" in render_template("base.html.j2", title=text)
