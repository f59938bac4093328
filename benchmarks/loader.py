"""Crops a second that one core loads from disk, beside what ``guided-paper`` needs on one GPU.

The need is an estimate: floating-point operations of a whole training step (both turns, forward and backward, counted
by torch at full size on one short crop, and scaled to the batch) over the rate of a GPU, its published peak times a
share of it that is more than convolutions reach. Loading is measured in CPU time of one process: audio alone, and with
the features of both teachers, in the packs of ``vocable data features`` or in a file for each recording. Every
recording has been read before: the first read of a recording from a pack checks the whole of it.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from anchors import RESULTS, interval, main, record, verdict
from rich.console import Console
from rich.table import Table

_GPU, _PEAK, _SHARE = "H100 SXM, bfloat16 without sparsity", 989e12, 0.4
"""GPU, its published operations a second, and the share of them that a training reaches at most."""
_TARGET = 5.0  # times the need
_WIDTHS = {"semantic": 768, "acoustic": 256}  # of HuBERT base and of Resemblyzer
_ROUNDS = 9
_COUNTED_FRAMES = 30  # 0.6 s, whole hops of every spectrum


def loader(
    data: Annotated[Path, typer.Argument(help="Manifest of recordings, such as LibriSpeech's FLAC files.")],
    steps: Annotated[int, typer.Option(min=1, help="Batches of each of the rounds.")] = 20,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes whose wall time is measured, too.")] = 2,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Measure the loading of guided-paper's batches, and estimate what a GPU needs of them."""
    import torch

    from vocable.corpus.features import extract_features
    from vocable.data.crops import Crops
    from vocable.data.manifest import open_manifests, recordings_of
    from vocable.data.targets import TargetCache
    from vocable.systems.guided.recipe import paper
    from vocable.train.loader import load_ahead

    torch.set_num_threads(1)
    run = paper()
    operations = _operations(run)
    need = run.batches.batch_size * _PEAK * _SHARE / operations
    utterances = open_manifests([data], "train")
    rate, hop = run.model.sample_rate, run.model.backbone.hop
    values: dict[str, Any] = {"operations_a_step": operations, "need_crops_a_second": need}
    with tempfile.TemporaryDirectory() as folder:
        extractors = {"semantic": _Noise(rate, 50.0, 768), "acoustic": _Noise(rate, None, 256)}
        files, packed = (
            {name: TargetCache(one, Path(folder) / kind / name) for name, one in extractors.items()}
            for kind in ("files", "packed")
        )
        extract_features(
            lambda: extractors, recordings_of(utterances)[0], Path(folder) / "packed", say=lambda line: None
        )
        for name, parts in (("audio", {}), ("audio and features", packed), ("features in single files", files)):
            begun = time.process_time()
            crops = Crops(
                utterances, run.batches, sample_rate=rate, hop=hop, targets=parts, cache=Path(folder) / "audio"
            )
            planned = time.process_time() - begun
            _time(crops.batch, range(_ROUNDS * steps, (_ROUNDS + 4) * steps), time.process_time)
            spent = [
                _time(crops.batch, range(at * steps, (at + 1) * steps), time.process_time) for at in range(_ROUNDS)
            ]
            speeds = [run.batches.batch_size * steps / one for one in spent]
            with load_ahead(crops.batch, range(steps * _ROUNDS), workers=workers) as ahead:
                wall = _time(lambda _, ahead=ahead: ahead.next(), range(steps * _ROUNDS), time.perf_counter)
            crops_a_second = interval(speeds, seed=0, middle="median")
            values[name] = {
                "crops_a_cpu_second": crops_a_second, "times_the_need": crops_a_second["median"] / need,
                "first_start_cpu_s": planned, "hours": crops.hours,
                f"crops_a_second_by_{workers}_workers": run.batches.batch_size * steps * _ROUNDS / wall,
            }  # fmt: skip
    table = Table("", "crops of 3 s a CPU second", "times the need", f"need: {need:.0f} a second on one {_GPU}")
    for name in ("audio", "audio and features", "features in single files"):
        row = values[name]
        times = row["times_the_need"]
        table.add_row(name, f"{row['crops_a_cpu_second']['median']:.0f}", f"{times:.1f}", verdict(_TARGET - times))
    Console().print(table)
    record(
        "loader", folder=out, data={"n": len(utterances), "excluded": 0, "steps": steps * _ROUNDS}, seed=0,
        targets={"least_times_the_need": _TARGET},
        estimate={"gpu": _GPU, "peak_flops": _PEAK, "share": _SHARE, "note": "batch · peak · share / operations"},
        values=values,
    )  # fmt: skip


class _Noise:
    """Stand-in for a teacher: noise of its rate and width, as reading does not depend on the values."""

    def __init__(self, sample_rate: int, frame_rate: float | None, width: int) -> None:
        self.name = self.digest = f"noise-{width}"
        self.sample_rate, self.frame_rate, self.width = sample_rate, frame_rate, width

    def extract(self, clip: Any) -> Any:
        """Return noise."""
        import torch

        frames = () if self.frame_rate is None else (int(clip.duration * self.frame_rate),)
        return torch.randn(*frames, self.width)


def _time(load: Callable[[int], Any], steps: range, clock: Callable[[], float]) -> float:
    begun = clock()
    for step in steps:
        load(step)
    return clock() - begun


def _operations(run: Any) -> float:
    """Return the floating-point operations of a step: those of a crop of 0.6 s, times the audio of a batch."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from vocable.data.crops import CropBatch
    from vocable.systems.guided.adversary import WaveformAdversary
    from vocable.systems.guided.networks import GuidedModel
    from vocable.systems.guided.objective import GuidedObjective
    from vocable.systems.guided.teachers import AcousticTeacher, SemanticTeacher

    torch.manual_seed(0)
    losses, latents = replace(run.losses, quantize_from=0), run.model.backbone.latent_width
    scales = {part: {"mean": torch.zeros(width), "deviation": torch.ones(width)} for part, width in _WIDTHS.items()}
    teachers = [
        SemanticTeacher(run.semantic, latents=latents, weight=losses.semantic, **scales["semantic"]),
        AcousticTeacher(run.acoustic, latents=latents, weight=losses.acoustic, **scales["acoustic"]),
    ]
    adversary = WaveformAdversary(
        run.adversary, adversarial=losses.adversarial, feature=losses.feature, steps=run.train.steps
    )
    objective = GuidedObjective(GuidedModel(run.model).train(), losses, teachers=teachers, adversary=adversary)
    frames, hop = _COUNTED_FRAMES, run.model.backbone.hop
    targets = {"semantic": torch.randn(1, frames, 768), "acoustic": torch.randn(1, 256)}
    samples = torch.from_numpy(np.random.default_rng(0).uniform(-0.1, 0.1, (1, frames * hop)).astype(np.float32))
    batch = CropBatch(samples, torch.ones(1, frames, dtype=torch.bool), ("noise",), targets)
    with FlopCounterMode(display=False) as counter:
        for turn in objective.turns(batch, run.train.steps // 2):
            turn.total.backward()
    return float(counter.get_total_flops()) * run.batches.batch_size * run.batches.frames / frames


if __name__ == "__main__":
    main(loader)
