"""``vocable evaluate`` from the command line to the files: what it writes, refuses, resumes and says."""

import json
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vocable.cli.main import app
from vocable.errors import ConfigError, MissingDependencyError, OutputError, VocableError
from vocable.evaluate import measures
from vocable.testing import speechlike

Run = Callable[..., None]
METRICS = "pesq_wb,si_sdr,log_mel_distance"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of two speakers, one that is no audio, one that is silent."""
    folder = tmp_path_factory.mktemp("clips")
    lines = []
    for number in range(4):
        speechlike(24_000, seed=number).write(folder / f"{number}.flac")
        lines.append({"audio_path": f"{number}.flac", "speaker": f"s{number % 2}", "gender": "male", "split": "test"})
    (folder / "bad.wav").write_bytes(b"not audio")
    lines.append({"audio_path": "bad.wav", "speaker": "s1", "split": "test"})
    silence = speechlike(16_000)
    type(silence)(0 * silence.samples, 16_000).write(folder / "silent.flac")
    lines.append({"audio_path": "silent.flac", "speaker": "s1", "split": "test"})
    lines.append({"audio_path": "0.flac", "speaker": "s1", "split": "train"})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "manifest.jsonl"


def evaluate(manifest: Path, out: Path, *more: str, metrics: str = METRICS) -> str:
    arguments = ["evaluate", "guided-small", "--data", str(manifest), "--out", str(out), "--codecs", "none"]
    arguments += ["--probes", "none", "--jobs", "1", "--metrics", metrics, *more]
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.fixture(scope="module")
def done(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "out"
    evaluate(manifest, out, "--levels", "2")
    return out


@pytest.mark.slow
def test_the_summary_maps_entries_to_metrics_to_figures(done: Path) -> None:
    summary = json.loads((done / "summary.json").read_text())
    assert list(summary) == ["guided-small", "guided-small@2", "identity", "noise"]
    cell = summary["guided-small"]["pesq_wb"]
    assert cell["interval"][0] <= cell["mean"] <= cell["interval"][1]
    assert (cell["n"], cell["excluded"]) == (4, 1)
    assert cell["reasons"] == {"the recording is silent": 1}
    assert "P.862.2" in cell["settings"]
    assert summary["identity"]["pesq_wb"]["mean"] == pytest.approx(4.644, abs=1e-3)
    assert summary["noise"]["si_sdr"]["mean"] == pytest.approx(-5.0, abs=0.2)
    assert summary["guided-small"]["bit_rate"]["mean"] == pytest.approx(4000, rel=0.02)
    assert summary["guided-small@2"]["bit_rate"]["mean"] == pytest.approx(1000, rel=0.02)
    assert 0 < summary["guided-small"]["bit_rate_entropy_coded"]["mean"] < 4000
    assert "bit_rate" not in summary["identity"]


def test_rows_page_and_tables_are_there_and_name_no_folder_of_this_machine(done: Path, manifest: Path) -> None:
    rows = [json.loads(line) for line in (done / "results.jsonl").read_text().splitlines()]
    assert [row["item"] for row in rows if row.get("entry") == "noise"] == [f"{n}.flac" for n in range(4)] + [
        "silent.flac"
    ]
    assert next(row["quarantined"] for row in rows if row["item"] == "bad.wav").startswith("cannot be read")
    for name in ("results.jsonl", "summary.json", "report.md", "report.html", "run.json"):
        assert str(manifest.parent) not in (done / name).read_text(), name
    assert "guided-small@2" in (done / "report.md").read_text()


def test_a_finished_run_is_not_done_again_and_another_is_refused(done: Path, manifest: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(done, copy)
    before = {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()}
    evaluate(manifest, copy, "--levels", "2")
    assert {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()} == before
    with pytest.raises(OutputError, match=r"another run's results, which differs in .*seed; take"):
        evaluate(manifest, copy, "--levels", "2", "--seed", "1")
    assert {path.name: path.read_bytes() for path in copy.iterdir() if path.is_file()} == before


def test_a_metric_that_does_not_exist_is_answered_with_those_that_do(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'pesq' is no metric; there are pesq_wb, pesq_nb, stoi"):
        evaluate(manifest, tmp_path / "out", metrics="pesq")
    assert not (tmp_path / "out").exists()


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Make packages look as if they were not installed."""
    version, distribution = metadata.version, metadata.distribution

    def refuse(find: Callable[[str], object]) -> Callable[[str], object]:
        def found(name: str) -> object:
            if name in packages:
                raise metadata.PackageNotFoundError(name)
            return find(name)

        return found

    monkeypatch.setattr(metadata, "version", refuse(version))
    monkeypatch.setattr(metadata, "distribution", refuse(distribution))
    monkeypatch.setattr(measures, "version", refuse(version))


@pytest.mark.slow
def test_default_figures_whose_package_is_missing_are_undefined_and_the_run_says_so_at_its_start(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "moonshine-voice", "resemblyzer", "pesq")
    out = tmp_path / "out"
    call = ["evaluate", "guided-small", "--data", str(manifest), "--out", str(out), "--limit", "2", "--jobs", "1"]
    output = CliRunner().invoke(app, [*call, "--codecs", "none", "--probes", "none"]).output
    before, _, after = output.partition("# guided-small")
    install = "pip install --no-deps moonshine-voice==0.0.59"
    assert install in before
    assert before.count("speaker_similarity: ") == 1
    assert "pesq_wb: needs pesq; run pip install 'vocable[evaluate]'" in before
    assert install in after  # in the report
    summary = json.loads((out / "summary.json").read_text())["guided-small"]
    for name in ("wer", "dwer", "speaker_similarity", "pesq_wb"):
        assert summary[name]["mean"] is None
        assert summary[name]["n"] == 0
    assert any(install in reason for reason in summary["dwer"]["reasons"])
    assert summary["stoi"]["mean"] > 0.5
    assert not any(name.startswith(("wer@pocketsphinx", "dwer@")) for name in summary)
    assert "undefined" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("missing", "more", "metrics"),
    [
        ("moonshine-voice", (), "wer"),
        ("distillmos", (), "stoi,distillmos"),
        ("resemblyzer", (), "speaker_similarity,pesq_wb"),
        ("pesq", (), "pesq_nb"),
        ("speechmos", (), "dnsmos_ovrl"),
        ("pocketsphinx", ("--recogniser", "pocketsphinx"), ""),
        ("resemblyzer", ("--speaker-model", "resemblyzer"), ""),
    ],
)
def test_a_named_figure_that_cannot_be_computed_is_refused_before_any_work(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, more: tuple[str, ...], metrics: str
) -> None:
    hide(monkeypatch, missing)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        evaluate(manifest, tmp_path / "out", *more, metrics=metrics)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--split", "dev"), "no utterance has split 'dev'; there are test, train"),
        (("--protocol", "paper"), "is of guided, which has none; there are codes"),
        (("--levels", "two"), "--levels holds 'two'"),
        (("--decoded", "a=x", "--decoded", "a=y"), "the name 'a' is taken"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(manifest: Path, tmp_path: Path, more: tuple[str, ...], message: str) -> None:
    with pytest.raises(VocableError, match=message):
        evaluate(manifest, tmp_path / "out", *more)


@pytest.mark.slow
def test_an_anchor_that_is_off_ends_the_run_with_its_name(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vocable.evaluate.codecs.base import Noise

    monkeypatch.setattr(Noise, "code", lambda self, clip, key: Identity().code(clip, key))
    from vocable.evaluate.codecs.base import Identity

    with pytest.raises(VocableError, match=r"anchor off: noise has PESQ-WB 4\.644, at most 1\.5 is expected"):
        evaluate(manifest, tmp_path / "out", metrics="pesq_wb")
    assert "anchor off" in (tmp_path / "out/report.md").read_text()


def test_a_listening_test_is_built_and_its_ratings_ask_for_their_key(tmp_path: Path) -> None:
    for folder in ("ref", "a"):
        (tmp_path / folder).mkdir()
        speechlike(16_000).write(tmp_path / folder / "1.wav")
    page = tmp_path / "page.html"
    call = ["evaluate", "listen", str(tmp_path / "ref"), f"ours={tmp_path / 'a'}", "--out", str(page), "--test", "mos"]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, result.exception
    assert "1 clips" in result.output
    assert "ours" not in page.read_text()
    assert "ours" in page.with_suffix(".key.json").read_text()
    result = CliRunner().invoke(app, ["evaluate", "listen", "--ratings", str(tmp_path / "r.csv")])
    assert "--ratings needs --key" in str(result.exception)


def test_without_a_manifest_there_is_nothing_to_judge_on(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", "guided-small", "--out", str(tmp_path / "out")])
    assert "name a manifest with --data" in str(result.exception)
    assert not (tmp_path / "out").exists()
