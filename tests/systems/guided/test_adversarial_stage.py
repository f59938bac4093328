"""Recipe ``guided-small-adversarial``: a second stage that adds discriminators to a trained codec."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import vocable
from tests.runs import finite, fit, log, saved, tensors, three_clips
from vocable import recipes
from vocable.errors import TrainingError
from vocable.systems.guided import recipe as guided
from vocable.systems.guided.adversary import WaveformAdversary
from vocable.systems.guided.recipe import GuidedRun
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.train.schedule import LearningRate, Weight

pytestmark = pytest.mark.slow  # trains

STEPS = 12
FEEDBACK_FROM = 4  # first step at which the discriminators' losses reach the codec
RATES = LearningRate(peak=2e-4, warmup=5), LearningRate(peak=3e-4, warmup=3)  # of the discriminators and of the codec


def stage(**train: Any) -> GuidedRun:
    """Return the recipe with a codec of next to no weights and early schedules."""
    run = recipes.find("guided-small-adversarial")
    assert isinstance(run, GuidedRun)
    assert run.adversary is not None
    later = Weight(value=0.1, start=FEEDBACK_FROM, ramp=2)
    return replace(
        run,
        model=guided.tiny().model,
        losses=replace(run.losses, adversarial=later, feature=replace(later, value=0.5)),
        batches=replace(guided.tiny().batches, frames=12),
        adversary=replace(run.adversary, learning_rate=RATES[0]),
        train=replace(run.train, steps=STEPS, learning_rate=RATES[1], log_every=1, save_every=4, **train),
    )


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return three_clips(tmp_path_factory.mktemp("data"), 4_500)


@pytest.fixture(scope="module")
def start(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> GuidedTokenizer:
    """A codec that has been trained for eight steps."""
    folder = tmp_path_factory.mktemp("first") / "run"
    fit(replace(guided.tiny(), train=replace(guided.tiny().train, steps=8)), manifest, folder)
    codec = vocable.load(folder)
    assert isinstance(codec, GuidedTokenizer)
    return codec


@pytest.fixture(scope="module")
def uninterrupted(manifest: Path, start: GuidedTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    fit(stage(), manifest, folder, start=start)
    return folder


def test_the_recipe_is_the_bundled_codec_with_an_adversary_and_no_teachers() -> None:
    run, small = recipes.find("guided-small-adversarial"), recipes.find("guided-small")
    assert isinstance(run, GuidedRun)
    assert (run.model, run.batches) == (small.model, small.batches)
    assert (run.semantic, run.acoustic) == (None, None)
    assert run.teachers() == {}
    assert run.adversary is not None
    assert run.adversary.begin == 0 < run.losses.adversarial.start == run.losses.feature.start


def test_every_step_logs_losses_learning_rates_and_gradient_norms_of_both_sides(uninterrupted: Path) -> None:
    lines = log(uninterrupted)
    assert finite(lines)
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    for step, line in enumerate(lines):
        assert line["discriminator/total"] == pytest.approx(line["discriminator/real"] + line["discriminator/made"])
        assert line["discriminator/gradient_norm"] > 0
        assert line["generator/gradient_norm"] > 0
        assert line["discriminator/learning_rate"] == RATES[0].at(step, STEPS)
        assert line["learning_rate"] == RATES[1].at(step, STEPS)
        assert (
            (line["generator/adversarial/weight"] > 0)
            == (line["generator/feature/weight"] > 0)
            == (step > FEEDBACK_FROM)
        )
        assert {"generator/adversarial", "generator/feature", "generator/commitment"} < line.keys()
        assert not {"generator/semantic", "generator/acoustic"} & line.keys()


def test_discriminators_have_their_own_learning_rate_which_does_not_affect_the_codec(
    manifest: Path, start: GuidedTokenizer, tmp_path: Path
) -> None:
    """AdamW's first step is as long as the rate. Their losses do not reach the codec yet."""
    run, folders = stage(weight_decay=0.0), []
    assert run.adversary is not None
    for rate in (1e-2, 1e-3):
        adversary = replace(run.adversary, learning_rate=LearningRate(peak=rate, warmup=0, decay=0.0))
        folder = tmp_path / f"{rate}"
        fit(replace(run, adversary=adversary, train=replace(run.train, steps=1)), manifest, folder, start=start)
        assert log(folder)[0]["discriminator/learning_rate"] == rate
        folders.append(folder)
    distances = {}
    for part in ("discriminator", "generator"):
        one, two = (tensors(folder, 1, part) for folder in folders)
        distances[part] = max(float((one[name] - two[name]).abs().max()) for name in one)
    assert distances == {"discriminator": pytest.approx(9e-3, rel=0.01), "generator": 0.0}


def test_a_resumed_stage_equals_an_uninterrupted_one(
    uninterrupted: Path, manifest: Path, start: GuidedTokenizer, tmp_path: Path
) -> None:
    """Checkpoints hold discriminators and both optimizers; the initial model is passed again."""
    folder = shutil.copytree(uninterrupted, tmp_path / "run")
    for step in (8, 12):
        shutil.rmtree(saved(folder, step))
    assert fit(stage(), manifest, folder, start=start, resume=True)[-1] == "resumed at step 4"
    for part in ("discriminator", "generator"):
        one, two = (tensors(run, STEPS, part) for run in (folder, uninterrupted))
        assert one.keys() == two.keys()
        assert [name for name in one if not torch.equal(one[name], two[name])] == []
    assert log(folder) == log(uninterrupted)


@pytest.mark.parametrize("side", ["losses", "generator_losses"])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_its_side(
    side: str, manifest: Path, start: GuidedTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_losses(monkeypatch, side, since=6)
    part = {"losses": "discriminator", "generator_losses": "generator"}[side]
    with pytest.raises(TrainingError, match=rf"step 6, {part}: not finite \(.* nan.*; batch: .*\.wav@.*lower the lear"):
        fit(stage(), manifest, tmp_path / "run", start=start)
    assert [line["step"] for line in log(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]


def test_a_step_that_is_not_finite_is_skipped_with_a_line(
    manifest: Path, start: GuidedTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    break_losses(monkeypatch, "losses", since=6, until=7)
    fit(stage(not_finite="skip"), manifest, tmp_path / "run", start=start)
    assert "skipped step 6, discriminator: not finite (real nan" in capsys.readouterr().out
    bad = log(tmp_path / "run")[6]
    assert (bad["discriminator/real"], "generator/total" in bad) == (None, False)
    assert finite([line for line in log(tmp_path / "run") if line is not bad and line["step"] != 7])
    assert all(bool(value.isfinite().all()) for value in tensors(tmp_path / "run", STEPS, "discriminator").values())


def break_losses(monkeypatch: pytest.MonkeyPatch, side: str, since: int, until: int = STEPS) -> None:
    """Make the losses of one side NaN in some steps."""
    original, steps = getattr(WaveformAdversary, side), iter(range(STEPS))

    def poisoned(self: WaveformAdversary, real: torch.Tensor, fake: torch.Tensor) -> dict[str, torch.Tensor]:
        poison = float("nan") if since <= next(steps) < until else 1.0
        return {name: poison * loss for name, loss in original(self, real, fake).items()}

    monkeypatch.setattr(WaveformAdversary, side, poisoned)
