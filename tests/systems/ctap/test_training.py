"""VQ-CTAP in whole runs: two stages, a kill and a second life, and made-up speech that is understood in the end."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models import ready
from tests.phones import write_phones
from tests.runs import check_going_on, finite, fit, log, tensors
from tests.states import same
from tests.systems.ctap.conftest import FIRST, STEPS, short
from vocable import recipes
from vocable.audio import Audio
from vocable.data.alignment import alignment_of
from vocable.data.manifest import read_manifest
from vocable.errors import ConfigError
from vocable.metrics.retrieval import retrieve
from vocable.systems.ctap.config import CtapCodebookConfig
from vocable.systems.ctap.recipe import tiny
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.systems.registry import load
from vocable.train.schedule import LearningRate, Weight


@pytest.fixture(scope="module")
def whole(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run without a break."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    fit(short(), manifest, folder)
    return folder


@pytest.mark.slow
def test_the_tiny_recipe_gives_a_model_that_speaks(manifest: Path, tmp_path: Path) -> None:
    fit(recipes.find("ctap-tiny"), manifest, tmp_path)
    tokenizer = load(tmp_path)
    assert isinstance(tokenizer, CtapTokenizer)
    lines = log(tmp_path)
    assert [line["step"] for line in lines] == [10, 20, 30, 40]
    assert finite(lines)
    assert lines[2]["transcoder/spectrum"] < lines[0]["transcoder/spectrum"]
    clip = Audio.read(read_manifest(manifest, "test")[0].audio_path)
    tokens = tokenizer.encode(clip)
    assert tokenizer.decode(tokens).samples.size == clip.samples.size
    assert len(tokenizer.speak(["AA", "IY", "SIL", "S"], clip)) == 1
    assert int(tokenizer.model.trained) == 8
    middle = tokenizer.model.middle
    assert float(middle.std()) > 1.0, "spectra are not on the scale of the data"
    assert float(tokenizer.model.durations.log_stats[0].exp()) == pytest.approx(0.12 * 8_000 / 64, rel=0.2)


@pytest.mark.slow
def test_two_stages_each_with_its_own_parts(whole: Path) -> None:
    lines = log(whole)
    for line in lines[:FIRST]:
        assert "transcoder/total" in line
        assert "connector/total" not in line
    for line in lines[FIRST:]:
        assert "transcoder/total" not in line
        assert {"connector/noise", "durations/noise"} <= line.keys()
    run = short()
    rates = [run.train.learning_rate.at(step, FIRST) for step in range(FIRST)]
    rates += [run.losses.second_stage_rate.at(step, STEPS - FIRST) for step in range(STEPS - FIRST)]
    assert [line["learning_rate"] for line in lines] == pytest.approx(rates)
    for part, moves in (("transcoder", True), ("connector", False), ("durations", False)):
        first, border, last = (tensors(whole, step, part) for step in (1, FIRST, STEPS))
        assert first
        assert same(first, border) != moves
        assert same(border, last) == moves, f"{part} did not keep to its stage"


@pytest.mark.slow
@pytest.mark.parametrize("kept", [1, 5, FIRST, FIRST + 2])
def test_a_run_that_goes_on_is_the_run_that_never_stopped(
    manifest: Path, whole: Path, tmp_path: Path, kept: int
) -> None:
    """Stopped before the codebook, within both stages and at their border: every byte is the same."""
    check_going_on(short(), manifest, whole, tmp_path / "stopped", kept)


def test_the_seed_decides(manifest: Path, whole: Path, tmp_path: Path) -> None:
    fit(recipes.override(short(), steps=2, seed=1), manifest, tmp_path / "other")
    assert not same(tensors(tmp_path / "other", 1, "transcoder"), tensors(whole, 1, "transcoder"))


@pytest.mark.slow
@pytest.mark.parametrize("codebook", ["gradient", "fsq"])
def test_other_codebooks_learn_and_load(manifest: Path, tmp_path: Path, codebook: Any) -> None:
    run = short()
    sizes = replace(run.model.transcoder, codebook=CtapCodebookConfig(size=32, kind=codebook, fsq_levels=(8, 4)))
    run = replace(run, model=replace(run.model, transcoder=sizes), train=replace(run.train, steps=6))
    fit(replace(run, losses=replace(run.losses, transcoder_share=1.0)), manifest, tmp_path)
    lines = log(tmp_path)
    assert finite(lines)
    assert 0 < lines[-1]["used"][0] <= 1
    tokenizer = load(tmp_path)
    assert isinstance(tokenizer, CtapTokenizer)
    tokens = tokenizer.encode(Audio.read(read_manifest(manifest, "test")[0].audio_path))
    assert int(tokens.ids.max()) < 32


@pytest.mark.slow
def test_in_bfloat16_it_trains(manifest: Path, tmp_path: Path) -> None:
    run = recipes.override(short(contrastive=Weight(value=0.1), consistency=Weight(value=0.1)), precision="bfloat16")
    fit(run, manifest, tmp_path)
    assert finite(log(tmp_path))


@pytest.mark.slow
def test_alarms_are_said_while_training(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = short(kl=Weight(value=1e-3, start=6), kl_floor=1e6)  # the seventh step and those up to the second stage
    fit(run, manifest, tmp_path)
    said = re.findall(r"warning: step (\d+): KL is at its floor of 1e\+06 nat", capsys.readouterr().out)
    assert said == ["7", "8"]
    assert all("alarms" not in line for line in log(tmp_path))


def test_a_model_to_begin_from(manifest: Path, whole: Path, tmp_path: Path) -> None:
    start = load(whole)
    run = replace(short(), losses=replace(short().losses, transcoder_share=0.0))
    fit(recipes.override(run, steps=2), manifest, tmp_path / "run", start=start)
    made = load(tmp_path / "run")
    assert same(made.model.transcoder.state_dict(), start.model.transcoder.state_dict())
    assert not same(made.model.connector.state_dict(), start.model.connector.state_dict())
    deeper = replace(run, model=replace(run.model, connector=replace(run.model.connector, layers=3)))
    objective = deeper.objective(deeper.material_of(read_manifest(manifest, "train")), start)
    assert same(objective.model.transcoder.state_dict(), start.model.transcoder.state_dict())
    assert same(objective.model.durations.state_dict(), start.model.durations.state_dict())
    assert torch.equal(objective.model.middle, start.model.middle)
    assert len(objective.model.connector.layers) == 3
    other = replace(run, model=replace(run.model, transcoder=replace(run.model.transcoder, feedforward=96)))
    with pytest.raises(ConfigError, match="the model to begin from has a transcoder of other sizes; take another"):
        fit(other, manifest, tmp_path / "other", start=start)
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("untyped")
def test_a_model_of_another_system_is_no_beginning(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the model to begin from is no VQ-CTAP; take another"):
        fit(short(), manifest, tmp_path / "run", start=ready("spectral"))


def test_speech_whose_phones_are_all_alike_has_a_scale(tmp_path: Path) -> None:
    """Durations without spread, and a corpus of silence: nothing is divided by zero."""
    Audio(torch.zeros(16_000).numpy(), 8_000).write(tmp_path / "a.wav")
    segments = [["AA" if place % 2 else "IY", place / 10, (place + 1) / 10] for place in range(20)]
    line = {"audio_path": "a.wav", "alignment": segments, "split": "train"}
    (tmp_path / "m.jsonl").write_text(json.dumps(line) + "\n")
    objective = tiny().objective(tiny().material_of(read_manifest(tmp_path / "m.jsonl", "train")))
    assert float(objective.model.spread) >= 1.0
    assert float(objective.model.durations.log_stats[1]) > 0.0
    assert bool(objective.model.middle.isfinite().all())


@pytest.mark.slow
def test_made_up_speech_is_understood(tmp_path: Path) -> None:
    """After some seconds: phones from tokens of clips never heard, and frames told from all others."""
    manifest = write_phones(tmp_path / "data", clips=8, seconds=5.0)
    run = tiny()
    losses = replace(
        run.losses, transcoder_share=1.0, codebook_start=50, contrastive=Weight(value=0.3),
        kl=Weight(value=1e-3, start=50), consistency=Weight(value=0.1, start=90),
    )  # fmt: skip
    train = replace(run.train, steps=130, learning_rate=LearningRate(peak=4e-3, warmup=20), save_every=130)
    fit(replace(run, losses=losses, train=train), manifest, tmp_path / "run")
    tokenizer = load(tmp_path / "run")
    assert isinstance(tokenizer, CtapTokenizer)
    right, found, most, count = 0.0, [], torch.zeros(len(tokenizer.phonemes)), 0
    for utterance in read_manifest(manifest, "test"):
        clip = Audio.read(utterance.audio_path)
        alignment = alignment_of(utterance, clip.duration)
        assert alignment is not None
        spectra = -(-clip.samples.size // 64)
        lengths = torch.tensor(alignment.durations(spectra, 125.0))
        labels = torch.tensor(tokenizer.phonemes.ids(alignment.symbols)).repeat_interleave(lengths)
        scores = tokenizer.phoneme_scores(tokenizer.encode(clip))[:spectra]
        right += float((scores.argmax(1) == labels).float().sum())
        most += torch.bincount(labels, minlength=len(most))
        count += spectra
        found.append(
            float(retrieve(tokenizer.latents(clip)[0], tokenizer.phoneme_latents(labels)[0]).hits().float().mean())
        )
    chance = float(most.max()) / count
    assert chance < 0.2
    assert right / count > 0.85
    assert sum(found) / 3 > 0.08  # of about 157 frames: chance is 0.006
