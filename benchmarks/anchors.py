"""What a figure rests on: the machine and versions that made it, and the codecs it stands beside.

Shared by the scripts of this folder. Torch is not imported here: it reads its number of threads when it starts.
"""

import importlib.util
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import typer

from vocable.errors import ConfigError, MissingDependencyError, VocableError

if TYPE_CHECKING:
    from vocable.interfaces import Tokenizer

RESULTS = Path(__file__).resolve().parent / "results"
RATE = 16_000  # Hz, at which all is scored
_PACKAGES = (
    "ai-edge-litert", "distillmos", "hama", "hypothesis", "jaxtyping", "jiwer", "mel-cepstral-distance",
    "moonshine-voice", "numpy", "onnxruntime", "pesq", "pocketsphinx", "pystoi", "rapidfuzz", "resemblyzer", "scipy",
    "soundfile", "soxr", "speechmos", "swift-f0", "torch", "transformers", "visqol-python", "whisper-normalizer",
)  # fmt: skip


def main(script: Callable[..., None]) -> None:
    """Run a script with its command line; what is wrong becomes one line and exit code 1."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch starts, here and in the processes started from here
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(script)
    try:
        app()
    except VocableError as error:
        typer.echo(f"{Path(sys.argv[0]).name}: {' '.join(str(error).split())}", err=True)
        sys.exit(1)


def need(package: str, module: str, install: str | None = None) -> None:
    """Stop with a remedy where a package that is asked for is missing; ``install`` says more for pip than its name.

    Raises:
        MissingDependencyError: It is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingDependencyError(f"this benchmark needs {package}: pip install '{install or package}'")


def verdict(short: float) -> str:
    """Whether a target is met; ``short`` is how far the figure stays from it, negative where it is met."""
    return "met" if short <= 0 else f"missed by {short:.3g}"


def record(
    name: str, model: str | None = None, tokenizer: "Tokenizer | None" = None, folder: Path = RESULTS, **parts: Any
) -> Path:
    """Write ``folder/name.json``: what was measured, and everything needed to measure it again.

    Args:
        name: Of the benchmark.
        model: The name or folder that the tokenizer was loaded from.
        tokenizer: What was measured; none where it is no tokenizer.
        folder: Created if missing.
        parts: Corpus, seed, values: whatever the benchmark has.
    """
    arguments = [_portable(argument) for argument in sys.argv[1:]]
    measured = {}
    if model is not None and tokenizer is not None:
        spec = asdict(tokenizer.spec)
        measured["tokenizer"] = {"name": _portable(model), "digest": tokenizer.digest, "spec": spec}
    written = {
        "benchmark": name,
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments]),
        "date": datetime.now(UTC).date().isoformat(),
        "vocable": version("vocable"),
        **measured,
        **parts,
        "hardware": {"cpu": _cpu(), "cores": os.cpu_count(), "threads": 1, "system": platform.platform()},
        "versions": {"python": platform.python_version(), **_versions()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.json"
    target.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


def interval(
    values: Sequence[float | None], *, seed: int, middle: Literal["mean", "median"] = "mean", rounds: int = 2_000
) -> dict[str, Any]:
    """Mean or median of the values there are, with the 95 % bootstrap interval; None is counted as excluded.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3, percentile interval.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    counts = {"n": int(known.size), "excluded": len(values) - int(known.size)}
    if known.size == 0:
        return {middle: None, "low": None, "high": None, **counts}
    rows = known[np.random.default_rng(seed).integers(known.size, size=(rounds, known.size))]
    centres = [np.median(part, axis=-1) if middle == "median" else np.mean(part, axis=-1) for part in (known, rows)]
    low, high = np.percentile(centres[1], [2.5, 97.5])
    return {middle: float(centres[0]), "low": float(low), "high": float(high), **counts}


def memory() -> tuple[float, float]:
    """Resident memory of this process now and at its highest, in MB (10^6 bytes).

    ``getrusage`` is not used: its peak is inherited from the process that started this one.

    Raises:
        ConfigError: This system has no ``/proc``.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        raise ConfigError("memory is read from /proc/self/status, which this system lacks: run this on Linux")
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
    return int(lines["VmRSS"].split()[0]) * 1.024e-3, int(lines["VmHWM"].split()[0]) * 1.024e-3


def _portable(argument: str) -> str:
    """A path as seen from here, so that a result names no machine's folders."""
    return os.path.relpath(argument) if Path(argument).is_absolute() else argument


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
