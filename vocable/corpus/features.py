"""Features of a corpus, computed ahead of a training: each recording once, whatever is killed, by one process or many.

The folder of each feature extractor has a plan (see :mod:`vocable.corpus.work_plan`). Its units become packs (see
:mod:`vocable.data.feature_packs`). A pack that is there is done. On a GPU, recordings go through the network in
batches, whose composition is a function of the plan; on a CPU each goes alone, as in training.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from vocable.audio import Audio
from vocable.corpus.progress import Progress
from vocable.corpus.read_ahead import read_ahead
from vocable.corpus.sources import Source
from vocable.corpus.work_plan import PlanHeader, Unit, check_share, make_plan, read_plan
from vocable.data.feature_packs import FeaturePack, pack_name, write_pack
from vocable.data.targets import FeatureExtractor, TargetCache
from vocable.errors import (
    AudioError,
    ConfigError,
    InputError,
    OutputError,
    VocableError,
    is_out_of_memory,
    name_failure,
)
from vocable.files import exists, sha256
from vocable.locks import claim
from vocable.processes import end_with_parent, share_work
from vocable.systems.registry import find_recipe, load
from vocable.train.overrides import override
from vocable.train.settings import parse_assignments

_AHEAD = 4.0  # recordings that are read while another one is in the network
_GROUP_CLIPS, _GROUP_SECONDS = 32, 240.0  # of a batch on a GPU
_StrPath = str | os.PathLike[str]
_Say = Callable[[str], None]
Extractors = Callable[[], Mapping[str, FeatureExtractor]]
"""Function that loads feature extractors, by their folders; picklable, where there are several processes."""


@dataclass(frozen=True)
class RecipeExtractors:
    """Loader of the feature extractors of a recipe, which goes to other processes as it is.

    Attributes:
        recipe: Name of the recipe.
        teachers: Source of each teacher as ``PART=SOURCE``.
        assignments: Settings of the recipe as ``NAME=VALUE``.
        cache: Folder of the features.
        device: Torch device of the extractors that can be moved; others stay on the CPU.
    """

    recipe: str
    teachers: tuple[str, ...]
    assignments: tuple[str, ...]
    cache: Path
    device: str = "cpu"

    @property
    def speeds(self) -> tuple[float, ...]:
        """Speeds at which the recipe plays its recordings."""
        run = find_recipe(self.recipe)
        return tuple(
            getattr(override(run, settings=parse_assignments(run, self.assignments)).batches, "speeds", (1.0,))
        )

    def __call__(self) -> Mapping[str, FeatureExtractor]:
        """Load the feature extractors, by their folders."""
        run = find_recipe(self.recipe)
        settings = parse_assignments(run, self.assignments)
        run = override(run, settings=settings, teachers=self.teachers, cache=self.cache)
        extractors: Mapping[str, FeatureExtractor] = replace(run, find=load).extractors()
        for extractor in extractors.values():
            if isinstance(extractor, Movable):
                extractor.to(self.device)
        return extractors


@runtime_checkable
class Movable(Protocol):
    """A feature extractor that can be put on a device."""

    def to(self, device: str) -> object:
        """Move the networks to a torch device."""


@runtime_checkable
class BatchExtractor(Protocol):
    """A feature extractor that takes several clips together."""

    def extract_batch(self, clips: Sequence[Audio]) -> list[Tensor]:
        """Compute the features of each clip; see :meth:`vocable.data.targets.FeatureExtractor.extract`."""


@dataclass(frozen=True)
class Extracted:
    """Result of an extraction.

    Attributes:
        folder: Folder of the features.
        recordings: Number of recordings in its packs, without those that failed.
        failed: Reason of each recording that failed, by its path.
        missing: Number of packs that are not there: other processes make them, or were killed.
    """

    folder: Path
    recordings: int
    failed: Mapping[str, str]
    missing: int

    def __str__(self) -> str:
        missing = f", {self.missing} packs are missing or made by other processes" if self.missing else ""
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"{self.folder}: features of {self.recordings} recordings{failed}{missing}"


@dataclass(frozen=True)
class _Work:
    """Settings of a process that works through the plans of some folders."""

    cache: Path
    speeds: tuple[float, ...]
    share: tuple[int, int]


@dataclass(frozen=True)
class _Event:
    """Progress: seconds of a recording, None if it failed; the line of a finished pack; or an error."""

    seconds: float | None = None
    line: str = ""
    error: VocableError | None = None


def extract_features(
    find: Extractors, inputs: Sequence[_StrPath], cache: _StrPath, *,
    speeds: Sequence[float] = (1.0,), jobs: int = 1, shard: str | None = None, shard_hours: float = 1.0,
    say: _Say = print, watch: Callable[[Progress], None] = lambda progress: None,
) -> list[Extracted]:  # fmt: skip
    """Compute the features of recordings, and go on where an earlier run stopped.

    What is written does not depend on how often a run was killed, nor on the number of processes.

    Args:
        find: Function that loads the feature extractors.
        inputs: Manifests, recordings, folders and glob patterns; those that a plan has already are not added again.
        cache: Folder whose subfolders get the features, as :class:`~vocable.data.targets.TargetCache` reads them.
        speeds: Speeds at which each recording is played.
        jobs: Number of processes.
        shard: Share of the packs to make, as ``i/n`` with i from 1 to n; all by default.
        shard_hours: Hours of speech of a pack at most.
        say: Function that gets a line for each pack.
        watch: Function that gets the state after each recording.

    Returns:
        What each folder holds then.

    Raises:
        ConfigError: If there is no feature extractor, or a setting is out of range.
        InputError: If an input is an archive, or cannot be used.
        CheckpointError: If a folder holds features of another extractor.
        OutputError: If a folder cannot be written, or was planned with other settings.
    """
    extractors, root = find(), Path(cache)
    if not extractors:
        raise ConfigError("the recipe has no teacher whose features are kept; there is nothing to compute")
    work = _Work(root, tuple(speeds), check_share(shard))
    units = {folder: _plan(extractor, root / folder, inputs, work, shard_hours, say)
             for folder, extractor in extractors.items()}  # fmt: skip
    progress = Progress(items=sum(len(unit) for part in units.values() for unit in part))

    def take(event: _Event) -> None:
        if event.error is not None:
            raise event.error
        if event.line:
            say(event.line)
            return
        progress.encoded += 1
        progress.done = min(progress.items, progress.done + 1)
        progress.failed += event.seconds is None
        progress.seconds += event.seconds or 0.0
        watch(progress)

    if jobs == 1:
        for event in _work_through(work, extractors):
            take(event)
    else:
        share_work(_run_worker, (work, find), jobs, take)
    return [_summarize(root / folder, extractor, units[folder]) for folder, extractor in extractors.items()]


def _plan(
    extractor: FeatureExtractor, folder: Path, inputs: Sequence[_StrPath], work: _Work, shard_hours: float, say: _Say
) -> list[Unit]:
    TargetCache(extractor, folder)  # checks whose folder it is
    device = "cpu" if _group_size(extractor) == 1 else "cuda"
    settings = {"speeds": ", ".join(f"{speed:g}" for speed in work.speeds)}
    header = PlanHeader(plan=1, tokenizer=extractor.digest, model=extractor.name, settings=settings, device=device,
                        shard_hours=float(shard_hours))  # fmt: skip
    plan = make_plan(folder, inputs, header, say)
    archive = next((unit.span.path for unit in plan.units if unit.span is not None), None)
    if archive is not None:
        raise InputError(f"{archive}: training reads recordings of their own; unpack the archive")
    return [unit for unit in plan.units if unit.number % work.share[1] == work.share[0] - 1]


def _work_through(work: _Work, extractors: Mapping[str, FeatureExtractor]) -> Iterator[_Event]:
    """Make the packs that are missing and that no other process makes; yield events."""
    for name, extractor in extractors.items():
        folder = work.cache / name
        plan, cache = read_plan(folder), TargetCache(extractor, folder)
        assert plan is not None
        for unit in plan.units:
            target = folder / pack_name(unit.number)
            if unit.number % work.share[1] != work.share[0] - 1 or exists(target):
                continue
            with claim(target) as is_mine:
                if not is_mine or exists(target):
                    continue
                for leftover in folder.glob(f".{target.stem}.*{target.suffix}"):
                    leftover.unlink(missing_ok=True)  # of a process that was killed
                targets: dict[str, Tensor] = {}
                failed: dict[str, str] = {}
                yield from _extract_unit(unit, cache, work.speeds, targets, failed)
                write_pack(target, targets, extractor.digest, failed)
            note = f", {len(failed)} failed" if failed else ""
            yield _Event(line=f"{target}: {len(unit) - len(failed)} recordings{note}")


def _extract_unit(
    unit: Unit, cache: TargetCache, speeds: Sequence[float], targets: dict[str, Tensor], failed: dict[str, str]
) -> Iterator[_Event]:
    """Fill ``targets`` and ``failed`` with the results of a unit; yield an event for each recording."""
    most = _group_size(cache.extractor)
    group: list[tuple[Source, str, list[Audio]]] = []
    seen: set[str] = set()

    def close() -> Iterator[_Event]:
        clips = [clip for _, _, played in group for clip in played]
        results = iter(_extract(cache, clips))
        for source, key, played in group:
            found = [next(results) for _ in played]
            problem = next((one for one in found if isinstance(one, VocableError)), None)
            if problem is None:
                names = (cache.file_of(key, speed).stem for speed in speeds)
                targets.update((name, one) for name, one in zip(names, found, strict=True) if isinstance(one, Tensor))
            else:
                failed[source.path] = str(problem)
            yield _Event(None if problem else played[0].duration * speeds[0])
        group.clear()

    clips = read_ahead((_read(source, cache, speeds) for source in unit.sources), _AHEAD + most)
    try:
        for source, key, played in clips:
            if isinstance(played, VocableError):
                failed[source.path] = str(played)
                yield _Event(None)
                continue
            if key in seen:  # the same recording under another name
                yield _Event(played[0].duration * speeds[0])
                continue
            seen.add(key)
            group.append((source, key, played))
            if len(group) * len(speeds) >= most or sum(one[2][0].duration for one in group) >= _GROUP_SECONDS:
                yield from close()
        yield from close()
    finally:
        clips.close()


def _read(source: Source, cache: TargetCache, speeds: Sequence[float]) -> tuple[Source, str, Any]:
    """Return a recording's key and its clips at all speeds, or an error in their place."""
    path = Path(source.path)
    try:
        if source.problem:
            raise InputError(source.problem)
        with name_failure(source.path):
            key, rate = sha256(path), cache.extractor.sample_rate
            if tuple(speeds) == (1.0,):
                return source, key, [Audio.read(path, rate)]
            recorded = Audio.read(path)
            return source, key, [recorded.played(speed).resample(rate) for speed in speeds]
    except OSError as error:
        return source, "", AudioError(f"{path}: cannot be read ({error.strerror}); check the path")
    except VocableError as error:
        return source, "", error


def _extract(cache: TargetCache, clips: Sequence[Audio]) -> list[Tensor | VocableError]:
    """Return what is kept of each clip, or its error. A batch that fails, as for lack of memory, is halved."""
    extractor = cache.extractor
    try:
        with name_failure("the clip"):
            if len(clips) > 1 and isinstance(extractor, BatchExtractor):
                return [cache.to_storage(one) for one in extractor.extract_batch(clips)]
            return [cache.compute(clip) for clip in clips]
    except VocableError as error:
        if len(clips) < 2:
            if is_out_of_memory(error):
                raise OutputError(
                    f"{extractor.name}: a clip of {clips[0].duration:.1f} s does not fit into the memory of the "
                    "device; cut long recordings, or pass --device cpu"
                ) from error
            return [error]
    half = len(clips) // 2
    return [*_extract(cache, clips[:half]), *_extract(cache, clips[half:])]


def _group_size(extractor: FeatureExtractor) -> int:
    """Return the number of clips of a batch: on a CPU one, whose features are those of the clip alone, bit for bit."""
    device = getattr(extractor, "device", torch.device("cpu"))
    return _GROUP_CLIPS if device.type != "cpu" and isinstance(extractor, BatchExtractor) else 1


def _run_worker(events: Any, work: _Work, find: Extractors) -> None:
    """Work through the plans in a process of its own."""
    end_with_parent()
    try:
        for event in _work_through(work, find()):
            events.put(event)
    except VocableError as error:
        events.put(_Event(error=type(error)(str(error))))


def _summarize(folder: Path, extractor: FeatureExtractor, units: Sequence[Unit]) -> Extracted:
    failed: dict[str, str] = {}
    count = missing = 0
    for unit in units:
        path = folder / pack_name(unit.number)
        if not exists(path):
            missing += 1
            continue
        pack = FeaturePack(path, extractor.digest)
        failed |= pack.failed
        count += len(unit) - len(pack.failed)
        pack.close()
    return Extracted(folder, count, failed, missing)
