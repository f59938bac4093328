"""What is not finite moves nothing, and stops the run or is skipped."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.train.objectives import CONFIG, Duel, Line, Source, lines, state
from vocable.errors import TrainingError
from vocable.train import checkpoint
from vocable.train.trainer import Trainer


def infinite_loss(made: Tensor, values: Tensor) -> Tensor:
    return made.nan_to_num().square().sum() / values.isfinite().all()


def infinite_gradient(made: Tensor, values: Tensor) -> Tensor:
    """0 in the bad step, and the slope of a square root there."""
    size = made.nan_to_num().square().sum()
    return size if values.isfinite().all() else (0 * size).sqrt()


@pytest.mark.parametrize("loss", [None, infinite_loss, infinite_gradient])
def test_what_is_not_finite_stops_the_run_and_names_the_batch(
    tmp_path: Path, loss: Callable[[Tensor, Tensor], Tensor] | None
) -> None:
    line = Line(loss)
    trainer = Trainer(line, Source(3), CONFIG, tmp_path, quiet=True)
    with pytest.raises(TrainingError, match=r"step 3, line: not finite \(size .*\); batch: row 0 of step 3, row 1"):
        trainer.run()
    assert trainer.step == 3
    assert torch.equal(line.layer.weight, line.seen[-1][1]), "a weight moved"
    assert checkpoint.steps(tmp_path / "checkpoints") == []


@pytest.mark.parametrize("turn", ["generator", "discriminator"])
def test_a_refused_step_moves_no_codebook(tmp_path: Path, turn: str) -> None:
    """The loss turns NaN after the codebook has learnt from good latents: that is taken back."""
    duel = Duel()
    duel.bad = {(turn, 2)}
    trainer = Trainer(duel, Source(), replace(CONFIG, steps=2), tmp_path, quiet=True)
    trainer.run()
    before = state(trainer)
    trainer.config = CONFIG
    with pytest.raises(TrainingError, match=f"step 2, {turn}: not finite"):
        trainer.run()
    after = state(trainer)
    assert all(torch.equal(before[key], after[key]) for key in before if key.startswith("generator."))
    assert torch.equal(before["discriminator.weight"], after["discriminator.weight"]) == (turn == "discriminator")


def test_skip_goes_on_without_the_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = Line()
    config = replace(CONFIG, not_finite="skip", log_every=1)
    Trainer(line, Source(1, 3, 4), config, tmp_path, quiet=True).run()
    weights = [weight for _, weight in line.seen] + [line.layer.weight.detach()]
    moved = [not torch.equal(before, after) for before, after in pairwise(weights)]
    assert moved == [True, False, True, False, False, True]
    assert [entry["skipped"] for entry in lines(tmp_path)] == [0, 0, 1, 0, 1, 2]
    assert [entry["line/total"] is None for entry in lines(tmp_path)] == [not fine for fine in moved]
    said = capsys.readouterr().out
    assert "skipped step 3, line: not finite (size nan, gradient norm nan); batch: row 0 of step 3" in said
    assert [path.name for path in checkpoint.steps(tmp_path / "checkpoints")] == ["step-00000006"]


@pytest.mark.parametrize("turn", ["generator", "discriminator"])
def test_twenty_skips_in_a_row_stop_the_run(tmp_path: Path, turn: str) -> None:
    """Also where the other turn of each step goes well."""
    duel = Duel()
    duel.bad = {(turn, step) for step in range(1, 100) if step != 15}
    trainer = Trainer(duel, Source(), replace(CONFIG, steps=100, not_finite="skip"), tmp_path, quiet=True)
    with pytest.raises(TrainingError, match=f"step 35, {turn}: not finite"):
        trainer.run()
