"""Time of a Whisper feature pass beside the pass of one clip and one file at a time that vocable 0.1 had.

Both passes get the same clips and may use every core; turns alternate. The older one decodes a recording, runs the
encoder with MKL on one thread, and writes one file. The newer one includes the start of its processes. The ratio is the
median of the ratios within a turn; that of CPU time is for one core, and the newer pass has ``--jobs`` of them.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from vocable.audio import Audio
from vocable.corpus.features import extract_features
from vocable.data.manifest import open_manifests, recordings_of
from vocable.data.targets import FeatureExtractor, TargetCache
from vocable.errors import AudioError
from vocable.features.whisper import WhisperEncoder
from vocable.systems.guided.teachers import FrameFeatureExtractor


class _Mkl(FrameFeatureExtractor):
    """The extractor with torch's own linear layers."""

    def __init__(self, encoder: WhisperEncoder) -> None:
        super().__init__(encoder, (-1,))
        self._encoder = encoder


def one_by_one(cache: TargetCache, paths: list[str]) -> None:
    for path in paths:
        cache.store(Path(path), Audio.read(path, 16_000))


def duration(path: str) -> float:
    """Return the seconds of a recording; 0 if it cannot be read."""
    try:
        return Audio.read(path).duration
    except AudioError:
        return 0.0


def measure(function: Any, *arguments: Any, **options: Any) -> tuple[float, float]:
    """Return the wall and the CPU time of a call."""
    wall, cpu = time.perf_counter(), _cpu()
    function(*arguments, **options)
    return time.perf_counter() - wall, _cpu() - cpu


def _cpu() -> float:
    """Return the CPU time of this process and of those that it started and that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def load(whisper: str) -> Mapping[str, FeatureExtractor]:
    """Load the feature extractor in any process."""
    return {"semantic": FrameFeatureExtractor(WhisperEncoder.load(whisper), (-1,))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--whisper", required=True, help="folder of the encoder")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    paths = recordings_of(open_manifests([options.manifest]))[0][: options.clips]
    older, find = _Mkl(WhisperEncoder.load(options.whisper)), partial(load, options.whisper)
    lengths = {path: length for path in paths if (length := duration(path))}
    paths, seconds = list(lengths), sum(lengths.values())
    turns = []
    with tempfile.TemporaryDirectory() as name:
        for turn in range(options.turns):
            single = TargetCache(older, Path(name) / f"single{turn}")
            folder = Path(name) / f"packed{turn}"
            before = measure(one_by_one, single, paths)
            after = measure(extract_features, find, paths, folder, jobs=options.jobs, say=lambda line: None,
                            shard_hours=seconds / 3600 / 6)  # fmt: skip
            turns.append({"wall_before": before[0], "wall_after": after[0], "cpu_before": before[1],
                          "cpu_after": after[1]})  # fmt: skip
        packed = TargetCache(find()["semantic"], folder / "semantic")
        files = [(single.all_frames(file), packed.all_frames(file)) for file in map(single.path_of, map(Path, paths))]
        size = sum(file.stat().st_size for file in packed.folder.glob("0*.safetensors"))
    difference = max(float((one - other).abs().max()) for one, other in files)
    largest = max(float(one.abs().max()) for one, _ in files)
    result = {
        "command": " ".join(["python benchmarks/features.py", *sys.argv[1:]]),
        "torch": torch.__version__, "cpu": platform.machine(),
        "cores": os.cpu_count(), "load": os.getloadavg()[0], "clips": len(paths), "seconds": seconds, "turns": turns,
        "wall_ratio": statistics.median(turn["wall_before"] / turn["wall_after"] for turn in turns),
        "cpu_ratio": statistics.median(turn["cpu_before"] / turn["cpu_after"] for turn in turns),
        "cpu_hours_per_hour": min(turn["cpu_after"] for turn in turns) / seconds,
        "mib_per_hour": size / seconds * 3600 / 2**20, "largest_difference": difference, "largest_value": largest,
    }  # fmt: skip
    (options.out / "features.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "turns"}, indent=2))
    if result["wall_ratio"] < 3:
        print(f"missed: {result['wall_ratio']:.2f} × in place of 3 ×")


if __name__ == "__main__":
    main()
