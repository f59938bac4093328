"""Domains side by side: equal material is near, other material far, for tokenizers of any system."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.evaluate.browser import opened
from tests.lab.ctap import little, write_corpus
from vocable.cli.main import app
from vocable.errors import ConfigError, ShapeError
from vocable.evaluate.plan import Plan
from vocable.metrics.codebook import divergence
from vocable_lab.shared.outside import Outside
from vocable_lab.shared.synthetic import SYNTHETIC

pytestmark = pytest.mark.slow  # trains


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips of sounds like speech."""
    folder = tmp_path_factory.mktemp("corpora") / "near"
    folder.mkdir()
    return write_corpus(folder)


def _run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--protocol", "outside", "--jobs", "1"])


@pytest.fixture(scope="module")
def out(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two systems on the same corpus twice and on what is made up."""
    folder = tmp_path_factory.mktemp("out")
    little().save(folder / "little")
    again = corpus.with_name("again.jsonl")
    again.write_text(corpus.read_text())
    result = _run(
        folder / "little", "guided-small", "--data", corpus, "--data", again, "--out", folder / "o", "--limit", 4
    )
    assert result.exit_code == 0, result.output
    return folder / "o"


def test_every_domain_has_a_row_for_every_system(out: Path) -> None:
    summary = json.loads((out / "summary.json").read_text())
    domains = ["near manifest", "near again", *SYNTHETIC]
    assert list(summary) == [f"{name} on {domain}" for name in ("little", "guided-small") for domain in domains]
    for cells in summary.values():
        assert cells.keys() >= {"log_mel_distance", "distance_from_first", "codebook_used_equal", "entropy_equal"}
        assert 0 <= cells["distance_from_first"]["mean"] <= 1
        assert cells["codebook_used_equal"]["mean"] <= cells["codebook_used"]["mean"]
        low, high = cells["log_mel_distance"]["interval"]
        assert low <= cells["log_mel_distance"]["mean"] <= high


@pytest.mark.parametrize("name", ["little", "guided-small"])
def test_what_is_no_speech_is_farther_than_the_same_speech(out: Path, name: str) -> None:
    summary = json.loads((out / "summary.json").read_text())
    far = {
        domain: summary[f"{name} on {domain}"]["distance_from_first"]["mean"] for domain in ("near again", *SYNTHETIC)
    }
    assert far["near again"] < far["white noise"]
    assert far["near again"] < far["chords of tones"]


def test_the_page_opens(out: Path, browser: Any) -> None:
    with opened(browser, out / "report.html") as page:
        assert "guided-small: codebook use by domain" in page.inner_text("body")
        assert page.locator("audio").count() >= 4 * 3


def test_without_a_manifest_there_is_no_domain(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name at least one with --data"):
        Outside(Plan(tokenizers=("guided-small",)), tmp_path)


def test_an_unknown_protocol_says_that_this_one_is_for_any(corpus: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["evaluate", "guided-small", "--protocol", "x", "--data", str(corpus), "--out", str(tmp_path)]
    )
    assert "seed (for guided)" in str(result.exception)
    assert "outside" in str(result.exception)


@pytest.mark.parametrize("kind", SYNTHETIC)
def test_sounds_are_drawn_from_their_seed(kind: str) -> None:
    one, same, other = (SYNTHETIC[kind](np.random.default_rng(seed)).samples for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.abs(one).max() == pytest.approx(0.3)


def test_a_divergence_needs_frames() -> None:
    one, none = torch.tensor([[1.0, 3.0]]), torch.zeros(1, 2)
    assert divergence(one, one) == 0.0
    assert divergence(one, one.flip(1)) == divergence(one.flip(1), one) > 0.0
    with pytest.raises(ShapeError, match="no frame"):
        divergence(one, none)
