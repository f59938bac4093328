"""A run begins while features are still being made: what a batch lacks is computed then, once, and changes nothing."""

import hashlib
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.data.test_targets import HOP, PLAIN, RATE, Loud, record
from vocable.audio import Audio
from vocable.corpus.features import extract_features
from vocable.data import crops as crops_module
from vocable.data.crops import CropBatch, CropConfig, Crops
from vocable.data.feature_packs import announce_pack, pack_name, write_pack
from vocable.data.manifest import Utterance
from vocable.data.targets import TargetCache
from vocable.errors import AudioError, OutputError
from vocable.locks import claim

FEW = CropConfig(batch_size=2, frames=5, gain_db=(0.0, 0.0))


@pytest.fixture
def clips(tmp_path: Path) -> list[Utterance]:
    return [record(tmp_path / f"{number}.wav", 2_000 + 400 * number, number) for number in range(9)]


def crops(clips: list[Utterance], folder: Path, *extractors: Loud, config: CropConfig = FEW) -> Crops:
    targets = {f"part{number}": TargetCache(one, folder / f"part{number}") for number, one in enumerate(extractors)}
    return Crops(clips, config, sample_rate=RATE, hop=HOP, targets=targets)


def digest(batches: list[CropBatch]) -> str:
    """The hash of samples, names and targets."""
    found = hashlib.sha256()
    for batch in batches:
        found.update(batch.samples.numpy().tobytes() + "".join(batch.names).encode())
        for target in batch.targets.values():
            found.update(target.numpy().tobytes())
    return found.hexdigest()


def names_of(batch: CropBatch) -> set[str]:
    return {name.rpartition("@")[0] for name in batch.names}


def test_a_first_batch_computes_what_it_holds_and_is_that_of_a_run_with_all_features(
    clips: list[Utterance], tmp_path: Path
) -> None:
    ready, missing = (Loud(), Loud(None)), (Loud(), Loud(None))
    for cache in crops(clips, tmp_path / "ready", *ready).targets.values():
        for clip in clips:
            cache.store(clip.audio_path, Audio.read(clip.audio_path))
    lazy = crops(clips, tmp_path / "lazy", *missing)
    first = lazy.batch(0)
    assert [one.heard for one in missing] == [len(names_of(first))] * 2
    assert missing[0].heard < len(clips)
    lazy.batch(0)
    assert missing[0].heard == len(names_of(first))
    whole = crops(clips, tmp_path / "ready", *ready)
    assert digest([lazy.batch(step) for step in range(60)]) == digest([whole.batch(step) for step in range(60)])
    assert [one.heard for one in (*ready, *missing)] == [len(clips)] * 4
    assert lazy.corpus == whole.corpus


def test_half_of_the_features_are_there_and_half_are_computed(clips: list[Utterance], tmp_path: Path) -> None:
    extract_features(lambda: {"part0": Loud()}, [clip.audio_path for clip in clips[:5]], tmp_path / "half",
                     shard_hours=0.5 / 3600, say=lambda line: None)  # fmt: skip
    late = Loud()
    half, new = crops(clips, tmp_path / "half", late), crops(clips, tmp_path / "new", Loud())
    assert digest([half.batch(step) for step in range(60)]) == digest([new.batch(step) for step in range(60)])
    assert late.heard == 4


def test_a_recording_that_a_teacher_refuses_makes_room_for_another_whatever_is_there(
    clips: list[Utterance], tmp_path: Path
) -> None:
    class Choosy(Loud):
        def extract(self, clip: Audio) -> Tensor:
            if len(clip.samples) in (2_400, 3_600):
                raise AudioError("too shrill")
            return super().extract(clip)

    lazy = crops(clips, tmp_path / "lazy", Choosy())
    digests = [digest([lazy.batch(step)]) for step in range(40)]
    assert sorted(map(str, lazy.problems)) == [f"{clips[number].audio_path}: too shrill" for number in (1, 4)]
    again = crops(clips, tmp_path / "lazy", Choosy())  # as a loader's worker, or a resumed run
    assert [digest([again.batch(step)]) for step in reversed(range(40))] == digests[::-1]
    halves = [again.batch(7, rank, 2) for rank in (0, 1)]
    assert torch.equal(torch.cat([half.samples for half in halves]), again.batch(7).samples)


def test_a_clip_that_is_too_short_for_a_teacher_is_left_out_before_the_first_step(
    clips: list[Utterance], tmp_path: Path
) -> None:
    class Long(Loud):
        def check_length(self, samples: int) -> None:
            if samples < 2_500:
                raise AudioError(f"has {samples} samples")

    loud = Long()
    drawn = crops(clips, tmp_path / "kept", loud)
    assert [str(problem) for problem in drawn.problems] == [
        f"{clips[0].audio_path}: has 2000 samples", f"{clips[1].audio_path}: has 2400 samples"
    ]  # fmt: skip
    assert (loud.heard, drawn.corpus["clips"]) == (0, 7)


def test_the_scale_is_that_of_some_recordings_and_computes_no_other_teacher(
    clips: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = Loud(None), Loud()
    whole = crops(clips, tmp_path / "whole", one, other).scale("part0")
    assert (one.heard, other.heard) == (9, 0)
    monkeypatch.setattr(crops_module, "_SCALE_CLIPS", 3)
    few = Loud(None)
    part = crops(clips, tmp_path / "few", few).scale("part0")
    assert few.heard == 3
    assert (part[0] / whole[0] - 1).abs().max() < 0.2
    assert torch.equal(part[0], crops(clips, tmp_path / "whole", one).scale("part0")[0])


class Counted(Loud):
    """Takes a while, and writes down each call, whichever process makes it."""

    def __init__(self, calls: Path) -> None:
        super().__init__()
        self.calls = calls

    def extract(self, clip: Audio) -> Tensor:
        with self.calls.open("a") as file:
            file.write(f"{len(clip.samples)}\n")
        time.sleep(0.01)
        return super().extract(clip)


def _draw(clips: list[Utterance], folder: Path, name: str) -> None:
    made = crops(clips, folder / "kept", Counted(folder / "calls"))
    (folder / name).write_text(digest([made.batch(step) for step in range(12)]))


@pytest.mark.slow
def test_two_processes_share_the_work_and_draw_the_same(clips: list[Utterance], tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_draw, args=(clips, tmp_path, name)) for name in ("one", "two")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    calls = (tmp_path / "calls").read_text().split()
    assert len(calls) == len(set(calls)) > 5
    assert (tmp_path / "one").read_text() == (tmp_path / "two").read_text()


@contextmanager
def _meanwhile(work: threading.Thread) -> Iterator[None]:
    work.start()
    try:
        yield
    finally:
        work.join()


def test_the_claim_of_another_process_is_waited_for(clips: list[Utterance], tmp_path: Path) -> None:
    loud, other = Loud(), Loud()
    made = crops(clips, tmp_path / "kept", loud)
    cache, started = TargetCache(other, tmp_path / "kept" / "part0"), threading.Event()

    def compute() -> None:
        with claim(cache.path_of(clips[3].audio_path)) as is_mine:
            assert is_mine
            started.set()
            time.sleep(0.1)
            cache._write(cache.path_of(clips[3].audio_path), cache.compute(Audio.read(clips[3].audio_path)))

    with _meanwhile(threading.Thread(target=compute)):
        started.wait()
        assert made._clip_targets.usable([2, 3]) == [2, 3]
    assert (loud.heard, other.heard) == (1, 1)


def test_a_pack_that_another_process_makes_is_waited_for_and_one_that_it_gave_up_is_not(
    clips: list[Utterance], tmp_path: Path
) -> None:
    loud, started = Loud(), threading.Event()
    made = crops(clips, tmp_path / "kept", loud)
    cache = TargetCache(Loud(), tmp_path / "kept" / "part0")
    names = [cache.path_of(clip.audio_path).stem for clip in clips]
    pack = tmp_path / "kept" / "part0" / pack_name(0)

    def compute() -> None:
        with claim(pack), announce_pack(pack, names[:2]):
            started.set()
            time.sleep(0.1)
            targets = {name: cache.compute(Audio.read(clips[at].audio_path)) for at, name in enumerate(names[:2])}
            write_pack(pack, targets, "loud")

    with _meanwhile(threading.Thread(target=compute)):
        started.wait()
        assert made._clip_targets.usable([0, 1, 2]) == [0, 1, 2]
    assert loud.heard == 1
    pack.with_name(".000001.names").write_text("\n".join(names[3:5]))  # what a kill leaves
    assert made._clip_targets.usable([3, 4]) == [3, 4]
    assert loud.heard == 3


def test_features_made_ahead_take_what_a_training_has_computed(clips: list[Utterance], tmp_path: Path) -> None:
    made = crops(clips, tmp_path / "kept", Loud())
    made.batch(0)
    paths = [clip.audio_path for clip in clips]
    rest, whole = Loud(), Loud()
    extract_features(lambda: {"part0": rest}, paths, tmp_path / "kept", say=lambda line: None)
    extract_features(lambda: {"part0": whole}, paths, tmp_path / "whole", say=lambda line: None)
    assert (rest.heard, whole.heard) == (9 - len(names_of(made.batch(0))), 9)
    one, two = (tmp_path / name / "part0" / pack_name(0) for name in ("kept", "whole"))
    assert one.read_bytes() == two.read_bytes()
    assert not list((tmp_path / "kept" / "part0").glob(".*")), "no claim and no name is left"


class Together(Loud):
    """On a device that is no CPU, where clips go together."""

    device = torch.device("meta")

    def __init__(self, fits: int = 99) -> None:
        super().__init__()
        self.fits, self.groups = fits, list[int]()

    def extract_batch(self, clips: list[Audio]) -> list[Tensor]:
        if len(clips) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.groups.append(len(clips))
        return [Loud.extract(self, clip) for clip in clips]


def test_on_a_gpu_the_clips_of_a_batch_go_together_and_are_halved_where_memory_ends(
    clips: list[Utterance], tmp_path: Path
) -> None:
    one, two = Together(), Together(fits=2)
    batches = [crops(clips, tmp_path / name, extractor, config=PLAIN).batch(0)
               for name, extractor in (("one", one), ("two", two))]  # fmt: skip
    count = len(names_of(batches[0]))
    assert one.groups == [count]
    assert max(two.groups) <= 2
    assert two.heard == count
    assert digest(batches[:1]) == digest(batches[1:])


def test_a_clip_that_does_not_fit_on_the_device_says_what_to_do(clips: list[Utterance], tmp_path: Path) -> None:
    class Full(Together):
        def extract(self, clip: Audio) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(OutputError, match=r"loud: a clip of 0\.\d s does not fit into the memory of the device; cut"):
        crops(clips, tmp_path / "kept", Full(fits=0)).batch(0)
    assert not [*(tmp_path / "kept" / "part0").glob("*.safetensors")]


def test_a_recording_that_was_cut_before_its_features_were_made_stops_the_run_by_name(
    clips: list[Utterance], tmp_path: Path
) -> None:
    made = crops(clips, tmp_path / "kept", Loud())
    os.truncate(clips[5].audio_path, 5_000)
    with pytest.raises(AudioError, match=r"5\.wav: has 5000 bytes, and had \d+ before; restore the file"):
        made._clip_targets.usable([5])
    assert not [*(tmp_path / "kept" / "part0").glob("*.json")][1:], "a file that is cut is no refusal of the teacher"
