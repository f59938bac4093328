"""A folder has one writer, and a lock ends with its process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.disk import listing
from vocable.errors import OutputError
from vocable.locks import LOCK, claim, lock_folder

HOLD = """
import sys, time
from pathlib import Path
from vocable.locks import lock_folder
with lock_folder(Path(sys.argv[1]), "training"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_leaves_nothing_behind(tmp_path: Path) -> None:
    for _ in range(2):
        with lock_folder(tmp_path, "training"):
            assert listing(tmp_path) == [LOCK]
        assert listing(tmp_path) == []


def test_an_error_releases_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), lock_folder(tmp_path, "training"):
        raise ValueError("inside")
    with lock_folder(tmp_path, "training"):
        pass


def test_a_second_holder_is_refused_by_the_name_of_the_first(tmp_path: Path) -> None:
    with lock_folder(tmp_path, "training"):
        message = rf"training by process {os.getpid()} on .* writes into this folder; wait for it, or take another"
        with pytest.raises(OutputError, match=message), lock_folder(tmp_path, "evaluation"):
            pass
        assert listing(tmp_path) == [LOCK], "who was refused removed the lock"


def test_another_folder_is_free(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    with lock_folder(tmp_path, "training"), lock_folder(tmp_path / "inner", "training"):
        assert (tmp_path / LOCK).is_file()
        assert (tmp_path / "inner" / LOCK).is_file()


def test_a_file_that_no_process_holds_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("training by process 1 on a machine that lost its power")
    with lock_folder(tmp_path, "training"):
        assert f"process {os.getpid()}" in (tmp_path / LOCK).read_text()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(OutputError, match=r"\.vocable\.lock: cannot be written"), lock_folder(tmp_path, "training"):
        pass


@pytest.mark.slow
def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(OutputError, match=f"process {holder.pid} "), lock_folder(tmp_path, "training"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with lock_folder(tmp_path, "training"):
        pass
    assert listing(tmp_path) == []


CLAIMED = """
import sys, time
from pathlib import Path
from vocable.locks import claim
with claim(Path(sys.argv[1])) as is_mine:
    print(is_mine, flush=True)
    time.sleep(600)
"""


def test_a_claim_leaves_nothing_behind_and_is_free_again(tmp_path: Path) -> None:
    for _ in range(2):
        with claim(tmp_path / "a") as mine, claim(tmp_path / "a") as other, claim(tmp_path / "b") as another:
            assert (mine, other, another) == (True, False, True)
            assert listing(tmp_path) == [".a.claim", ".b.claim"]
        assert listing(tmp_path) == []


@pytest.mark.slow
def test_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", CLAIMED, tmp_path / "a"], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "True"
        with claim(tmp_path / "a") as is_mine:
            assert not is_mine
        holder.kill()
    with claim(tmp_path / "a") as is_mine:
        assert is_mine
    assert listing(tmp_path) == []


def test_a_claim_in_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"), claim(tmp_path / "missing" / "a"):
        pass
