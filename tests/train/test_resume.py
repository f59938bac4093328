"""A run that was killed and went on is, on a CPU, bit for bit the run that was not."""

import json
import os
import random
import re
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import vocable
from tests.runs import log, three_clips
from vocable import recipes
from vocable.errors import CheckpointError, ConfigError, ManifestError, OutputError
from vocable.locks import lock_folder
from vocable.train import checkpoint
from vocable.train import run as module
from vocable.train.plan import plan_training
from vocable.train.record import read_record
from vocable.train.settings import change_settings

STEPS = 16
LIMIT = 300  # seconds until a process that does not move is given up
PROCESSES = torch.multiprocessing.get_context("forkserver")


def tiny() -> recipes.Run:
    """The recipe for tests, with codebooks that restart within a few steps, saved and logged at every step."""
    run = recipes.find("guided-tiny")
    return replace(
        run,
        model=replace(run.model, codebook_decay=0.5, restart_below=0.3),
        train=replace(run.train, steps=STEPS, log_every=1, save_every=1),
    )


def fit(manifest: Path, folder: Path, *, run: recipes.Run | None = None, resume: bool = True) -> list[str]:
    said: list[str] = []
    torch.set_num_threads(1)
    recipes.fit(run or tiny(), [manifest], folder, resume=resume, quiet=True, say=said.append)
    return said


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips, one of them shorter than a crop."""
    return three_clips(tmp_path_factory.mktemp("data"), 2_000)


@pytest.fixture(scope="module")
def whole(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run without a break, all its checkpoints kept."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    fit(manifest, folder, run=replace(tiny(), train=replace(tiny().train, keep=STEPS)), resume=False)
    return folder


@pytest.fixture
def stopped(whole: Path, tmp_path: Path) -> Path:
    """The run as it lay after step 5, with some later lines in its log."""
    folder = shutil.copytree(whole, tmp_path / "stopped")
    for later in checkpoint.steps(folder / "checkpoints")[5:]:
        shutil.rmtree(later)
    values = json.loads((folder / "run.json").read_text())
    values["train"]["keep"] = tiny().train.keep  # which the whole run was given to show all its checkpoints
    (folder / "run.json").write_text(json.dumps(values))
    return folder


def assert_same_run(folder: Path, whole: Path) -> None:
    """Every tensor of the last checkpoint, and every line of the log."""
    one, two = (load_file(run / f"checkpoints/step-{STEPS:08d}/training.safetensors") for run in (folder, whole))
    assert one.keys() == two.keys()
    different = [key for key in one if not torch.equal(one[key], two[key])]
    assert different == []
    assert any(".exp_avg_sq" in key for key in one)
    assert int(one["generator.model.quantizer.codebooks.0.restarts"]) > 0, "no entry was ever restarted"
    assert [line["step"] for line in log(folder)] == list(range(1, STEPS + 1))
    assert log(folder) == log(whole)


def newest_step(folder: Path) -> int:
    return max((int(path.name.removeprefix("step-")) for path in checkpoint.steps(folder / "checkpoints")), default=0)


def start(manifest: Path, folder: Path) -> Any:
    PROCESSES.set_forkserver_preload(["vocable.systems.registry", "torch._dynamo", "torch.utils.tensorboard"])
    process = PROCESSES.Process(target=fit, args=(manifest, folder), daemon=True)
    process.start()
    return process


@pytest.mark.slow
def test_resume_in_a_new_trainer_is_bitwise(manifest: Path, whole: Path, stopped: Path) -> None:
    assert fit(manifest, stopped)[-1] == "resumed at step 5"
    assert_same_run(stopped, whole)


def test_resume_before_the_codebooks_started_is_bitwise(manifest: Path, whole: Path, stopped: Path) -> None:
    for later in checkpoint.steps(stopped / "checkpoints")[1:]:
        shutil.rmtree(later)
    assert fit(manifest, stopped)[-1] == "resumed at step 1"
    assert_same_run(stopped, whole)


@pytest.mark.slow
def test_killed_at_random_moments_it_still_ends_the_same(manifest: Path, whole: Path, tmp_path: Path) -> None:
    """Every process is new and is killed with SIGKILL at any moment, half of them spent writing a checkpoint."""
    folder, kills, reached = tmp_path / "killed", 0, 0
    moments = random.Random(0)
    while kills < 4 and reached < STEPS:  # a fast machine may be through before
        process = start(manifest, folder)
        until = time.monotonic() + LIMIT
        while newest_step(folder) <= reached:
            assert time.monotonic() < until, "the run does not move"
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.03))
        os.kill(process.pid, signal.SIGKILL)
        process.join(LIMIT)
        kills += process.exitcode == -signal.SIGKILL
        assert newest_step(folder) > reached
        reached = checkpoint.verify(checkpoint.steps(folder / "checkpoints")[-1])
        assert vocable.load(folder).spec.num_codebooks == 4
    assert kills >= 2
    assert fit(manifest, folder)[-1] == f"resumed at step {reached}"
    assert_same_run(folder, whole)
    kept = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert kept == [f"step-{step:08d}" for step in range(STEPS - 2, STEPS + 1)], "something half-written stayed"


def test_a_folder_with_a_run_is_not_overwritten(manifest: Path, stopped: Path) -> None:
    before = (stopped / "log.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="stopped: holds a run already; pass --resume"):
        fit(manifest, stopped, resume=False)
    assert (stopped / "log.jsonl").read_bytes() == before


def test_resume_in_an_empty_folder_starts(manifest: Path, tmp_path: Path) -> None:
    run = replace(tiny(), train=replace(tiny().train, steps=1))
    assert len(fit(manifest, tmp_path / "new", run=run)) == 1
    assert len(log(tmp_path / "new")) == 1


def test_resume_with_another_recipe_is_refused(manifest: Path, stopped: Path) -> None:
    for name, changed in (
        ("model", replace(tiny(), model=replace(tiny().model, codebook_size=32))),
        ("batches", replace(tiny(), batches=replace(tiny().batches, seed=1))),
    ):
        with pytest.raises(CheckpointError, match=f"run.json: the run's recipe has other '{name}' settings"):
            fit(manifest, stopped, run=changed)
    (stopped / "run.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"run.json: .*; is this a run's folder"):
        fit(manifest, stopped)
    (stopped / "run.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"run.json: this is no JSON object; is this a run's folder"):
        fit(manifest, stopped)


def copied(manifest: Path, folder: Path) -> Path:
    """The data, moved."""
    return shutil.copytree(manifest.parent, folder) / manifest.name


def test_data_that_moved_are_the_same_data(manifest: Path, whole: Path, stopped: Path, tmp_path: Path) -> None:
    moved = copied(manifest, tmp_path / "moved")
    assert fit(moved, stopped)[-1] == "resumed at step 5"
    assert_same_run(stopped, whole)
    assert read_record(stopped).manifests == [str(moved)]


def test_shares_of_manifests_are_kept_and_one_manifest_is_trained_on_as_before(
    manifest: Path, whole: Path, tmp_path: Path
) -> None:
    fit(Path(f"{manifest}:0.7"), tmp_path / "alone", run=replace(tiny(), train=replace(tiny().train, keep=STEPS)))
    assert_same_run(tmp_path / "alone", whole)
    other = copied(manifest, tmp_path / "other")
    entries = [f"{manifest}:0.75", f"{other}:0.25"]
    one_step = replace(tiny(), train=replace(tiny().train, steps=1))
    folder = tmp_path / "mixed"
    said: list[str] = []
    recipes.fit(one_step, entries, folder, quiet=True, say=said.append)
    assert [(entry["path"], entry["share"]) for entry in json.loads((folder / "run.json").read_text())["data"]] == [
        (str(manifest), 0.75), (str(other), 0.25),
    ]  # fmt: skip
    recipes.fit(one_step, entries, folder, resume=True, quiet=True, say=said.append)
    assert plan_training(folder, recipes.find, resume=True).manifests == [Path(entry) for entry in entries]
    for changed, message in (
        ([f"{manifest}:0.5", entries[1]], f"has the share 0.75 of {manifest}, not 0.5; pass {manifest}:0.75"),
        ([manifest, other], f"has the share 0.75 of {manifest}, not None"),
    ):
        with pytest.raises(CheckpointError, match=message):
            recipes.fit(one_step, changed, folder, resume=True, quiet=True, say=said.append)
    with pytest.raises(ConfigError, match=f"{other} has no share"):
        recipes.fit(one_step, [entries[0], other], tmp_path / "none", quiet=True, say=said.append)
    assert not (tmp_path / "none").exists()


def test_resume_with_other_data_is_refused(manifest: Path, stopped: Path, tmp_path: Path) -> None:
    other = copied(manifest, tmp_path / "other")
    other.write_text(other.read_text().replace('"0.wav"', '"1.wav"'))
    before = (stopped / "run.json").read_bytes()
    with pytest.raises(CheckpointError, match=f"run.json: {other} is not the run's manifest .{manifest}, SHA-2"):
        fit(other, stopped)
    for manifests, message in (
        ([manifest, other], f"run.json: the run does not train on {other}; leave it out"),
        ([manifest, manifest], f"run.json: the run does not train on {manifest}; leave it out"),
        ([other, manifest], f"run.json: {other} is not the run's manifest"),
    ):
        with pytest.raises(CheckpointError, match=message):
            recipes.fit(tiny(), manifests, stopped, resume=True, quiet=True)
    with pytest.raises(CheckpointError, match=r"run\.json: the run trains on split 'train', not 'None'"):
        recipes.fit(tiny(), [manifest], stopped, split=None, resume=True, quiet=True)
    assert (stopped / "run.json").read_bytes() == before
    values = json.loads(before)
    (stopped / "run.json").write_text(
        json.dumps(values | {"data": [values["data"][0] | {"path": "gone.jsonl"}, *values["data"]]})
    )
    with pytest.raises(CheckpointError, match=f"run.json: the run trains on {manifest}, too; pass all its manifests"):
        fit(manifest, stopped)


def test_a_run_of_vocable_0_1_is_refused_in_one_line_that_says_what_to_do(manifest: Path, stopped: Path) -> None:
    values = json.loads((stopped / "run.json").read_text())
    assert values.pop("format") == 2
    (stopped / "run.json").write_text(json.dumps(values))
    wanted = rf"run.json: this run was begun by vocable 0.1 and cannot be resumed; .* with --init {stopped} to start"
    with pytest.raises(CheckpointError, match=wanted) as caught:
        fit(manifest, stopped)
    assert "\n" not in str(caught.value)
    assert vocable.load(stopped).spec.num_codebooks == 4
    (stopped / "run.json").write_text(json.dumps(values | {"format": 3}))
    with pytest.raises(CheckpointError, match="was begun in format 3 and cannot be resumed"):
        fit(manifest, stopped)


def alter(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x01
    file.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["training.safetensors", "model.safetensors", "model.json", "training.json"])
def test_an_altered_checkpoint_is_not_loaded_and_the_one_before_is_resumed(
    manifest: Path, whole: Path, stopped: Path, name: str
) -> None:
    alter(stopped / "checkpoints/step-00000005" / name)
    message = rf"step-00000005.*; or use the one before: {stopped / 'checkpoints/step-00000004'}"
    with pytest.raises(CheckpointError, match=message):
        vocable.load(stopped)
    assert vocable.load(stopped / "checkpoints/step-00000004").spec.num_codebooks == 4
    *_, warning, last = fit(manifest, stopped)
    assert re.fullmatch(r"warning: .*step-00000005.*; step 4 is used instead", warning)
    assert last == "resumed at step 4"
    assert_same_run(stopped, whole)
    assert (stopped / "checkpoints/damaged-step-00000005" / name).exists(), "what may be of use is gone"


@pytest.mark.slow
def test_two_damaged_checkpoints_and_then_all(manifest: Path, whole: Path, stopped: Path) -> None:
    (stopped / "checkpoints/step-00000005/model.json").unlink()
    (stopped / "checkpoints/step-00000004/training.safetensors").write_bytes(b"")
    said = fit(manifest, stopped)
    assert [line[:8] for line in said[-3:]] == ["warning:", "warning:", "resumed "]
    assert said[-1] == "resumed at step 3"
    assert_same_run(stopped, whole)
    for kept in checkpoint.steps(stopped / "checkpoints"):
        alter(kept / "model.safetensors")
    before = sorted(path.name for path in (stopped / "checkpoints").iterdir())
    with pytest.raises(CheckpointError, match=r"step-00000016.*resume from another checkpoint"):
        fit(manifest, stopped)
    assert sorted(path.name for path in (stopped / "checkpoints").iterdir()) == before


def test_a_run_without_a_checkpoint_says_so(manifest: Path, stopped: Path) -> None:
    shutil.rmtree(stopped / "checkpoints")
    with pytest.raises(CheckpointError, match="stopped: this run has no checkpoint yet; wait for its first one, or go"):
        vocable.load(stopped)


@pytest.mark.slow
def test_a_second_training_in_the_folder_is_refused(manifest: Path, stopped: Path) -> None:
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    with lock_folder(stopped, "training"), pytest.raises(OutputError, match=r"training by process .* writes into this"):
        fit(manifest, stopped)
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before
    assert fit(manifest, stopped)[-1] == "resumed at step 5"


def surroundings(folder: Path, **changed: Any) -> None:
    """Write a run's environment as it would be on another machine."""
    values = json.loads((folder / "run.json").read_text())
    values["environment"] = {**values["environment"], **changed}
    (folder / "run.json").write_text(json.dumps(values))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [("threads", 7), ("torch version", "2.0"), ("CPU capability", "NO AVX"), ("processes", 4), ("device", "GPU"),
     ("precision", "bfloat16"), ("vocable version", "0.1"), ("soxr version", "0.1")],
)  # fmt: skip
def test_other_surroundings_are_said_and_refused_where_bits_count(
    manifest: Path, stopped: Path, name: str, value: object
) -> None:
    surroundings(stopped, **{name: value})
    with pytest.raises(CheckpointError, match=f"cannot be resumed exactly: {name} was {value}, is ") as caught:
        recipes.fit(tiny(), [manifest], stopped, resume=True, exact=True, quiet=True)
    assert "\n" not in str(caught.value)
    said = fit(manifest, stopped)
    assert said[0].startswith(f"warning: {name} was {value}, is ")
    assert said[-1] == "resumed at step 5"
    written = json.loads((stopped / "run.json").read_text())
    assert written["environment"][name] == value
    assert [part["step"] for part in written["resumed"]] == [5]
    assert fit(manifest, stopped) == ["0.00 hours of speech; 1 process(es) on cpu", f"resumed at step {STEPS}"]


@pytest.mark.slow
def test_the_same_surroundings_are_exact(manifest: Path, whole: Path, stopped: Path) -> None:
    said: list[str] = []
    recipes.fit(tiny(), [manifest], stopped, resume=True, exact=True, quiet=True, say=said.append)
    assert said[-1] == "resumed at step 5"
    assert len(said) == 2
    assert_same_run(stopped, whole)


@pytest.mark.slow
def test_a_run_that_does_not_record_its_surroundings(manifest: Path, stopped: Path) -> None:
    values = json.loads((stopped / "run.json").read_text())
    for key in ("environment", "recipe", "init"):
        values.pop(key)
    values["train"].pop("eval_every")
    (stopped / "run.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=r"cannot be resumed exactly: run\.json does not record"):
        recipes.fit(tiny(), [manifest], stopped, resume=True, exact=True, quiet=True)
    said = fit(manifest, stopped)
    assert said[0].startswith("warning: run.json does not record the threads")
    assert said[-1] == "resumed at step 5"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train.learning_rate.peak": 0.5}, "'train' settings .train.learning_rate.peak was 0.001, is 0.5."),
        ({"losses.commitment.value": 0.5}, "'losses' settings .losses.commitment.value was 0.25, is 0.5."),
        ({"train.clip": 2.0}, "'train' settings .train.clip was 1.0, is 2.0."),
        ({"losses.quantize_from": 3, "batches.seed": 4}, "'losses' and 'batches' settings"),
        ({"adversary.begin": 3}, "'adversary' settings"),
    ],
)
def test_other_settings_are_refused_unless_asked_for(
    manifest: Path, stopped: Path, settings: dict[str, Any], message: str
) -> None:
    changed = change_settings(tiny(), settings)
    with pytest.raises(CheckpointError, match=f"{message}.*--allow-changes"):
        fit(manifest, stopped, run=changed)
    if "adversary.begin" not in settings:  # which would be another part
        said: list[str] = []
        recipes.fit(changed, [manifest], stopped, resume=True, allow_changes=True, quiet=True, say=said.append)
        assert said[0].startswith("changed on request: ")
        assert said[-1] == "resumed at step 5"


@pytest.mark.slow
def test_what_does_not_move_a_tensor_may_change(manifest: Path, whole: Path, stopped: Path) -> None:
    run = tiny()
    run = replace(run, train=replace(run.train, save_every=4, log_every=1, keep=9, not_finite="skip"))
    said = fit(manifest, stopped, run=run)
    assert (
        said[0] == "changed: train.not_finite was stop, is skip; train.save_every was 1, is 4; train.keep was 3, is 9"
    )
    assert_same_run(stopped, whole)


def test_a_run_that_cannot_be_written(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="this folder cannot be created"):
        fit(manifest, tmp_path / "file" / "run", resume=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_batch_that_does_not_divide(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "world", lambda: (0, 3))
    with pytest.raises(ConfigError, match="a batch of 4 cannot be shared by 3 processes; choose a multiple"):
        fit(manifest, tmp_path / "run", resume=False)


def test_recordings_that_cannot_be_read_are_left_out_by_name(manifest: Path, tmp_path: Path) -> None:
    lines = [{"audio_path": str(manifest.parent / "0.wav")}, {"audio_path": "gone.wav"}]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line | {"split": "train"}) + "\n" for line in lines))
    run = replace(tiny(), train=replace(tiny().train, steps=1))
    said = fit(tmp_path / "m.jsonl", tmp_path / "run", run=run)
    assert said[0].startswith("left out: ")
    assert "gone.wav" in said[0]
    assert said[1] == "0.00 hours of speech; 1 process(es) on cpu"
    (tmp_path / "m.jsonl").write_text(json.dumps(lines[1] | {"split": "train"}))
    with pytest.raises(ManifestError, match=r"none of 1 recordings can be used; the first: .*gone.wav"):
        fit(tmp_path / "m.jsonl", tmp_path / "none")
    assert not (tmp_path / "none").exists()
