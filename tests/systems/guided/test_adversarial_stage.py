"""``guided-small-adversarial``: a trained codec meets discriminators, and nothing else is new to it."""

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

STEPS = 12
LISTENS = 4  # from when on the codec hears what the discriminators say
RATES = LearningRate(peak=2e-4, warmup=5), LearningRate(peak=3e-4, warmup=3)  # theirs and the codec's


def stage(**train: Any) -> GuidedRun:
    """The recipe with a codec of next to no weights, and everything sooner."""
    run = recipes.find("guided-small-adversarial")
    assert isinstance(run, GuidedRun)
    assert run.adversary is not None
    later = Weight(value=0.1, start=LISTENS, ramp=2)
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
def whole(manifest: Path, start: GuidedTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    fit(stage(), manifest, folder, start=start)
    return folder


def test_the_recipe_is_the_box_codec_with_an_adversary_and_no_teachers() -> None:
    run, small = recipes.find("guided-small-adversarial"), recipes.find("guided-small")
    assert isinstance(run, GuidedRun)
    assert (run.model, run.batches) == (small.model, small.batches)
    assert (run.semantic, run.acoustic) == (None, None)
    assert run.teachers() == {}
    assert run.adversary is not None
    assert run.adversary.begin == 0 < run.losses.adversarial.start == run.losses.feature.start


def test_every_step_logs_both_games_both_rates_and_both_gradient_norms(whole: Path) -> None:
    lines = log(whole)
    assert finite(lines)
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    for step, line in enumerate(lines):
        assert line["discriminator/total"] == pytest.approx(line["discriminator/real"] + line["discriminator/made"])
        assert line["discriminator/gradient_norm"] > 0
        assert line["generator/gradient_norm"] > 0
        assert line["discriminator/learning_rate"] == RATES[0].at(step, STEPS)
        assert line["learning_rate"] == RATES[1].at(step, STEPS)
        assert (line["generator/adversarial/weight"] > 0) == (line["generator/feature/weight"] > 0) == (step > LISTENS)
        assert {"generator/adversarial", "generator/feature", "generator/commitment"} < line.keys()
        assert not {"generator/semantic", "generator/acoustic"} & line.keys()


def test_discriminators_move_by_their_own_rate_which_the_codec_does_not_feel(
    manifest: Path, start: GuidedTokenizer, tmp_path: Path
) -> None:
    """AdamW's first step is as long as the rate. The codec does not listen to them yet."""
    run, made = stage(weight_decay=0.0), []
    assert run.adversary is not None
    for rate in (1e-2, 1e-3):
        theirs = replace(run.adversary, learning_rate=LearningRate(peak=rate, warmup=0, decay=0.0))
        folder = tmp_path / f"{rate}"
        fit(replace(run, adversary=theirs, train=replace(run.train, steps=1)), manifest, folder, start=start)
        assert log(folder)[0]["discriminator/learning_rate"] == rate
        made.append(folder)
    apart = {}
    for part in ("discriminator", "generator"):
        one, two = (tensors(folder, 1, part) for folder in made)
        apart[part] = max(float((one[name] - two[name]).abs().max()) for name in one)
    assert apart == {"discriminator": pytest.approx(9e-3, rel=0.01), "generator": 0.0}


def test_a_stage_that_was_stopped_goes_on_as_if_it_had_not_been(
    whole: Path, manifest: Path, start: GuidedTokenizer, tmp_path: Path
) -> None:
    """Discriminators and both optimizers among what is kept; with the model it began from given again."""
    folder = shutil.copytree(whole, tmp_path / "run")
    for step in (8, 12):
        shutil.rmtree(saved(folder, step))
    assert fit(stage(), manifest, folder, start=start, resume=True)[-1] == "resumed at step 4"
    for part in ("discriminator", "generator"):
        one, two = (tensors(run, STEPS, part) for run in (folder, whole))
        assert one.keys() == two.keys()
        assert [name for name in one if not torch.equal(one[name], two[name])] == []
    assert log(folder) == log(whole)


@pytest.mark.parametrize("side", ["losses", "generator_losses"])
def test_a_game_that_is_not_finite_stops_and_says_which_side_it_was(
    side: str, manifest: Path, start: GuidedTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, side, since=6)
    part = {"losses": "discriminator", "generator_losses": "generator"}[side]
    with pytest.raises(TrainingError, match=rf"step 6, {part}: not finite \(.* nan.*; batch: .*\.wav@.*lower the lear"):
        fit(stage(), manifest, tmp_path / "run", start=start)
    assert [line["step"] for line in log(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]


def test_a_game_that_is_not_finite_once_is_skipped_with_a_line(
    manifest: Path, start: GuidedTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    broken(monkeypatch, "losses", since=6, until=7)
    fit(stage(not_finite="skip"), manifest, tmp_path / "run", start=start)
    assert "skipped step 6, discriminator: not finite (real nan" in capsys.readouterr().out
    bad = log(tmp_path / "run")[6]
    assert (bad["discriminator/real"], "generator/total" in bad) == (None, False)
    assert finite([line for line in log(tmp_path / "run") if line is not bad and line["step"] != 7])
    assert all(bool(value.isfinite().all()) for value in tensors(tmp_path / "run", STEPS, "discriminator").values())


def broken(monkeypatch: pytest.MonkeyPatch, side: str, since: int, until: int = STEPS) -> None:
    """One side of the game says NaN in these steps."""
    whole, steps = getattr(WaveformAdversary, side), iter(range(STEPS))

    def say(self: WaveformAdversary, real: torch.Tensor, made: torch.Tensor) -> dict[str, torch.Tensor]:
        poison = float("nan") if since <= next(steps) < until else 1.0
        return {name: poison * loss for name, loss in whole(self, real, made).items()}

    monkeypatch.setattr(WaveformAdversary, side, say)
