"""A signal stops a training after the step in progress, with a checkpoint; a second one at once."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runs import three_clips
from tests.states import same
from tests.train.objectives import CONFIG, Line, Numbers, Source, lines, state
from vocable.train import checkpoint
from vocable.train.objective import Turn
from vocable.train.trainer import Trainer

NEVER = replace(CONFIG, save_every=1_000, log_every=1)
LIMIT = 120  # seconds until a process that does not move is given up


class Signaled(Line):
    """Sends this process a signal in one of its steps, as a user or a scheduler may."""

    def __init__(self, step: int, number: int) -> None:
        super().__init__()
        self.moment = (step, number)

    def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
        if step == self.moment[0]:
            os.kill(os.getpid(), self.moment[1])
        yield from super().turns(batch, step)


def stop(folder: Path, objective: Line) -> Trainer:
    trainer = Trainer(objective, Source(), NEVER, folder, quiet=True)
    with pytest.raises(SystemExit) as stopped:
        trainer.run()
    trainer.code = stopped.value.code
    return trainer


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_finishes_the_step_saves_and_gives_its_exit_code(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    trainer = stop(tmp_path / "run", Signaled(2, number))
    assert trainer.code == 128 + number
    assert [path.name for path in checkpoint.steps(tmp_path / "run/checkpoints")] == ["step-00000003"]
    assert f"stopped by {signal.Signals(number).name} after step 3 of 6, which is saved" in capsys.readouterr().out
    assert signal.getsignal(number) == before

    again = Trainer(Line(), Source(), NEVER, tmp_path / "run", quiet=True)
    assert again.resume()
    again.run()
    whole = Trainer(Line(), Source(), NEVER, tmp_path / "whole", quiet=True)
    whole.run()
    assert same(state(again), state(whole))
    assert [line["step"] for line in lines(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]


def test_a_signal_in_the_last_step_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    trainer = stop(tmp_path, Signaled(5, signal.SIGINT))
    assert (trainer.step, trainer.code) == (6, 130)
    assert checkpoint.verify(checkpoint.steps(tmp_path / "checkpoints")[-1]) == 6


def test_a_signal_while_a_checkpoint_is_written_lets_it_be_written(tmp_path: Path) -> None:
    class Saving(Line):
        def export(self, folder: Path) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            super().export(folder)

    trainer = Trainer(Saving(), Source(), replace(CONFIG, save_every=2), tmp_path, quiet=True)
    with pytest.raises(SystemExit) as stopped:
        trainer.run()
    assert stopped.value.code == 143
    assert [checkpoint.verify(path) for path in checkpoint.steps(tmp_path / "checkpoints")] == [2]


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        trainer = Trainer(Signaled(2, signal.SIGHUP), Source(), NEVER, tmp_path, quiet=True)
        trainer.run()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert trainer.step == 6


def test_training_in_another_thread_takes_no_signals(tmp_path: Path) -> None:
    trainer = Trainer(Line(), Source(), CONFIG, tmp_path, quiet=True)
    thread = threading.Thread(target=trainer.run)
    thread.start()
    thread.join()
    assert trainer.step == 6


SLOW_STEP = """
import os, signal, sys, time
from pathlib import Path
from tests.train.objectives import Line, Source
from tests.train.test_stop import NEVER
from vocable.train.trainer import Trainer

class Slow(Line):
    def turns(self, batch, step):
        if step == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            print("first", flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        yield from super().turns(batch, step)

Trainer(Slow(), Source(), NEVER, Path(sys.argv[1]), quiet=True).run()
"""


@pytest.mark.slow
def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SLOW_STEP, str(tmp_path)], capture_output=True, text=True, check=False, timeout=LIMIT,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (143, "first\n")
    assert checkpoint.steps(tmp_path / "checkpoints") == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_how_to_go_on_and_that_is_how(number: int, tmp_path: Path) -> None:
    manifest, out = three_clips(tmp_path, 2_000), tmp_path / "a run"
    vocable = [sys.executable, "-m", "vocable.cli.main"]
    process = subprocess.Popen(
        [*vocable, "train", "guided-tiny", "--data", manifest, "--out", out, "--steps", "100000", "--log-every", "1",
         "--save-every", "50000", "--set", "batches.frames=8"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    until = time.monotonic() + LIMIT
    while not (out / "log.jsonl").exists() or len((out / "log.jsonl").read_text()) < 200:
        assert time.monotonic() < until, "the run does not begin"
        time.sleep(0.05)
    process.send_signal(number)
    said, complained = process.communicate(timeout=LIMIT)
    assert (process.returncode, complained) == (128 + number, "")
    (kept,) = checkpoint.steps(out / "checkpoints")
    assert said.splitlines()[-1] == f"to go on: vocable train --out '{out}' --resume"

    step = checkpoint.verify(kept)
    again = subprocess.run(
        [*vocable, "train", "--out", out, "--resume", "--steps", str(step + 1)], capture_output=True, text=True,
        check=False, timeout=LIMIT, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert f"resumed at step {step}" in again.stdout
