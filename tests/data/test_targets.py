"""What teachers say of recordings is heard once, kept, and cut in step with the samples."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vocable.audio import Audio
from vocable.data.crops import CropConfig, Crops
from vocable.data.manifest import Utterance
from vocable.data.targets import FeatureExtractor, TargetCache
from vocable.errors import AudioError, CheckpointError, ConfigError

RATE, HOP = 8_000, 80
PLAIN = CropConfig(batch_size=16, frames=5, gain_db=(0.0, 0.0))


class Loud:
    """Says of each whole frame how loud it is, twice; of a clip, how loud and how long."""

    def __init__(self, frame_rate: float | None = 100.0, *, sample_rate: int = RATE, digest: str = "loud") -> None:
        self.name, self.digest, self.sample_rate, self.frame_rate, self.width = (
            "loud",
            digest,
            sample_rate,
            frame_rate,
            2,
        )
        self.heard = 0

    def extract(self, clip: Audio) -> Tensor:
        self.heard += 1
        if not clip.samples.any():
            raise AudioError("silent")
        samples = torch.from_numpy(clip.samples)
        if self.frame_rate is None:
            return torch.tensor([float(samples.abs().mean()), samples.numel() / RATE])
        level = samples[: samples.numel() // HOP * HOP].reshape(-1, HOP).abs().mean(1)
        return torch.stack([level, 2 * level], dim=1)


def record(path: Path, size: int, seed: int = 0) -> Utterance:
    Audio(np.random.default_rng(seed).uniform(-0.9, 0.9, size).astype(np.float32), RATE).write(path)
    return Utterance(audio_path=path)


def crops(utterances: list[Utterance], folder: Path, **extractors: Loud) -> Crops:
    targets = {part: TargetCache(extractor, folder / part) for part, extractor in extractors.items()}
    return Crops(utterances, PLAIN, sample_rate=RATE, hop=HOP, targets=targets)


def test_a_listener_is_what_the_protocol_says() -> None:
    assert isinstance(Loud(), FeatureExtractor)


def test_frames_are_cut_in_step_and_vectors_are_whole(tmp_path: Path) -> None:
    clips = [record(tmp_path / "a.wav", 4_000), record(tmp_path / "b.wav", 3 * HOP + 7, 1)]
    batch = crops(clips, tmp_path / "kept", level=Loud(), whole=Loud(None)).batch(0)
    level = batch.samples.reshape(16, 5, HOP).abs().mean(2)
    short = torch.tensor(["b.wav" in name for name in batch.names])
    assert short.any()
    assert not short.all()
    assert torch.allclose(batch.targets["level"][~short][..., 0], level[~short], atol=1e-3)
    assert torch.allclose(batch.targets["level"][short][:, :3, 0], level[short][:, :3], atol=1e-3)
    assert not batch.targets["level"][short][:, 3:].any(), "nothing is said of half a frame and of what is not there"
    assert batch.mask[short][:, 3].all()
    assert torch.allclose(batch.targets["whole"][~short][:, 1], torch.tensor(0.5))
    moved = batch.to(torch.device("cpu"))
    assert moved.targets.keys() == {"level", "whole"}


def test_crops_with_frames_begin_on_frames_and_others_where_they_always_did(tmp_path: Path) -> None:
    clips = [record(tmp_path / "a.wav", 40_000)]
    plain = Crops(clips, PLAIN, sample_rate=RATE, hop=HOP)
    begins = [
        [float(name.rpartition("@")[2][:-1]) for name in one.batch(3).names]
        for one in (plain, crops(clips, tmp_path / "a", whole=Loud(None)), crops(clips, tmp_path / "b", level=Loud()))
    ]
    assert begins[0] == begins[1]
    assert begins[2] == [pytest.approx(second // 0.01 * 0.01, abs=0.011) for second in begins[0]]


def test_what_was_heard_is_not_heard_again(tmp_path: Path) -> None:
    clips = [record(tmp_path / "a.wav", 4_000)]
    (tmp_path / "copy.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    clips.append(Utterance(audio_path=tmp_path / "copy.wav"))
    first, again = Loud(), Loud()
    one = crops(clips * 2, tmp_path / "kept", level=first).batch(0)
    two = crops(clips * 2, tmp_path / "kept", level=again).batch(0)
    assert (first.heard, again.heard) == (1, 0)
    assert torch.equal(one.targets["level"], two.targets["level"])


def test_another_speed_is_kept_beside_it(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", 4_000)
    clip, targets = Audio.read(tmp_path / "a.wav"), TargetCache(Loud(), tmp_path / "kept")
    plain, slower = targets.store(tmp_path / "a.wav", clip), targets.store(tmp_path / "a.wav", clip.played(0.8), 0.8)
    assert (plain, slower) == (targets.path_of(tmp_path / "a.wav"), targets.path_of(tmp_path / "a.wav", 0.8))
    assert slower.name == f"{plain.stem}@0.8.safetensors"
    assert [len(targets.all_frames(file)) for file in (plain, slower)] == [50, 62]
    assert plain == targets.path_of(tmp_path / "a.wav", 1.0)


def test_the_scale_is_over_recordings_each_once(tmp_path: Path) -> None:
    clips = [record(tmp_path / "a.wav", 4_000), record(tmp_path / "b.wav", 8_000)]
    mean, deviation = crops([*clips, clips[0]], tmp_path / "kept", whole=Loud(None)).scale("whole")
    assert mean[1] == pytest.approx(0.75, abs=1e-3)
    assert deviation[1] == pytest.approx(0.25, abs=1e-3)


def test_the_scale_of_frames_is_over_all_of_them(tmp_path: Path) -> None:
    clips = [record(tmp_path / "a.wav", 4_000), record(tmp_path / "b.wav", 8_000, seed=1)]
    made = crops([*clips, clips[0]], tmp_path / "kept", frames=Loud())
    targets, (mean, deviation) = made.targets["frames"], made.scale("frames")
    frames = torch.cat([targets.all_frames(targets.path_of(clip.audio_path)) for clip in clips])
    assert torch.allclose(mean, frames.mean(0), atol=1e-6)
    assert torch.allclose(deviation, frames.std(0, correction=0), atol=1e-6)


def test_a_recording_that_nothing_can_be_said_of_is_left_out_by_name(tmp_path: Path) -> None:
    Audio(np.zeros(4_000), RATE).write(tmp_path / "mute.wav")
    clips = [Utterance(audio_path=tmp_path / "mute.wav"), record(tmp_path / "a.wav", 4_000)]
    drawn = crops(clips, tmp_path / "kept", level=Loud())
    names = {name.rpartition("@")[0] for step in range(9) for name in drawn.batch(step).names}
    assert names == {str(tmp_path / "a.wav")}
    assert [str(problem) for problem in drawn.problems] == [f"{tmp_path / 'mute.wav'}: silent"]
    with pytest.raises(AudioError, match=r"mute\.wav: this recording and all others that could be drawn are refused"):
        crops(clips[:1], tmp_path / "kept", level=Loud()).batch(0)
    extractor = Loud()
    extractor.extract = lambda clip: torch.full((3, 2), 1e6)  # type: ignore[method-assign]
    with pytest.raises(AudioError, match="loud computes values that float16 cannot hold"):
        TargetCache(extractor, tmp_path / "big").store(tmp_path / "a.wav", Audio(np.ones(9), RATE))


def test_a_teacher_of_another_rate_is_refused(tmp_path: Path) -> None:
    clips = [record(tmp_path / "a.wav", 4_000)]
    with pytest.raises(ConfigError, match="the level teacher loud takes 16000 Hz, the tokenizer 8000 Hz"):
        crops(clips, tmp_path / "one", level=Loud(sample_rate=16_000))
    with pytest.raises(ConfigError, match="the level teacher loud has 50 frames a second, the tokenizer 100"):
        crops(clips, tmp_path / "two", level=Loud(50.0))


def test_what_another_teacher_said_is_refused(tmp_path: Path) -> None:
    clips = [record(tmp_path / "a.wav", 4_000)]
    crops(clips, tmp_path / "kept", level=Loud())
    with pytest.raises(CheckpointError, match=r"keeps the targets of another teacher \(loud\), not of loud, other"):
        crops(clips, tmp_path / "kept", level=Loud(digest="other"))
    with pytest.raises(CheckpointError, match="keeps the targets of another teacher"):
        crops(clips, tmp_path / "kept", level=Loud(None))
    (tmp_path / "kept" / "level" / "teacher.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"teacher.json: \[\]: Input should be an object; remove the folder"):
        crops(clips, tmp_path / "kept", level=Loud())
    (tmp_path / "kept" / "level" / "teacher.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"teacher.json: .*Invalid JSON"):
        crops(clips, tmp_path / "kept", level=Loud())


@pytest.mark.parametrize(
    ("tensors", "digest", "message"),
    [
        ({"target": torch.ones(9, 2).half()}, "other", "is of another teacher than loud; remove it"),
        ({"target": torch.ones(9, 3).half()}, "loud", r"holds \[9, 3\] of F16"),
        ({"target": torch.ones(9, 2, 1).half()}, "loud", r"holds \[9, 2, 1\] of F16"),
        ({"target": torch.ones(9, 2)}, "loud", r"holds \[9, 2\] of F32"),
        ({"target": torch.full((9, 2), torch.nan).half()}, "loud", "numbers that are not finite"),
        ({"else": torch.ones(9, 2).half()}, "loud", "cannot be read"),
        (None, "loud", "cannot be read"),
    ],
)
def test_an_altered_file_is_refused(
    tmp_path: Path, tensors: dict[str, Tensor] | None, digest: str, message: str
) -> None:
    record(tmp_path / "a.wav", 4_000)
    targets = TargetCache(Loud(), tmp_path / "kept")
    file = targets.store(tmp_path / "a.wav", Audio.read(tmp_path / "a.wav"))
    assert load_file(file)["target"].shape == (50, 2)
    if tensors is None:
        file.write_bytes(b"nothing")
    else:
        save_file(tensors, file, metadata={"digest": digest})
    with pytest.raises(CheckpointError, match=message):
        targets.frames(file, 0, 5)


class Steps(Loud):
    """Says of each frame one of four ids."""

    def extract(self, clip: Audio) -> Tensor:
        return (super().extract(clip)[:, 0] * 4).long()


def test_ids_are_kept_as_whole_numbers_and_frames_are_read_whole(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", 4_000)
    clip, extractor = Audio.read(tmp_path / "a.wav"), Steps()
    extractor.width = 4
    targets = TargetCache(extractor, tmp_path / "ids")
    file = targets.store(tmp_path / "a.wav", clip)
    assert file == targets.path_of(tmp_path / "a.wav")
    assert load_file(file)["target"].dtype == torch.int32
    assert torch.equal(targets.ids(file), extractor.extract(clip))
    assert targets.ids(file).dtype == torch.int64
    with pytest.raises(CheckpointError, match=r"holds \[50\] of I32"):
        targets.frames(file, 0, 5)
    frames = TargetCache(Loud(), tmp_path / "frames")
    kept = frames.store(tmp_path / "a.wav", clip)
    assert torch.equal(frames.all_frames(kept), frames.frames(kept, 0, 50))
    with pytest.raises(CheckpointError, match=r"holds \[50, 2\] of F16"):
        frames.ids(kept)
    with pytest.raises(AudioError, match=r"nothing\.wav: cannot be read"):
        frames.path_of(tmp_path / "nothing.wav")


def test_ids_out_of_range_are_neither_kept_nor_read(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", 4_000)
    clip, extractor = Audio.read(tmp_path / "a.wav"), Steps()
    targets = TargetCache(extractor, tmp_path / "ids")  # of width 2
    for said in (torch.tensor([0, 2]), torch.tensor([-1, 0]), torch.tensor([1 << 40])):
        extractor.extract = lambda clip, said=said: said  # type: ignore[misc]
        with pytest.raises(AudioError, match=r"loud computes ids that are not in \[0, 2\)"):
            targets.store(tmp_path / "a.wav", clip)
    extractor.extract = lambda clip: torch.tensor([0, 1])  # type: ignore[method-assign]
    file = targets.store(tmp_path / "a.wav", clip)
    for wrong in ([0, 2], [-1, 0]):
        save_file({"target": torch.tensor(wrong, dtype=torch.int32)}, file, metadata={"digest": "loud"})
        with pytest.raises(CheckpointError, match=r"holds ids that are not in \[0, 2\)"):
            targets.ids(file)
