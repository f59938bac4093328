"""TopP&R beside the package it comes from: the same figures from the same draws, CPU time and peak memory.

The package (top-pr 0.2.1) pulls torchvision, which transformers does not get on with: give it an environment of its
own and pass that one's interpreter. Every measurement runs in a fresh process with one thread.
"""

import json
import multiprocessing
import resource
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from anchors import RESULTS, main, memory, record, verdict
from rich.console import Console
from rich.table import Table

from vocable.errors import ConfigError

_FASTER, _SHARE, _SAME = 10.0, 0.25, 1e-9  # times, of the peak, absolute
_TARGETED = 10_000  # samples at which the targets hold
_CASES: tuple[dict[str, Any], ...] = (
    {"seed": 1, "real": 300, "fake": 260, "width": 5, "shift": 0.3, "kernel": "cosine"},
    {"seed": 2, "real": 260, "fake": 300, "width": 5, "shift": 0.3, "kernel": "epanechnikov"},
    {"seed": 3, "real": 420, "fake": 500, "width": 32, "shift": 0.2, "kernel": "cosine"},
    {"seed": 4, "real": 500, "fake": 420, "width": 32, "shift": 0.2, "kernel": "epanechnikov"},
    {"seed": 5, "real": 400, "fake": 520, "width": 64, "shift": 0.2, "kernel": "cosine"},
    {"seed": 6, "real": 600, "fake": 380, "width": 64, "shift": 1.0, "kernel": "cosine"},
)

_REFERENCE = """
import json, resource, sys, time
import numpy as np
import top_pr.top_pr
from importlib.metadata import version
package = sys.modules["top_pr.top_pr"]

def memory():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return [int(lines[name].split()[0]) * 1.024e-3 for name in ("VmRSS", "VmHWM")]

given, seed, kernel = np.load(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
kept, band = [], package.confband_est
def watched(data, h, **settings):
    found = band(data, h, **settings)
    height = (np.pi if kernel == "cosine" else 3.0) / (4.0 * h)
    kept.append([float(h), float(found[0] * len(data) / height ** len(data[0]))])
    return found
package.confband_est = watched
np.random.seed(seed)
if "draws_real" in given:
    drawn = iter([*given["draws_real"], *given["draws_fake"]])
    np.random.choice = lambda *_, **__: next(drawn)
idle, begun, used = memory()[0], time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
name = {"epanechnikov": "epanechinikov"}.get(kernel, kernel)
found = package.compute_top_pr(real_features=given["real"], fake_features=given["fake"], kernel=name)
end = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "fidelity": float(found["fidelity"]), "diversity": float(found["diversity"]), "f1": float(found["Top_F1"]),
    "bandwidths": [part[0] for part in kept], "thresholds": [part[1] for part in kept],
    "cpu_s": end.ru_utime + end.ru_stime - used.ru_utime - used.ru_stime, "wall_s": time.perf_counter() - begun,
    "idle_mb": idle, "peak_mb": memory()[1],
    "versions": {name: version(name) for name in ("top-pr", "numpy", "scikit-learn", "torch")},
}))
"""


def beside_the_reference(
    reference_python: Annotated[str, typer.Option(help="Python that has top-pr 0.2.1: a path, or a name on the PATH.")],
    samples: Annotated[list[int] | None, typer.Option(help="Of each set; repeat for more sizes.")] = None,
    golden: Annotated[Path | None, typer.Option(help="JSON for the reference's figures of the small cases.")] = None,
    seed: Annotated[int, typer.Option(help="Of the features and draws.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Compare figures on small cases, then time and memory on larger ones of 32 features."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        cases = [_compare(reference_python, Path(folder), case) for case in _CASES]
        costs = [
            _compare(reference_python, Path(folder), _case(seed, size), again=10)
            for size in samples or (1_000, 3_000, _TARGETED)
        ]
    if golden:
        kept = ("fidelity", "diversity", "f1", "bandwidths", "thresholds")
        parts = [(case, {name: case["reference"][name] for name in kept}, case["as_shipped"]) for case in cases]
        lines = [{"case": case["case"], "drawn": drawn, "as_shipped": shipped} for case, drawn, shipped in parts]
        golden.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
    worst = max(case["difference"] for case in [*cases, *costs])
    versions = cases[0]["reference"]["versions"]
    console.print(_table(costs, worst))
    for case in [*cases, *costs]:
        case["reference"].pop("versions")
    target = record(
        "support",
        folder=out,
        data={"features": "normal, the fakes shifted", "width": 32, "n": len(cases) + len(costs), "excluded": 0},
        seed=seed,
        reference=versions,
        targets={"faster": _FASTER, "memory_share": _SHARE, "difference": _SAME, "at_samples": _TARGETED},
        values={"worst_difference": worst, "cases": cases, "costs": costs},
    )
    console.print(f"written: {target}", markup=False)


def _case(seed: int, size: int) -> dict[str, Any]:
    return {"seed": seed, "real": size, "fake": size, "width": 32, "shift": 0.2, "kernel": "cosine"}


def _sets(case: dict[str, Any]) -> dict[str, Any]:
    """Features and draws of a case, from the stream that numpy keeps as it is; the tests make them the same way."""
    stream = np.random.RandomState(case["seed"])
    real = stream.standard_normal((case["real"], case["width"])).astype(np.float32)
    fake = (stream.standard_normal((case["fake"], case["width"])) + case["shift"]).astype(np.float32)
    draws = {f"draws_{name}": stream.randint(0, case[name], (10, case[name])) for name in ("real", "fake")}
    return {"real": real, "fake": fake, **draws}


def _compare(python: str, folder: Path, case: dict[str, Any], again: int = 0) -> dict[str, Any]:
    """Both on one case with the same draws; ``again`` adds ours with so many seeds, or else theirs with its own."""
    path = folder / "sets.npz"
    given = _sets(case)
    np.savez(path, **given)
    theirs = _theirs(python, path, case)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        ours = pool.submit(_ours, path, case["kernel"], 0).result()
    apart = [abs(ours[name] - theirs[name]) for name in ("fidelity", "diversity", "f1")]
    found = {"case": case, "reference": theirs, "vocable": ours, "difference": max(apart)}
    if again:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found["vocable_seeds"] = pool.submit(_ours, path, case["kernel"], again).result() | {"seeds": again}
    else:
        np.savez(path, real=given["real"], fake=given["fake"])
        shipped = _theirs(python, path, case)
        found["as_shipped"] = {name: shipped[name] for name in ("fidelity", "diversity", "f1")}
    return found


def _theirs(python: str, path: Path, case: dict[str, Any]) -> dict[str, Any]:
    command = [python, "-c", _REFERENCE, str(path), str(case["seed"]), case["kernel"]]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError as error:
        raise ConfigError(f"--reference-python {python}: {error.strerror}; give the path of an interpreter") from error
    if done.returncode:
        raise ConfigError(
            f"--reference-python {python}: {done.stderr.strip().splitlines()[-1]}; it needs pip install top-pr==0.2.1"
        )
    return json.loads(done.stdout)


def _ours(path: Path, kernel: str, seeds: int) -> dict[str, Any]:
    """In a fresh process: TopP&R with the draws of the file, or with so many seeds of its own."""
    from vocable.metrics.support import topological_precision_recall

    given = np.load(path)
    idle = memory()[0]
    begun, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    more = {"seeds": seeds} if seeds else {"draws": [(given["draws_real"], given["draws_fake"])]}
    found = topological_precision_recall(given["real"], given["fake"], kernel=kernel, **more)
    end = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "fidelity": found.fidelity.mean, "diversity": found.diversity.mean, "f1": found.f1.mean,
        "bandwidths": [found.bandwidth_real, found.bandwidth_fake],
        "thresholds": [found.runs[0].threshold_real, found.runs[0].threshold_fake],
        "cpu_s": end.ru_utime + end.ru_stime - used.ru_utime - used.ru_stime, "wall_s": time.perf_counter() - begun,
        "idle_mb": idle, "peak_mb": memory()[1],
    }  # fmt: skip


def _table(costs: list[dict[str, Any]], worst: float) -> Table:
    title = (
        f"TopP&R, 32 features, 1 thread, CPU time; figures differ by {worst:.1g}, ≤ {_SAME:g} {verdict(worst - _SAME)}"
    )
    table = Table("samples", "top-pr", "vocable", "10 seeds", "faster", "top-pr MB", "MB", "share", title=title)
    for cost in costs:
        theirs, ours, many = cost["reference"], cost["vocable"], cost["vocable_seeds"]
        faster, share = theirs["cpu_s"] / ours["cpu_s"], ours["peak_mb"] / theirs["peak_mb"]
        cost |= {"faster": faster, "memory_share": share}
        held = cost["case"]["real"] == _TARGETED
        table.add_row(
            f"{cost['case']['real']:,}",
            *(f"{part['cpu_s']:.2f} s" for part in (theirs, ours, many)),
            f"{faster:.1f} ×" + (f", ≥ {_FASTER:g} {verdict(_FASTER - faster)}" if held else ""),
            *(f"{part['peak_mb']:.0f}" for part in (theirs, ours)),
            f"{share:.2f}" + (f", ≤ {_SHARE:g} {verdict(share - _SHARE)}" if held else ""),
        )
    return table


if __name__ == "__main__":
    main(beside_the_reference)
