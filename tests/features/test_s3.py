"""S3 by its ONNX file, run by onnxruntime: the units are those that torch computes."""

import sys
from pathlib import Path

import pytest
import torch

from tests.s3_graph import SmallS3
from vocable.audio import Audio
from vocable.errors import AudioError, CheckpointError, MissingDependencyError
from vocable.features.s3 import FILES, S3Encoder
from vocable.testing import speechlike

V1 = "speech_tokenizer_v1.onnx"


@pytest.mark.parametrize("samples", [1, 319, 320, 321, 640, 641, 5_000, 16_000])
@pytest.mark.parametrize(("stride", "size", "version"), [(1, 4096, "v1"), (2, 4096, "v1"), (2, 6561, "v2")])
def test_units_are_those_of_the_network(samples: int, stride: int, size: int, version: str, tmp_path: Path) -> None:
    network = SmallS3(size, stride)
    encoder = S3Encoder(network.write(tmp_path / f"speech_tokenizer_{version}.onnx"))
    clip = speechlike(samples, seed=samples)
    found = encoder.units(clip)
    assert (encoder.hop, encoder.size) == (320 * stride, size)
    assert len(found) == -(-samples // encoder.hop)
    assert torch.equal(found, network.units(clip))


def test_a_clip_of_another_rate_is_resampled(tmp_path: Path) -> None:
    network = SmallS3()
    encoder = S3Encoder(network.write(tmp_path / V1))
    clip = speechlike(44_100, 44_100)
    assert torch.equal(encoder.units(clip), network.units(clip.resample(16_000)))
    assert len(encoder.units(clip)) == 50
    assert len(encoder.units(clip).unique()) > 10


def test_thirty_seconds_are_taken_and_a_sample_more_is_not(tmp_path: Path) -> None:
    encoder = S3Encoder(SmallS3(64).write(tmp_path / V1), size=64)
    longest = speechlike(30 * 16_000)
    assert len(encoder.units(longest)) == 1500
    with pytest.raises(AudioError, match=r"is 30\.0 s long: S3 takes 30 s at most"):
        encoder.units(speechlike(30 * 16_000 + 1))


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    one, same, other = (
        S3Encoder(SmallS3(seed=seed).write(tmp_path / f"{place}" / V1)) for place, seed in enumerate((0, 0, 1))
    )
    assert one.digest == same.digest != other.digest
    assert one.digest.startswith("sha256:")


@pytest.mark.parametrize("name", FILES)
def test_a_folder_is_searched_for_the_file(name: str, tmp_path: Path) -> None:
    SmallS3().write(tmp_path / name)
    assert S3Encoder(tmp_path).file == tmp_path / name


def test_no_file_is_said(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nothing.onnx"):
        with pytest.raises(
            CheckpointError, match=r"no S3 tokenizer; give its ONNX file, or a folder with speech_token"
        ):
            S3Encoder(place)


def test_a_name_that_does_not_tell_the_version(tmp_path: Path) -> None:
    file = SmallS3(64).write(tmp_path / "mine.onnx")
    with pytest.raises(CheckpointError, match="has neither v1"):
        S3Encoder(file)
    assert S3Encoder(file, size=64).size == 64


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (SmallS3(inputs=1), "takes 1 inputs; S3 takes log-mel spectra and their length"),
        (SmallS3(whole=False), "makes float32, not integers"),
        (SmallS3(stride=3), "makes 67 units of 4 s"),
    ],
)
def test_another_network_is_refused(network: SmallS3, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        S3Encoder(network.write(tmp_path / V1))


def test_units_of_another_version_are_refused(tmp_path: Path) -> None:
    encoder = S3Encoder(SmallS3(6561, 2).write(tmp_path / V1))  # the name says 4096
    with pytest.raises(CheckpointError, match=r"units outside 0 to 4095; give its `size`"):
        encoder.units(speechlike(5 * 16_000))


@pytest.mark.parametrize("content", [b"", b"no network", bytes(range(256)) * 40])
def test_a_file_that_is_no_network_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / V1).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"v1\.onnx: (cannot be read|takes 0 inputs)"):
        S3Encoder(tmp_path)


def test_a_truncated_network_is_refused(tmp_path: Path) -> None:
    file = SmallS3().write(tmp_path / V1)
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(CheckpointError, match="cannot be read"):
        S3Encoder(file)


def test_without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SmallS3().write(tmp_path / V1)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"needs onnxruntime; run pip install 'vocable\[evaluate\]'"):
        S3Encoder(file)


def test_the_same_units_again(tmp_path: Path) -> None:
    file = SmallS3().write(tmp_path / V1)
    clip = Audio(speechlike(9_000).samples, 16_000)
    assert torch.equal(S3Encoder(file).units(clip), S3Encoder(file).units(clip))
