"""Features computed ahead: each recording once, whatever is interrupted, and as training computes them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner

from vocable.audio import Audio
from vocable.cli.main import app
from vocable.corpus.features import extract_features
from vocable.data.crops import CropConfig, Crops
from vocable.data.feature_packs import FeaturePack, write_pack
from vocable.data.manifest import Utterance
from vocable.data.targets import BatchExtractor, TargetCache
from vocable.errors import AudioError, CheckpointError, ConfigError, InputError, OutputError
from vocable.features.whisper import WhisperEncoder, WhisperLayers
from vocable.locks import claim
from vocable.testing import speechlike

_RATE, _HOP = 8_000, 80


class Level:
    """Gives the level of each frame twice, or of the clip; counts the clips that it was given."""

    name, sample_rate, width = "level", _RATE, 2

    def __init__(self, frame_rate: float | None = 100.0, digest: str = "level") -> None:
        self.frame_rate, self.digest, self.calls = frame_rate, digest, 0

    def extract(self, clip: Audio) -> Tensor:
        self.calls += 1
        if not clip.samples.any():
            raise AudioError("it is silent")
        samples = torch.from_numpy(clip.samples)
        if self.frame_rate is None:
            return torch.stack([samples.abs().mean(), samples.abs().max()])
        level = samples[: samples.numel() // _HOP * _HOP].reshape(-1, _HOP).abs().mean(1)
        return torch.stack([level, 2 * level], dim=1)


class Together(Level):
    """Takes clips together, as on a GPU; runs out of memory at more than two."""

    device = torch.device("meta")  # any but the CPU
    largest = 0

    def extract_batch(self, clips: list[Audio]) -> list[Tensor]:
        if len(clips) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.largest = max(self.largest, len(clips))
        return [Level.extract(self, clip) for clip in clips]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(7):
        speechlike(2_000 + 500 * number, _RATE, seed=number).write(folder / f"{number}.wav")
    (folder / "again.wav").write_bytes((folder / "3.wav").read_bytes())
    return folder


def _extract(corpus: Path, out: Path, extractor: Any = None, **options: Any) -> Any:
    extractor = extractor or Level()
    options = {"shard_hours": 0.9 / 3600, "say": lambda line: None, **options}
    (made,) = extract_features(lambda: {"part": extractor}, [corpus], out, **options)
    return made


def _packs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_training_finds_the_features_that_it_would_compute(corpus: Path, tmp_path: Path) -> None:
    made = _extract(corpus, tmp_path / "ahead")
    assert (made.recordings, made.failed, made.missing) == (8, {}, 0)
    assert len(list((tmp_path / "ahead" / "part").glob("0*.safetensors"))) > 3
    utterances = [Utterance(audio_path=path) for path in sorted(corpus.glob("*.wav"))]
    batches = []
    for folder in ("ahead", "new"):
        extractor = Level()
        targets = {"part": TargetCache(extractor, tmp_path / folder / "part")}
        crops = Crops(utterances, CropConfig(batch_size=8, frames=5), sample_rate=_RATE, hop=_HOP, targets=targets)
        batches.append([crops.batch(step).targets["part"] for step in range(20)])
        assert extractor.calls == (0 if folder == "ahead" else 7)
        assert len(crops.scale("part")[0]) == 2
    assert all(torch.equal(one, other) for one, other in zip(*batches, strict=True))


@pytest.mark.parametrize("extractor", [Level, lambda: Level(None)])
def test_an_interrupted_run_goes_on_and_computes_nothing_twice(corpus: Path, tmp_path: Path, extractor: Any) -> None:
    _extract(corpus, tmp_path / "whole", extractor())
    counted = extractor()
    stop = 3

    def say(line: str) -> None:
        nonlocal stop
        stop -= "recordings" in line and "safetensors" in line
        if not stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _extract(corpus, tmp_path / "cut", counted, say=say)
    assert 0 < counted.calls < 8
    _extract(corpus, tmp_path / "cut", counted)
    assert counted.calls == 8  # two of the same recording are in different packs
    assert _packs(tmp_path / "cut") == _packs(tmp_path / "whole")


@pytest.mark.parametrize("is_made", [True, False])
def test_what_killed_processes_leave_is_removed(corpus: Path, tmp_path: Path, is_made: bool) -> None:
    _extract(corpus, tmp_path / "whole")
    _extract(corpus, tmp_path / "killed")
    pack = tmp_path / "killed" / "part" / "000001.safetensors"
    if not is_made:
        pack.unlink()
    for name in (".000001.0a1b2c3d.safetensors", ".000001.names", "..000001.0a1b2c3d.names",
                 "..000001.names.claim", ".000001.safetensors.claim"):  # fmt: skip
        pack.with_name(name).write_bytes(b"00")
    _extract(corpus, tmp_path / "killed")
    assert _packs(tmp_path / "killed") == _packs(tmp_path / "whole")


def test_shares_and_claims_make_each_pack_once(corpus: Path, tmp_path: Path) -> None:
    _extract(corpus, tmp_path / "whole")
    counted = Level()
    one = _extract(corpus, tmp_path / "shared", counted, shard="1/2")
    assert one.missing == 0
    with claim(tmp_path / "shared" / "part" / "000001.safetensors") as is_mine:
        assert is_mine  # as another process that is at work
        assert _extract(corpus, tmp_path / "shared", counted).missing == 1
    _extract(corpus, tmp_path / "shared", counted, shard="2/2")
    assert counted.calls == 8
    assert _packs(tmp_path / "shared") == _packs(tmp_path / "whole")


def test_recordings_that_are_added_later_get_packs_of_their_own(corpus: Path, tmp_path: Path) -> None:
    _extract(corpus, tmp_path / "out")
    before, counted = _packs(tmp_path / "out"), Level()
    speechlike(3_000, _RATE, seed=50).write(corpus / "new.wav")
    assert _extract(corpus, tmp_path / "out", counted).recordings == 9
    assert counted.calls == 1
    assert before.items() <= _packs(tmp_path / "out").items()


def test_a_running_training_finds_packs_that_were_finished_meanwhile(corpus: Path, tmp_path: Path) -> None:
    cache = TargetCache(Level(), tmp_path / "out" / "part")
    assert not cache.has(cache.path_of(corpus / "0.wav"))
    _extract(corpus, tmp_path / "out")
    assert cache.has(cache.path_of(corpus / "0.wav"))
    assert cache.frames(cache.path_of(corpus / "0.wav"), 0, 4).shape == (4, 2)


def test_recordings_that_fail_are_kept_with_their_reasons(corpus: Path, tmp_path: Path) -> None:
    (corpus / "bad.wav").write_bytes(b"no audio")
    Audio(np.zeros(500, np.float32), _RATE).write(corpus / "silent.wav")
    made = _extract(corpus, tmp_path / "out")
    assert made.recordings == 8
    assert {Path(path).name: "silent" in reason for path, reason in made.failed.items()} == {
        "bad.wav": False, "silent.wav": True}  # fmt: skip


def test_each_speed_has_features_of_its_own(corpus: Path, tmp_path: Path) -> None:
    _extract(corpus, tmp_path / "out", speeds=(0.8, 1.0))
    cache = TargetCache(Level(), tmp_path / "out" / "part")
    slow, plain = (cache.all_frames(cache.path_of(corpus / "6.wav", speed)) for speed in (0.8, 1.0))
    expected = Level().extract(Audio.read(corpus / "6.wav").played(0.8))
    assert torch.equal(slow, expected.half().float())
    assert len(slow) > len(plain)
    with pytest.raises(OutputError, match=r"settings .*0\.8, 1"):
        _extract(corpus, tmp_path / "out")


def test_batches_on_a_device_halve_where_memory_ends(corpus: Path, tmp_path: Path) -> None:
    extractor = Together()
    assert isinstance(extractor, BatchExtractor)
    _extract(corpus, tmp_path / "out", extractor, shard_hours=1.0)
    assert extractor.largest == 2
    alone = Level()
    _extract(corpus, tmp_path / "alone", alone, shard_hours=1.0)
    one, other = (load_file(tmp_path / name / "part" / "000000.safetensors") for name in ("out", "alone"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_clip_that_does_not_fit_says_what_to_lower(corpus: Path, tmp_path: Path) -> None:
    class Full(Together):
        def extract_batch(self, clips: list[Audio]) -> list[Tensor]:
            raise torch.OutOfMemoryError("CUDA out of memory")

        def extract(self, clip: Audio) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(OutputError, match="does not fit into the memory of the device; cut long recordings"):
        _extract(corpus, tmp_path / "out", Full())
    assert not list((tmp_path / "out" / "part").glob("0*.safetensors"))


def test_whisper_gives_a_clip_the_same_frames_in_a_batch_up_to_rounding() -> None:
    torch.manual_seed(0)
    layers = WhisperLayers(WhisperEncoder(width=64, depth=2), (1, -1))
    clips = [speechlike(size, 16_000, seed=size) for size in (16_000, 5_000, 33_333, 400)]
    for one, clip in zip(layers.extract_batch(clips), clips, strict=True):
        alone = layers.extract(clip)
        assert one.shape == alone.shape
        torch.testing.assert_close(one, alone, rtol=1e-4, atol=1e-4)
    assert layers.to("cpu").device.type == "cpu"


def _read_all(cache: TargetCache, corpus: Path) -> None:
    for clip in sorted(corpus.glob("*.wav")):
        cache.all_frames(cache.path_of(clip))


@pytest.mark.parametrize(
    ("damage", "words"),
    [("flip", "wrong checksum"), ("cut", "cannot be read as tensors"), ("other", "of another teacher"),
     ("plain", "no pack of features"), ("newer", "pack"), ("names", "not those that its header names")],
)  # fmt: skip
def test_a_pack_that_cannot_be_used_is_named(corpus: Path, tmp_path: Path, damage: str, words: str) -> None:
    _extract(corpus, tmp_path / "out")
    path = tmp_path / "out" / "part" / "000001.safetensors"
    if damage == "flip":
        data = bytearray(path.read_bytes())
        data[-3] ^= 4
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-8])
    elif damage == "other":
        write_pack(path, {"a": torch.zeros(2, 2).half()}, "sha256:other")
    elif damage == "plain":
        save_file({"a": torch.zeros(1)}, path)
    elif damage == "newer":
        save_file({"a": torch.zeros(1)}, path, metadata={"pack": '{"version": 9}'})
    else:
        save_file({"a": torch.zeros(1)}, path, metadata={"pack": '{"digest": "level", "checksums": {"b": 1}}'})
    with pytest.raises(CheckpointError, match=words) as caught:
        _read_all(TargetCache(Level(), tmp_path / "out" / "part"), corpus)
    assert str(path) in str(caught.value)


def test_equal_contents_give_equal_bytes(tmp_path: Path) -> None:
    targets = {name: torch.randn(3, 2).half() for name in "cab"}
    for name in ("one", "two"):
        write_pack(tmp_path / name, dict(sorted(targets.items(), reverse=name == "two")), "sha256:1", {"x": "bad"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert FeaturePack(tmp_path / "one", "sha256:1").failed == {"x": "bad"}


def test_what_is_asked_for_is_checked(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no teacher whose features are kept"):
        extract_features(dict, [corpus], tmp_path / "out")
    with pytest.raises(ConfigError, match="i/n"):
        _extract(corpus, tmp_path / "out", shard="3/2")
    with pytest.raises(InputError, match="no plan yet"):
        extract_features(lambda: {"part": Level()}, [], tmp_path / "none")
    _extract(corpus, tmp_path / "out")
    with pytest.raises(CheckpointError, match="another teacher"):
        _extract(corpus, tmp_path / "out", Level(digest="other"))


@pytest.mark.slow
def test_the_command_is_killed_goes_on_in_two_processes_and_gives_what_training_needs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    (tmp_path / "whisper").mkdir()
    state = {f"encoder.{name}": value for name, value in WhisperEncoder(width=64, depth=2).state_dict().items()}
    save_file(state, tmp_path / "whisper" / "encoder.safetensors")
    (tmp_path / "in").mkdir()
    for number in range(12):
        speechlike(8_000 + 3_000 * number, 16_000, seed=number).write(tmp_path / "in" / f"{number}.flac")
    (tmp_path / "in" / "manifest.jsonl").write_text(
        "".join(f'{{"audio_path": "{number}.flac", "split": "train"}}\n' for number in range(12))
    )
    command = ["data", "features", "supervised-tiny", "--teacher", f"encoder={tmp_path / 'whisper'}",
               "--data", str(tmp_path / "in" / "manifest.jsonl"), "--shard-hours", "0.0005"]  # fmt: skip
    result = CliRunner().invoke(app, [*command, "--cache", str(tmp_path / "whole")])
    assert result.exit_code == 0, result.output
    assert "features of 12 recordings" in result.output
    again = [sys.executable, "-m", "vocable.cli.main", *command, "--cache", str(tmp_path / "killed"), "--jobs", "2"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(again, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(str(tmp_path / "killed")) and "000000" in line:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    subprocess.run(again, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert _packs(tmp_path / "killed") == _packs(tmp_path / "whole")
    train = ["train", "supervised-tiny", "--teacher", f"encoder={tmp_path / 'whisper'}", "--data",
             str(tmp_path / "in" / "manifest.jsonl"), "--out", str(tmp_path / "run"), "--steps", "2", "--eval-every",
             "0", "--cache", str(tmp_path / "whole")]  # fmt: skip
    result = CliRunner().invoke(app, train)
    assert result.exit_code == 0, result.output
    assert not [path for path in (tmp_path / "whole" / "encoder").glob("*.safetensors") if len(path.stem) > 6]
