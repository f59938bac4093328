"""Why no better: guesses, padding, subwords, probes of layers, and verdicts that follow from figures alone."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.lab.taste import little, write_corpus, write_weights
from vocable.audio import Audio
from vocable.evaluate.benchmark import evaluate, find_protocol
from vocable.evaluate.card import Card
from vocable.evaluate.plan import Plan
from vocable.features.hub import WEIGHTS
from vocable.features.whisper import load_encoder
from vocable.systems.taste.config import AggregatorConfig
from vocable_lab.taste.checks import check_causes
from vocable_lab.taste.diagnostics import TasteDiagnostics
from vocable_lab.taste.probe import pool_to_units, score_bigram, score_layer, select_units, split_speakers

pytestmark = pytest.mark.slow  # trains


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, a codec, a corpus; a model that masks padding, and one that does not and reads capitals as they are."""
    folder = tmp_path_factory.mktemp("taste")
    write_weights(folder / "weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WEIGHTS, str(folder / "weights"))
        load_encoder.cache_clear()
        model = little(folder / "codec")
        model.save(folder / "sound")
        asks = AggregatorConfig(layout="full", width=16, heads=2, key_layer=2, value_layer=1, mask_padding=False)
        subwords = {**model.config.subwords, "case": "as_is"}
        little(folder / "codec", aggregator=asks, fusion="add", quantizer=None, subwords=subwords).save(folder / "ill")
    (folder / "corpus").mkdir()
    manifest = write_corpus(folder / "corpus")
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    manifest.write_text("".join(json.dumps({**line, "text": line["text"].upper()}) + "\n" for line in lines))
    return folder


@pytest.fixture
def cards(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Card]:
    monkeypatch.setenv(WEIGHTS, str(place / "weights"))
    load_encoder.cache_clear()
    found = {}
    for name in ("sound", "ill"):
        plan = Plan(
            tokenizers=(str(place / name),), manifests=(place / "corpus" / "manifest.jsonl",), split="dev", limit=5
        )
        assert find_protocol("doctor", plan) is TasteDiagnostics
        found[name] = evaluate(lambda plan=plan, name=name: TasteDiagnostics(plan, tmp_path / name), tmp_path / name)  # type: ignore[misc]
    return found


def test_a_page_with_guesses_tables_probes_and_verdicts(cards: Mapping[str, Card], tmp_path: Path) -> None:
    card = cards["sound"]
    names = [entry.name for entry in card.entries]
    assert names == [
        "sound", "text only", "the unit before", "repeat last", "unigram", "uniform", "its subwords, case kept",
    ]  # fmt: skip
    own = {entry.name: entry.figures for entry in card.entries}
    assert own["uniform"]["loss"].mean == pytest.approx(math.log(17))
    assert own["uniform"]["top1"].mean == pytest.approx(1 / 16)
    assert 0 < own["unigram"]["loss"].mean < math.log(16)
    assert own["unigram"]["top1"].mean > 1 / 16
    assert set(own["the unit before"]) == {"top1", "top5", "loss"}
    assert [row.view for row in card.probes] == ["layer 0", "layer 1", "layer 2"]
    assert all(0 <= row.figure.mean <= 1 and row.chance < row.majority for row in card.probes)
    assert [line.split(":")[0] for line in card.findings] == [
        "worse than a guess", "speech is not used", "weak z", "unmasked padding", "upper-case subwords",
        "attention is uniform", "attention in the wrong order", "attention in the wrong place",
        "values of the wrong layer",
    ]  # fmt: skip
    assert not any("unknown" in line for line in card.findings)
    for page in ("report.md", "report.html"):
        text = (tmp_path / "sound" / page).read_text()
        assert "Findings" in text
        assert "worse than a guess: " in text
    assert any("tokenizer.json" in line for line in card.left_out)  # the encoder's own subwords are not at hand


def test_padding_counts_for_nothing_only_where_it_is_masked(cards: Mapping[str, Card]) -> None:
    sound, ill = (cards[name].entries[0].figures for name in ("sound", "ill"))
    assert sound["padding_mass"].mean == 0
    assert sound["padding_loss"].mean == pytest.approx(0, abs=1e-5)
    assert sound["padding_mass_unmasked"].mean > 0.3
    assert ill["padding_mass"].mean == ill["padding_mass_unmasked"].mean > 0.3
    assert abs(ill["padding_loss"].mean) > 1e-4
    said = {name: next(line for line in cards[name].findings if line.startswith("unmasked")) for name in cards}
    assert said["sound"].startswith("unmasked padding: no: 10 s of silence behind the clips, masked: 0.0 %")
    assert "without the mask" in said["sound"]
    assert said["ill"].startswith("unmasked padding: yes: 10 s of silence behind the clips, not masked")


def test_capitals_cost_pieces_where_the_table_takes_them_as_they_are(cards: Mapping[str, Card]) -> None:
    sound, ill = (cards[name].entries[0].figures for name in ("sound", "ill"))
    lower, upper, written = (sound[f"pieces_{name}"].mean for name in ("lower", "upper", "written"))
    assert lower == upper == written  # this table writes them small
    assert ill["pieces_lower"].mean == pytest.approx(lower)
    assert ill["pieces_written"].mean == ill["pieces_upper"].mean > 1.5 * lower
    table = cards["sound"].entries[-1].figures
    assert table["pieces_upper"].mean == pytest.approx(ill["pieces_upper"].mean)
    assert any(line.startswith("upper-case subwords: yes") for line in cards["ill"].findings)
    assert any(line.startswith("upper-case subwords: no") for line in cards["sound"].findings)


def test_one_speaker_has_no_other_to_be_foretold_from(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WEIGHTS, str(place / "weights"))
    load_encoder.cache_clear()
    manifest = place / "corpus" / "manifest.jsonl"
    alone = place / "corpus" / "alone.jsonl"
    lines = [{**json.loads(line), "speaker": "s"} for line in manifest.read_text().splitlines()[:2]]
    alone.write_text("".join(json.dumps(line) + "\n" for line in lines))
    plan = Plan(tokenizers=(str(place / "sound"),), manifests=(alone,), split="dev")
    card = evaluate(lambda: TasteDiagnostics(plan, tmp_path / "out"), tmp_path / "out")
    assert "the unit before" not in [entry.name for entry in card.entries]
    assert not card.probes
    assert any("they need two speakers, and there is one" in line for line in card.left_out)
    assert any(line.startswith("values of the wrong layer: unknown") for line in card.findings)


# ---- what is known without the model --------------------------------------------------------------------------------


def test_halves_share_no_speaker() -> None:
    one, other = split_speakers({str(clip): f"s{clip % 5}" for clip in range(20)}) or ([], [])
    assert len(one) + len(other) == 20
    assert not {int(clip) % 5 for clip in one} & {int(clip) % 5 for clip in other}


def test_the_unit_before_tells_only_where_the_other_half_has_its_followers() -> None:
    cycle, noise = [0, 1, 2, 3] * 20, np.random.default_rng(0).integers(4, size=80).tolist()
    told = score_bigram({"a": cycle, "b": cycle}, (["a"], ["b"]), size=8)
    assert told["a"]["top1"].value > 0.95
    assert told["a"]["loss"].value < 0.3
    untold = score_bigram({"a": cycle, "b": noise}, (["a"], ["b"]), size=8)
    assert untold["b"]["top1"].value < 0.5
    assert untold["b"]["loss"].value > math.log(4)
    unseen = score_bigram({"a": [0], "b": [7, 7]}, (["a"], ["b"]), size=8)
    assert unseen["b"]["loss"].value == pytest.approx(math.log(9))  # 1 of 8 + 1 counts
    assert sum(math.exp(-score_bigram({"a": [0, 1, 1], "b": [1, unit]}, (["a"], ["b"]), 4)["b"]["loss"].value * 2
                        + score_bigram({"a": [0, 1, 1], "b": [1]}, (["a"], ["b"]), 4)["b"]["loss"].value)
               for unit in range(4)) == pytest.approx(1.0)  # fmt: skip


def test_a_probe_finds_what_a_layer_holds_and_nothing_in_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    units = {str(clip): torch.randint(6, (60,), generator=generator) for clip in range(6)}
    codes = torch.randn(6, 12, generator=generator)
    parts = split_speakers({clip: clip for clip in units})
    assert parts is not None
    holds = {clip: codes[one] + 0.1 * torch.randn(60, 12, generator=generator) for clip, one in units.items()}
    noise = {clip: torch.randn(60, 12, generator=generator) for clip in units}
    found, _ = score_layer(holds, units, parts)
    missed, commonest = score_layer(noise, units, parts)
    assert min(score.value for score in found.values()) > 0.95
    assert np.mean([score.value for score in missed.values()]) < 0.3
    assert np.mean([score.value for score in commonest.values()]) < 0.3
    assert all(score.weight == 60 for score in found.values())


@pytest.mark.parametrize(("rate", "count"), [(25.0, 10), (12.5, 5), (50.0, 20), (100.0, 40)])
def test_frames_become_units_of_any_rate(rate: float, count: int) -> None:
    times = torch.arange(20)[None, :, None] / 50
    means = pool_to_units(times.expand(2, -1, 3), count, rate)
    assert means.shape == (2, count, 3)
    assert float((means[0, :, 0] - torch.arange(count) / rate).abs().max()) <= 1 / min(rate, 50.0)


def test_large_encoders_are_probed_at_fewer_units() -> None:
    some = select_units(33, 1280, 1000)
    assert some[0] == 0
    assert some[-1] == 999
    assert some.size * 33 * 1280 < 4_100_000
    assert select_units(3, 128, 7).tolist() == list(range(7))


# ---- verdicts -------------------------------------------------------------------------------------------------------

FINE = {
    "top1": 0.4, "text_only_top1": 0.2, "loss": 3.0, "unigram_entropy": 6.0, "repeat last top1": 0.15,
    "the unit before top1": 0.2, "heard_to_said": 0.8, "padding_mass": 0.0, "padding_loss": 0.0,
    "padding_mass_unmasked": 0.5, "padding_loss_unmasked": 0.3, "pieces_written": 3.0, "pieces_lower": 3.0,
    "attention_spread": 0.4, "monotonicity": 0.98, "alignment_error_ms": 60.0,
}  # fmt: skip
LAYERS = {0: 0.3, 1: 0.5, 2: 0.48}


def guilty(figures: Mapping[str, float], layers: Mapping[int, float], *, normalized: bool = False) -> set[str]:
    found = check_causes(figures, layers, value_layer=2, normalized=normalized, masked=True)
    return {one.cause for one in found if one.failed}


@pytest.mark.parametrize(
    ("changes", "suspect"),
    [
        ({"loss": 6.1}, "worse than a guess"),
        ({"repeat last top1": 0.41}, "worse than a guess"),
        ({"text_only_top1": 0.395}, "speech is not used"),
        ({"heard_to_said": 0.09}, "weak z"),
        ({"padding_mass": 0.06}, "unmasked padding"),
        ({"padding_loss": -0.03}, "unmasked padding"),
        ({"pieces_written": 3.7}, "upper-case subwords"),
        ({"attention_spread": 0.91}, "attention is uniform"),
        ({"monotonicity": 0.7}, "attention in the wrong order"),
        ({"alignment_error_ms": 121.0}, "attention in the wrong place"),
    ],
)
def test_each_suspect_is_guilty_by_its_own_figure(changes: Mapping[str, float], suspect: str) -> None:
    assert not guilty(FINE, LAYERS)
    assert guilty({**FINE, **changes}, LAYERS) == {suspect}
    (key,) = changes
    found = check_causes({**FINE, key: math.nan}, LAYERS, value_layer=2, normalized=False, masked=True)
    if " " not in key:  # a guess that was not made blames nobody
        assert suspect in {one.cause for one in found if one.failed is None}


def test_lengths_blame_nobody_where_both_are_normalised_and_another_layer_may() -> None:
    assert not guilty({**FINE, "heard_to_said": 0.0}, LAYERS, normalized=True)
    assert guilty(FINE, {**LAYERS, 1: 0.54}) == {"values of the wrong layer"}


def test_what_a_longer_clip_costs_is_asked_with_the_same_units(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that pads by itself sees no change behind its reach, however long the padding."""
    monkeypatch.setenv(WEIGHTS, str(place / "weights"))
    load_encoder.cache_clear()
    model = little(place / "codec")
    asks = replace(model.config.aggregator, mask_padding=False, padded_to=1500)
    padded = little(place / "codec", aggregator=asks)
    audio = Audio(np.sin(np.arange(16_000) / 9).astype(np.float32) / 3, 16_000)
    look = padded.predict(audio, "the dog is there")
    assert look.attention is not None
    assert look.attention.shape[2] == 1500
    assert float(look.attention[..., 50:].sum(2).mean()) > 0.5
    masked = little(place / "codec", aggregator=replace(asks, mask_padding=True)).predict(audio, "the dog is there")
    plain = model.predict(audio, "the dog is there")
    assert torch.allclose(masked.logits, plain.logits, atol=1e-5)
    assert not torch.allclose(look.logits, plain.logits, atol=1e-3)
