"""Phones recognized by hama."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.needed import needed
from vocable.audio import Audio
from vocable.errors import MissingDependencyError
from vocable.features.hama import _SYMBOLS_OF, HamaRecognizer, arpabet_of
from vocable.metrics.text import per
from vocable.text.normalize import to_words
from vocable.text.phonemes import ARPABET


@pytest.fixture(scope="module")
def recognizer() -> HamaRecognizer:
    needed("hama")
    return HamaRecognizer()


def noise(seconds: float, rate: int = 16_000) -> Audio:
    return Audio(0.1 * np.random.default_rng(0).standard_normal(int(seconds * rate)).astype(np.float32), rate)


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hama", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vocable\[evaluate\]'"):
        HamaRecognizer()


def test_without_a_library_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    hama = needed("hama")

    def refuse() -> None:
        raise RuntimeError("libhama not available")

    monkeypatch.setattr(hama, "ASRModel", refuse)
    with pytest.raises(MissingDependencyError, match="no library for this platform"):
        HamaRecognizer()


@pytest.mark.parametrize("samples", [1, 160, 319, 320, 321, 8_000])
def test_clips_of_any_length_have_frames(recognizer: HamaRecognizer, samples: int) -> None:
    assert len(recognizer.log_probs(noise(samples / 16_000))) == samples // 320 + 1


def test_the_decoder_is_that_of_the_package(recognizer: HamaRecognizer, speech_data: Path) -> None:
    import hama

    clip = Audio.read(speech_data / "read_librispeech" / _test_rows(speech_data)[0]["audio_path"])
    theirs = hama.ASRModel().transcribe_waveform(clip.resample(16_000).samples, 16_000).phonemes
    assert recognizer.ipa(clip) == theirs


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [29.98, 30.0, 52.0, 61.01])
def test_long_audio_has_the_frames_of_the_whole(recognizer: HamaRecognizer, seconds: float) -> None:
    clip = noise(seconds)
    assert len(recognizer.log_probs(clip)) == len(clip.samples) // 320 + 1


@pytest.mark.slow
def test_phones_past_half_a_minute_are_recognized(recognizer: HamaRecognizer, speech_data: Path) -> None:
    clips = [Audio.read(speech_data / "read_librispeech" / row["audio_path"]) for row in _test_rows(speech_data)[:5]]
    joined = Audio(np.concatenate([np.pad(clip.samples, (0, 4_000)) for clip in clips] * 3), 16_000)
    assert joined.duration > 60
    alone = [phone for clip in clips * 3 for phone in recognizer.phones(clip)]
    assert per(alone, recognizer.phones(joined)).rate < 0.1


def test_words_are_pronounced_and_others_passed_over(recognizer: HamaRecognizer) -> None:
    assert recognizer.pronounce(["the", ",", "t.", "你", "cat's"])[:3] == ["DH", "IY", "T"]
    assert recognizer.pronounce([]) == []


def test_classes_keep_all_probability(recognizer: HamaRecognizer) -> None:
    probs = np.exp(recognizer.arpabet_log_probs(noise(1.0, 22_050)))
    assert probs.shape[1] == 2 + len(ARPABET)
    assert tuple(_SYMBOLS_OF) == ARPABET
    assert np.allclose(probs.sum(1), 1.0, atol=1e-4)


def test_every_symbol_of_english_is_arpabet() -> None:
    assert [phone for symbol in ("h", "ə", "l", "oʊ") for phone in arpabet_of(symbol)] == ["HH", "AH", "L", "OW"]
    assert arpabet_of("ː") == () == arpabet_of("͡")


@pytest.mark.slow
def test_phones_of_clean_speech_are_those_of_its_text(recognizer: HamaRecognizer, speech_data: Path) -> None:
    errors = None
    for row in _test_rows(speech_data)[:8]:
        clip = Audio.read(speech_data / "read_librispeech" / row["audio_path"])
        counts = per(recognizer.pronounce(to_words(row["text"])), recognizer.phones(clip))
        errors = counts if errors is None else errors + counts
    assert errors.rate < 0.2


def _test_rows(speech_data: Path) -> list[dict]:
    lines = (speech_data / "read_librispeech" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["split"] == "test" and row.get("text")]
