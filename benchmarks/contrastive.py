"""Memory and time of the contrastive loss over many frames, forward and back, beside the whole matrix at once.

Every measurement runs in a fresh process with one thread. At the smaller size the two are also compared value by value.
"""

import multiprocessing
import resource
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from anchors import RESULTS, main, memory, record, verdict
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from torch import Tensor

_TARGET_MB, _TARGET_DIFFERENCE = 1_000.0, 1e-5  # over the idle process, at the larger size; of value and gradients
_SCALE = 1 / 16  # τ = 1 over √256, where training begins; where all is told apart, gradients are rounding and no more


def cost_of_pairs(
    pairs: Annotated[int, typer.Option(min=1, help="Frames that are all told from one another.")] = 32_000,
    dense: Annotated[int, typer.Option(min=1, help="Frames of the comparison with the whole matrix.")] = 8_000,
    width: Annotated[int, typer.Option(min=1, help="Of a frame.")] = 256,
    seed: Annotated[int, typer.Option(help="Of the frames.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Measure the loss in blocks at both sizes and the whole matrix at the smaller one."""
    console = Console()
    cases = [
        {"how": how, "pairs": size, "width": width} | _apart(_measure, how, size, width, seed)
        for how, size in (("matrix", dense), ("blocks", dense), ("blocks", pairs))
    ]
    difference = _apart(_difference, dense, width, seed)
    largest = cases[-1]["over_idle_mb"]
    table = Table("", "pairs", "MB over idle", "CPU s", title=(
        f"Contrastive loss, forward and back, width {width}; ≤ {_TARGET_MB:g} MB {verdict(largest - _TARGET_MB)}; "
        f"blocks and matrix differ by {difference:.1g}, ≤ {_TARGET_DIFFERENCE:g} "
        f"{verdict(difference - _TARGET_DIFFERENCE)}"
    ))  # fmt: skip
    for case in cases:
        table.add_row(case["how"], f"{case['pairs']:,}", f"{case['over_idle_mb']:.0f}", f"{case['cpu_s']:.1f}")
    console.print(table)
    met = largest <= _TARGET_MB and difference <= _TARGET_DIFFERENCE
    target = record(
        "contrastive", folder=out, data={"frames": "normal, in pairs that resemble each other"}, seed=seed,
        targets={"over_idle_mb": _TARGET_MB, "difference": _TARGET_DIFFERENCE},
        values={"cases": cases, "difference": difference, "met": met},
    )  # fmt: skip
    console.print(f"written: {target}", markup=False)


def _apart(job: Any, *given: Any) -> Any:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(job, *given).result()


def _frames(size: int, width: int, seed: int) -> "tuple[Tensor, ...]":
    """Frames (1, M, D) of both kinds, and the factor; gradients are wanted of all."""
    import torch

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(1, size, width, generator=generator)
    right = torch.randn(1, size, width, generator=generator).add_(left, alpha=0.5)
    return left.requires_grad_(), right.requires_grad_(), torch.tensor(_SCALE, requires_grad=True)


def _loss(how: str, parts: "tuple[Tensor, ...]") -> "Tensor":
    import torch
    import torch.nn.functional as F

    from vocable.losses.contrastive import frame_contrastive_loss

    left, right, scale = parts
    if how == "blocks":
        return frame_contrastive_loss(left, right, torch.ones(left.shape[:2], dtype=torch.bool), scale)
    logits = scale * left[0] @ right[0].T
    own = torch.arange(len(logits))
    return 0.5 * (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own))


def _measure(how: str, size: int, width: int, seed: int) -> dict[str, float]:
    """Peak memory over the process with the frames in it, and CPU time."""
    _loss(how, _frames(8, width, seed)).backward()
    parts = _frames(size, width, seed)
    idle, used = memory()[0], resource.getrusage(resource.RUSAGE_SELF)
    _loss(how, parts).backward()
    end = resource.getrusage(resource.RUSAGE_SELF)
    spent = end.ru_utime + end.ru_stime - used.ru_utime - used.ru_stime
    return {"idle_mb": idle, "over_idle_mb": memory()[1] - idle, "cpu_s": spent}


def _difference(size: int, width: int, seed: int) -> float:
    """The largest difference of value and gradients between the two, relative where numbers are over 1."""
    found = []
    for how in ("blocks", "matrix"):
        parts = _frames(size, width, seed)
        value = _loss(how, parts)
        value.backward()
        found.append([value.detach(), *(part.grad for part in parts)])
    return max(float((one - two).abs().max() / two.abs().max().clamp(min=1.0)) for one, two in zip(*found, strict=True))


if __name__ == "__main__":
    main(cost_of_pairs)
