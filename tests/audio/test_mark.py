"""Synthetic speech says in the metadata of its file what it is; recordings and coded recordings do not."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

import vocable
from vocable.apps.generate import generate, generate_strip
from vocable.apps.tts import synthesize
from vocable.apps.vc import convert
from vocable.audio import Audio
from vocable.audio_files.mark import SyntheticMark, Use, read_mark
from vocable.errors import AudioError, OutputError
from vocable.testing import speechlike
from vocable.write_rules import write_rules

_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
_MARK = SyntheticMark(use="voice conversion", model="ctap-small", digest="sha256:0123", detail="Words 2 to 3 changed.")


@pytest.mark.parametrize("suffix", _SUFFIXES)
def test_every_format_carries_the_mark_and_it_changes_no_sample(suffix: str, tmp_path: Path) -> None:
    plain, marked = tmp_path / f"plain{suffix}", tmp_path / f"marked{suffix}"
    speechlike(8_000).write(plain)
    replace(speechlike(8_000), mark=_MARK).write(marked, "My comment.")
    assert read_mark(plain) is None
    assert read_mark(marked) == _MARK
    with soundfile.SoundFile(marked) as file:
        assert file.comment.startswith("My comment. Synthetic speech (voice conversion) by vocable ")
    assert Audio.read(marked) == Audio.read(plain)


def test_a_mark_stays_through_resampling_speed_and_replaced_samples() -> None:
    clip = replace(speechlike(8_000), mark=_MARK)
    for other in (clip.resample(8_000), clip.played(1.1), replace(clip, samples=clip.samples[:100])):
        assert other.mark == _MARK


def test_what_is_read_is_a_file_and_carries_no_mark_in_memory(tmp_path: Path) -> None:
    replace(speechlike(8_000), mark=_MARK).write(tmp_path / "a.wav")
    assert Audio.read(tmp_path / "a.wav").mark is None


def test_marks_do_not_decide_whether_clips_are_equal() -> None:
    assert replace(speechlike(8_000), mark=_MARK) == speechlike(8_000)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60), st.sampled_from(get_args(Use)))
def test_a_comment_gives_its_mark_back(detail: str, use: str) -> None:
    mark = SyntheticMark(use=use, detail=detail.replace("{", "("), model="m")  # type: ignore[arg-type]
    assert SyntheticMark.parse(mark.comment) == mark


@given(st.text(max_size=200))
def test_any_other_comment_is_no_mark(comment: str) -> None:
    assert SyntheticMark.parse(comment) is None


@pytest.mark.parametrize(
    "comment",
    ["{", "{}", "[]", '{"actions": 3}', '{"actions": [{}]}', '{"actions": [{"parameters": {"use": "generation"}}]}',
     '{"actions": [{"parameters": {"use": []}, "digitalSourceType": 1}], "claim_generator": 1}', "{" * 100_000],
)  # fmt: skip
def test_a_damaged_mark_is_no_mark(comment: str) -> None:
    assert SyntheticMark.parse(comment) is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"none\.wav"):
        read_mark(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("no audio")
    assert read_mark(tmp_path / "text.wav") is None


def test_an_unmarked_file_of_the_same_samples_is_not_what_would_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    speechlike(8_000).write(path)
    with write_rules(), pytest.raises(OutputError, match="holds something else"):
        replace(speechlike(8_000), mark=_MARK).write(path)
    with write_rules() as rules:
        speechlike(8_000).write(path)
    assert rules.unchanged == {path}


def test_the_uses_mark_what_they_return() -> None:
    ctap, guided, digits = (vocable.load(name) for name in ("ctap-small", "guided-small", "vqalattent-fsdd"))
    voice, source = speechlike(16_000, seed=1), speechlike(16_000)
    made = {
        "text-to-speech": [synthesize(ctap, None, voice, phonemes=["HH", "AY"])],
        "voice conversion": [convert(ctap, source, voice), convert(guided, source, voice),
                             ctap.decode(ctap.encode(source), voice)],
        "generation": [*generate(digits, 7), generate_strip(digits, [1, 2])],
    }  # fmt: skip
    for use, clips in made.items():
        for clip in clips:
            assert clip.mark is not None
            assert clip.mark.use == use
    assert made["voice conversion"][1].mark == SyntheticMark.by(guided, "voice conversion")
    assert made["voice conversion"][1].mark.digest == guided.digest
    for tokenizer in (ctap, guided):
        assert tokenizer.decode(tokenizer.encode(source)).mark is None
    assert np.isfinite(made["generation"][0].samples).all()
