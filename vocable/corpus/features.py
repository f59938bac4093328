"""Features of a corpus, computed ahead of a training: each recording once, whatever is killed, by one process or many.

The folder of each feature extractor has a plan (see :mod:`vocable.corpus.work_plan`). Its units become packs (see
:mod:`vocable.data.feature_packs`). A pack that is there is done. On a GPU, recordings go through the network in
batches, whose composition is a function of the plan; on a CPU each goes alone, as in training.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from vocable.audio import Audio
from vocable.corpus.progress import Progress
from vocable.corpus.read_ahead import read_ahead
from vocable.corpus.sources import Source
from vocable.corpus.work_plan import PlanHeader, Unit, check_share, make_plan, read_plan
from vocable.data.feature_packs import FeaturePack, announce_pack, clean_up, pack_name, write_pack
from vocable.data.targets import GROUP_SECONDS, FeatureExtractor, TargetCache
from vocable.device import move_all
from vocable.errors import AudioError, ConfigError, InputError, VocableError, name_failure
from vocable.files import exists, sha256
from vocable.locks import claim, claim_path
from vocable.processes import end_with_parent, share_work
from vocable.systems.registry import find_recipe, load
from vocable.train.overrides import override
from vocable.train.settings import parse_assignments

_AHEAD = 4.0  # recordings that are read while another one is in the network
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
        move_all(extractors.values(), self.device)
        return extractors


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
    device = "cpu" if TargetCache(extractor, folder).group_size == 1 else "cuda"  # and checks whose folder it is
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
            if unit.number % work.share[1] != work.share[0] - 1:
                continue
            if exists(target):
                clean_up(target)
                claim_path(target).unlink(missing_ok=True)
                continue
            with claim(target) as is_mine:
                if not is_mine or exists(target):
                    continue
                clean_up(target)
                targets: dict[str, Tensor] = {}
                failed: dict[str, str] = {}
                with announce_pack(target, _names_of(unit, cache, work.speeds)):
                    yield from _extract_unit(unit, cache, work.speeds, targets, failed)
                    write_pack(target, targets, extractor.digest, failed)
            note = f", {len(failed)} failed" if failed else ""
            yield _Event(line=f"{target}: {len(unit) - len(failed)} recordings{note}")


def _extract_unit(
    unit: Unit, cache: TargetCache, speeds: Sequence[float], targets: dict[str, Tensor], failed: dict[str, str]
) -> Iterator[_Event]:
    """Fill ``targets`` and ``failed`` with the results of a unit; yield an event for each recording."""
    most = cache.group_size
    group: list[tuple[Source, str, list[Audio]]] = []
    seen: set[str] = set()

    def close() -> Iterator[_Event]:
        files = {key: [cache.file_of(key, speed) for speed in speeds] for _, key, _ in group}
        clips = {file: clip for _, key, played in group for file, clip in zip(files[key], played, strict=True)}
        results = dict(cache.results(clips))
        for source, key, played in group:
            found = {file.stem: results[file] for file in files[key]}
            problem = next((one for one in found.values() if isinstance(one, VocableError)), None)
            if problem is None:
                targets.update((name, one) for name, one in found.items() if isinstance(one, Tensor))
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
            if len(group) * len(speeds) >= most or sum(one[2][0].duration for one in group) >= GROUP_SECONDS:
                yield from close()
        yield from close()
    finally:
        clips.close()


def _names_of(unit: Unit, cache: TargetCache, speeds: Sequence[float]) -> Iterator[str]:
    """Yield the names of the tensors of a pack, without recordings that cannot be read."""
    for source in unit.sources:
        with suppress(OSError):
            key = sha256(Path(source.path))
            yield from (cache.file_of(key, speed).stem for speed in speeds)


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
