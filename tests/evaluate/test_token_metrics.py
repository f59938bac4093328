"""Stability and modelability of tokens: perturbations are what they say, and levels and codecs have their figures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vocable.audio import Audio
from vocable.errors import AudioError, ShapeError
from vocable.evaluate.codecs.base import Coded, Identity
from vocable.evaluate.perturb import PERTURBATIONS
from vocable.evaluate.token_metrics import (
    MODELABILITY_COLUMNS,
    STABILITY_COLUMNS,
    level_changes,
    modelability_figures,
    score_modelability,
    score_stability,
)
from vocable.metrics.stability import unit_edit_distance
from vocable.testing import speechlike
from vocable.tokens import Tokens, TokenSpec

SPEC = TokenSpec(sample_rate=16_000, hop=320, codebook_size=64, num_codebooks=2)
BY_NAME = {perturbation.name: perturbation for perturbation in PERTURBATIONS}


class Loudness:
    """A codec of two levels: the loudness of each frame, coarse, and always the same id."""

    name = family = note = "loudness"
    kind = "codec"

    def encode(self, clip: Audio, key: str) -> Tokens:
        frames = clip.samples[: clip.samples.size // 320 * 320].reshape(-1, 320)
        loud = np.clip(np.round(-np.log2(np.abs(frames).max(1) + 1e-9)), 0, 63).astype(np.int64)
        ids = torch.from_numpy(np.stack([loud, np.zeros_like(loud)]))[None]
        return Tokens(
            ids=ids, lengths=torch.tensor([loud.size]), samples=torch.tensor([clip.samples.size]), spec=SPEC,
            tokenizer="loudness",
        )  # fmt: skip

    def code(self, clip: Audio, key: str) -> Coded:
        return Coded(audio=clip, tokens=self.encode(clip, key))


def test_perturbations_leave_speech_of_the_same_length_but_for_the_shift() -> None:
    clip = speechlike(32_000)
    for name, perturbation in BY_NAME.items():
        changed = perturbation.apply(clip, "a.wav", 0.02)
        assert changed.sample_rate == 16_000
        assert changed.samples.size == (32_000 - 160 if name == "shift" else 32_000), name
        if name != "shift":
            assert np.corrcoef(changed.samples, clip.samples)[0, 1] > 0.9, name
            assert not np.array_equal(changed.samples, clip.samples), name


def test_perturbations_have_the_strength_that_their_names_say() -> None:
    clip = speechlike(32_000)
    for name, snr in (("noise20", 20.0), ("noise10", 10.0)):
        noise = BY_NAME[name].apply(clip, "a.wav", None).samples - clip.samples
        assert 10 * np.log10(np.mean(clip.samples**2) / np.mean(noise**2)) == pytest.approx(snr, abs=0.3)
    softer = BY_NAME["gain"].apply(clip, "a.wav", None)
    assert 20 * np.log10(np.abs(softer.samples).max() / np.abs(clip.samples).max()) == pytest.approx(-6.0, abs=1e-3)
    assert np.array_equal(BY_NAME["shift"].apply(clip, "a.wav", 0.04).samples, clip.samples[320:])
    again = [BY_NAME["noise20"].apply(clip, key, None).samples for key in ("a.wav", "a.wav", "b.wav")]
    assert np.array_equal(again[0], again[1])
    assert not np.array_equal(again[0], again[2])


def test_each_level_has_its_share_of_changed_ids() -> None:
    codec, clip = Loudness(), speechlike(32_000)
    scores = score_stability(codec, clip, "a.wav", codec.encode(clip, "a.wav"))
    gain = next(column.key for column in STABILITY_COLUMNS if column.key.endswith("gain"))
    assert scores[f"{gain}/1"].value > 0.7  # 6 dB are one step of loudness
    assert scores[f"{gain}/2"].value == 0.0
    assert scores[gain].value == pytest.approx(scores[f"{gain}/1"].value / 2)
    assert set(scores) == {
        key + end for key in (column.key for column in STABILITY_COLUMNS) for end in ("", "/1", "/2")
    }
    figures = level_changes([scores, {}, scores], 1, seed=0)
    assert figures["gain −6 dB"].n == 2
    assert level_changes([{}], 1, seed=0) == {}


def test_what_has_no_tokens_has_no_stability_and_what_cannot_be_perturbed_is_undefined() -> None:
    clip = speechlike(32_000)
    assert score_stability(Identity(), clip, "a.wav", None) == {}
    silent = Audio(np.zeros(32_000, dtype=np.float32), 16_000)
    scores = score_stability(Loudness(), silent, "a.wav", Loudness().encode(silent, "a.wav"))
    noisy = scores[STABILITY_COLUMNS[0].key]
    assert not noisy.defined
    assert "noise 20 dB" in noisy.reason
    assert "silent" in noisy.reason
    with pytest.raises(AudioError, match="shorter than half a hop"):
        BY_NAME["shift"].apply(Audio(np.zeros(100, dtype=np.float32), 16_000), "a.wav", 0.02)


def test_edits_are_counted_by_level_over_the_ids_before() -> None:
    before = np.array([[1, 2, 3, 4], [7, 7, 7, 7]])
    scores = unit_edit_distance(before, np.array([[1, 3, 4], [7, 7, 7]]))
    assert [score.value for score in scores] == [0.25, 0.25]
    assert [score.weight for score in scores] == [4, 4]
    assert not unit_edit_distance(before[:, :0], before)[0].defined
    with pytest.raises(ShapeError, match="2 levels and the perturbed ones 1"):
        unit_edit_distance(before, before[:1])


def test_a_clip_is_modeled_by_other_speakers_alone() -> None:
    own = np.tile(np.arange(8), 40)[None]  # what this speaker always says, and no other
    others = {f"o{at}": np.full((1, 100), 9) for at in range(4)}
    clips = {"a": own, "b": own} | others
    speakers = {"a": "ann", "b": "ann"} | {name: name for name in others}
    scores = score_modelability(clips, speakers, 16)
    assert scores["a"][0].value > 3
    apart = score_modelability(clips, speakers | {"b": "bob"}, 16)
    assert apart["a"][0].value < 1
    assert not score_modelability({"a": own, "b": own}, {"a": "ann", "b": "ann"}, 16)["a"][0].defined


def test_bits_a_second_sum_over_levels() -> None:
    random = torch.Generator().manual_seed(0)
    spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=16, num_codebooks=3)
    clips = {
        f"c{at}": Tokens(
            ids=torch.randint(16, (1, 3, 100), generator=random), lengths=torch.tensor([100]),
            samples=torch.tensor([32_000]), spec=spec, tokenizer="x",
        )
        for at in range(10)
    }  # fmt: skip
    speakers = {key: key for key in clips}
    figures, perplexities = modelability_figures(clips, speakers, dict.fromkeys(clips, 2.0), seed=0)
    for column, slack in zip(MODELABILITY_COLUMNS, (0.15, 0.02), strict=True):
        assert figures[column.key].mean == pytest.approx(3 * 4 * 50, rel=slack)  # 4 bits an id, 50 ids a second
    assert len(perplexities) == 3
    assert all(14 < value < 25 for pair in perplexities for value in pair)


@pytest.mark.slow
def test_a_report_has_tokens_that_change_and_their_bits(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from vocable.cli.main import app

    lines = []
    for at in range(3):
        speechlike(16_000, seed=at).write(tmp_path / f"{at}.wav")
        lines.append(json.dumps({"audio_path": f"{at}.wav", "speaker": f"s{at}"}))
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    command = [
        "evaluate",
        "guided-small",
        "--data",
        str(tmp_path / "manifest.jsonl"),
        "--codecs",
        "none",
        "--jobs",
        "1",
    ]
    more = [
        "--metrics",
        "stoi,stability,modelability",
        "--levels",
        "2",
        "--probes",
        "none",
        "--out",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(app, [*command, *more])
    assert result.exit_code in (0, 1), result.output  # an anchor may be off on so few clips
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    whole = summary["guided-small"]
    assert 0 < whole["token_change_noise10"]["mean"] <= 1.5
    assert whole["levels"]["mean"] == 8
    assert summary["guided-small@2"]["levels"]["mean"] == 2
    assert 0 < whole["bit_rate_4gram"]["mean"] < 8000
    assert "token_change_gain" not in summary["identity"]
    page = (tmp_path / "out/report.html").read_text()
    assert page.count("4-gram perplexity") == 1
    assert "## Tokens" in (tmp_path / "out/report.md").read_text()
