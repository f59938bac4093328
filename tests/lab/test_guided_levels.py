"""Protocol ``levels`` through the runner: the view behind each figure, and no figure without labels."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.models import ready
from vocable.cli.main import app
from vocable.data.manifest import Utterance, read_manifest
from vocable.evaluate.benchmark import evaluate
from vocable.evaluate.card import ProbeRow
from vocable.evaluate.plan import Plan
from vocable.metrics.score import Figure
from vocable.testing import speechlike
from vocable_lab.guided.levels import COLUMNS, GuidedLevels, probe_figures
from vocable_lab.guided.probe_clips import select_probe_clips
from vocable_lab.guided.teachers import describe_teachers

_RATES = ("bit_rate", "bit_rate_3s", "bit_rate_10s")
_ALIGNMENT = [["SIL", 0.0, 0.2], ["AH1", 0.2, 0.6], ["S", 0.6, 0.9], ["SIL", 0.9, 1.25]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a random codec and two manifests of three speakers, with labels and without."""
    place = tmp_path_factory.mktemp("levels")
    ready("spectral").save(place / "codec")
    full, bare = [], []
    for number in range(12):
        speechlike(20_000, seed=number).write(place / f"{number}.flac")
        line: dict[str, Any] = {"audio_path": f"{number}.flac", "duration": 1.25}
        bare.append(line)
        full.append(line | {
            "speaker": f"s{number // 4}", "emotion": "angry" if number % 2 else "sad", "alignment": _ALIGNMENT,
            "sentence_id": f"a{number // 2 % 2}", "split": ("test", "dev", "train")[number // 4],
        })  # fmt: skip
    for name, lines in (("full", full), ("bare", bare)):
        (place / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return place


@pytest.mark.slow
def test_every_figure_where_the_manifest_tells_all(folder: Path, tmp_path: Path) -> None:
    words = ["evaluate", str(folder / "codec"), "--protocol", "levels", "--levels", "1,2", "--jobs", "1"]
    result = CliRunner().invoke(app, [*words, "--data", str(folder / "full.jsonl"), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / "summary.json").read_text())
    all_levels = {key: cell for key, cell in summary["codec"].items() if not key.startswith("probe/")}
    assert set(all_levels) == {column.key for column in COLUMNS}
    assert all(
        cell["interval"] for key, cell in all_levels.items() if key.startswith(("ser", "phone", "speaker", "vc_mcd"))
    )
    assert (all_levels["pesq_wb"]["n"], all_levels["vc_target_closer_share"]["n"], all_levels["ser_all"]["n"]) == (
        4,
        4,
        12,
    )
    assert all_levels["vc_mcd"]["n"] == 8  # each of four to both others
    assert summary["unconverted"]["vc_target_closer_share"]["mean"] == 0.0
    assert summary["unconverted"]["vc_source_similarity"]["mean"] == pytest.approx(1.0)
    assert "pesq_wb" not in summary["unconverted"]
    one, two = summary["codec@1"], summary["codec@2"]
    assert set(one) == {"tokens_per_second", *_RATES, "pesq_wb", "stoi", "log_mel_distance"}
    assert all(one[key]["mean"] == one["bit_rate"]["mean"] for key in _RATES)  # this codec keeps no voice
    mixed = set(two) - set(one)  # one level alone has none to mix
    assert mixed == {"vc_target_closer_share", "vc_target_similarity", "vc_source_similarity", "vc_mcd",
                     "vc_pitch_correlation"}  # fmt: skip
    assert all(two[key]["n"] == all_levels[key]["n"] for key in mixed)
    assert two["vc_mcd"]["mean"] != all_levels["vc_mcd"]["mean"]
    report = (tmp_path / "report.md").read_text()
    assert "No teacher took part in the training of codec." in report
    assert report.count("| bit/s") == 1
    assert (one["tokens_per_second"]["mean"], two["tokens_per_second"]["mean"]) == (50.0, 100.0)
    assert one["log_mel_distance"]["mean"] != two["log_mel_distance"]["mean"] != all_levels["log_mel_distance"]["mean"]


def test_what_the_manifest_lacks_has_no_figure(folder: Path, tmp_path: Path) -> None:
    plan = Plan(tokenizers=(str(folder / "codec"),), manifests=(folder / "bare.jsonl",), limit=3)
    card = evaluate(lambda: GuidedLevels(plan, tmp_path), tmp_path)
    [entry] = card.entries
    assert set(entry.figures) == {"tokens_per_second", *_RATES, "pesq_wb", "stoi", "log_mel_distance"}
    assert card.probes == []
    for missing in ("conversion", "parallel sentences", "phones", "emotion", "speakers"):
        assert any(line.startswith(missing) for line in card.left_out)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (None, "No teacher took part in the training of codec."),
        ('{"semantic": {"name": "whisper-tiny.en"}, "acoustic": {"name": "resemblyzer"}}',
         "Teachers of codec: whisper-tiny.en (semantic), resemblyzer (acoustic)."),
        ("[1, 2", "Teachers of codec: not named in its teachers.json."),
        ('{"semantic": "x"}', "Teachers of codec: not named in its teachers.json."),
    ],
)  # fmt: skip
def test_a_report_names_the_teachers(folder: Path, tmp_path: Path, written: str | None, sentence: str) -> None:
    shutil.copytree(folder / "codec", tmp_path / "codec")
    if written is not None:
        (tmp_path / "codec/teachers.json").write_text(written)
    assert describe_teachers({"codec": tmp_path / "codec"}) == sentence


def row(probe: str, view: str, mean: float, n: int = 9, metric: str = "top-1 accuracy") -> ProbeRow:
    figure = Figure(mean=mean, low=mean - 0.1, high=mean + 0.1, n=n)
    return ProbeRow(entry="x", probe=probe, view=view, metric=metric, better="higher", figure=figure, chance=0.0,
                    majority=0.0, note="")  # fmt: skip


def test_figures_are_read_from_the_views_they_are_named_after() -> None:
    rows = [
        row("phoneme", "level 1", 0.7, metric="frame top-1 accuracy"), row("emotion", "level 2", 0.5),
        row("emotion", "all levels", 0.6), row("emotion", "all levels", 0.1, metric="mean recall of classes"),
        row("speaker", "level 1", 0.2), row("speaker", "levels 2 to 8", 0.9, n=0),
    ]  # fmt: skip
    found = probe_figures(rows, 8)
    assert {key: round(figure.mean, 6) for key, figure in found.items()} == {
        "phone_error": 0.3, "ser_accuracy": 0.5, "ser_all": 0.6, "speaker_accuracy": 0.2,
    }  # fmt: skip
    error = found["phone_error"]
    assert (round(error.low, 6), round(error.high, 6)) == (0.2, 0.4)


def test_probes_are_shown_nothing_of_test_where_another_split_is_judged_on(folder: Path) -> None:
    clips = read_manifest(folder / "full.jsonl")
    plan = Plan(manifests=(folder / "full.jsonl",))
    for split, speakers in ((None, {"s0", "s1", "s2"}), ("dev", {"s1", "s2"})):
        probe_clips = select_probe_clips(
            replace(plan, split=split), [one for one in clips if one.split == (split or "test")], clips
        )
        for probe, shown in probe_clips.clips.items():
            assert {one.speaker for one in shown} == speakers, probe
        assert {one.speaker for one in probe_clips.clips["emotion"] if one.split == "test"} == (
            {"s1"} if split else {"s0"}
        )


def test_phones_are_from_alignments_first_and_each_probe_has_a_bounded_number_of_clips() -> None:
    marks = [[0.0, "a"], [0.5, "."]]
    marked = [
        Utterance(
            audio_path=f"m{number}.flac", speaker=f"m{number % 90}", extra={"phone_marks": marks, "emotion": "sad"}
        )
        for number in range(900)
    ]
    spoken = Utterance(audio_path="a.flac", speaker="a", duration=1.25, extra={"alignment": _ALIGNMENT})
    without = select_probe_clips(Plan(), marked, marked)
    assert (without.phone_key, len(without.clips["phoneme"]), len(without.clips["emotion"])) == (
        "phone_marks",
        300,
        300,
    )
    shown = without.clips["speaker"]
    assert (len(shown), len({one.speaker for one in shown})) == (320, 40)
    probe_clips = select_probe_clips(Plan(), marked, [*marked, spoken])
    assert (probe_clips.phone_key, [one.audio_path for one in probe_clips.clips["phoneme"]]) == (
        "alignment",
        [spoken.audio_path],
    )
    assert probe_clips.clips["phoneme"][0].extra["phone_marks"][1:3] == [(0.2, "AH"), (0.6, "S")]
