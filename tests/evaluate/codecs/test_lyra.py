"""Lyra v2 from its own files."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.evaluate.codecs.alignment import lateness
from vocable.audio import Audio
from vocable.data.manifest import read_manifest
from vocable.errors import ConfigError, MissingDependencyError
from vocable.evaluate.codecs import neural
from vocable.evaluate.codecs.neural import Lyra
from vocable.testing import speechlike


@pytest.fixture(scope="module")
def folder(weights: Path) -> Path:
    return weights / "lyra-soundstream"


@pytest.mark.parametrize(("kilobits", "stages"), [(3.2, 16), (6.0, 30), (9.2, 46)])
def test_bits_are_four_a_stage_and_frame(folder: Path, kilobits: float, stages: int) -> None:
    codec = Lyra(folder, kilobits)
    for samples, rate, frames in ((1, 16_000, 1), (320, 16_000, 1), (321, 16_000, 2), (4_410, 44_100, 5)):
        coded = codec.code(speechlike(samples, rate), "a.wav")
        assert (coded.payload_bits, coded.container_bits) == (4 * stages * frames, 0)
        assert (coded.audio.samples.size, coded.audio.sample_rate) == (samples, rate)


def test_speech_comes_in_time_and_a_clip_does_not_hear_the_one_before(folder: Path, speech_data: Path) -> None:
    utterance = read_manifest(speech_data / "read_librispeech" / "manifest.jsonl", "train")[0]
    clip = Audio(Audio.read(utterance.audio_path, 16_000).samples[:32_000], 16_000)
    codec = Lyra(folder, 9.2)
    first = codec.code(clip, "a.wav").audio
    assert abs(lateness(clip, first)) < 1
    codec.code(speechlike(3_000), "b.wav")
    Lyra(folder, 3.2).code(speechlike(3_000), "b.wav")
    again = codec.code(clip, "a.wav").audio
    assert np.array_equal(first.samples, again.samples)


def test_a_folder_without_its_files_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"soundstream_encoder.tflite: no such file; give the folder of Lyra v2"):
        Lyra(tmp_path)
    with pytest.raises(ConfigError, match=r"Lyra at 4 kbit/s: there are 3.2, 6, 9.2"):
        Lyra(folder, 4.0)


def test_a_damaged_file_is_one_line(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "lyra"))
    (copy / "quantizer.tflite").write_bytes(b"TFL3 nothing")
    with pytest.raises(ConfigError, match=r"^[^\n]*quantizer.tflite: is no usable TFLite model [^\n]*$"):
        Lyra(copy).code(speechlike(320), "a.wav")


def test_a_missing_package_says_how_to_install_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neural.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"needs ai-edge-litert: pip install 'vocable\[evaluate\]'"):
        Lyra(folder)
