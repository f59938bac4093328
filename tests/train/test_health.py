"""What makes a model useless is said at the end of its training."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.runs import fit, three_clips
from tests.train.objectives import CONFIG, Line, Numbers, Source
from vocable.quantizers import VectorQuantizer
from vocable.quantizers.fsq import FiniteScalarQuantizer
from vocable.systems.registry import find_recipe
from vocable.train.objective import Turn
from vocable.train.overrides import override
from vocable.train.trainer import Trainer

SHORT = replace(CONFIG, steps=20)


class Quantizing(Line):
    """A line beside a quantizer that sees some rows in each step."""

    def __init__(self, spread: float, begin: int = 0) -> None:
        super().__init__()
        self.book, self.spread, self.begin = VectorQuantizer(codebook_size=32, dim=2), spread, begin

    def parts(self) -> dict[str, nn.Module]:
        return {"line": nn.ModuleDict({"layer": self.layer, "book": self.book})}

    def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
        if step >= self.begin:
            rows = self.spread * torch.randn(1, 200, 2) + (torch.randn(1, 200, 2) if step == self.begin else 0)
            self.book(rows, torch.ones(1, 200, dtype=torch.bool))
        yield from super().turns(batch, step)


def warnings(objective: Line, folder: Path, capsys: pytest.CaptureFixture[str], source: Source | None = None,
             config: object = SHORT) -> list[str]:  # fmt: skip
    Trainer(objective, source or Source(), config, folder, quiet=True).run()
    lines = capsys.readouterr().out.splitlines()
    return [
        line.removeprefix("warning: ") for line in lines if line.startswith("warning: ") and "step " not in line[:14]
    ]


def test_a_sound_run_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert warnings(Quantizing(1.0), tmp_path, capsys) == []


def test_a_quantizer_that_never_began(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = warnings(Quantizing(1.0, begin=20), tmp_path, capsys)
    assert found == ["level 1: quantization never began, so every clip gets the same ids"]


def test_usage_does_not_count_how_entries_were_initialized(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Moving counts call every entry used for hundreds of steps after k-means."""
    (found,) = warnings(Quantizing(0.0), tmp_path, capsys, config=replace(CONFIG, steps=150, log_every=150))
    assert found == "level 1 uses 1 of its 32 entries (3.1%)"


def test_entries_that_are_copies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Collapsed(Quantizing):
        def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
            yield from super().turns(batch, step)
            self.book.codebooks[0].entries.fill_(0.5)

    found = warnings(Collapsed(1.0), tmp_path, capsys)
    assert "level 1 has 1 different entries of 32: the others are their copies" in found


def test_finite_scalars_in_few_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Scalars(Quantizing):
        def __init__(self) -> None:
            super().__init__(0.0, begin=-1)
            self.book = FiniteScalarQuantizer(levels=(8, 8), dim=2)

    assert warnings(Scalars(), tmp_path, capsys)[0].startswith("line.book uses")


def test_a_loss_that_does_not_fall(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rising = replace(SHORT, learning_rate=replace(SHORT.learning_rate, peak=1e-12))
    (found,) = warnings(Line(lambda made, _: 0 * made.sum() + 1.0), tmp_path, capsys, config=rising)
    assert found == "the loss of line did not fall: 2 at its start, 2 at its end"


def test_a_game_need_not_fall(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Game(Line):
        def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
            for turn in super().turns(batch, step):
                yield replace(turn, is_game=True)

    assert warnings(Game(lambda made, _: 0 * made.sum() + 1.0), tmp_path, capsys) == []


def test_weights_that_are_not_finite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Line):
        def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
            yield from super().turns(batch, step)
            with torch.no_grad():
                self.layer.bias[0] = float("nan") if step == 19 else 0.0

    found = warnings(Broken(), tmp_path, capsys)
    assert found[0] == "1 tensors of line have values that are not finite, such as bias"


def test_steps_that_were_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = warnings(Line(), tmp_path, capsys, Source(3, 7), replace(SHORT, not_finite="skip"))
    assert found == ["2 steps were skipped, as a loss was not finite"]


def test_a_part_that_was_never_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Two(Line):
        def parts(self) -> dict[str, nn.Module]:
            return {"line": self.layer, "other": nn.Linear(1, 1)}

    assert warnings(Two(), tmp_path, capsys) == ["other was not trained: no step of the run was its"]


def test_a_resumed_run_is_compared_with_its_first_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = replace(SHORT, save_every=10, log_every=5)
    assert warnings(Line(), tmp_path, capsys, config=replace(config, steps=10)) == []
    again = Trainer(Line(lambda made, _: 0 * made.sum() + 1e6), Source(), config, tmp_path, quiet=True)
    again.resume()
    again.run()
    said = capsys.readouterr().out
    assert "warning: the loss of line did not fall: " in said
    assert "2e+06 at its end" in said


@pytest.mark.slow
def test_a_short_training_of_a_recipe_begins_to_quantize(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """20 steps of 10,000 of a codec with the schedules of guided-small, and a tenth of its width."""
    settings = {"model.backbone.width": 16, "model.backbone.latent_width": 8, "model.num_codebooks": 2,
                "model.codebook_size": 64, "batches.frames": 12}  # fmt: skip
    run, manifest = find_recipe("guided-small"), three_clips(tmp_path, 6_000)
    fit(override(run, steps=20, settings=settings), manifest, tmp_path / "run")
    assert "never began" not in capsys.readouterr().out
    unscaled = override(run, steps=20, settings=settings, scale=False)
    fit(unscaled, manifest, tmp_path / "unscaled")
    assert "level 2: quantization never began" in capsys.readouterr().out
