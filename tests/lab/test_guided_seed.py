"""Protocol ``seed`` through the runner: rows, resume, summary, and reported figures."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.models import ready
from vocable.cli.main import app
from vocable.evaluate.benchmark import evaluate
from vocable.evaluate.plan import Plan
from vocable.testing import speechlike
from vocable_lab.guided.seed import GuidedSeed

_KEYS = ("pesq_wb", "pesq_nb", "vc_mcd", "vc_pitch_correlation", "ser_accuracy")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a manifest of three speakers, two sentences and two emotions, without text."""
    folder = tmp_path_factory.mktemp("moods")
    lines = []
    for speaker in range(3):
        for sentence in range(2):
            for mood in ("angry", "sad"):
                number = len(lines)
                speechlike(20_000, seed=number).write(folder / f"{number}.flac")
                lines.append({
                    "audio_path": f"{number}.flac", "speaker": f"s{speaker}", "emotion": mood,
                    "sentence_id": f"a{sentence}", "split": "test" if speaker == 0 else "train",
                })  # fmt: skip
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "manifest.jsonl"


@pytest.mark.slow
def test_the_papers_table(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["evaluate", "guided-small", "--protocol", "seed", "--data", str(manifest), "--out", str(out)]
    first = CliRunner().invoke(app, [*arguments, "--jobs", "1"])
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert {row["item"].split()[0] for row in rows} == {"code", "convert"}
    # 4 clips of the one test speaker, each converted to the voices of both others
    assert sum(row["entry"] == "guided-small" and row["item"].startswith("convert") for row in rows) == 8
    summary = json.loads((out / "summary.json").read_text())
    cells = summary["guided-small"]
    assert set(_KEYS) <= cells.keys()
    assert "asr_wer" not in cells
    assert cells["vc_mcd"]["reported"] == 6.076
    assert "2507.06802" in cells["vc_mcd"]["reported_by"]
    assert (cells["pesq_wb"]["n"], cells["vc_mcd"]["n"], cells["ser_accuracy"]["n"]) == (4, 8, 12)
    assert summary["unconverted"].keys() >= {"vc_mcd"}
    assert "6.08" in (out / "report.html").read_text()
    report = (out / "report.md").read_text()
    [measured, reported] = [
        line.split("|") for line in report.splitlines() if line.startswith(("| guided-small | 4", "| as"))
    ]
    assert len(measured) == len(reported)
    assert [one.strip() for one in reported[2:-1]] == ["", "3.08", "", "6.08", "0.310", "55.3"]
    assert "ASR: no manifest has a 'text' in its train split" in report
    assert "conversion:" not in report
    assert "No teacher took part in the training of guided-small. Reported figures (arXiv:2507.06802" in report
    before = (out / "results.jsonl").read_bytes()
    (out / "results.jsonl").write_bytes(before[: len(before) // 2])
    again = CliRunner().invoke(app, [*arguments, "--jobs", "1"])
    assert (out / "results.jsonl").read_bytes() == before
    assert (first.exit_code, str(first.exception)) == (again.exit_code, str(again.exception))


def test_a_protocol_is_for_one_tokenizer(manifest: Path, tmp_path: Path) -> None:
    arguments = ["evaluate", "--protocol", "seed", "--data", str(manifest), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert "--protocol seed is for one tokenizer; 0 are named" in str(result.exception)


def test_what_the_manifest_does_not_tell_is_named_and_has_no_figure(tmp_path: Path) -> None:
    """Non-parallel sentences above all: no MCD is taken between them."""
    ready("spectral").save(tmp_path / "codec")
    lines = []
    for number in range(2):
        speechlike(20_000, seed=number).write(tmp_path / f"{number}.flac")
        lines.append({"audio_path": f"{number}.flac", "speaker": f"s{number}", "sentence_id": f"a{number}"})
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    plan = Plan(tokenizers=(str(tmp_path / "codec"),), manifests=(tmp_path / "manifest.jsonl",))
    card = evaluate(lambda: GuidedSeed(plan, tmp_path / "out"), tmp_path / "out")
    assert set(card.entries[0].figures) == {"pesq_wb", "pesq_nb"}
    assert [reason.split(":")[0] for reason in card.left_out] == ["conversion", "SER", "ASR"]
    assert "of the split is another speaker's in the same mood" in (tmp_path / "out/report.md").read_text()
