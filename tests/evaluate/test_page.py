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
from vocable.evaluate.page import render_template

FOLDERS = [Path(str(package.__file__)).parent for package in (vocable.evaluate.page, vocable_lab.listening)]
ASSETS = sorted(file for folder in FOLDERS for file in folder.iterdir() if file.suffix in (".css", ".js"))


def test_a_name_that_is_no_text_can_be_written() -> None:
    html = render_template("base.html.j2", title=os.fsdecode(b"caf\xe9 & co.wav"))
    assert "<title>caf? &amp; co.wav</title>" in html


def test_a_hostile_title_stays_text() -> None:
    html = render_template("base.html.j2", title="</title><script>alert(1)</script>\u202e")
    assert "<script" not in html
    assert "<title>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;\u202e</title>" in html


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
