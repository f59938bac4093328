"""The demo: figures, files and a page that agree, whatever the recording and its name."""

import base64
import io
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests.evaluate.browser import opened
from tests.evaluate.tree import Tree
from tests.models import ready
from vocable.audio import Audio, find_audio
from vocable.errors import AudioError, MissingDependencyError, OutputError
from vocable.evaluate import demo as module
from vocable.evaluate.card import Entry
from vocable.evaluate.demo import Demo, find_recording, level_counts, run_demo
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.testing import speechlike
from vocable.tokens import Tokens

HOSTILE = "<script>alert(1)</script>.wav"  # a folder "<script>alert(1)<" with a file "script>.wav"


class Page(Tree):
    """With the rows of its tables, the first text of each cell, and the sounds in it."""

    def __init__(self, html: str) -> None:
        self.rows: list[list[str]] = []
        super().__init__(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attributes)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        if {"td", "th"} & {*self.open} and not self.rows[-1][-1]:  # what is small stands below
            self.rows[-1][-1] = data.strip()

    def sounds(self) -> list[Audio]:
        sources = [attributes["src"] for tag, attributes in self.elements if tag == "audio"]
        data = [soundfile.read(io.BytesIO(base64.b64decode(str(source).split(",", 1)[1]))) for source in sources]
        return [Audio(samples.astype(np.float32), rate) for samples, rate in data]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tokenizer of four levels."""
    folder = tmp_path_factory.mktemp("model")
    ready("spectral").save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def made(model: str, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A run on a file with a hostile name, at another rate than the tokenizer's."""
    folder = tmp_path_factory.mktemp("in")
    path = folder / HOSTILE
    path.parent.mkdir()
    speechlike(33_000, 22_050).write(path)
    return run_demo(path, tmp_path_factory.mktemp("out") / "a" / "b", model)


@pytest.fixture(scope="module")
def html(made: Demo) -> str:
    return made.report_file.read_text(encoding="utf-8")


def test_files_hold_what_was_made(made: Demo, model: str) -> None:
    tokenizer = GuidedTokenizer.load(model)
    tokens = Tokens.read(made.token_file)
    assert tokens.tokenizer == made.tokens.tokenizer == tokenizer.digest
    assert torch.equal(tokens.ids, made.tokens.ids)
    speech = tokenizer.decode(tokens).samples.clip(-1, 1)
    assert np.abs(Audio.read(made.speech_file).samples - speech).max() <= 1 / 32_768
    names = sorted(file.name for file in made.report_file.parent.iterdir())
    assert names == ["report.html", "script>.decoded.wav", "script>.tokens"]


def tokenizer_entries(made: Demo) -> list[Entry]:
    return [entry for entry in made.card.entries if entry.kind == "tokenizer"]


def test_levels_are_halved_down_to_one(made: Demo) -> None:
    entries = tokenizer_entries(made)
    assert [len(entry.usage) for entry in entries] == [4, 2, 1]
    seconds = made.recording.audio.duration
    for entry, rate in zip(entries, (800.0, 400.0, 200.0), strict=True):
        assert entry.bit_rate == pytest.approx(rate, abs=rate * 0.02 / seconds + 8 / seconds)  # whole frames and bytes
        assert 0 <= entry.figures["bit_rate_entropy_coded"].mean <= rate


def test_another_number_of_levels(tmp_path: Path) -> None:
    ready("seanet").save(tmp_path / "model")
    speechlike(8_000).write(tmp_path / "short.wav")
    made = run_demo(tmp_path / "short.wav", tmp_path / "out", str(tmp_path / "model"))
    assert [entry.name for entry in made.card.entries] == ["model", "model@2", "model@1", "identity", "noise"]
    assert [len(entry.usage) for entry in tokenizer_entries(made)] == [3, 2, 1]
    page = Page(made.report_file.read_text(encoding="utf-8"))
    assert [row[0] for row in page.rows[1:6]] == [entry.name for entry in made.card.entries]
    assert [label for label, _ in made.rows() if label.startswith("Kept")] == [
        "Kept by 3 levels", "Kept by 2 levels", "Kept by 1 level",
    ]  # fmt: skip


@pytest.mark.parametrize(("levels", "counts"), [(1, [1]), (2, [2, 1]), (3, [3, 2, 1]), (8, [8, 4, 2, 1])])
def test_any_number_of_levels(levels: int, counts: list[int]) -> None:
    assert level_counts(levels) == counts


def test_the_page_refers_to_nothing_outside(html: str) -> None:
    page = Page(html)
    anchors = {f"#{attributes['id']}" for _, attributes in page.elements if "id" in attributes}
    for tag, attributes in page.elements:
        assert tag not in ("iframe", "object", "embed", "form", "base")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "poster", "action", "xlink:href"):
            target = str(attributes.get(name) or "data:")
            assert target.startswith("data:") or target in anchors, f"{tag} {name}"
    bare = re.sub(r"data:[\w/+]+;base64,[\w+/=]+", "", html)
    assert not re.search(r"https?:|@import|url\(", bare)
    policy = next(attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes)
    assert "default-src 'none'" in str(policy)


def test_the_page_shows_a_hostile_name_as_text(html: str) -> None:
    assert html.count("<script") == 1  # the report's own
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.wav" in html  # in the command
    assert "script>.wav" in Page(html).texts  # the title


def test_the_page_is_well_formed_and_described(html: str) -> None:
    page = Page(html)
    assert page.open == []
    tags = [tag for tag, _ in page.elements]
    for tag in ("html", "head", "title", "main", "h1"):
        assert tags.count(tag) == 1
    assert all(attributes.get("alt") for tag, attributes in page.elements if tag == "img")
    assert all(attributes.get("aria-label") for tag, attributes in page.elements if tag == "audio")


def test_the_figures_of_the_page_are_the_records(made: Demo, html: str) -> None:
    page = Page(html)
    rows = {row[0]: row[1:] for row in page.rows}
    for entry in made.card.entries:
        cells = dict(zip(page.rows[0][1:], rows[entry.name], strict=True))
        for column in made.card.columns:
            figure = entry.figures.get(column.key)
            assert cells[column.heading] == ("–" if figure is None else column.format(figure.mean))
    for level in made.card.entries[0].usage:
        assert rows[str(level.level)][:4] == [
            f"{level.distinct:,} of {level.codebook_size:,}",
            f"{level.used:.1%}",
            f"{level.dead:,}",
            f"{level.perplexity:.1f}",
        ]
    text = " ".join(page.texts)
    for value in (*dict(made.timing()).values(), torch.__version__, made.tokens.tokenizer):
        assert value in text


def test_the_page_plays_the_recording_and_every_version(made: Demo, html: str) -> None:
    recording, full, *fewer = Page(html).sounds()
    assert len(fewer) == 2
    assert {sound.sample_rate for sound in (recording, full, *fewer)} == {16_000}
    assert recording.duration == made.recording.audio.duration
    wanted = speechlike(33_000, 22_050).resample(16_000).samples
    assert np.abs(recording.samples - wanted.clip(-1, 1)).max() <= 3 / 32_768  # stored three times
    assert np.abs(full.samples - Audio.read(made.speech_file).samples).max() <= 2 / 32_768


def test_the_page_in_a_browser_has_nothing_to_complain_of(browser: Any, made: Demo) -> None:
    with opened(browser, made.report_file) as page:
        page.set_viewport_size({"width": 390, "height": 844})
        page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.locator("img.spectrogram").count() == 4
        assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")


def test_rows_tell_the_figures(made: Demo) -> None:
    rows = dict(made.rows())
    assert rows["Token rate"] == "200 tokens/s"
    assert rows["Bit rate"].startswith("800 bit/s, ")
    assert rows["16-bit PCM"] == "320 × the bits of the tokens"
    stoi = made.card.entries[0].figures["stoi"].mean
    assert f"STOI {stoi:.3f}" in rows["Kept by 4 levels"]
    assert "log-mel distance 0.00 dB" in rows["Ceiling: the recording itself"]
    assert rows["Report"] == str(made.report_file)
    assert all(isinstance(value, str) and value for value in rows.values())


@pytest.mark.slow
def test_real_speech_has_its_anchors(model: str, speech_data: Path, tmp_path: Path) -> None:
    path = find_audio([speech_data / "read_librispeech"])[0]  # a digit is too short for STOI
    made = run_demo(path, tmp_path / "out", model)
    ceiling, floor = (entry.figures for entry in made.card.entries[-2:])
    assert ceiling["log_mel_distance"].mean == 0.0
    assert floor["log_mel_distance"].mean > 5.0
    assert ceiling["stoi"].mean == pytest.approx(1.0, abs=1e-6)
    assert made.card.alarms == []


@pytest.mark.parametrize("samples", [np.zeros(8_000), np.full(1, 0.5)], ids=["silence", "one sample"])
def test_what_cannot_be_measured_is_said_to_be_undefined(samples: np.ndarray, model: str, tmp_path: Path) -> None:
    Audio(samples.astype(np.float32), 16_000).write(tmp_path / "quiet.wav")
    made = run_demo(tmp_path / "quiet.wav", tmp_path / "out", model)
    page = Page(made.report_file.read_text(encoding="utf-8"))
    cells = [cell for row in page.rows for cell in row]
    assert "undefined" in cells
    assert "nan" not in cells
    assert any("the recording is silent" in str(attributes.get("title")) for _, attributes in page.elements)
    assert "undefined (the recording is silent)" in dict(made.rows())["Kept by 4 levels"]


def test_without_pesq_its_figure_is_not_installed(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    speechlike(4_000).write(tmp_path / "short.wav")
    made = run_demo(tmp_path / "short.wav", tmp_path / "out", model)
    assert "pesq_wb" not in made.card.entries[0].figures
    assert "not installed" in dict(made.rows())["Kept by 4 levels"]
    assert "PESQ-WB is not installed" in made.report_file.read_text(encoding="utf-8")


def test_without_matplotlib_the_remedy_is_named_and_nothing_is_left(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    speechlike(4_000).write(tmp_path / "short.wav")
    with pytest.raises(MissingDependencyError, match=r"pip install 'vocable\[demo\]'"):
        run_demo(tmp_path / "short.wav", tmp_path / "out", model)
    assert not (tmp_path / "out").exists()


def test_a_place_that_is_no_folder_is_named(model: str, tmp_path: Path) -> None:
    speechlike(4_000).write(tmp_path / "short.wav")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be created"):
        run_demo(tmp_path / "short.wav", tmp_path / "file", model)


def test_a_missing_recording_is_named(model: str, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"nowhere\.wav: no such file"):
        run_demo(tmp_path / "nowhere.wav", tmp_path / "out", model)
    assert not (tmp_path / "out").exists()


def test_of_a_long_recording_the_beginning_is_taken(tmp_path: Path) -> None:
    long = speechlike(31 * 8_000, 8_000)
    long.write(tmp_path / "long.wav")
    clip = find_recording(tmp_path / "long.wav", 8_000)
    assert clip.audio.duration == 30.0
    assert np.abs(clip.audio.samples - long.samples[: 30 * 8_000].clip(-1, 1)).max() <= 1 / 32_768
    assert clip.origin == "the first 30 s of a longer recording"


def test_without_a_path_a_recorded_sentence_is_taken() -> None:
    before = "auditok" in sys.modules
    clip = find_recording(None, 16_000)
    assert ("auditok" in sys.modules) == before
    assert clip.stem == "was_der_mensch_saet"
    assert clip.audio.duration == pytest.approx(5.4)
    assert "MIT" in clip.origin


def test_without_a_sentence_one_is_spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SENTENCE", "auditok/data/gone.wav")
    spoken = speechlike(22_050, 22_050)
    spoken.write(tmp_path / "spoken.wav")
    program = tmp_path / "espeak-ng"
    program.write_text(f"#!/bin/sh\n/bin/cp '{tmp_path}/spoken.wav' \"$2\"\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    clip = find_recording(None, 16_000)
    assert clip.audio.duration == 1.0
    assert clip.origin == "synthesized by espeak-ng"
    program.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    with pytest.raises(AudioError, match=r"could not speak .*pass the path"):
        find_recording(None, 16_000)


def test_with_nothing_to_take_a_path_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise module.PackageNotFoundError(name)

    monkeypatch.setattr(module, "distribution", missing)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError, match="pass the path of one, or pip install"):
        find_recording(None, 16_000)
