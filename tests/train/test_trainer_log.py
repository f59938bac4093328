"""What a run writes into its log, shows, and warns of."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.train.objectives import CONFIG, Duel, Line, Numbers, Source, lines
from vocable.errors import OutputError
from vocable.quantizers import VectorQuantizer
from vocable.train import checkpoint
from vocable.train.log import Log
from vocable.train.objective import Turn
from vocable.train.trainer import Trainer


def test_log_lines_hold_every_name(tmp_path: Path) -> None:
    line = Line(used=torch.tensor([0.5, 0.25]), depth=torch.tensor(3.0))
    Trainer(line, Source(), CONFIG, tmp_path, quiet=True).run()
    written = lines(tmp_path)
    assert [entry["step"] for entry in written] == [2, 4, 6]
    for entry in written:
        assert set(entry) == {
            "step", "seconds", "learning_rate", "skipped", "used", "depth",
            "line/total", "line/gradient_norm", "line/size", "line/size/weight", "peak_memory_gb",
        }  # fmt: skip
        assert entry["line/total"] == pytest.approx(2.0 * entry["line/size"])
        assert (entry["line/size/weight"], entry["used"], entry["depth"]) == (2.0, [0.5, 0.25], 3.0)
    assert len(list((tmp_path / "tensorboard").rglob("events.*"))) == 1, "a writer and a thread a curve"


def test_the_last_step_is_logged_and_saved(tmp_path: Path) -> None:
    Trainer(Line(), Source(), replace(CONFIG, steps=5, log_every=4, save_every=3), tmp_path, quiet=True).run()
    assert [entry["step"] for entry in lines(tmp_path)] == [4, 5]
    assert [path.name for path in checkpoint.steps(tmp_path / "checkpoints")] == ["step-00000003", "step-00000005"]


def test_low_usage_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Trainer(Line(used=torch.tensor([0.5, 0.05])), Source(), CONFIG, tmp_path, quiet=True).run()
    said = capsys.readouterr().out
    assert said.count("warning: step") == 3
    assert "warning: step 4: level 2 uses 5.0% of its codebook" in said
    assert "level 1" not in said


def test_a_collapsed_codebook_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a real quantizer: restarts keep every entry fresh, and still the usage must show."""

    class Collapsed(Line):
        book = VectorQuantizer(codebook_size=32, dim=2, decay=0.9)

        def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
            turn = next(super().turns(batch, step))
            latents = torch.zeros(1, 40, 2) + (torch.randn(1, 40, 2) if step == 0 else 0)
            yield replace(turn, stats=self.book(latents, torch.ones(1, 40, dtype=torch.bool)).stats)

    Trainer(Collapsed(), Source(), replace(CONFIG, steps=60, log_every=20), tmp_path, quiet=True).run()
    assert re.search(r"warning: step 60: level 1 uses [36]\.\d% of its codebook", capsys.readouterr().out)
    assert lines(tmp_path)[-1]["restarts"][0] >= 31


def test_alarms_of_every_turn_are_said_where_a_line_is_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Alarmed(Duel):
        def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
            for turn in super().turns(batch, step):
                yield replace(turn, alarms=(f"{turn.name} is wrong at {step}",) if step >= 3 else ())

    Trainer(Alarmed(), Source(), replace(CONFIG, steps=5), tmp_path, quiet=True).run()
    said = [line for line in capsys.readouterr().out.splitlines() if "wrong" in line]
    assert said == [
        f"warning: step {step}: {name} is wrong at {step - 1}"
        for step in (4, 5)
        for name in ("discriminator", "generator")
    ]
    assert all("alarms" not in entry for entry in lines(tmp_path))


def test_a_bar_shows_loss_and_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = Line(lambda made, _: 0 * made.sum() + 0.125, used=torch.tensor([0.5, 0.3]))
    Trainer(line, Source(), CONFIG, tmp_path).run()
    said = capsys.readouterr().out
    assert "6/6" in said
    assert "loss 0.250 used 40%" in said
    assert "ETA" in said


def test_a_log_is_cut_at_the_step_it_goes_on_from(tmp_path: Path) -> None:
    """Later lines, and half a line that a kill left, go; TensorBoard is not needed."""
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    log = Log(tmp_path, steps=9, start=2, quiet=True)
    log.write(3, {"loss": float("inf"), "used": [0.5, float("nan")]})
    log.close()
    assert [{**line, "seconds": 0} for line in lines(tmp_path)[2:]] == [
        {"step": 3, "seconds": 0, "loss": None, "used": [0.5, None]}
    ]
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3]


def test_without_tensorboard_there_is_the_other_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    Trainer(Line(), Source(), CONFIG, tmp_path, quiet=True).run()
    assert len(lines(tmp_path)) == 3
    assert not (tmp_path / "tensorboard").exists()


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    log = Log(tmp_path, steps=9, quiet=True)
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(
        OutputError,
        match=r"log.jsonl: cannot be written \(No space left on device\); check that the folder exists, its rights",
    ):
        log.write(1, {"loss": 1.0})
    log.close()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"file/log.jsonl: cannot be written"):
        Log(tmp_path / "file", steps=9, quiet=True)
