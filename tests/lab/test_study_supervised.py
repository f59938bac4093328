"""Studies of the supervised units: what variants are, and a table of what was measured."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.models import save_whisper
from tests.phones import spoken
from vocable.systems.supervised.recipe import SupervisedRun, small, tiny
from vocable_lab.study import study
from vocable_lab.supervised.study import tasks, units


def test_units_are_of_two_kinds_at_two_rates_and_equal_sizes() -> None:
    run = small()
    made = units(replace(run, train=replace(run.train, steps=500)))
    assert [one.has_other_sizes for one in made] == [False, True, True, True]
    variants = {one.name: one.run for one in made}
    assert [run.model.spec.frame_rate for run in variants.values()] == [25.0, 25.0, 12.5, 12.5]
    assert {run.model.codebook_size for run in variants.values()} == {1024}
    assert [bool(run.model.fsq_levels) for run in variants.values()] == [False, True, False, True]
    positions = [run.model.recognizer.phones_per_token * run.model.spec.frame_rate for run in variants.values()]
    assert set(positions) == {50.0}
    assert all(run.losses.codebook_start < 250 and not run.losses.representation.value for run in variants.values())


def test_each_task_is_left_out_once() -> None:
    weights = [
        tuple(bool(getattr(one.run.losses, name).value) for name in ("letters", "distillation", "representation"))
        for one in tasks(small())
    ]
    assert weights == [(True, True, True), (False, True, True), (True, False, True), (True, True, False)]


@pytest.mark.slow
def test_units_end_in_one_table(tmp_path: Path) -> None:
    with (tmp_path / "manifest.jsonl").open("w") as lines:
        for take, split in enumerate(("train", "train", "train", "dev")):
            audio, segments = spoken(2.0, "ann", take)
            audio.write(tmp_path / f"{take}.wav")
            words = [[str(segment[0])] for segment in segments if segment[0] != "SIL"]
            line = {"audio_path": f"{take}.wav", "split": split, "speaker": f"s{take}", "phones": words}
            lines.write(json.dumps(line) + "\n")
    whisper = save_whisper(tmp_path / "whisper-random")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOCABLE_WEIGHTS", str(whisper.parent))
        run: SupervisedRun = tiny().with_teachers({"encoder": str(whisper)}, str(tmp_path / "cache"))
        run = replace(run, train=replace(run.train, steps=6, save_every=6))
        table = study(
            "units", run, [tmp_path / "manifest.jsonl"], tmp_path / "study", quiet=True, say=lambda line: None
        )
    assert all(f"| {name} |" in table for name in ("codebook", "fsq", "codebook-half-rate", "fsq-half-rate"))
