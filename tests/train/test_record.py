"""Settings and logs of runs as they lie on disk: whole, half written, and of systems nobody knows yet."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import vocable
from vocable.errors import CheckpointError, ConfigError
from vocable.evaluate.describe import describe
from vocable.systems.guided import recipe as guided
from vocable.train.record import manifests_of, read_record, schedules, start_steps
from vocable.train.run import run_to_json
from vocable.train.schedule import LearningRate, Weight

BOX = Path(vocable.__file__).parent / "models"


def _write(folder: Path, log: str | None = None, settings: object = None) -> Path:
    values = run_to_json(guided.tiny()) if settings is None else settings
    (folder / "run.json").write_text(values if isinstance(values, str) else json.dumps(values))
    if log is not None:
        (folder / "log.jsonl").write_text(log)
    return folder


def test_a_log_cut_short_by_a_kill_is_read_up_to_there(tmp_path: Path) -> None:
    record = read_record(_write(tmp_path, '{"step": 1}\n{"step": 2, "x": 0.5}\n{"step": 3, "x'))
    assert record.rows == [{"step": 1}, {"step": 2, "x": 0.5}]
    assert record.steps == 20
    assert read_record(_write(tmp_path, "")).rows == []


def test_a_run_that_has_not_begun_has_no_rows(tmp_path: Path) -> None:
    assert read_record(_write(tmp_path)).rows == []


@pytest.mark.parametrize("settings", ["{", "[]", '{"train": {}}', '{"train": {"steps": "many"}}', '{"train": 3}'])
def test_settings_that_are_none(tmp_path: Path, settings: str) -> None:
    with pytest.raises(CheckpointError, match=r"run\.json: .*is this a run's folder\?"):
        read_record(_write(tmp_path, settings=settings))


HOSTILE = {
    "nested too deep": '{"train": ' + "[" * 5_000 + "]" * 5_000 + "}",
    "infinite": '{"train": {"steps": 1e999}}',
    "no number": '{"train": {"steps": NaN}}',
    "a number of many digits": '{"train": {"steps": ' + "9" * 5_000 + "}}",
    "no text": b"\xff\xfe",
    "empty": "",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_settings_and_lines_are_one_named_error(tmp_path: Path, text: str | bytes) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"run\.json: .*is this a run's folder\?") as caught:
        read_record(tmp_path)
    assert len(str(caught.value)) < 500
    _write(tmp_path)
    (tmp_path / "log.jsonl").write_bytes(content + b'\n{"step": 1}\n')
    with pytest.raises(CheckpointError, match=r"log\.jsonl, line 1: "):
        read_record(tmp_path)


@pytest.mark.parametrize("name", ["run.json", "log.jsonl"])
def test_a_file_that_is_too_large_is_refused(tmp_path: Path, name: str) -> None:
    _write(tmp_path)
    with (tmp_path / name).open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(CheckpointError, match=f"{name}: is larger than 64 MiB; is this a run's folder"):
        read_record(tmp_path)


@pytest.mark.parametrize("line", ["words", "[1]", '{"x": 1}'])
def test_a_bad_line_in_the_middle_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(CheckpointError, match=r"log\.jsonl, line 2: "):
        read_record(_write(tmp_path, f'{{"step": 1}}\n{line}\n{{"step": 3}}\n'))


def test_manifests_are_known_by_path_whether_or_not_a_run_kept_their_digests(tmp_path: Path) -> None:
    settings = run_to_json(guided.tiny()) | {"data": ["a.jsonl", {"path": "b.jsonl", "sha256": "5e"}]}
    assert read_record(_write(tmp_path, settings=settings)).manifests == ["a.jsonl", "b.jsonl"]
    assert read_record(_write(tmp_path)).manifests == []


@pytest.mark.parametrize("data", [3, None, {"a": 1}, [3], [["a.jsonl"]], [{"path": 3}], [{"path": "a", "sha256": 3}]])
def test_manifests_that_are_none(data: object) -> None:
    with pytest.raises(CheckpointError, match=r"run\.json: data"):
        manifests_of({"data": data})


@pytest.mark.parametrize("file", sorted(BOX.rglob("run*.json")), ids=lambda path: str(path.relative_to(BOX)))
def test_runs_in_the_box_tell_their_data(file: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(file.read_bytes())
    found = read_record(tmp_path).manifests
    assert found
    assert all(path.endswith(".jsonl") for path in found)
    assert describe(str(tmp_path))[0].rows[0] == ("data", ", ".join(found))


def test_every_schedule_of_a_recipe_is_found_and_runs_as_training_runs_it() -> None:
    run = guided.small()
    run = replace(run, losses=replace(run.losses, log_mel=Weight(value=2.0, start=10, ramp=10)))
    found = schedules(run_to_json(run))
    taught = {"semantic", "acoustic", "adversarial", "feature"}
    assert set(found) == {"waveform", "log_mel", "spectrum", "representation", "commitment", "learning_rate"} | taught
    for step in (0, 9, 15, 5_000, 9_999):
        assert found["log_mel"](step) == run.losses.log_mel.at(step)
        assert found["learning_rate"](step) == run.train.learning_rate.at(step, 10_000)
    assert start_steps(run_to_json(run)) == {"quantize_from": 1_000}


def test_schedules_of_an_unknown_system_are_found_wherever_they_stand() -> None:
    rate, weight = asdict(LearningRate(peak=0.5, warmup=0, decay=0.0)), asdict(Weight(value=3.0))
    values = {"train": {"steps": 4, "learning_rate": rate}, "losses": {"deep": {"kl": weight}, "kl": weight},
              "prior": {"learning_rate": rate}}  # fmt: skip
    found = schedules(values)
    assert set(found) == {"learning_rate", "kl", "losses.kl", "prior.learning_rate"}
    assert {schedule(2) for schedule in found.values()} == {0.5, 3.0}
    assert start_steps({}) == {}


def test_schedules_out_of_range_are_refused() -> None:
    for value, message in (
        ("x", "schedule losses.kl: start is 'x'"),
        (-1, "schedule losses.kl: start is -1: .*greater"),
    ):
        weight = {"value": 1.0, "start": value, "ramp": 0}
        with pytest.raises(ConfigError, match=message):
            schedules({"train": {"steps": 4}, "losses": {"kl": weight}})
