"""Several processes stop at one step, and a lost one ends the others, which say why."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.runs import three_clips
from vocable.train import checkpoint

pytestmark = pytest.mark.slow
LIMIT = 180  # seconds until processes that do not move are given up
MINUTE = 60
TRAIN = """
import os, sys
from vocable.cli import main
open(os.path.join(sys.argv.pop(), os.environ["RANK"]), "w").write(str(os.getpid()))
main.main()
"""


@contextmanager
def two_processes(folder: Path, *options: str) -> Iterator[tuple["subprocess.Popen[str]", list[int]]]:
    """An endless training in two processes: the launcher, and the ids of both once they are under way."""
    manifest = three_clips(folder, 2_000)
    (folder / "train.py").write_text(TRAIN)
    (folder / "ids").mkdir()
    launcher = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         str(folder / "train.py"), "train", "guided-tiny", "--data", str(manifest), "--out", str(folder / "run"),
         "--steps", "100000", "--log-every", "1", "--save-every", "5", *options, str(folder / "ids")],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    ids: list[int] = []
    try:
        until = time.monotonic() + LIMIT
        while not checkpoint.steps(folder / "run/checkpoints"):
            assert launcher.poll() is None, launcher.communicate()[1]
            assert time.monotonic() < until, "the run does not begin"
            time.sleep(0.05)
        ids += [int((folder / "ids" / rank).read_text()) for rank in "01"]
        yield launcher, ids
    finally:
        for process in (launcher.pid, *ids):
            with suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)


@pytest.mark.parametrize("to", ["all", "rank 1"])
def test_a_signal_stops_all_at_one_step(to: str, tmp_path: Path) -> None:
    """As a scheduler sends it, through torchrun; or to one process alone."""
    with two_processes(tmp_path) as (launcher, ids):
        os.kill(launcher.pid if to == "all" else ids[1], signal.SIGTERM)
        said, _ = launcher.communicate(timeout=LIMIT)
    newest = checkpoint.steps(tmp_path / "run/checkpoints")[-1]
    step = checkpoint.verify(newest)
    assert f"stopped by SIGTERM after step {step} of 100000, which is saved" in said
    assert f"to go on: torchrun --nproc-per-node 2 -m vocable.cli.main train --out {tmp_path / 'run'} --resume" in said
    assert not list((tmp_path / "run/checkpoints").glob(".*"))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_others_within_a_minute(rank: int, tmp_path: Path) -> None:
    with two_processes(tmp_path) as (launcher, ids):
        os.kill(ids[rank], signal.SIGKILL)
        _, complained = launcher.communicate(timeout=MINUTE)
        assert launcher.returncode != 0
        for process in ids:
            with pytest.raises(ProcessLookupError):
                os.kill(process, 0)
    other = f"vocable: rank {1 - rank} of 2: another process has ended or does not answer"
    assert other in complained or "Signal 9 (SIGKILL)" in complained
    assert other in complained
    assert checkpoint.verify(checkpoint.steps(tmp_path / "run/checkpoints")[-1]) > 0
