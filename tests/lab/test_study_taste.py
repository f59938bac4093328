"""Studies of TASTE: what variants are, tables and pictures of what was measured, and sizes that can be printed."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.evaluate.drawn import check_words, watched
from tests.lab.taste_recipe import run_of, tiny
from vocable import recipes
from vocable.audio import Audio
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import ConfigError
from vocable.evaluate.curves import plot_losses, plot_metrics
from vocable.evaluate.describe import describe
from vocable.systems import registry as hub
from vocable.systems.taste.model import UnitPrediction
from vocable.systems.taste.recipe import TasteRun
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.train.record import read_record
from vocable_lab.study import study
from vocable_lab.taste.study import STUDIES
from vocable_lab.taste.units import has_trained_quantizer

pytestmark = pytest.mark.slow  # trains

RECIPES = [name for name in recipes.RECIPES if name.startswith("taste-")]


@pytest.mark.parametrize("name", RECIPES)
def test_layers_are_two_by_two_and_text_alone(name: str) -> None:
    run = run_of(name)
    deep, shallow = run.model.layers
    variants = {one.name: one.run for one in STUDIES["layers"](run)}
    named = {"deep": deep, "shallow": shallow}
    assert deep > shallow
    assert variants["deep-shallow"] == run
    for key in named:
        for value in named:
            assert variants[f"{key}-{value}"].model.layers == (named[key], named[value])
    assert len({one.cache for one in variants.values()}) == 4  # what is heard of other layers is kept elsewhere
    assert variants["text-only"].model.fusion == "none"
    assert variants["text-only"].losses.speech_from == run.train.steps
    assert len(variants) == 5


@pytest.mark.parametrize("name", RECIPES)
def test_aggregations_have_all_layers_or_finite_scalars_of_equal_bits(name: str) -> None:
    run = run_of(name)
    if run.model.quantizer is None:
        with pytest.raises(ConfigError, match="has no quantizer"):
            STUDIES["aggregation"](run)
        return
    variants = {one.name: one.run for one in STUDIES["aggregation"](run)}
    assert {one.model.bits for one in variants.values()} == {run.model.bits}
    every = set(range(run.model.encoder.depth + 1))
    mixed = variants["mixed-layers-fsq"].model
    assert set(mixed.layers) == every
    assert len(mixed.layers) == len(every)
    assert mixed.quantizer is not None
    assert mixed.quantizer.kind == "fsq"
    assert variants["mixed-layers"].cache != run.cache


def test_mixed_layers_and_finite_scalars_are_trained_and_used(place: Path) -> None:
    run = tiny(place, 8)
    only = ["mixed-layers-fsq"]
    corpus = [place / "corpus/manifest.jsonl"]
    table = study("aggregation", run, corpus, place / "aggregation", only=only, quiet=True, say=lambda line: None)
    assert "| mixed-layers-fsq |" in table
    tokenizer = hub.load(place / "aggregation" / "mixed-layers-fsq")
    assert isinstance(tokenizer, TasteTokenizer)
    utterance = next(one for one in read_manifest(corpus[0]) if one.text)
    tokens = tokenizer.encode(Audio.read(utterance.audio_path), utterance.text)
    assert tokens.ids.shape[1] == 2
    assert tokenizer.decode(tokens).duration > 0


@pytest.mark.parametrize("name", RECIPES)
def test_causes_are_one_change_each(name: str) -> None:
    run = run_of(name)
    variants = {one.name: one.run for one in STUDIES["causes"](run)}
    assert variants.pop("recipe") == run
    for cause, one in variants.items():
        beside = variants["added"] if cause == "added-weak" and "added" in variants else run
        assert len(_changed(one, beside)) == (2 if cause == "seed-form" else 1), cause
    assert variants["unmasked-padding"].model.aggregator.padded_to == 1500
    assert not variants["unmasked-padding"].model.aggregator.mask_padding
    assert variants["added-weak"].initial_scale == 0.1
    assert {one.case for one in variants.values()} == {"lower", "as_is"}
    assert "case-lower" in variants or run.case == "lower"


def test_fusion_is_every_way_to_join() -> None:
    assert [one.run.model.fusion for one in STUDIES["fusion"](run_of("taste-small"))] == ["add", "gated", "weighted"]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    ("study", "field", "names", "values"),
    [
        ("hours", "share", ["quarter", "half", "all"], [0.25, 0.5, 1.0]),
        ("speeds", "speeds", ["as-recorded", "three-speeds"], [(1.0,), (0.9, 1.0, 1.1)]),
    ],
)
def test_more_speech_is_all_that_differs(
    name: str, study: str, field: str, names: list[str], values: list[object]
) -> None:
    run = run_of(name)
    variants = STUDIES[study](run)
    assert [one.name for one in variants] == names
    assert [getattr(one.run.batches, field) for one in variants] == values
    for one in variants:
        assert replace(one.run, batches=run.batches) == run
        assert replace(one.run.batches, **{field: getattr(run.batches, field)}) == run.batches


def test_less_speech_is_of_fewer_speakers_in_the_same_pieces(place: Path) -> None:
    run, lines = tiny(place, 4), read_manifest(place / "corpus/manifest.jsonl", "train")
    lines = [line.model_copy(update={"speaker": f"speaker {number}"}) for number, line in enumerate(lines)]
    parts = [one.run.material_of(lines) for one in STUDIES["hours"](run)]
    speakers = [{line.speaker for line in part.utterances} for part in parts]
    assert speakers[0] < speakers[1] < speakers[2]
    assert [len(part) for part in parts] == [2, 4, 7]
    assert len({json.dumps(part.subword_tokenizer.to_json()) for part in parts}) == 1
    plain, three = (one.run.material_of(lines) for one in STUDIES["speeds"](run))
    assert (len(plain), len(three), three.problems) == (7, 21, [])
    assert three.hours == pytest.approx(plain.hours * (1 / 0.9 + 1 + 1 / 1.1))


@pytest.mark.parametrize("name", RECIPES)
def test_the_parameter_table_is_printed_for_every_recipe_without_its_weights(name: str) -> None:
    tables = {table.title: table for table in describe(name)}
    rows = {row[0]: row[1:] for row in tables["Parameters"].rows}
    total, trained, frozen = (int(cell.replace(",", "")) for cell in rows["whole"])
    assert total == trained + frozen > 0
    parts = [[int(cell.replace(",", "")) for cell in row] for part, row in rows.items() if part != "whole"]
    assert [total, trained, frozen] == [sum(column) for column in zip(*parts, strict=True)]
    if name == "taste-seed":
        assert (round(total / 1e6, 1), round(trained / 1e6, 1)) == (312.8, 112.3)
    head = tables["Model" if name in hub.released() else f"Recipe {name}"]  # a name in the box is that of its model
    assert dict(row[:2] for row in head.rows)["a token is"] == "a subword of the text"


def test_a_weak_beginning_is_a_tenth_as_long(place: Path) -> None:
    run = tiny(place, 4)
    lengths = []
    for begins in (1.0, 0.1):
        one = replace(run, initial_scale=begins)
        material = one.material_of(read_manifest(place / "corpus/manifest.jsonl", "train"))
        torch.manual_seed(0)
        model = one.objective(material).model.eval()
        batch = material.row(0)
        with torch.no_grad():
            lengths.append(model.embed_speech(model.text(batch.subword_ids, batch.subword_mask), batch)[0].norm())
    assert float(lengths[1] / lengths[0]) == pytest.approx(0.1, rel=1e-3)


def test_layers_end_in_one_table_judged_on_dev(place: Path) -> None:
    run, said = tiny(place, 4), list[str]()
    table = study("layers", run, [place / "corpus/manifest.jsonl"], place / "study", quiet=True, say=said.append)
    lines = table.splitlines()
    names = [line.split("|")[1].strip() for line in lines[2:]]
    assert names == ["deep-shallow", "deep-deep", "shallow-deep", "shallow-shallow", "text-only"]
    values = json.loads((place / "study/study.json").read_text())
    assert values["deep-deep"]["top1"]["n"] == 3  # dev, not train
    assert values["text-only"]["top1"]["mean"] == values["text-only"]["text_only_top1"]["mean"]
    assert values["text-only"]["loss"]["mean"] != values["deep-shallow"]["loss"]["mean"]
    for title in ("train loss", "top-1", "top-5", "text-only top-5", "alignment error"):
        assert title in lines[0]
    again = study("layers", run, [place / "corpus/manifest.jsonl"], place / "study", quiet=True, say=said.append)
    assert again == table


def test_epochs_are_a_table_and_two_pictures(place: Path) -> None:
    run, said = tiny(place, 20), list[str]()
    with watched() as seen:
        table = study("epochs", run, [place / "corpus/manifest.jsonl"], place / "study", quiet=True, say=said.append)
    rows, sides = table.split("\n\n")
    assert len(rows.splitlines()) == 2 + 10
    for title in ("train loss |", "train loss, evaluated |", "| loss |", "train top-1, evaluated", "train top-5, ev"):
        assert title in rows.splitlines()[0]
    assert "with dropout" in sides
    assert "evaluation mode" in sides
    values = json.loads((place / "study/study.json").read_text())
    assert list(values) == [f"run at step-{step:08d}" for step in range(2, 21, 2)]
    log = read_record(place / "study/run").rows
    fourth = values["run at step-00000008"]
    assert fourth["train_loss"]["mean"] == pytest.approx(sum(row["taste/units"] for row in log[6:8]) / 2)
    assert fourth["train_top1"]["mean"] == pytest.approx(sum(row["top1"] for row in log[6:8]) / 2)
    for name in ("losses", "figures"):
        assert (place / f"study/run-{name}.png").read_bytes()[1:4] == b"PNG"
    assert len(seen) == 2
    for figure in seen:
        check_words(figure)
        labels = [axes.get_legend_handles_labels()[1] for axes in figure.axes]
        assert ["training", "validation", "training, evaluated"] in labels
    plot_losses(log)
    assert plot_metrics(log).title == "Metrics in training"


@pytest.mark.parametrize("split", [None, "train"])
def test_epochs_are_validated_in_evaluation_mode_on_the_split_that_is_asked_for(place: Path, split: str | None) -> None:
    run, manifest = tiny(place, 10), place / "corpus/manifest.jsonl"
    wild = replace(run.model, lm=replace(run.model.lm, dropout=0.5), text=replace(run.model.text, dropout=0.5))
    run = replace(run, model=wild, losses=replace(run.losses, unit_dropout=0.5))
    study("epochs", run, [manifest], place / "study", split=split, quiet=True, say=lambda line: None)
    values = json.loads((place / "study/study.json").read_text())["run at step-00000010"]
    tokenizer = hub.load(place / "study/run/checkpoints/step-00000010")
    clips = read_manifest(manifest, split or "dev")
    looks = looks_of(tokenizer, clips)
    assert values["top1"]["n"] == len(clips)
    assert (values["loss"]["mean"], values["top1"]["mean"]) == pytest.approx(said_of(looks), rel=1e-4)
    assert values["train_loss"]["mean"] != pytest.approx(values["loss"]["mean"], rel=1e-3)


@pytest.mark.parametrize("limit", [50, 2])
def test_epochs_evaluate_as_many_recordings_that_are_learnt_from_without_dropout(place: Path, limit: int) -> None:
    run, manifest = tiny(place, 10), place / "corpus/manifest.jsonl"
    wild = replace(run.model, lm=replace(run.model.lm, dropout=0.5), text=replace(run.model.text, dropout=0.5))
    run = replace(run, model=wild, losses=replace(run.losses, unit_dropout=0.5))
    study("epochs", run, [manifest], place / "study", fakes=limit, quiet=True, say=lambda line: None)
    values = json.loads((place / "study/study.json").read_text())["run at step-00000010"]
    tokenizer = hub.load(place / "study/run/checkpoints/step-00000010")
    learnt, dev = read_manifest(manifest, "train"), read_manifest(manifest, "dev")
    assert (len(learnt), len(dev)) == (7, 3)
    chosen = [learnt[at] for at in ((0, 3, 6) if limit > 2 else (0, 6))]
    loss, top1 = said_of(looks_of(tokenizer, chosen))
    for key, value in (("loss", loss), ("top1", top1)):
        assert values[f"train_evaluated_{key}"]["mean"] == pytest.approx(value, rel=1e-4)
        assert values[f"train_evaluated_{key}"]["n"] == values[key]["n"] == len(chosen)
    assert values["train_evaluated_top5"]["mean"] >= top1
    assert values["train_loss"]["mean"] != pytest.approx(loss, rel=1e-3)


def test_studies_that_measure_the_end_alone_have_no_training_side(place: Path) -> None:
    table = study(
        "fusion", tiny(place, 4), [place / "corpus/manifest.jsonl"], place / "study", only=["add"], quiet=True,
        say=lambda line: None,
    )  # fmt: skip
    assert "evaluated" not in table
    assert "\n\n" not in table


def test_a_study_of_another_system_is_refused(place: Path) -> None:
    with pytest.raises(ConfigError, match="the study 'causes' is of TASTE"):
        study("causes", recipes.find("ctap-tiny"), [place / "corpus/manifest.jsonl"], place / "study")


def looks_of(tokenizer: TasteTokenizer, clips: Sequence[Utterance]) -> list[UnitPrediction]:
    """Clips in evaluation mode."""
    return [
        tokenizer.predict(Audio.read(clip.audio_path), clip.text or "", quantize=has_trained_quantizer(tokenizer))
        for clip in clips
    ]


def said_of(looks: Sequence[UnitPrediction]) -> tuple[float, float]:
    """Nats a unit and top-1 over all units."""
    count = sum(len(look.units) for look in looks)
    right = sum(int((look.logits[:-1].argmax(1) == look.units).sum()) for look in looks)
    nats = sum(float(cross_entropy(look.logits[:-1], look.units, reduction="sum")) for look in looks)
    return nats / count, right / count


def _changed(one: TasteRun, other: TasteRun) -> set[str]:
    """Which settings differ, those of the model by its parts."""
    made, plain = ({**asdict(run), **asdict(run)["model"], "model": None} for run in (one, other))
    return {key for key in plain if made[key] != plain[key]}
