"""Studies of the guided codec: variants, equal starts of one seed, tables over seeds and levels."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from tests.features.test_hubert import saved
from tests.models import ready
from vocable import recipes
from vocable.cli.main import app
from vocable.data.manifest import read_manifest
from vocable.errors import ConfigError
from vocable.features.ecapa import EcapaTdnn
from vocable.systems.guided.recipe import GuidedRun
from vocable.systems.registry import load
from vocable.testing import speechlike
from vocable.train.overrides import override
from vocable.train.schedule import Weight
from vocable_lab.guided.study import STUDIES, SUBJECT
from vocable_lab.study import find_subject, study

TAUGHT = ("guided-small-taught", "guided-paper", "guided-paper-speechtokenizer", "guided-tiny-taught")


def run_of(name: str, steps: int | None = None) -> GuidedRun:
    run = override(recipes.find(name), steps=steps)
    assert isinstance(run, GuidedRun)
    return run


def changes(one: GuidedRun, other: GuidedRun) -> set[str]:
    """Return the settings that differ, such as ``losses.semantic``."""
    changed, plain = (asdict(run) for run in (one, other))
    found = set()
    for key, value in plain.items():
        parts = value if isinstance(value, dict) else {"": value}
        now = changed[key] if isinstance(value, dict) and changed[key] is not None else {"": changed[key]}
        found |= {f"{key}.{part}".rstrip(".") for part in parts if now.get(part, None) != parts[part]}
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a random HuBERT and ECAPA-TDNN, and synthetic speech of two speakers a split."""
    folder = tmp_path_factory.mktemp("study")
    torch.manual_seed(0)
    saved(folder / "hubert")
    (folder / "ecapa").mkdir()
    save_file(EcapaTdnn(width=16, outputs=24).state_dict(), folder / "ecapa" / "embedding_model.safetensors")
    lines = []
    for speaker in range(4):
        for number in range(4):
            name = f"{speaker}-{number}.flac"
            speechlike(12_000 + 800 * number, seed=4 * speaker + number).write(folder / name)
            lines.append({
                "audio_path": name, "speaker": f"s{speaker}", "split": "test" if speaker > 1 else "train",
                "emotion": "angry" if number % 2 else "sad", "sentence_id": f"a{number // 2}",
            })  # fmt: skip
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def tiny(place: Path, steps: int = 12) -> GuidedRun:
    run = run_of("guided-tiny-taught", steps)
    named = run.with_teachers(
        {"semantic": str(place / "hubert"), "acoustic": str(place / "ecapa")}, str(place / "kept")
    )
    return replace(named, train=replace(named.train, save_every=steps, log_every=1))


@pytest.mark.parametrize("name", TAUGHT)
def test_lessons_are_four_at_three_seeds_that_differ_in_weights_alone(name: str) -> None:
    run = run_of(name)
    variants = {one.name: one for one in STUDIES["lessons"](run)}
    assert len(variants) == 12
    assert list(dict.fromkeys(one.group for one in variants.values())) == [
        "reconstruction", "semantic", "acoustic", "both",
    ]  # fmt: skip
    for seed in range(3):
        both = variants[f"both-seed{seed}"].run
        assert (both.train.seed, both.batches.seed) == (seed, seed)
        asked = {"reconstruction": {"semantic", "acoustic"}, "semantic": {"acoustic"}, "acoustic": {"semantic"}}
        for group, left_out in asked.items():
            other = variants[f"{group}-seed{seed}"].run
            assert changes(other, both) == {f"losses.{part}" for part in left_out}
            assert all(getattr(other.losses, part).value == 0 for part in left_out)


@pytest.mark.parametrize("name", TAUGHT)
def test_no_adversary_takes_part_and_a_short_run_begins_all_within_its_fifth(name: str) -> None:
    run = run_of(name, steps=1_000)
    for make in STUDIES.values():
        for variant in make(run):
            losses = variant.run.losses
            assert variant.run.adversary is None
            assert losses.quantize_from <= 100
            assert max(losses.semantic.start, losses.semantic.ramp, losses.acoustic.start) <= 200
            assert (losses.adversarial, losses.feature) == (Weight(value=0.0), Weight(value=0.0))
    recipe = run_of("guided-small-taught")
    assert recipe.train.steps == 10_000
    assert STUDIES["rates"](recipe)[0].run.losses.semantic.start == recipe.losses.semantic.start == 2_000


def test_weights_teachers_and_pooling_change_one_thing() -> None:
    run = run_of("guided-small-taught").with_teachers({"semantic": "s", "acoustic": "a"}, "kept")
    grid = {one.name: one.run.losses for one in STUDIES["weights"](run)}
    assert {name: (losses.semantic.value, round(losses.acoustic.value, 9)) for name, losses in grid.items()} == {
        "recipe": (1.0, 0.05), "semantic-0.2": (0.2, 0.05), "semantic-5": (5.0, 0.05), "acoustic-0.01": (1.0, 0.01),
        "acoustic-0.25": (1.0, 0.25),
    }  # fmt: skip
    swapped = {one.name: one.run for one in STUDIES["teachers"](run)}
    base = swapped.pop("recipe")
    assert {name: changes(one, base) for name, one in swapped.items()} == {
        "layers-mean": {"semantic.layers", "cache"}, "d-axis": {"semantic.form"},
        "frames-as-they-are": {"semantic.standardize"}, "level-2-alone": {"acoustic.levels"},
    }  # fmt: skip
    paper = {one.name for one in STUDIES["teachers"](run_of("guided-paper-speechtokenizer"))}
    assert paper == {"recipe", "layer-last", "cosine", "standardised", "level-2-alone"}
    attention, mean = STUDIES["pooling"](run)
    assert changes(attention.run, mean.run) == {"acoustic.pooling"}


@pytest.mark.slow
def test_the_runs_of_a_seed_begin_with_the_same_weights_and_hear_the_same_crops(place: Path) -> None:
    manifest = read_manifest(place / "manifest.jsonl", "train")
    seen: dict[int, list[tuple[Any, Any]]] = {}
    for variant in STUDIES["lessons"](tiny(place)):
        material = variant.run.material_of(manifest)
        torch.manual_seed(variant.run.train.seed)
        objective = variant.run.objective(material)
        assert [teacher.name for teacher in objective.teachers] == {
            "reconstruction": [], "semantic": ["semantic"], "acoustic": ["acoustic"], "both": ["semantic", "acoustic"],
        }[variant.group]  # fmt: skip
        assert set(variant.run.teachers()) == set(objective.teacher_records) == {one.name for one in objective.teachers}
        weights = {name: value.clone() for name, value in objective.model.state_dict().items()}
        seen.setdefault(variant.run.train.seed, []).append((weights, material.batch(3).samples))
    for alike in seen.values():
        for weights, samples in alike[1:]:
            assert torch.equal(samples, alike[0][1])
            assert all(torch.equal(value, alike[0][0][name]) for name, value in weights.items())
    assert not torch.equal(seen[0][0][1], seen[1][0][1])


@pytest.mark.slow
def test_lessons_end_in_a_table_of_runs_and_one_over_seeds(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vocable_lab.guided.study.SEEDS", 2)
    run = tiny(place, 4)
    table = study("lessons", run, [place / "manifest.jsonl"], tmp_path, fakes=2, quiet=True, say=lambda line: None)
    runs, seeds = table.split("\n\n")[:2]
    assert len(runs.splitlines()) == 2 + 8
    names = [line.split("|")[1].strip() for line in seeds.splitlines()[2:]]
    assert names == [
        "reconstruction", "semantic", "semantic − reconstruction", "acoustic", "acoustic − reconstruction", "both",
        "both − reconstruction",
    ]  # fmt: skip
    for title in ("PESQ-WB", "SER top-1, level 2", "speaker top-1, level 1", "VC MCD", "train semantic loss"):
        assert title in runs.splitlines()[0]
    values = json.loads((tmp_path / "study.json").read_text())
    each = [values[f"both-seed{seed}"]["pesq_wb"]["mean"] for seed in range(2)]
    plain = [values[f"reconstruction-seed{seed}"]["pesq_wb"]["mean"] for seed in range(2)]
    both = values["over seeds"]["both"]["pesq_wb"]
    assert both["mean"] == pytest.approx(np.mean(each))
    assert both["difference"]["mean"] == pytest.approx(np.mean(each) - np.mean(plain))
    assert both["difference"]["from"] == "reconstruction"
    assert both["seeds"] == both["difference"]["seeds"] == 2
    assert "train_semantic" not in values["reconstruction-seed0"]
    assert "phone_error" not in values["both-seed0"]
    assert (tmp_path / "study.md").read_text() == table


@pytest.mark.slow
def test_one_training_is_measured_at_every_rate(place: Path, tmp_path: Path) -> None:
    run = replace(run_of("guided-tiny", 4), train=replace(run_of("guided-tiny").train, steps=4, save_every=4))
    study("rates", run, [place / "manifest.jsonl"], tmp_path, fakes=3, quiet=True, say=lambda line: None)
    values = json.loads((tmp_path / "study.json").read_text())
    assert {name: one["tokens_per_second"]["mean"] for name, one in values.items()} == {
        "run": 200.0, "run@3": 150.0, "run@2": 100.0, "run@1": 50.0,  # of four levels
        "longer-frames": 160.0, "longer-frames@3": 120.0,
    }  # fmt: skip
    assert len({one["pesq_wb"]["mean"] for one in values.values()}) == len(values)
    assert "over seeds" not in values


def test_rates_of_both_frames_cover_what_the_seed_asks() -> None:
    run = run_of("guided-small")
    rates = {
        (variant.name, levels): replace(variant.run.model.spec, num_codebooks=levels).token_rate
        for variant in STUDIES["rates"](run) for levels in variant.levels
    }  # fmt: skip
    assert sorted(rates.values()) == [50, 100, 120, 150, 160, 200, 200]
    recipe, longer = (variant.run for variant in STUDIES["rates"](run))
    assert longer.batches.frames * longer.model.backbone.hop == recipe.batches.frames * recipe.model.backbone.hop
    assert changes(longer, recipe) == {"model.backbone", "batches.frames"}
    sizes = longer.model.backbone
    assert sizes == replace(recipe.model.backbone, hop=sizes.hop, spectrum_hop=sizes.spectrum_hop, n_fft=sizes.n_fft)
    assert [one.name for one in STUDIES["rates"](run_of("guided-small-taught"))] == ["run"]


@pytest.mark.slow
def test_every_training_begins_from_a_model_where_one_is_named(place: Path, tmp_path: Path) -> None:
    run = replace(run_of("guided-tiny", 4), train=replace(run_of("guided-tiny").train, steps=4, save_every=4))
    start = ready("spectral")
    learnt = int(start.model.quantizer.codebooks[0].updates)
    said: list[str] = []
    study("rates", run, [place / "manifest.jsonl"], tmp_path, start=start, fakes=2, quiet=True, say=said.append)
    assert int(load(tmp_path / "run").model.quantizer.codebooks[0].updates) == learnt + 4 > 4
    assert said[0] == "longer-frames: left out: its sizes are not those of the model to begin from"
    assert not (tmp_path / "longer-frames").exists()
    with pytest.raises(ConfigError, match="no variant 'longer-frames'; it has run"):
        study("rates", run, [], tmp_path / "other", only=["longer-frames"], start=start, say=said.append)


def test_rates_are_of_two_systems_and_the_recipe_says_which(tmp_path: Path) -> None:
    assert find_subject("rates", recipes.find("guided-tiny")) is SUBJECT
    assert find_subject("rates", recipes.find("ctap-tiny")).name == "VQ-CTAP"
    with pytest.raises(ConfigError, match="this recipe has no semantic teacher, which the study compares: take guided"):
        study("lessons", recipes.find("guided-tiny"), [], tmp_path)
    arguments = ["study", "pooling", "--recipe", "taste-tiny", "--data", "none.jsonl", "--out", str(tmp_path / "out")]
    assert "the study 'pooling' is of the guided codec: take one" in str(CliRunner().invoke(app, arguments).exception)
