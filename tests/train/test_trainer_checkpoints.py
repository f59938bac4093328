"""What a run keeps, and how it goes on from there."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.states import same
from tests.train.objectives import CONFIG, Duel, Line, Source, lines, state
from vocable.errors import CheckpointError
from vocable.train.trainer import Trainer


def test_old_checkpoints_are_dropped(tmp_path: Path) -> None:
    Trainer(Line(), Source(), replace(CONFIG, steps=7, save_every=2, keep=2), tmp_path, quiet=True).run()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000006", "step-00000007"]


def test_resume_refuses_a_run_that_is_over(tmp_path: Path) -> None:
    assert not Trainer(Line(), Source(), CONFIG, tmp_path, quiet=True).resume()
    Trainer(Line(), Source(), CONFIG, tmp_path, quiet=True).run()
    with pytest.raises(CheckpointError, match="has 6 steps, the run only 4; raise --steps"):
        Trainer(Line(), Source(), replace(CONFIG, steps=4), tmp_path, quiet=True).resume()


def test_two_parts_resume_bit_for_bit(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=9, save_every=4, log_every=1)
    whole = Trainer(Duel(), Source(), config, tmp_path / "whole", quiet=True)
    whole.run()
    (tmp_path / "whole/checkpoints/step-00000009").rename(tmp_path / "newest")
    again = Trainer(Duel(), Source(), config, tmp_path / "whole", quiet=True)
    assert again.resume()
    assert again.step == 8
    again.run()
    assert same(state(again), state(whole))
    assert [entry["step"] for entry in lines(tmp_path / "whole")] == list(range(1, 10))
