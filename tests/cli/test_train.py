"""``vocable train``: any setting from the command line, and a run that goes on knows everything itself."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.runs import log, three_clips
from vocable.locks import lock_folder

pytestmark = pytest.mark.slow  # every test trains


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips to train on, and the same as split dev."""
    path = three_clips(tmp_path_factory.mktemp("data"), 6_000)
    text = path.read_text()
    path.write_text(text + text.replace('"train"', '"dev"'))
    return path


@pytest.fixture(scope="module")
def begun(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps, with settings of its own."""
    from vocable.cli.main import app

    folder = tmp_path_factory.mktemp("runs") / "begun"
    words = ["train", "guided-tiny", "--data", manifest, "--out", folder, "--steps", "4", "--seed", "3",
             "--set", "model.num_codebooks=2", "--set", "losses.commitment.value=0.5",
             "--log-every", "1", "--save-every", "2"]  # fmt: skip
    app(list(map(str, words)), standalone_mode=False)
    return folder


@pytest.fixture
def folder(begun: Path, tmp_path: Path) -> Path:
    return shutil.copytree(begun, tmp_path / "run")


def values(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "run.json").read_text())
    return found


def test_options_and_settings_reach_the_run(begun: Path, manifest: Path) -> None:
    written = values(begun)
    assert written["recipe"] == "guided-tiny"
    assert written["model"]["num_codebooks"] == 2
    assert written["losses"]["commitment"]["value"] == 0.5
    assert written["losses"]["quantize_from"] == 0, "two of 20 steps are none of 4"
    assert (written["train"]["seed"], written["batches"]["seed"]) == (3, 3)
    assert written["data"][0]["path"] == str(manifest)
    assert [line["step"] for line in log(begun)] == [1, 2, 3, 4]
    assert sorted(path.name for path in (begun / "checkpoints").iterdir()) == ["step-00000002", "step-00000004"]


def test_the_dev_split_is_judged_at_checkpoints(begun: Path) -> None:
    judged = [line for line in log(begun) if "validation/log_mel" in line]
    assert [line["step"] for line in judged] == [2, 4]
    assert all(line["validation/log_mel_distance"] > 0 for line in judged)
    events = next((begun / "tensorboard").iterdir()).read_bytes()
    for name in ("validation/1/recording", "validation/3/decoded", "validation/log_mel_distance"):
        assert name.encode() in events


def test_resume_needs_nothing_else(run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, said, _ = run("train", "--out", "run", "--resume", "--steps", 6)
    assert code == 0
    assert said.splitlines()[0] == "changed: train.steps was 4, is 6"
    assert "resumed at step 4" in said
    assert values(folder)["model"]["num_codebooks"] == 2
    assert [line["step"] for line in log(folder)] == [1, 2, 3, 4, 5, 6]


def test_resume_of_a_complete_run_does_nothing(run: Run, folder: Path) -> None:
    before = {path: path.read_bytes() for path in (folder / "checkpoints").rglob("*") if path.is_file()}
    code, said, _ = run("train", "guided-tiny", "--out", folder, "--resume")
    assert code == 0
    assert "resumed at step 4" in said
    assert {path: path.read_bytes() for path in (folder / "checkpoints").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "losses.commitment.value=1"], "losses.commitment.value was 0.5, is 1.0); leave them as they were"),
        (["--set", "model.num_codebooks=3"], "other 'model' settings (model.num_codebooks was 2, is 3)"),
        (["--batch-size", "2"], "other 'batches' settings (batches.batch_size was 4, is 2)"),
        (["--seed", "9"], "batches.seed was 3, is 9"),
        (["--split", "dev"], "the run trains on split 'train', not 'dev'"),
        (["--exact", "--steps", "8"], "cannot be resumed exactly: train.steps was 4, is 8"),
        (["guided-small"], "holds a run of recipe guided-tiny, not guided-small"),
        (["--set", "model.num_codebook=3"], "the nearest is model.num_codebooks"),
        (["--steps", "2"], "has 4 steps, the run only 2; raise --steps"),
    ],
)
def test_what_differs_is_named_and_nothing_is_touched(run: Run, folder: Path, words: list[str], message: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, _, complained = run("train", *words, "--out", folder, "--resume")
    assert code == 1
    assert message in complained
    assert complained.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_changed_loss_that_is_asked_for(run: Run, folder: Path) -> None:
    code, said, _ = run(
        "train", "--out", folder, "--resume", "--steps", 5, "--set", "losses.commitment.value=1", "--allow-changes"
    )
    assert code == 0
    assert "changed on request: losses.commitment.value was 0.5, is 1.0" in said
    assert log(folder)[-1]["generator/commitment/weight"] == 1.0


def test_a_manifest_that_moved(run: Run, folder: Path, manifest: Path, tmp_path: Path) -> None:
    stored = values(folder)
    stored["data"][0]["path"] = str(tmp_path / "gone.jsonl")
    (folder / "run.json").write_text(json.dumps(stored))
    code, _, complained = run("train", "--out", folder, "--resume", "--steps", 5)
    assert code == 1
    assert "gone.jsonl is not there; pass --data with the path that it has now" in complained
    assert run("train", "--out", folder, "--resume", "--steps", 5, "--data", manifest)[0] == 0


def test_a_run_that_does_not_name_its_recipe(run: Run, folder: Path) -> None:
    stored = values(folder)
    stored.pop("recipe")
    (folder / "run.json").write_text(json.dumps(stored))
    code, _, complained = run("train", "--out", folder, "--resume")
    assert code == 1
    assert "does not name its recipe; pass it: vocable train RECIPE" in complained
    assert run("train", "guided-tiny", "--out", folder, "--resume")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "a new run has no recipe or data of its own; pass RECIPE and --data"),
        (["guided-tiny"], "pass --data"),
        (["--resume"], "holds no run to resume; pass RECIPE and --data"),
    ],
)
def test_what_a_new_run_lacks_is_said(run: Run, tmp_path: Path, words: list[str], message: str) -> None:
    code, _, complained = run("train", *words, "--out", tmp_path / "new")
    assert code == 1
    assert message in complained
    assert not (tmp_path / "new").exists()


def test_a_file_of_settings(run: Run, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("train.steps = 2\n[model]\nnum_codebooks = 3\ncodebook_size = 8\n")
    code, _, _ = run("train", "guided-tiny", "--data", manifest, "--out", tmp_path / "run", "--config",
                     tmp_path / "settings.toml", "--set", "model.num_codebooks=1", "--eval-every", 0)  # fmt: skip
    assert code == 0
    written = values(tmp_path / "run")
    assert (written["model"]["num_codebooks"], written["model"]["codebook_size"]) == (1, 8)
    assert written["train"]["steps"] == 2
    assert not any(name.startswith("validation/") for line in log(tmp_path / "run") for name in line)


def test_a_folder_in_use(run: Run, folder: Path, manifest: Path) -> None:
    with lock_folder(folder, "training"):
        for words in (["--resume"], ["guided-tiny", "--data", manifest]):
            code, _, complained = run("train", *words, "--out", folder)
            assert code == 1
            assert "writes into this folder; wait for it, or take another folder" in complained


def test_tensorboard_without_its_package(
    run: Run, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    words = ["train", "guided-tiny", "--data", manifest, "--out", tmp_path / "run", "--steps", 1]
    code, _, complained = run(*words, "--tensorboard")
    assert (code, complained) == (
        1,
        "vocable: --tensorboard needs the package tensorboard: pip install 'vocable[train]'\n",
    )
    assert not (tmp_path / "run").exists()
    assert run(*words)[0] == 0


def test_a_run_without_a_checkpoint_is_named_by_encode(run: Run, folder: Path, manifest: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder / "checkpoints")
    code, _, complained = run("encode", manifest.parent / "0.wav", "-o", tmp_path / "x.tokens", "--model", folder)
    assert code == 1
    assert "run: this run has no checkpoint yet; wait for its first one, or go on: vocable train --out" in complained
