"""Building a listening test: what the page holds, what it hides, and what it refuses."""

import base64
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.lab.listening.listening import CLIPS, SYSTEMS, build_test, record
from vocable.audio import Audio
from vocable.errors import ConfigError, InputError, OutputError
from vocable.testing import speechlike
from vocable_lab.listening.build import ANCHORS, _make_anchors, build, build_from_arguments
from vocable_lab.listening.key import RANGES, read_key


def _content(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id=data>(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found
    return dict(json.loads(found[1]))


def test_a_mushra_screen_has_all_systems_the_hidden_reference_and_both_make_anchors(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    built = build_test(folders, tmp_path / "test.html")
    key = read_key(built.key)
    assert built.screens == 2 * 3
    for trial in {one.trial for one in key.stimuli.values()}:
        screen = [one for one in key.stimuli.values() if one.trial == trial]
        (scale,) = {one.scale for one in screen}
        assert len({one.clip for one in screen}) == 1
        wanted = {*SYSTEMS, "reference"} | (set(ANCHORS) if scale == "quality" else set())
        assert sorted(one.system for one in screen) == sorted(wanted)


def test_a_mos_screen_has_one_sound_and_quality_no_reference(folders: dict[str, Path], tmp_path: Path) -> None:
    built = build_test(folders, tmp_path / "test.html", kind="mos")
    content = _content(built.page)
    assert built.screens == len(content["screens"]) == 2 * 3 * 3
    for screen in content["screens"]:
        assert len(screen["stimuli"]) == 1
        assert (screen["reference"] is None) == (screen["scale"] == "quality")


@pytest.mark.parametrize("kind", RANGES)
def test_the_page_names_no_system_and_no_clip(folders: dict[str, Path], tmp_path: Path, kind: Any) -> None:
    built = build_test(folders, tmp_path / "test.html", kind=kind)
    html = re.sub(r"base64,[\w+/=]+", "", built.page.read_text(encoding="utf-8"))
    for word in (*SYSTEMS, *CLIPS, "anchor", "codec", "kHz", str(tmp_path)):
        assert word not in html
    assert set(_content(built.page)) == {"test", "kind", "scales", "questions", "screens", "sounds"}
    assert not re.search(r"https?:|@import|url\(|innerHTML", html)
    policy = re.search(r'Content-Security-Policy\s+content="([^"]+)"', html)
    assert policy
    assert "default-src 'none'" in policy[1]
    assert re.search(r"script-src 'sha256-[^']+'(;|$)", policy[1])


def test_codes_follow_the_seed_and_not_the_systems(folders: dict[str, Path], tmp_path: Path) -> None:
    first, again, other = (
        build_test(folders, tmp_path / f"{at}.html", seed=seed) for at, seed in enumerate((0, 0, 1))
    )  # fmt: skip
    assert first.page.read_bytes() == again.page.read_bytes()
    assert first.key.read_bytes() == again.key.read_bytes()
    assert first.test != other.test
    orders = [[one.system for one in read_key(built.key).stimuli.values()] for built in (first, other)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_the_sounds_of_the_page_are_the_files(folders: dict[str, Path], tmp_path: Path) -> None:
    built = build_test(folders, tmp_path / "test.html", scales=("quality",))
    content, key = _content(built.page), read_key(built.key)
    codes = [stimulus["code"] for screen in content["screens"] for stimulus in screen["stimuli"]]
    assert sorted(codes) == sorted(key.stimuli)
    for screen in content["screens"]:
        for stimulus in screen["stimuli"]:
            one = key.stimuli[stimulus["code"]]
            data = base64.b64decode(content["sounds"][stimulus["sound"]].split(",")[1])
            samples, rate = soundfile.read(io.BytesIO(data))
            assert rate == 16_000
            if one.system in ANCHORS:
                continue
            folder = folders["recordings" if one.system == "reference" else one.system]
            assert np.abs(samples - Audio.read(folder / f"{one.clip}.wav").samples).max() <= 1 / 32_768


def test_anchors_keep_what_is_under_their_edge_and_nothing_above() -> None:
    rate = 24_000
    noise = Audio((0.1 * np.random.default_rng(0).standard_normal(rate)).astype(np.float32), rate)
    made = dict(_make_anchors(noise))
    assert set(made) == set(ANCHORS)
    before = np.fft.rfft(noise.samples.astype(np.float64))
    hertz = np.fft.rfftfreq(rate, 1 / rate)
    for name, edge in ANCHORS.items():
        assert made[name].samples.size == rate
        gain = np.fft.rfft(made[name].samples.astype(np.float64)) / before
        inside = (hertz > 50) & (hertz < edge)
        # BS.1534: 0.1 dB in the pass band, 50 dB at 4.5 kHz; the ends of a second of noise are cut off, hence a mean
        assert 20 * math.log10(np.abs(gain[inside]).mean()) == pytest.approx(0.0, abs=0.1)
        assert np.abs(np.angle(gain[inside])).mean() < 0.02  # in step with the recording
        power = np.square(np.abs(gain * before))
        assert 10 * math.log10(power[hertz > edge + 1_000].mean() / power[inside].mean()) < -50
    assert set(dict(_make_anchors(noise.resample(16_000)))) == set(ANCHORS)
    assert set(dict(_make_anchors(noise.resample(8_000)))) == {"anchor 3.5 kHz"}


def test_files_that_raters_would_tell_by_length_or_level_are_remarked(folders: dict[str, Path], tmp_path: Path) -> None:
    record(tmp_path / "long", samples=8_000)
    for clip in CLIPS:
        quiet = Audio.read(folders["recordings"] / f"{clip}.wav")
        (tmp_path / "quiet").mkdir(exist_ok=True)
        replace(quiet, samples=quiet.samples / 4).write(tmp_path / "quiet" / f"{clip}.wav")
    systems = {"long": tmp_path / "long", "quiet": tmp_path / "quiet"}
    warnings = build(folders["recordings"], systems, tmp_path / "a.html", kind="mos").warnings
    assert "long, clip one: 0.25 s longer than the reference" in warnings
    assert "quiet, clip one: 12.0 dB quieter than the reference" in warnings
    same = build(folders["recordings"], {"same": folders["recordings"]}, tmp_path / "b.html", kind="mos")
    assert same.warnings == ()


def test_what_cannot_be_built_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    out, recordings = tmp_path / "test.html", folders["recordings"]
    one = {"a": folders["codec-two"]}
    for systems, options, error, message in (
        ({}, {}, ConfigError, "needs at least one system"),
        ({"reference": recordings}, {}, ConfigError, "cannot be named 'reference'"),
        ({"anchor 7 kHz": recordings}, {}, ConfigError, "cannot be named 'anchor 7 kHz'"),
        (one, {"scales": ()}, ConfigError, "scales are none; take quality, prosody, speaker"),
        (one, {"scales": ("quality", "quality")}, ConfigError, "each once"),
        ({"a": tmp_path / "nowhere"}, {}, InputError, "nowhere: no such folder"),
        ({"a": record(tmp_path / "few", clips=("clip one",))}, {}, InputError, "system 'a' lacks <b>two;"),
        (
            {"a": record(tmp_path / "many", clips=(*CLIPS, "third"))}, {}, InputError,
            "no recording for 'a' of third; give each clip",
        ),
    ):  # fmt: skip
        with pytest.raises(error, match=re.escape(message)):
            build(recordings, systems, out, **options)
    with pytest.raises(ConfigError, match="kind is 'abx'; there are mushra, mos"):
        build_from_arguments(recordings, [str(recordings)], out, kind="abx")
    speechlike(800).write(record(tmp_path / "twice") / "clip one.flac")
    with pytest.raises(InputError, match="has the same stem; keep one"):
        build(tmp_path / "twice", one, out)
    assert not out.exists()


def test_the_words_of_a_command_line_name_systems(folders: dict[str, Path], tmp_path: Path) -> None:
    two, eight = str(folders["codec-two"]), str(folders["codec-eight"])
    built = build_from_arguments(
        folders["recordings"], [two, f"other={eight}"], tmp_path / "a.html", "mos", ["quality"], 3
    )
    assert {one.system for one in read_key(built.key).stimuli.values()} == {"codec-two", "other", "reference"}
    with pytest.raises(ConfigError, match="the name 'codec-two' is taken"):
        build_from_arguments(folders["recordings"], [two, two], tmp_path / "a.html")


def test_the_key_of_another_test_is_not_overwritten(folders: dict[str, Path], tmp_path: Path) -> None:
    built = build_test(folders, tmp_path / "test.html")
    before = built.key.read_bytes(), built.page.read_bytes()
    assert build_test(folders, tmp_path / "test.html").test == built.test
    with pytest.raises(OutputError, match="the key of another test, whose ratings need it"):
        build_test(folders, tmp_path / "test.html", seed=1)
    assert (built.key.read_bytes(), built.page.read_bytes()) == before
