"""Every setting of every recipe can be listed and changed, and what cannot be used is named."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import run as vocable  # noqa: F401 a fixture
from vocable.errors import ConfigError, MissingDependencyError
from vocable.systems.registry import find_recipe, recipes
from vocable.train.overrides import override, scale_schedules, unreached
from vocable.train.run import Run, run_to_json
from vocable.train.settings import (
    change_settings,
    list_settings,
    parse_assignments,
    read_settings,
    restore_settings,
)

TINY = find_recipe("guided-tiny")


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_is_its_settings(name: str) -> None:
    run = find_recipe(name)
    settings = list_settings(run)
    assert all(setting.meaning and setting.type for setting in settings), "a setting has no description"
    assert len({setting.name for setting in settings}) == len(settings)
    assert restore_settings(run, run_to_json(run), "run.json") == run
    assignments = [f"{setting.name}={setting.value}" for setting in settings if not setting.name.endswith(".kind")]
    again = change_settings(run, parse_assignments(run, assignments))
    assert run_to_json(again) == run_to_json(run)


@pytest.mark.parametrize("name", recipes())
def test_what_counts_steps_is_known_to_count_steps(name: str) -> None:
    """A field whose name says that it is a step shrinks with the run, so that none is forgotten."""
    run = find_recipe(name)
    endings = ("start", "_from", "begin", "ramp", "warmup")
    named = {one.name: one.value for one in list_settings(run) if one.name.endswith(endings) and one.value.isdecimal()}
    shorter = {one.name: one.value for one in list_settings(scale_schedules(run, 1))}
    assert all(int(shorter[name]) == int(value) // run.train.steps for name, value in named.items())


@pytest.mark.parametrize("name", recipes())
@pytest.mark.parametrize("share", [1 / 500, 1 / 10, 1 / 2])
def test_a_shorter_run_reaches_every_stage(name: str, share: float) -> None:
    run = find_recipe(name)
    steps = max(2, int(share * run.train.steps))
    assert unreached(override(run, steps=steps)).keys() <= unreached(run).keys()


@pytest.mark.parametrize("name", recipes())
def test_a_run_of_the_recipes_length_or_longer_keeps_the_schedules(name: str) -> None:
    run = find_recipe(name)
    assert override(run, steps=run.train.steps) == run
    longer = override(run, steps=2 * run.train.steps)
    assert (longer.losses, longer.train.learning_rate) == (run.losses, run.train.learning_rate)


def test_schedules_shrink_in_proportion() -> None:
    run = override(find_recipe("guided-small-taught"), steps=1_000)
    assert (run.losses.quantize_from, run.losses.semantic.start, run.losses.feature.ramp) == (100, 200, 100)
    assert (run.adversary.begin, run.adversary.learning_rate.warmup) == (390, 20)
    assert override(find_recipe("ctap-small"), steps=75).losses.codebook_start == 6
    assert override(find_recipe("taste-small"), steps=14).losses.quantized_from == 7
    assert override(find_recipe("supervised-small"), steps=34).losses.kl.start == 5
    assert override(find_recipe("guided-small"), steps=1_000, scale=False).losses.quantize_from == 1_000


def test_a_stage_that_would_never_begin_is_refused() -> None:
    for name, settings, message in (
        ("guided-small", {"losses.quantize_from": 20}, "losses.quantize_from is 20, and the run has 20 steps"),
        ("ctap-tiny", {"losses.kl.start": 300}, "losses.kl.start is 300, and the run has 20 steps"),
        ("taste-tiny", {"losses.speech_from": 20}, "losses.speech_from is 20, and the run has 20 steps"),
        ("supervised-tiny", {"losses.codebook_start": 21}, "losses.codebook_start is 21, and the run has 20 steps"),
    ):
        with pytest.raises(ConfigError, match=message):
            override(find_recipe(name), steps=20, settings=settings)


@pytest.mark.parametrize(
    ("assignment", "field", "value"),
    [
        ("model.num_codebooks=2", "num_codebooks", 2),
        ("model.codebook_decay = 0.5", "codebook_decay", 0.5),
        ("model.codebook_decay=5e-1", "codebook_decay", 0.5),
    ],
)
def test_a_value_is_of_the_type_of_its_setting(assignment: str, field: str, value: Any) -> None:
    assert getattr(change_settings(TINY, parse_assignments(TINY, [assignment])).model, field) == value


def test_values_of_every_kind() -> None:
    run = find_recipe("guided-small-taught")
    values = parse_assignments(run, [
        "semantic.layers=[1, 2]", "semantic.standardize=False", "semantic.source=12", "acoustic=null",
        "losses.semantic={\"value\": 0.25}", "train.precision=bfloat16", "batches.gain_db=[0, 1]",
    ])  # fmt: skip
    changed: Any = change_settings(run, values)
    assert (changed.semantic.layers, changed.semantic.standardize, changed.semantic.source) == ((1, 2), False, "12")
    assert (changed.acoustic, changed.losses.semantic.value, changed.losses.semantic.start) == (None, 0.25, 0)
    assert (changed.train.precision, changed.batches.gain_db) == ("bfloat16", (0, 1))


def test_another_kind_of_record_and_one_that_the_recipe_lacks() -> None:
    settings = {"model.backbone.channels": 4, "model.backbone.kind": "seanet", "model.backbone.latent_width": 8}
    changed: Any = change_settings(TINY, settings)
    assert (changed.model.backbone.kind, changed.model.backbone.channels) == ("seanet", 4)
    assert changed.model.backbone.strides == (2, 4, 5, 8)
    taught: Any = change_settings(TINY, {"adversary.begin": 3})
    assert (taught.adversary.begin, taught.adversary.game) == (3, "hinge")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.num_codebook=2", "no setting is named model.num_codebook; the nearest is model.num_codebooks"),
        ("num_codebooks=2", "no setting is named num_codebooks; the nearest is model.num_codebooks"),
        ("width=2", "no setting is named width; the nearest is model.backbone.width"),
        ("loses.quantize_from=2", "the nearest is losses.quantize_from"),
        ("train.steps.many=2", "setting train.steps.many: train.steps has no parts"),
        ("find=x", "no setting is named find"),
        ("recipe=x", "no setting is named recipe"),
        ("xyz.abc=1", "no setting is named xyz.abc; `vocable recipes NAME` lists all"),
        ("model.num_codebooks=two", "--set model.num_codebooks=two: 'two': .* valid integer; it is int ≥ 1, ≤ 1024"),
        ("model.num_codebooks=0", "--set model.num_codebooks=0: 0: .* greater than or equal to 1"),
        ("model.num_codebooks=2.5", "valid integer"),
        ("model.codebook_decay=NaN", "--set model.codebook_decay=NaN"),
        ("train.precision=half", "train.precision=half: 'half': .*'float32' or 'bfloat16'"),
        ("batches.frames=many", "--set batches.frames=many"),
        ("batches.frames=0", "crops: frames is 0: it must be at least 1"),
        ("model.backbone.kernel=4", "setting model: .*kernel 4 must be odd"),
        ("model.backbone.kind=other", "setting model: "),
        ("losses.kl.value=1", "no setting is named losses.kl.value"),
        ("model", "--set 'model': write NAME=VALUE"),
        ("=3", "--set '=3': write NAME=VALUE"),
        ("train={}", "setting train: steps: Field required"),
    ],
)
def test_what_cannot_be_set_is_named(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        change_settings(TINY, parse_assignments(TINY, [assignment]))
    assert "\n" not in str(caught.value)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_files_of_settings(tmp_path: Path) -> None:
    toml = write(tmp_path / "a.toml", "train.steps = 7\n[model]\nnum_codebooks = 2\n[losses.commitment]\nvalue = 0.5\n")
    yaml = write(
        tmp_path / "a.yaml", "train: {steps: 7}\nmodel.num_codebooks: 2\nlosses:\n  commitment:\n    value: 0.5\n"
    )
    expected = {"train.steps": 7, "model.num_codebooks": 2, "losses.commitment.value": 0.5}
    assert read_settings(TINY, toml) == read_settings(TINY, yaml) == expected
    assert read_settings(TINY, write(tmp_path / "empty.yml", "")) == {}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "steps = ", "a.toml: is no TOML or YAML of settings"),
        ("a.toml", "train.steps = 2020-01-01", "a.toml: is no TOML or YAML"),
        ("a.yaml", "a: [", "a.yaml: is no TOML or YAML"),
        ("a.yaml", "- 1", "a.yaml: holds no names with values"),
        ("a.yaml", "train.clip: .nan", "a.yaml: is no TOML or YAML"),
        ("none.toml", None, "none.toml: cannot be read"),
    ],
)
def test_files_that_hold_no_settings(name: str, text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / name if text is None else write(tmp_path / name, text)
    with pytest.raises(ConfigError, match=message):
        read_settings(TINY, path)


def test_yaml_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(MissingDependencyError, match="pip install pyyaml, or write TOML"):
        read_settings(TINY, write(tmp_path / "a.yaml", "train.steps: 3"))


def test_steps_are_one_setting(tmp_path: Path) -> None:
    for run in (
        override(find_recipe("guided-small"), steps=100),
        override(find_recipe("guided-small"), settings={"train.steps": 100}),
    ):
        assert (run.train.steps, run.losses.quantize_from) == (100, 10)
    both = override(find_recipe("guided-small"), steps=100, settings={"losses.quantize_from": 50, "train.seed": 3})
    assert (both.losses.quantize_from, both.train.seed, both.batches.seed) == (50, 3, 0)


def test_the_settings_of_a_run_have_no_other_fields() -> None:
    settings = {"model", "losses", "batches", "train"}
    assert {field.name for field in fields(Run)} == settings | {"find", "recipe", "audio_cache"}


def test_recipes_lists_settings(vocable: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    code, said, _ = vocable("recipes", "guided-tiny")
    (line,) = (line for line in said.splitlines() if line.strip().startswith("losses.quantize_from"))
    assert code == 0
    assert line.split(maxsplit=5)[:4] == ["losses.quantize_from", "int", "≥", "0"]
    assert "Steps that a model with untrained codebooks trains as a plain autoencoder first" in line
    code, _, complained = vocable("recipes", "guided-tiiny")
    assert code == 1
    assert complained.startswith("vocable: there is no recipe 'guided-tiiny'")
