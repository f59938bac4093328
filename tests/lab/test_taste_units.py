"""How well units are foretold: several models in a table, and figures that are what the looks say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.lab.taste import TEXTS, little, write_corpus, write_weights
from vocable.audio import Audio
from vocable.errors import ConfigError, TextError
from vocable.evaluate.benchmark import evaluate, find_protocol
from vocable.evaluate.card import Card
from vocable.evaluate.plan import Plan
from vocable.features.hub import WEIGHTS
from vocable.features.whisper import load_encoder
from vocable.systems.registry import load
from vocable.testing import speechlike
from vocable_lab.taste.units import COLUMNS, TasteUnits, align_words, clips_with_text, has_trained_quantizer
from vocable_lab.taste.words import Words


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, a codec, two models and a corpus."""
    folder = tmp_path_factory.mktemp("taste")
    write_weights(folder / "weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WEIGHTS, str(folder / "weights"))
        load_encoder.cache_clear()
        little(folder / "codec").save(folder / "one")
        little(folder / "codec", fusion="none", quantizer=None).save(folder / "alone")
    (folder / "corpus").mkdir()
    write_corpus(folder / "corpus")
    return folder


@pytest.fixture
def plan(place: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv(WEIGHTS, str(place / "weights"))
    load_encoder.cache_clear()
    models = (str(place / "one"), str(place / "alone"))
    return Plan(tokenizers=models, manifests=(place / "corpus" / "manifest.jsonl",), split="dev")


def measured(plan: Plan, out: Path) -> Card:
    return evaluate(lambda: TasteUnits(plan, out), out)


def test_every_model_has_a_row_and_the_figures_are_those_of_its_looks(plan: Plan, tmp_path: Path) -> None:
    card = measured(plan, tmp_path)
    one, alone = card.entries
    assert [one.name, alone.name] == ["one", "alone"]
    assert card.lead.count("speech: openai/whisper-tiny.en, keys of layer 2, values of layer 1; units: ") == 1
    assert "level 1, 16 at 50 Hz" in card.lead
    assert set(one.figures) == {column.key for column in COLUMNS}
    evaluation = TasteUnits(plan, tmp_path)
    tokenizer, right, nats, count, units, shares = evaluation.tokenizers["one"], 0, 0.0, 0, set(), []
    for clip in evaluation.clips.values():
        look = tokenizer.predict(Audio.read(clip.audio_path), clip.text or "")
        right += int((look.logits[:-1].argmax(1) == look.units).sum())
        nats += float(F.cross_entropy(look.logits[:-1], look.units, reduction="sum"))
        count += len(look.units)
        units |= set(look.units.tolist())
        assert look.acoustic is not None
        shares.append((float(look.acoustic.norm(dim=1).mean() / look.text.norm(dim=1).mean()), len(look.text)))
    assert one.figures["top1"].mean == pytest.approx(right / count)
    assert one.figures["loss"].mean == pytest.approx(nats / count, rel=1e-4)
    assert one.figures["units_in_use"].mean == len(units)
    values, weights = np.array(shares).T
    assert one.figures["heard_to_said"].mean == pytest.approx(float((values * weights).sum() / weights.sum()), rel=1e-4)
    assert one.figures["top1"].n == len(TEXTS) + 1


def test_a_model_of_text_alone_hears_nothing(plan: Plan, tmp_path: Path) -> None:
    one, alone = measured(plan, tmp_path).entries
    for key in ("top1", "top5"):
        assert alone.figures[key].mean == alone.figures[f"text_only_{key}"].mean
    assert alone.figures["repeat_last_top1"] == one.figures["repeat_last_top1"]
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    scores = {row["entry"]: row["scores"] for row in rows if row["item"] == rows[0]["item"]}
    assert scores["alone"]["loss"] == scores["alone"]["text_only_loss"]
    assert scores["one"]["loss"] != scores["one"]["text_only_loss"]


def test_alignment_counts_where_the_line_has_one(plan: Plan, place: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in plan.manifests[0].read_text().splitlines()]
    for line in lines[:-1]:
        del line["alignment"]
    lines[0]["alignment"] = [["DH", 0.0, 0.1]]  # of other words
    lines[1]["text"] = None
    manifest = place / "corpus" / "some.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    few = Plan(tokenizers=plan.tokenizers[:1], manifests=(manifest,), split="dev")
    card = measured(few, tmp_path)
    assert card.entries[0].figures["alignment_error_ms"].n == 1
    assert card.entries[0].figures["top1"].n == len(lines) - 1
    assert card.left_out == ["1.flac: its line has no 'text'"]
    clips, unsaid = clips_with_text(few)
    assert set(unsaid) == {"1.flac"}
    audio = Audio.read(clips["0.flac"].audio_path)
    assert align_words(Words(), clips["0.flac"], audio) is None
    assert align_words(Words(), clips["5.flac"], Audio.read(clips["5.flac"].audio_path)) is not None
    for line in lines:
        line["text"] = " "
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(TextError, match=r"not one of 6 clips can be evaluated; the first: 0\.flac: its line has no"):
        TasteUnits(few, tmp_path)


def test_what_is_longer_than_whisper_hears_at_a_time_is_left_out_by_name(plan: Plan, place: Path) -> None:
    lines = [json.loads(line) for line in plan.manifests[0].read_text().splitlines()]
    speechlike(30 * 16_000 + 8_000).write(place / "corpus" / "long.flac")
    manifest = place / "corpus" / "long.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in [{**lines[0], "audio_path": "long.flac"}, *lines]))
    clips, unsaid = clips_with_text(replace(plan, manifests=(manifest,)))
    assert len(clips) == len(lines)
    assert unsaid == {"long.flac": "lasts 30.5 s, and Whisper's window is 30 s"}


def test_a_quantizer_that_training_has_not_come_to_is_left_out(plan: Plan, place: Path, tmp_path: Path) -> None:
    early = little(place / "codec")
    assert has_trained_quantizer(early)
    assert early.model.quantizer is not None
    for book in early.model.quantizer.residual.codebooks:
        book.entries.zero_()
        book.counts.zero_()
    assert not has_trained_quantizer(early)
    early.save(tmp_path / "early")
    card = measured(replace(plan, tokenizers=(str(tmp_path / "early"),)), tmp_path / "out")
    assert card.entries[0].figures["heard_to_said"].mean > 0
    clip = next(iter(clips_with_text(plan)[0].values()))
    look = load(tmp_path / "early").predict(Audio.read(clip.audio_path), clip.text or "")
    assert look.acoustic is not None
    assert not bool(torch.any(look.acoustic))


def test_it_is_found_by_its_name_for_several_models_of_taste(plan: Plan) -> None:
    assert find_protocol("units", plan) is TasteUnits
    with pytest.raises(ConfigError, match="these are of guided, taste"):
        find_protocol("units", Plan(tokenizers=(*plan.tokenizers, "guided-small"), manifests=plan.manifests))
