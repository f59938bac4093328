"""Audio that somebody else decoded: which file belongs to a clip, and when it cannot be one."""

import os
from pathlib import Path

import numpy as np
import pytest

from vocable.audio import Audio
from vocable.errors import AudioError, InputError
from vocable.evaluate.codecs.decoded import DecodedFolder
from vocable.testing import speechlike

HOSTILE = "a <b>&\"' -rf\n%s.flac"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place, (name, samples) in enumerate(
        {
            "one/a.wav": 16_000, "two/a.flac": 16_000, "two/deep/b.ogg": 15_000, "c.x.wav": 16_000, HOSTILE: 16_000,
            "long.wav": 18_000, "twice.wav": 16_000, "twice.flac": 16_000, "inside.wav": 16_000,
        }.items()
    ):  # fmt: skip
        path = tmp_path / "made" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Audio(np.full(samples, (place + 1) / 16, dtype=np.float32), 16_000).write(path)
    (tmp_path / "made" / "broken.wav").write_bytes(b"RIFF nothing")
    speechlike(16_000).write(tmp_path / "outside.wav")
    return tmp_path / "made"


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("one/a.flac", 1), ("two/a.wav", 2), ("../two/a.mp3", 2), ("audio/x/b.flac", 3), ("c.x.flac", 4),
        (HOSTILE.replace(".flac", ".wav"), 5), ("/etc/../inside.wav", 9),
    ],
)  # fmt: skip
def test_a_clip_finds_its_file_by_path_or_by_a_name_there_is_once(folder: Path, key: str, place: int) -> None:
    coded = DecodedFolder("theirs", folder).code(speechlike(15_500, 16_000), key)
    assert coded.audio.samples.size == 15_500
    assert coded.audio.samples[100:10_000].mean() == pytest.approx(place / 16, abs=0.01)
    assert coded.payload_bits is None


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("three/d.flac", "has no file for three/d.flac; decode this clip, or name its file d$"),
        ("../outside.wav", "has no file for ../outside.wav"),
        ("three/a.flac", r"has 2 files for three/a.flac \(one/a.wav and two/a.flac\)"),
        ("twice.flac", r"has 2 files for twice.flac \(twice.flac and twice.wav\)"),
        ("long.flac", r"long.wav of 'theirs' lasts 1.12 s and the clip 1.00 s"),
        ("broken.flac", "^broken.wav: cannot be read"),
    ],
)
def test_a_file_that_cannot_be_the_clips_is_named(folder: Path, key: str, says: str) -> None:
    with pytest.raises(AudioError, match=says) as caught:
        DecodedFolder("theirs", folder).code(speechlike(16_000), key)
    assert str(folder) not in str(caught.value)  # a result names no machine's folders


def test_another_rate_is_resampled(folder: Path) -> None:
    made = DecodedFolder("theirs", folder).code(speechlike(44_100, 44_100), "one/a.wav").audio
    assert (made.samples.size, made.sample_rate) == (44_100, 44_100)
    assert made.samples[1_000:-1_000] == pytest.approx(1 / 16, abs=1e-3)


def test_a_folder_without_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        DecodedFolder("theirs", tmp_path / "missing")
    with pytest.raises(InputError, match="no audio"):
        DecodedFolder("theirs", tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="only a POSIX name need not be text")
def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    Audio(np.full(100, 0.5, dtype=np.float32), 16_000).write(tmp_path / "x.wav")
    name = os.fsdecode(b"\xff.wav")
    (tmp_path / "x.wav").rename(tmp_path / name)
    made = DecodedFolder("theirs", tmp_path).code(speechlike(100), name).audio
    assert made.samples == pytest.approx(0.5, abs=1e-3)
