"""Rows are the same whether a run was disturbed or not, and one bad item costs one item."""

import errno
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from vocable.errors import AudioError, OutputError
from vocable.evaluate.runner import ResultRow, Results, run
from vocable.locks import LOCK, lock_folder
from vocable.metrics.score import Score, undefined

SETTINGS = {"seed": 0}


class Squares:
    """Items are numbers; some go wrong in ways that real ones do."""

    def __init__(self, count: int, pause: float = 0.0) -> None:
        self.count, self.pause = count, pause

    def items(self) -> Sequence[str]:
        return [str(number) for number in range(self.count)]

    def work(self, item: str) -> Sequence[ResultRow]:
        number = int(item)
        time.sleep(self.pause)
        if number == 3:
            raise AudioError("clip 3 is empty")
        if number == 5:
            raise ZeroDivisionError("a library's own")
        scores = {"square": Score(float(number) ** 2, weight=2.0), "silent": undefined("it is silent")}
        return [ResultRow(entry=entry, item=item, scores=scores, extra={"seconds": 0.5}) for entry in ("a", "b")]


class Deadly(Squares):
    """One item ends its process, as a library's C code can."""

    def work(self, item: str) -> Sequence[ResultRow]:
        if item == "2":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().work(item)


def work_through(out: Path, count: int = 8, jobs: int = 1, pause: float = 0.0) -> Results:
    again = partial(Squares, count, pause)
    return run(again(), again, SETTINGS, out, jobs=jobs)


def test_rows_come_in_order_and_keep_reasons_weights_and_facts(tmp_path: Path) -> None:
    results = work_through(tmp_path)
    assert [(row.item, row.entry) for row in results.rows] == [(n, e) for n in "012467" for e in "ab"]
    row = results.rows[-1]
    assert row.scores["square"] == Score(49.0, "", 2.0)
    assert math.isnan(row.scores["silent"].value)
    assert row.scores["silent"].reason == "it is silent"
    assert row.extra == {"seconds": 0.5}
    assert results.quarantined == {"3": "clip 3 is empty", "5": "ZeroDivisionError: a library's own"}


@pytest.mark.slow
def test_two_processes_write_what_one_writes(tmp_path: Path) -> None:
    one, two = work_through(tmp_path / "one"), work_through(tmp_path / "two", jobs=2)
    assert (tmp_path / "one/results.jsonl").read_bytes() == (tmp_path / "two/results.jsonl").read_bytes()
    assert [row.item for row in one.rows] == [row.item for row in two.rows]


class Counted(Squares):
    """Leaves a file for each process that it is made in."""

    def __init__(self, count: int, folder: Path) -> None:
        super().__init__(count)
        (folder / str(os.getpid())).touch()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_run_and_all_its_processes(tmp_path: Path, sign: signal.Signals) -> None:
    code = (
        "import pathlib, sys; from tests.evaluate.test_runner import work_through;"
        " work_through(pathlib.Path(sys.argv[1]), 40, 2, 1.0)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "results.jsonl").exists() or not (tmp_path / "results.jsonl").stat().st_size:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(sign)
        process.wait(30)
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "a process of the run lives on"
        time.sleep(0.1)


@pytest.mark.slow
def test_processes_are_started_once(tmp_path: Path) -> None:
    """A list that shrank while it was walked through once made half of the items wait for new processes."""
    started = tmp_path / "started"
    started.mkdir()
    again = partial(Counted, 20, started)
    run(again(), again, SETTINGS, tmp_path / "out", jobs=2)
    assert len(list(started.iterdir())) <= 3


@pytest.mark.slow
def test_an_item_that_kills_its_process_is_quarantined_and_the_others_go_on(tmp_path: Path) -> None:
    again = partial(Deadly, 8)
    results = run(again(), again, SETTINGS, tmp_path, jobs=2)
    assert results.quarantined["2"] == "the process that worked on it died"
    assert {row.item for row in results.rows} == {"0", "1", "4", "6", "7"}


def test_finished_items_are_not_worked_on_again(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    work_through(tmp_path)
    again = partial(Deadly, 8)  # would end this very process, were item 2 not done
    run(again(), again, SETTINGS, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(8, 8)]


@pytest.mark.parametrize("cut", [1, 40, 75, 200, 333])
def test_a_file_cut_anywhere_is_mended(tmp_path: Path, cut: int) -> None:
    work_through(tmp_path)
    path = tmp_path / "results.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    work_through(tmp_path)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("change", ["value", "twice", "lost", "no checksum"])
def test_an_altered_row_is_evaluated_again(tmp_path: Path, change: str) -> None:
    work_through(tmp_path)
    path = tmp_path / "results.jsonl"
    whole = path.read_bytes()
    first, second, *others = whole.splitlines(keepends=True)
    changed = {
        "value": [first.replace(b'"value": 0.0', b'"value": 9.0'), second], "twice": [second, second],
        "lost": [second], "no checksum": [first.partition(b', "crc32"')[0] + b"}\n", second],
    }  # fmt: skip
    assert changed[change] != [first, second]
    path.write_bytes(b"".join([*changed[change], *others]))
    work_through(tmp_path)
    assert path.read_bytes() == whole


def test_a_full_disk_ends_the_run_and_sets_no_clip_aside(tmp_path: Path) -> None:
    class Full(Squares):
        def work(self, item: str) -> Sequence[ResultRow]:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="0: No space left on device; make room"):
        run(Full(8), partial(Squares, 8), SETTINGS, tmp_path)
    assert "0" not in work_through(tmp_path).quarantined


def test_another_runs_folder_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    work_through(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError, match="another run's results, which differs in seed; take another folder"):
        run(Squares(2), partial(Squares, 2), {"seed": 1}, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_second_evaluation_in_the_folder_is_refused_while_the_first_works(tmp_path: Path) -> None:
    with lock_folder(tmp_path, "evaluation"), pytest.raises(OutputError, match=r"evaluation by process .* writes into"):
        work_through(tmp_path)
    assert list(tmp_path.iterdir()) == []
    work_through(tmp_path)
    assert not (tmp_path / LOCK).exists()


def test_results_without_their_settings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("{}\n")
    with pytest.raises(OutputError, match=r"results\.jsonl without its run\.json"):
        work_through(tmp_path)


def test_an_infinite_score_is_said_and_not_written_as_a_number(tmp_path: Path) -> None:
    class Infinite(Squares):
        def work(self, item: str) -> Sequence[ResultRow]:
            return [ResultRow(entry="a", item=item, scores={"x": Score(math.inf)})]

    results = run(Infinite(1), partial(Infinite, 1), SETTINGS, tmp_path)
    assert results.rows[0].scores["x"].reason == "infinite"
    assert "Infinity" not in (tmp_path / "results.jsonl").read_text()


_SCRIPT = """
import sys
from pathlib import Path
from tests.evaluate.test_runner import work_through
if __name__ == "__main__":
    work_through(Path(sys.argv[1]), count=24, jobs=int(sys.argv[2]), pause=0.04)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("jobs", "kills"), [(1, 10), (2, 2)])
def test_kill_9_at_random_moments_leaves_the_rows_of_an_undisturbed_run(tmp_path: Path, jobs: int, kills: int) -> None:
    work_through(tmp_path / "calm", count=24)
    (tmp_path / "script.py").write_text(_SCRIPT)
    out = tmp_path / "killed"
    command = [sys.executable, str(tmp_path / "script.py"), str(out), str(jobs)]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    killed = 0
    for moment in np.random.default_rng(jobs).uniform(0.0, 0.08, size=kills):
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        lines = count_lines(out)
        while process.poll() is None and count_lines(out) == lines:
            time.sleep(0.005)  # until it works: the start takes longer than the work
        time.sleep(moment)
        killed += process.poll() is None
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, env=environment, check=True)
    assert killed == kills
    assert (out / "results.jsonl").read_bytes() == (tmp_path / "calm/results.jsonl").read_bytes()


def count_lines(out: Path) -> int:
    path = out / "results.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("name", ["results.jsonl", "summary.json", "report.md", "report.html"])
def test_files_of_somebody_else_stay(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("my thesis")
    with pytest.raises(OutputError, match=f"holds a {name} without its run.json; take another folder"):
        run(Squares(2), partial(Squares, 2), SETTINGS, tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "my thesis")]
