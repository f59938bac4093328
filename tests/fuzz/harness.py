"""The harness: a mutated file gives what it holds or an error of vocable, soon and in little memory."""

import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.mutations import Mutate
from vocable.errors import VocableError

SECONDS, MEGABYTES = 2.0, 500.0


@dataclass(frozen=True)
class Reader:
    """A reader of files.

    Attributes:
        make: Writes sound files into a folder.
        read: Reads them; its result can be compared.
        mutations: Files to mutate, and how: a pattern of names, and a function.
        covers: Functions of vocable that open or parse the files, as ``module:function``.
        mend: Corrects digests in the folder after a mutation that is meant to pass them.
        exact: Whether bytes that are changed anywhere never give another result.
        share: Share of the mutations that other readers get, below 1 for slow ones.
    """

    make: Callable[[Path], object]
    read: Callable[[Path], object]
    mutations: Sequence[tuple[str, Mutate]]
    covers: Sequence[str]
    mend: Callable[[Path], object] | None = None
    exact: bool = False
    share: float = 1.0


@dataclass
class Outcome:
    """What mutations came to.

    Attributes:
        results: Mutations that were read.
        errors: Mutations that raised an error of vocable.
        failures: Anything else, each with the seed that makes it again.
        seconds: CPU time of the slowest.
        megabytes: Memory of the largest, over what the process had before.
    """

    results: int = 0
    errors: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    megabytes: float = 0.0


def fuzz(name: str, reader: Reader, folder: Path, count: int, seed: int = 0, first: int = 0) -> Outcome:
    """Mutate a reader's files so many times and read each."""
    outcome = Outcome()
    sound = folder / "sound"
    sound.mkdir(parents=True)
    reader.make(sound)
    files = {path.relative_to(sound): path.read_bytes() for path in sorted(sound.rglob("*")) if path.is_file()}
    place = folder / "here"
    _restore(place, files)
    expected = reader.read(place)
    for number in range(first, first + count):
        rng = random.Random(f"{name} {seed} {number}")
        pattern, mutate = reader.mutations[rng.randrange(len(reader.mutations))]
        _restore(place, files)
        path = rng.choice(sorted(place.rglob(pattern)))
        path.write_bytes(mutate(path.read_bytes(), rng))
        if reader.mend is not None and (pattern, mutate) not in reader.mutations[:1]:
            reader.mend(place)
        where = f"{name} {number}: {mutate.__name__} of {path.relative_to(place)}"
        with _watched(outcome, where):
            result = reader.read(place)
            outcome.results += 1
            if reader.exact and mutate.__name__ == "bytes_of" and result != expected:
                raise AssertionError("the bytes are altered and the result is another one")
    shutil.rmtree(folder)
    return outcome


@contextmanager
def _watched(outcome: Outcome, where: str) -> Iterator[None]:
    """Count what happens, and measure its time and memory."""
    _reset_peak()
    memory, start = _memory()[0], time.process_time()
    signal.alarm(60)
    try:
        yield
    except VocableError as error:
        outcome.errors += 1
        if len(str(error)) > 1_500 or "\n" in str(error):
            outcome.failures.append(f"{where}: a message of {len(str(error))} characters: {str(error)[:100]!r}")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        outcome.failures.append(f"{where}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    finally:
        signal.alarm(0)
    seconds, megabytes = time.process_time() - start, _memory()[1] - memory
    outcome.seconds, outcome.megabytes = max(outcome.seconds, seconds), max(outcome.megabytes, megabytes)
    if seconds > SECONDS or megabytes > MEGABYTES:
        outcome.failures.append(f"{where}: {seconds:.1f} s, {megabytes:.0f} MB")


def _restore(place: Path, files: dict[Path, bytes]) -> None:
    shutil.rmtree(place, ignore_errors=True)
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)


def _reset_peak() -> None:
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def _memory() -> tuple[float, float]:
    """Resident memory in MB: now, and the highest since it was reset."""
    if sys.platform != "linux":
        return 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    lines: dict[str, Any] = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now, peak = (int(lines[name].split()[0]) * 1.024e-3 for name in ("VmRSS", "VmHWM"))
    return now, peak
