"""What a TASTE cannot be trained on is named, and what it may be mistaken about."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import vocable
from tests.lab.taste import write_weights
from tests.lab.taste_recipe import tiny
from tests.models import ready
from vocable.data.manifest import read_manifest
from vocable.errors import CheckpointError, ConfigError, ManifestError, TextError
from vocable.features.hub import WEIGHTS
from vocable.features.whisper import load_encoder
from vocable.systems.registry import find_recipe
from vocable.train.run import fit


def lines_of(place: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (place / "corpus/manifest.jsonl").read_text().splitlines()]


def test_a_text_that_may_not_be_what_is_said_is_told_before_training(place: Path) -> None:
    manifest, said = place / "corpus/manifest.jsonl", list[str]()
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["alignment_score"] = -60.0 if number == 1 else -20.0 - number
    many = [{**line, "split": "train"} for line in lines for _ in range(3)]
    for number, line in enumerate(many):
        (manifest.parent / f"copy{number}.flac").write_bytes((manifest.parent / line["audio_path"]).read_bytes())
        line["audio_path"] = f"copy{number}.flac"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in many))
    fit(tiny(place, 1), [manifest], place / "run", find=vocable.load, quiet=True, say=said.append)
    told = [line for line in said if line.startswith("doubtful: ")]
    assert len(told) == 3
    for line, number in zip(told, (3, 4, 5), strict=True):
        assert line.startswith(f"doubtful: {manifest}, line {number + 1}: ")
        assert f"copy{number}.flac: its alignment_score is -60, the median is -2" in line
    assert not [line for line in said if line.startswith("left out")]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (None, ManifestError, "none of 7 lines has a 'text', and these tokens stand for its subwords"),
        ("", ManifestError, "none of 7 lines has a 'text'"),
        (" ... ", TextError, "there are no letters to learn subwords from"),
    ],
)
def test_a_manifest_without_text_trains_nothing(
    place: Path, text: str | None, error: type[Exception], message: str
) -> None:
    manifest = place / "corpus/mute.jsonl"
    manifest.write_text("".join(json.dumps(line | {"text": text}) + "\n" for line in lines_of(place)))
    with pytest.raises(error, match=message):
        fit(tiny(place, 2), [manifest], place / "run", find=vocable.load, quiet=True)
    assert not (place / "run").exists()


def test_a_line_without_text_is_left_out_by_name(place: Path) -> None:
    lines = lines_of(place)
    lines[0]["text"] = None
    manifest, said = place / "corpus/some.jsonl", list[str]()
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    fit(tiny(place, 1), [manifest], place / "run", find=vocable.load, quiet=True, say=said.append)
    where = f"{manifest}, line 1: {place / 'corpus/0.flac'}"
    assert said[0] == f"left out: {where}: its line has no 'text'; add the transcript"


def test_features_that_another_model_said_are_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, lines = tiny(place, 2), read_manifest(place / "corpus/manifest.jsonl", "train")
    run.material_of(lines)
    ready("seanet").save(place / "other-codec")
    cache = str(place / "cache")
    with pytest.raises(CheckpointError, match=r"units: keeps the targets of another teacher .*give another folder"):
        run.with_teachers({"units": str(place / "other-codec")}, cache).material_of(lines)
    write_weights(place / "others")
    state = load_file(place / "others/whisper-tiny.en/encoder.safetensors")
    save_file(
        {name: value + 0.01 for name, value in state.items()}, place / "others/whisper-tiny.en/encoder.safetensors"
    )
    monkeypatch.setenv(WEIGHTS, str(place / "others"))
    load_encoder.cache_clear()
    with pytest.raises(CheckpointError, match=r"frames: keeps the targets of another teacher .*give another folder"):
        tiny(place, 2).material_of(lines)


def test_a_whisper_that_is_given_as_a_folder_keeps_the_hub_name_of_the_recipe(place: Path) -> None:
    run = tiny(place, 2)
    run = run.with_teachers({"encoder": str(place / "weights/whisper-tiny.en")}, str(place / "cache"))
    material = run.material_of(read_manifest(place / "corpus/manifest.jsonl", "train"))
    assert run.objective(material).model.config.encoder.name == "openai/whisper-tiny.en"


def test_units_outside_the_table_are_refused(place: Path) -> None:
    run, lines = tiny(place, 2), read_manifest(place / "corpus/manifest.jsonl", "train")
    material = run.material_of(lines)
    indices = range(len(material))
    assert len([*material.rows(indices)]) == len(material)
    file = next((place / "cache/units").glob("*.safetensors"))
    units, digest = load_file(file)["target"], run.teachers()["units"]["digest"]
    units[3] = run.teachers()["units"]["width"]
    save_file({"target": units}, file, metadata={"digest": digest})
    with pytest.raises(CheckpointError, match=r"holds ids that are not in \[0, \d+\); remove it"):
        list(material.rows(indices))
    units[3] = -1
    save_file({"target": units.to(torch.int32)}, file, metadata={"digest": digest})
    with pytest.raises(CheckpointError, match="holds ids that are not in"):
        list(run.material_of(lines).rows(indices))


@pytest.mark.parametrize("name", ["taste-seed", "taste-full-mha"])
def test_a_frozen_unit_model_of_random_weights_is_refused_before_any_data_is_read(tmp_path: Path, name: str) -> None:
    run = find_recipe(name)
    assert run.model.freeze_lm
    with pytest.raises(ConfigError, match=r"random weights; give --init cosyvoice:FOLDER .*CosyVoice-300M") as told:
        fit(run, [tmp_path / "no such manifest.jsonl"], tmp_path / "run", find=vocable.load, quiet=True)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()


def test_the_seed_goes_on_from_a_model_that_is_given() -> None:
    run = find_recipe("taste-seed")
    run.check_start(object())
    find_recipe("taste-paper").check_start(None)
