"""Batches are made ahead, by a thread or by processes, and are the same whoever makes them."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.states import same
from tests.train.objectives import CONFIG, Line, Numbers, Source, state
from vocable.errors import AudioError, TrainingError
from vocable.train import checkpoint
from vocable.train.loader import default_workers, load_ahead
from vocable.train.trainer import Trainer

NEVER = replace(CONFIG, save_every=1_000)


class Broken(Source):
    """Batches of which one cannot be read, or ends the process that makes it."""

    def __init__(self, step: int, harm: Callable[[], None]) -> None:
        super().__init__()
        self.step, self.harm = step, harm

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Numbers:
        if step == self.step:
            self.harm()
        return super().batch(step, rank, world)


def miss() -> None:
    raise AudioError("a.flac: no such file")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def train(folder: Path, source: Source, workers: int) -> Trainer:
    trainer = Trainer(Line(), source, replace(NEVER, workers=workers), folder, quiet=True)
    trainer.resume()
    trainer.run()
    return trainer


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2, 5, 20])
def test_batches_come_in_order_whoever_makes_them(workers: int) -> None:
    def load(step: int) -> tuple[int, torch.Tensor]:
        time.sleep(0.01 * (step % 3))
        return step, torch.full((300, 300), float(step))

    with load_ahead(load, range(4, 15), workers=workers) as loader:
        for wanted in range(4, 15):
            step, values = loader.next()
            assert step == wanted
            assert values.unique().tolist() == [wanted]
        with pytest.raises(StopIteration):
            loader.next()


@pytest.mark.slow
def test_a_run_is_the_same_with_any_number_of_workers(tmp_path: Path) -> None:
    runs = [train(tmp_path / str(workers), Source(), workers) for workers in (0, 2)]
    assert same(*map(state, runs))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_that_cannot_be_loaded_stops_the_run_and_loses_nothing(tmp_path: Path, workers: int) -> None:
    with pytest.raises(TrainingError, match=r"^step 3: its batch cannot be loaded: a.flac: no such file. All 3 steps"):
        train(tmp_path / "run", Broken(3, miss), workers)
    assert [path.name for path in checkpoint.steps(tmp_path / "run/checkpoints")] == ["step-00000003"]
    resumed, whole = train(tmp_path / "run", Source(), 2 - workers), train(tmp_path / "whole", Source(), 0)
    assert same(state(resumed), state(whole))


@pytest.mark.slow
def test_a_worker_that_dies_is_named_and_loses_nothing(tmp_path: Path) -> None:
    message = r"^step [24]: its batch cannot be loaded: loader worker 0, process \d+, was ended by SIGKILL; see whether"
    with pytest.raises(TrainingError, match=message) as raised:
        train(tmp_path / "run", Broken(4, die), 2)
    step = str(raised.value)[5]  # what a process made and nobody took may end with it
    assert [path.name for path in checkpoint.steps(tmp_path / "run/checkpoints")] == [f"step-0000000{step}"]


@pytest.mark.slow
def test_an_error_of_the_program_is_named_with_its_type() -> None:
    def load(step: int) -> int:
        return 1 // (2 - step)

    with load_ahead(load, range(9), workers=1) as loader:
        assert [loader.next(), loader.next()] == [0, 1]
        with pytest.raises(TrainingError, match=r"its batch cannot be made \(ZeroDivisionError: "):
            loader.next()


@pytest.mark.slow
def test_workers_leave_ctrl_c_to_the_training_and_end_with_it() -> None:
    with load_ahead(lambda step: os.getpid(), range(100), workers=2) as loader:
        workers = [loader.next(), loader.next()]
        for worker in workers:
            os.kill(worker, signal.SIGINT)
        assert [loader.next(), loader.next()] == workers
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def test_the_number_of_workers_is_for_gpus_unless_it_is_named() -> None:
    assert default_workers(torch.device("cpu"), 1) == 0
    assert default_workers(torch.device("cuda"), 1) in range(1, 5)
    assert default_workers(torch.device("cuda"), 1_000) == 1
