"""Moonshine: words of real speech, in any order and of any length; what holds no words; damaged and missing files."""

import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from tests.needed import lacking
from vocable.apps.asr import recognize_words
from vocable.audio import Audio
from vocable.data.manifest import read_manifest
from vocable.errors import CheckpointError, MissingDependencyError
from vocable.evaluate.judges import moonshine
from vocable.evaluate.judges.find import find_scorer
from vocable.evaluate.judges.moonshine import (
    FILES,
    MoonshineRecognizer,
    cut_windows,
    decode_subwords,
    read_subwords,
)
from vocable.interfaces import DetailedRecognizer, Recognition
from vocable.metrics.text import normalize, normalize_english, wer

RATE = 16_000


@pytest.fixture(scope="module")
def recognizer() -> MoonshineRecognizer:
    try:
        metadata.distribution("moonshine-voice")
    except metadata.PackageNotFoundError:
        lacking("moonshine-voice")
    return MoonshineRecognizer()


@pytest.fixture(scope="module")
def speech(speech_data: Path) -> list[tuple[Audio, str]]:
    """Four clips of read English, with their texts."""
    items = read_manifest(speech_data / "read_librispeech_tc5" / "manifest.jsonl", "test")
    short = sorted(items, key=lambda item: item.duration)[10:50:10]
    return [(Audio.read(item.audio_path, RATE), item.text) for item in short]


@pytest.mark.slow
def test_most_words_are_right(recognizer, speech) -> None:
    counts = [wer(text, recognizer.transcribe(clip), normalizer=normalize_english) for clip, text in speech]
    assert sum(counts[1:], counts[0]).rate < 0.2
    assert recognizer.name == "moonshine-tiny.en-0.0.59"
    assert isinstance(recognizer, DetailedRecognizer)


@pytest.mark.slow
def test_a_clip_has_the_same_words_alone_and_in_any_order(recognizer, speech) -> None:
    clips = [clip for clip, _ in speech]
    forth = [recognizer.recognize(clip) for clip in clips]
    recognizer.recognize(Audio(clips[0].samples[::-1].copy(), RATE))
    back = [recognizer.recognize(clip) for clip in reversed(clips)]
    assert forth == back[::-1]
    assert MoonshineRecognizer().recognize(clips[-1]) == forth[-1]
    for clip, found in zip(clips, forth, strict=True):
        assert recognizer.transcribe(clip) == normalize(found.text)
        assert -1.5 < found.log_probability < 0
        assert not found.is_loop


@pytest.mark.slow
def test_long_audio_is_cut_at_quiet_places_and_keeps_its_words(recognizer, speech) -> None:
    pause = np.zeros(RATE // 2, dtype=np.float32)
    parts = [part for clip, _ in speech * 2 for part in (clip.samples, pause)]
    long = Audio(np.concatenate(parts), RATE)
    assert long.duration > 40
    text = " ".join(text for _, text in speech * 2)
    assert wer(text, recognizer.transcribe(long), normalizer=normalize_english).rate < 0.25


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_another_rate_and_level_are_taken(recognizer, speech, rate) -> None:
    clip, text = speech[-1]
    for gain in (0.03, 1 / np.abs(clip.samples).max()):
        other = Audio(gain * clip.samples, RATE).resample(rate)
        assert wer(text, recognizer.transcribe(other), normalizer=normalize_english).rate < 0.4


@pytest.mark.parametrize(
    "samples", [np.zeros(RATE), np.ones(1), np.full(RATE, 0.5), np.random.default_rng(0).uniform(-0.1, 0.1, 800)]
)
def test_nothing_is_recognized_where_nothing_is(recognizer, samples) -> None:
    found = recognizer.recognize(Audio(samples, RATE))
    assert (found.text, found.is_loop) == ("", False)
    assert found.log_probability != found.log_probability
    assert recognizer.transcribe(Audio(samples, RATE)) == ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tenth", "noise", "tone", "chord", "clipped"])
def test_what_is_no_speech_ends_within_the_bound(recognizer, kind) -> None:
    random, time = np.random.default_rng(1), np.arange(6 * RATE) / RATE
    samples = {
        "tenth": random.uniform(-0.1, 0.1, RATE // 10),
        "noise": random.normal(0, 0.1, 6 * RATE),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * time),
        "chord": 0.1 * sum(np.sin(2 * np.pi * hz * time) * (time % 0.5 < 0.4) for hz in (220, 277, 330, 440)),
        "clipped": np.sign(random.normal(0, 1, 6 * RATE)),
    }[kind]
    found = recognizer.recognize(Audio(samples, RATE))
    assert len(found.text) < 600
    assert recognizer.recognize(Audio(samples, RATE)) == found


@pytest.mark.slow
def test_a_recognizer_that_does_not_end_is_stopped_and_marked(recognizer, speech, monkeypatch) -> None:
    monkeypatch.setattr(moonshine, "_EOS", -1)
    clip = Audio(speech[0][0].samples[: 2 * RATE], RATE)
    found = recognizer.recognize(clip)
    assert found.is_loop
    assert found.text


def test_windows_cover_a_clip_and_end_where_it_is_quiet() -> None:
    random = np.random.default_rng(0)
    for seconds in (0.01, 0.5, 19.99, 20, 20.05, 24, 39, 41, 95.3):
        samples = random.uniform(-1, 1, int(seconds * RATE)).astype(np.float32)
        windows = list(cut_windows(samples))
        np.testing.assert_array_equal(np.concatenate(windows), samples)
        assert all(window.size <= 20 * RATE for window in windows)
        if len(windows) > 1:
            assert min(window.size for window in windows) >= 3 * RATE
    samples[17 * RATE : int(17.4 * RATE)] = 0
    assert abs(next(iter(cut_windows(samples))).size / RATE - 17.2) < 0.11


def test_subwords_are_read_with_lengths_of_one_and_two_bytes() -> None:
    long = b"x" * 300
    content = bytes([2]) + b"ab" + bytes([300 % 128 + 128, 300 // 128]) + long + bytes([0])
    assert read_subwords(content) == [b"ab", long, b""]
    for broken in (content[:-3], bytes([200]), bytes([5]) + b"abc"):
        with pytest.raises(CheckpointError, match="ends inside a record"):
            read_subwords(broken)
    assert decode_subwords([0, 1, 2], ["▁caf".encode(), b"<0xC3>", b"<0xA9>"]) == "café"
    assert decode_subwords([0, 1], [b"<0xC3>", b"a"]) == "\ufffda"  # half a character
    assert decode_subwords([], []) == ""


def test_a_missing_package_names_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(moonshine, "_PACKAGE", "nobody-has-this")
    with pytest.raises(MissingDependencyError, match=r"pip install --no-deps moonshine-voice==0\.0\.59$"):
        find_scorer("recognizer")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"needs onnxruntime; run pip install 'vocable\[evaluate\]'"):
        find_scorer("recognizer")


def test_a_release_without_the_model_is_named(monkeypatch, tmp_path) -> None:
    class Empty:
        version = "0.1.2"

        def locate_file(self, path: str) -> Path:
            return tmp_path / path

    monkeypatch.setattr(moonshine.metadata, "distribution", lambda name: Empty())
    with pytest.raises(
        MissingDependencyError, match=r"moonshine-voice 0\.1\.2 holds no model, as from 0\.1 on; run pip"
    ):
        MoonshineRecognizer()


def test_a_folder_is_read_by_path_and_damaged_files_are_refused(recognizer, tmp_path) -> None:
    folder = Path(str(metadata.distribution("moonshine-voice").locate_file("moonshine_voice/assets/tiny-en")))
    for name in FILES:
        (tmp_path / name).symlink_to(folder / name)
    copied = find_scorer("recognizer", str(tmp_path))
    assert copied.name.startswith("moonshine-tiny.en-")
    assert copied.name != recognizer.name  # a folder has no version; the hash of its files stands there
    (tmp_path / FILES[0]).unlink()
    with pytest.raises(CheckpointError, match=r"lacks encoder_model\.ort of Moonshine"):
        find_scorer("recognizer", str(tmp_path))
    (tmp_path / FILES[0]).write_bytes(b"no model")
    with pytest.raises(CheckpointError, match="cannot be read as Moonshine"):
        find_scorer("recognizer", str(tmp_path))


def test_a_recognizer_without_details_gives_its_text() -> None:
    class Plain:
        name = "plain-1"

        def transcribe(self, clip: Audio) -> str:
            return "and so on " * 5

    found = recognize_words(Plain(), Audio(np.ones(8), RATE))
    assert found.is_loop
    assert isinstance(found, Recognition)
