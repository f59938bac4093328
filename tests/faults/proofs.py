"""Proofs that a disturbed command loses nothing: faults at every write, SIGKILL at random moments, full disks."""

import errno
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from tests.disk import disk_with_room_for
from tests.faults.commands import WORKS, Work, contents, fresh, hidden, run, silence, wrong_files

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
_WRITES = ("touch", "replace", "rename", "mkdir", "chmod", "write_bytes", "open")  # of pathlib, in the file layer
_KILLS_IN_A_ROW = 40


@dataclass
class Proof:
    """What disturbances came to.

    Attributes:
        disturbed: Number of disturbed runs.
        finished: Number of outputs that a rerun made equal to those of an undisturbed run.
        failures: What went wrong, in words.
        leftovers: Number of hidden files that were left after the last rerun; only kills may leave some.
    """

    disturbed: int = 0
    finished: int = 0
    failures: list[str] = field(default_factory=list)
    leftovers: int = 0

    def check(
        self, name: str, where: str, inputs: Path, out: Path, whole: dict[str, bytes], *, may_leave: bool
    ) -> None:
        """Run the command again, undisturbed, and compare."""
        work = WORKS[name]
        code, text = run([*work.arguments(inputs, out), *work.again])
        if name == "align" and "exists already" in text:  # the disturbance came after the file was whole
            code = 0
        found = contents(out)
        if code or found != whole:
            others = sorted(key for key in found.keys() | whole.keys() if found.get(key) != whole.get(key))
            self.failures.append(f"{name}, {where}: the rerun ends with {code}, differs in {others}: {text[-300:]}")
        else:
            self.finished += 1
        left = hidden(out)
        self.leftovers += len(left)
        if left and not may_leave:
            self.failures.append(f"{name}, {where}: left {left}")


def undisturbed(name: str, inputs: Path, out: Path) -> dict[str, bytes]:
    """Return what a command leaves that nothing disturbs."""
    code, text = run(WORKS[name].arguments(inputs, fresh(out)))
    assert code == 0, text
    return contents(out)


def faults(
    name: str, inputs: Path, out: Path, errors: Sequence[int] = ERRORS, choose: Callable[[int], Sequence[int]] = range
) -> Proof:
    """Let each write of the file layer fail once, in turn, with each error.

    Args:
        name: Command.
        inputs: Folder of the inputs.
        out: Folder of the output.
        errors: Errors of the system.
        choose: Function from the number of writes to those that shall fail.
    """
    whole, proof = undisturbed(name, inputs, out), Proof()
    arguments = WORKS[name].arguments(inputs, out)
    fresh(out)
    with _failing(out, None, 0) as seen:
        run(arguments)
    for at in choose(len(seen)):
        for error in errors:
            fresh(out)
            with _failing(out, at, error):
                code, text = run(arguments)
            proof.disturbed += 1
            where = f"{errno.errorcode[error]} at write {at}, {seen[at]}"
            _check_disturbed(proof, name, where, out, whole, code, text)
            proof.check(name, where, inputs, out, whole, may_leave=False)
    return proof


def kills(name: str, inputs: Path, out: Path, count: int, seed: int = 0, *, finish: bool = False) -> Proof:
    """Kill a command at random moments until it has been killed so many times; after each kill it goes on.

    With ``finish`` nothing disturbs it after a kill, and its result is compared before the next one.
    """
    whole, proof, moments = undisturbed(name, inputs, out), Proof(), random.Random(f"{name} {seed}")
    work, again = WORKS[name], False
    fresh(out)
    start = time.monotonic()
    os.waitpid(_start(work, inputs, out, again), 0)
    seconds = time.monotonic() - start
    fresh(out)
    for _ in range(count * _KILLS_IN_A_ROW):
        if proof.disturbed == count:
            break
        child = _start(work, inputs, out, again)
        time.sleep(moments.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        again = (out / "run.json").exists()
        if os.WIFSIGNALED(status):
            proof.disturbed += 1
            if wrong := wrong_files(out, whole, work):
                proof.failures.append(f"{name}, kill {proof.disturbed}: half-written {wrong}")
        if finish or not os.WIFSIGNALED(status):
            proof.check(name, f"after kill {proof.disturbed}", inputs, out, whole, may_leave=True)
            fresh(out)
            again = False
    proof.check(name, "after the last kill", inputs, out, whole, may_leave=True)
    return proof


def kills_of_two(name: str, inputs: Path, out: Path, count: int, seed: int = 0) -> Proof:
    """Start a command twice on one output, and kill one or both at random moments, until so many starts were hit."""
    whole, proof, moments = undisturbed(name, inputs, out), Proof(), random.Random(f"{name} of two {seed}")
    work = WORKS[name]
    fresh(out)
    start = time.monotonic()
    os.waitpid(_start(work, inputs, out, False), 0)
    seconds = time.monotonic() - start
    fresh(out)
    for _ in range(count * _KILLS_IN_A_ROW):
        if proof.disturbed == count:
            break
        children = [_start(work, inputs, out, False) for _ in range(2)]
        for child in children if moments.random() < 0.5 else children[:1]:
            time.sleep(moments.uniform(0, seconds))
            os.kill(child, signal.SIGKILL)
        hit = [os.WIFSIGNALED(os.waitpid(child, 0)[1]) for child in children]
        proof.disturbed += any(hit)
        if wrong := wrong_files(out, whole, work):
            proof.failures.append(f"{name}, kill {proof.disturbed} of two: half-written {wrong}")
        if contents(out) == whole:
            proof.check(name, f"after kill {proof.disturbed} of two", inputs, out, whole, may_leave=False)
            fresh(out)
    proof.check(name, "after the last kill of two", inputs, out, whole, may_leave=False)
    return proof


def full_disks(name: str, inputs: Path, out: Path, sizes: Sequence[int]) -> Proof:
    """Run a command where no file can become larger than so many bytes, then without the limit."""
    whole, proof = undisturbed(name, inputs, out), Proof()
    for size in sizes:
        fresh(out)
        with _without_signal(), disk_with_room_for(size):
            code, text = run(WORKS[name].arguments(inputs, out))
        proof.disturbed += 1
        where = f"files of at most {size} bytes"
        if max(map(len, whole.values())) > size:
            _check_disturbed(proof, name, where, out, whole, code, text)
        proof.check(name, where, inputs, out, whole, may_leave=False)
    return proof


def small_disks(name: str, inputs: Path, place: Path, sizes: Sequence[int]) -> Proof:
    """Run a command on a disk of so many KiB, then on the same disk made larger; needs the right to mount."""
    whole, proof = undisturbed(name, inputs, place / "whole"), Proof()
    for size in sizes:
        disk = fresh(place / "disk")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)], check=True)
        try:
            out = disk / "out"
            code, text = run(WORKS[name].arguments(inputs, out))
            proof.disturbed += 1
            where = f"a disk of {size} KiB"
            if code == 70 or (code and "Traceback" in text):
                proof.failures.append(f"{name}, {where}: ends with {text[-300:]}")
            if wrong := wrong_files(out, whole, WORKS[name]):
                proof.failures.append(f"{name}, {where}: half-written {wrong}")
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
            proof.check(name, where, inputs, out, whole, may_leave=False)
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)
    shutil.rmtree(place / "disk")
    return proof


def _check_disturbed(
    proof: Proof, name: str, where: str, out: Path, whole: dict[str, bytes], code: int, text: str
) -> None:
    if code == 70 or (code == 0 and contents(out) != whole):
        proof.failures.append(f"{name}, {where}: ends with {code}: {text[-300:]}")
    if wrong := wrong_files(out, whole, WORKS[name]):
        proof.failures.append(f"{name}, {where}: half-written {wrong}")


@contextmanager
def _failing(root: Path, at: int | None, error: int) -> Iterator[list[str]]:
    """Count the calls that write below a folder; one of them fails."""
    seen: list[str] = []

    def count(what: str) -> None:
        seen.append(what)
        if at is not None and len(seen) == at + 1:
            raise OSError(error, os.strerror(error), what)

    def wrap(method: str) -> Callable[..., Any]:
        real = getattr(Path, method)

        def wrapped(self: Path, *arguments: Any, **options: Any) -> Any:
            mode = str(arguments[0] if arguments else options.get("mode", "r"))
            is_there = method == "mkdir" and self.is_dir()
            if self.is_relative_to(root) and not is_there and (method != "open" or mode[0] in "aw"):
                count(f"{method} {self.name[:20]}")
            return real(self, *arguments, **options)

        return wrapped

    real_sync = os.fsync

    def sync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").resolve().is_file():  # a folder need not be one that can be synced
            count("fsync")
        real_sync(descriptor)

    with (
        mock.patch.multiple(Path, **{method: wrap(method) for method in _WRITES}),
        mock.patch.object(os, "fsync", sync),
    ):
        yield seen


@contextmanager
def _without_signal() -> Iterator[None]:
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGXFSZ, before)


def _start(work: Work, inputs: Path, out: Path, again: bool) -> int:
    """Start the command in a forked process: what it imports is there already, so the moments fall into its work."""
    child = os.fork()
    if child:
        return child
    silence()
    torch.set_num_threads(1)  # a forked process lacks the threads of its parent, and would wait for them
    code = 70
    try:
        code, _ = run([*work.arguments(inputs, out), *(work.again if again else ())])
    finally:
        os._exit(code)
