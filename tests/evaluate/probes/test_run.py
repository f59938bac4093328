"""Probes by name, and the matrix."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.evaluate.probes.drawn import Embedder, emotional
from tests.models import ready
from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import ConfigError
from vocable.evaluate.judges.base import Pitch
from vocable.evaluate.probes.run import MATRIX, run_probe
from vocable.evaluate.probes.views import all_views
from vocable.testing import speechlike


@pytest.mark.parametrize("name", ["mood", "key:", ""])
def test_an_unknown_probe_names_those_that_exist(name: str) -> None:
    with pytest.raises(ConfigError, match=f"no probe '{name}'; there are speaker, gender, emotion, digit, phoneme, ch"):
        run_probe(name, Embedder(), "drawn", emotional())


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match="seeds is 0"):
        run_probe("emotion", Embedder(), "drawn", emotional(), seeds=0)
    with pytest.raises(ConfigError, match="'emotion' was given no clips"):
        run_probe("emotion", Embedder(), "drawn", [])


class Tracker:
    name = "drawn-1"

    def track(self, clip: Audio) -> Pitch:
        hz = 100 + 50 * np.sin(np.arange(40) / 5)
        return Pitch(hz=hz, voiced=np.ones(40, dtype=bool), hop=0.01)


def test_the_matrix_has_a_row_for_every_cell(tmp_path: Path) -> None:
    utterances = []
    for at in range(8):
        path = tmp_path / f"{at}.wav"
        speechlike(6_400, seed=at).write(path)
        extra = {"emotion": "ab"[at // 2 % 2], "phone_marks": [[0.0, "a"], [0.2, "b"], [0.4, "."]]}
        utterances.append(Utterance(audio_path=path, speaker=f"s{at % 2}", extra=extra))
    codec = ready("seanet")
    clips = [(utterance, codec.encode(Audio.read(utterance.audio_path))) for utterance in utterances]
    rows = [
        row for probe in MATRIX
        for row in run_probe(probe, codec, "drawn", clips, views=all_views(3), tracker=Tracker(), seeds=1)
    ]  # fmt: skip
    views = ["level 1", "levels 2 to 3", "all levels", "voice vector"]
    assert {(row.probe, row.view) for row in rows} == {(probe, view) for probe in MATRIX for view in views}
    voice = [row for row in rows if row.view == "voice vector"]
    assert all(row.figure.reasons == {"this tokenizer makes no voice vector": 8} for row in voice)
    assert all(np.isfinite(row.figure.mean) for row in rows if row.view != "voice vector")


def test_a_tokenizer_of_one_level_has_the_same_cells() -> None:
    clips = emotional(levels=1)
    first, rest, everything = run_probe(
        "gender", Embedder(), "drawn", clips, views=["level 1", "levels 2 and up", "all levels"]
    )
    assert rest.note == "undefined: this tokenizer has 1 level"
    assert first == replace(everything, view="level 1")


def test_tokens_that_follow_the_text_have_no_frames_in_time() -> None:
    clips = [
        (utterance, replace(made, spec=replace(made.spec, hop=None)))
        for utterance, made in emotional()
    ]  # fmt: skip
    rows = run_probe("pitch", Embedder(), "drawn", clips, views=["level 1"], tracker=Tracker())
    assert rows
    assert all("do not follow the clock" in row.note for row in rows)
    assert run_probe("emotion", Embedder(), "drawn", clips, views=["level 1"])[0].figure.mean > 0.9
