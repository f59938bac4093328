"""Codecs by name, on machines that have them and machines that do not."""

from pathlib import Path

import pytest

from tests.evaluate.codecs.machine import HERE, need
from vocable.errors import ConfigError, InputError
from vocable.evaluate.codecs import amr
from vocable.evaluate.codecs.base import Codec
from vocable.evaluate.codecs.find import NAMES, find_codecs
from vocable.testing import speechlike


def test_all_is_what_the_machine_has_with_the_anchors_last(weights: Path) -> None:
    for tool in HERE:
        need(tool)
    codecs, left_out = find_codecs(["all"], lyra=weights / "lyra-soundstream", seed=3)
    assert [codec.name for codec in codecs] == [
        "Opus 6k", "Codec2 3200", "Speex WB q1", "AMR-WB 6.6k", "Lyra v2 3.2k", "Lyra v2 6k", "identity", "noise"
    ]  # fmt: skip
    assert left_out == []
    for codec in codecs:
        assert isinstance(codec, Codec)
        assert codec.note
        assert "\n" not in codec.note
        assert "/" not in codec.note.replace("kbit/s", "")  # no folder of this machine
        assert codec.code(speechlike(4_000), "a.wav").audio.samples.size == 4_000
    assert codecs[-1].note == "the floor: white noise at -5 dB SNR, seed 3"


def test_what_the_machine_lacks_is_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(amr, "find_library", lambda name: None)
    amr._load_libraries.cache_clear()
    codecs, left_out = find_codecs(["all"])
    assert [codec.name for codec in codecs] == ["identity", "noise"]
    packages = ["opus-tools", "codec2", "speex", "libvo-amrwbenc0", "--lyra"]
    assert len(left_out) == len(packages)
    for line, package in zip(left_out, packages, strict=True):
        assert package in line
        assert " left out: needs " in line
        assert "\n" not in line


def test_a_damaged_tool_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for tool in ("opusenc", "opusdec", "c2enc", "c2dec"):
        (tmp_path / tool).write_text("#!/bin/sh\necho 'opusenc: symbol lookup error' >&2\nexit 127\n")
        (tmp_path / tool).chmod(0o755)
    (tmp_path / "opusenc").write_text("#!/bin/sh\necho 'opusenc 0.3'\n")  # starts, but makes no Ogg file
    monkeypatch.setenv("PATH", str(tmp_path))
    codecs, left_out = find_codecs(["opus", "codec2"])
    assert [codec.kind for codec in codecs] == ["anchor", "anchor"]
    assert left_out == [
        "opus left out: opusdec failed: opusenc: symbol lookup error; install it again",
        "codec2 left out: c2enc failed: opusenc: symbol lookup error; install it again",
    ]


def test_settings_and_repetitions() -> None:
    need("codec2")
    codecs, _ = find_codecs(["codec2", "codec2:700C", "codec2:3200", "codec2:1300"])
    assert [codec.name for codec in codecs[:-2]] == ["Codec2 3200", "Codec2 700C", "Codec2 1300"]
    assert {codec.family for codec in codecs[:-2]} == {"Codec2"}


@pytest.mark.parametrize("name", ["", "mp3", "Opus", "opus6", ":6", "all:6", "../opus"])
def test_an_unknown_name_lists_those_that_exist(name: str) -> None:
    with pytest.raises(ConfigError, match="is no codec; there are all, opus:KBITS, codec2") as caught:
        find_codecs([name])
    assert all(known in str(caught.value) for known in NAMES.values())


@pytest.mark.parametrize("name", ["opus:six", "speex:2.5", "speex:-1", "amr-wb:x", "amr-wb:7", "opus:1e9", "lyra:x"])
def test_a_setting_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"is no setting of|works from 6 to 256|there are"):
        find_codecs([name])


def test_models_of_no_codec_are_refused() -> None:
    with pytest.raises(ConfigError, match="'wavtokenizer' is no codec of transformers; there are encodec, dac, mimi"):
        find_codecs([], models={"wavtokenizer": "folder"})


def test_decoded_folders_stand_before_the_anchors(tmp_path: Path) -> None:
    speechlike(4_000).write(tmp_path / "a.wav")
    codecs, _ = find_codecs([], decoded={"theirs": tmp_path})
    assert [(codec.name, codec.kind) for codec in codecs] == [
        ("theirs", "decoded"), ("identity", "anchor"), ("noise", "anchor")
    ]  # fmt: skip
    with pytest.raises(InputError, match="no such folder"):
        find_codecs([], decoded={"theirs": tmp_path / "missing"})
