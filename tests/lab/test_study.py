"""Studies: variants differ in what is asked and in nothing else, and end in one table."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.digits import write_digits
from vocable import recipes
from vocable.cli.main import app
from vocable.data.manifest import read_manifest
from vocable.errors import ConfigError
from vocable.evaluate.card import Column, Entry
from vocable.metrics.score import Figure
from vocable_lab.study import _informative, _unanswered, study
from vocable_lab.vqalattent.classifier import find_classifier
from vocable_lab.vqalattent.study import STUDIES, SUBJECT

pytestmark = pytest.mark.slow  # trains


def tiny(steps: int = 12) -> recipes.Run:
    run = recipes.find("vqalattent-tiny")
    return replace(run, train=replace(run.train, steps=steps, save_every=steps))


@pytest.mark.parametrize("name", STUDIES)
def test_variants_differ_in_what_is_asked_and_come_at_three_seeds(name: str) -> None:
    variants = STUDIES[name](tiny())  # type: ignore[arg-type]
    assert len({variant.name for variant in variants}) == len(variants)
    groups = {variant.group for variant in variants}
    assert {variant.name for variant in variants} == {f"{group}-seed{seed}" for group in groups for seed in range(3)}
    for variant in variants:
        changed, plain = asdict(variant.run), asdict(tiny())
        assert (changed["train"].pop("seed"), changed["batches"].pop("seed")) == (int(variant.name[-1]),) * 2
        del plain["train"]["seed"], plain["batches"]["seed"]
        differ = {key for key in plain if changed[key] != plain[key]}
        also = {"length": {"train"}, "codebooks": {"losses"}}.get(name, set())
        assert differ <= {"model"} | also
        assert changed["model"]["image"] == plain["model"]["image"]


def test_conditions_share_the_vqvae_of_their_seed_and_sizes_do_not() -> None:
    shared = {variant.name: variant.begins_from for variant in STUDIES["conditions"](tiny())}  # type: ignore[arg-type]
    assert {name for name, begins_from in shared.items() if not begins_from} == {f"none-seed{at}" for at in range(3)}
    assert shared["own-id-seed2"] == "none-seed2"
    assert not any(variant.begins_from for variant in STUDIES["sizes"](tiny()))  # type: ignore[arg-type]


def test_a_study_ends_in_one_table_and_goes_on_where_it_stood(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    corpus = write_digits(tmp_path / "digits", takes=2, digits=2)
    find_classifier(tmp_path, read_manifest(corpus, "train"), tiny().model.image, "digit", tmp_path / "study", steps=30)
    said: list[str] = []
    only = ["own-id-seed0", "shared-id-seed0"]
    table = study("conditions", tiny(), [corpus], tmp_path / "study", only=only, fakes=3, quiet=True, say=said.append)
    first, *_ = table.split("\n\n")
    assert [line.split("|")[1].strip() for line in first.splitlines()[2:]] == [
        "none-seed0, nothing asked", "shared-id-seed0", "own-id-seed0"
    ]  # fmt: skip
    for title in ("perplexity of an id", "ms a fake", "cache, MB a fake", "training, s", "entries used"):
        assert title in first
    assert said.count("own-id-seed0: training") == 1
    model = (tmp_path / "study/none-seed0/checkpoints/step-00000012/training.json").stat().st_mtime_ns
    again = study("conditions", tiny(), [corpus], tmp_path / "study", only=only, fakes=3, quiet=True, say=said.append)
    assert again == table
    assert (tmp_path / "study/none-seed0/checkpoints/step-00000012/training.json").stat().st_mtime_ns == model
    values = json.loads((tmp_path / "study/study.json").read_text())
    assert values["own-id-seed0"]["conditional_accuracy"]["n"] == 6
    assert values["over seeds"]["own-id"]["perplexity"]["seeds"] == 1
    assert (tmp_path / "study/study.md").read_text() == table
    with pytest.raises(ConfigError, match="no variant 'suffix'; it has none, shared-id, own-id, prefix"):
        study("conditions", tiny(), [corpus], tmp_path / "other", only=["own-id", "suffix"])
    assert not (tmp_path / "other").exists()


def test_a_study_that_cannot_answer_says_so_before_it_trains(tmp_path: Path) -> None:
    """Every accent has one speaker, so a prior of accents would be one of voices."""
    corpus = write_digits(tmp_path / "digits", takes=2, digits=2)
    lines = [json.loads(line) for line in corpus.read_text().splitlines()]
    lines = [line | {"accent": f"of {line['speaker']}"} for line in lines]
    corpus.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(
        ConfigError, match=r"cannot be answered .*accent \(speakers: 1 of .*cannot be told from a voice"
    ):
        study("accent", tiny(), [corpus], tmp_path / "study", quiet=True)
    assert not list((tmp_path / "study").glob("digit*"))


def test_a_column_at_its_ceiling_is_named_and_not_shown() -> None:
    column = Column(key="fidelity", title="fidelity", better="higher", caption="")
    subject = replace(SUBJECT, columns=[column], ceilings={"fidelity": 0.995})

    def entry(value: float) -> Entry:
        figure = Figure(mean=value, low=value - 0.001, high=value + 0.001, n=10)
        return Entry(name="a", kind="tokenizer", family="a", note="", figures={"fidelity": figure})

    assert _informative([entry(1.0), entry(0.999)], subject)[0] == []
    assert _informative([entry(1.0), entry(0.999)], subject)[1][0].startswith("fidelity: not shown. It is at its ceil")
    assert _informative([entry(1.0), entry(0.9)], subject) == ([column], [])


def test_variants_that_do_not_beat_a_baseline_are_named() -> None:
    columns = [Column(key=key, title=key, better="lower", caption="") for key in ("per", "per_majority")]
    subject = replace(SUBJECT, columns=columns, baselines={"per": "per_majority"})

    def entry(value: float) -> Entry:
        figures = {"per": Figure(mean=value, low=value - 0.05, high=value + 0.05, n=10),
                   "per_majority": Figure(mean=0.9, low=0.85, high=0.95, n=10)}  # fmt: skip
        return Entry(name="a", kind="tokenizer", family="a", note="", figures=figures)

    entries = {"good": entry(0.6), "unclear": entry(0.88), "bad": entry(2.0)}
    (line,) = _unanswered(entries, subject)
    assert line.startswith("per: not clearly better than *per_majority*: unclear, bad. The study cannot answer")
    (line,) = _unanswered({"bad": entry(2.0)}, subject)
    assert "*per_majority*: every variant." in line
    assert not list(_unanswered({"good": entry(0.6)}, subject))


def test_what_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no study 'colours'; there are length, codebooks, conditions, sizes, gender"):
        study("colours", tiny(), [], tmp_path)
    arguments = ["study", "sizes", "--recipe", "guided-tiny", "--data", "none.jsonl", "--out", str(tmp_path / "out")]
    assert "is of VQalAttent" in str(CliRunner().invoke(app, arguments).exception)
