"""The dev split is judged while a run trains, and the run is the one without it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.states import same
from tests.train.objectives import CONFIG, Duel, Numbers, Source, lines, state
from vocable.train.objective import Turn
from vocable.train.trainer import Trainer
from vocable.train.validation import Listening

EVERY = replace(CONFIG, steps=8, log_every=4, save_every=8, eval_every=2)


class Dev:
    """Two batches of numbers, and a model that sounds like its file."""

    num_batches = 2

    def __init__(self, batches: Source | None) -> None:
        self.batches = batches

    def listen(self, model: Path) -> Listening:
        assert model.is_dir()
        return Listening(
            values={"distance": 1.5}, sounds={"1/decoded": (np.zeros(80, np.float32), 8_000)},
            images={"1/decoded": np.zeros((4, 4), np.float32)}, problems=["clip 7 is empty"],
        )  # fmt: skip


class Modes(Duel):
    """Notes in which mode its turns are."""

    def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
        self.modes = [*getattr(self, "modes", []), self.generator.training]
        yield from super().turns(batch, step)


def test_a_run_that_is_judged_is_the_run_that_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged = Trainer(Duel(), Source(), EVERY, tmp_path / "judged", quiet=True, validation=Dev(Source()))
    judged.run()
    plain = Trainer(Duel(), Source(), EVERY, tmp_path / "plain", quiet=True)
    plain.run()
    assert same(state(judged), state(plain))
    assert [line["step"] for line in lines(tmp_path / "plain")] == [4, 8]
    written = lines(tmp_path / "judged")
    assert [line["step"] for line in written] == [2, 4, 6, 8]
    assert all(line["validation/distance"] == 1.5 for line in written)
    assert all(np.isfinite(line["validation/generator.judged"]) for line in written)
    said = capsys.readouterr().out
    assert said.count("dev split: clip 7 is empty") == 1
    assert "step 8, dev split: " in said


def test_it_is_judged_in_evaluation_mode(tmp_path: Path) -> None:
    objective = Modes()
    Trainer(objective, Source(), replace(EVERY, steps=2), tmp_path, quiet=True, validation=Dev(Source())).run()
    assert objective.modes == [True, True, False, False]


def test_a_split_without_batches_is_listened_to(tmp_path: Path) -> None:
    Trainer(Duel(), Source(), EVERY, tmp_path, quiet=True, validation=Dev(None)).run()
    validated = {name for line in lines(tmp_path) for name in line if name.startswith("validation/")}
    assert validated == {"validation/distance"}


@pytest.mark.parametrize(("every", "steps"), [(0, []), (3, [3, 6, 8]), (None, [8])])
def test_how_often(tmp_path: Path, every: int | None, steps: list[int]) -> None:
    config = replace(EVERY, eval_every=every)
    Trainer(Duel(), Source(), config, tmp_path, quiet=True, validation=Dev(Source())).run()
    assert [line["step"] for line in lines(tmp_path) if "validation/distance" in line] == steps


def test_an_error_while_it_is_judged_leaves_the_networks_as_they_were(tmp_path: Path) -> None:
    class Broken(Duel):
        def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
            if not self.generator.training:
                with torch.no_grad():
                    self.generator["layer"].weight.fill_(7.0)
                raise RuntimeError("out of memory")
            yield from super().turns(batch, step)

    trainer = Trainer(Broken(), Source(), replace(EVERY, steps=2), tmp_path, quiet=True, validation=Dev(Source()))
    with pytest.raises(RuntimeError, match="out of memory"):
        trainer.run()
    assert not torch.any(trainer.parts["generator"]["layer"].weight == 7.0)
