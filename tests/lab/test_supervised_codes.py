"""What codes of supervised units cost and keep: every key is what the tokenizer itself says of the clips."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.lab.ctap import write_corpus
from tests.models import ready_supervised, save_whisper
from vocable.audio import Audio
from vocable.errors import ConfigError
from vocable.evaluate.benchmark import evaluate, find_protocol
from vocable.evaluate.card import Card
from vocable.evaluate.plan import Plan
from vocable.features.hub import WEIGHTS
from vocable.metrics.score import Score
from vocable.metrics.text import per
from vocable.systems.supervised.tokenizer import SupervisedTokenizer
from vocable_lab.shared.codes import COLUMNS, Codes, mel_error


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Whisper of random weights, two models on it, and four clips of two speakers."""
    folder = tmp_path_factory.mktemp("supervised")
    whisper = save_whisper(folder / "weights" / "whisper-random")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WEIGHTS, str(whisper.parent))
        one = ready_supervised(whisper)
        one.save(folder / "one")
        with torch.no_grad():
            for value in one.model.recognizer.parameters():
                value.add_(0.1)
        SupervisedTokenizer(one.model).save(folder / "other")
        (folder / "corpus").mkdir()
        write_corpus(folder / "corpus", speakers=2, clips=2)
        yield folder


@pytest.fixture(scope="module")
def plan(place: Path) -> Plan:
    models = tuple(str(place / name) for name in ("one", "other"))
    return Plan(tokenizers=models, manifests=(place / "corpus" / "manifest.jsonl",), split="test")


@pytest.fixture(scope="module")
def out(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Card]:
    folder = tmp_path_factory.mktemp("out")
    return folder, evaluate(lambda: Codes(plan, folder), folder)


def test_it_is_found_by_its_name_and_for_one_system_at_a_time(plan: Plan) -> None:
    assert find_protocol("codes", plan) is Codes
    with pytest.raises(ConfigError, match="these are of ctap, supervised"):
        find_protocol("codes", Plan(tokenizers=(*plan.tokenizers, "ctap-small"), manifests=plan.manifests))


def test_every_figure_is_what_the_tokenizer_says_of_the_clips(plan: Plan, out: tuple[Path, Card]) -> None:
    one, other = out[1].entries
    assert [one.name, other.name] == ["one", "other"]
    assert set(one.figures) == {column.key for column in COLUMNS}
    evaluation = Codes(plan, out[0])
    for entry in (one, other):
        tokenizer = evaluation.tokenizers[entry.name]
        wrong, said, errors, seen = 0.0, 0, list[Score](), set[int]()
        for item, clip in evaluation.clips.items():
            audio = Audio.read(clip.audio_path)
            tokens, phones = tokenizer.encode(audio), evaluation.references[item]
            wrong += per(phones, tokenizer.transcribe(tokens)).rate * len(phones)
            said += len(phones)
            errors.append(mel_error(tokenizer, audio, tokens))
            seen |= set(tokens.ids.flatten().tolist())
        assert entry.figures["per"].mean == pytest.approx(wrong / said)
        assert entry.figures["per"].n == len(evaluation.clips) == 4
        weights = [error.weight for error in errors]
        expected = sum(error.value * weight for error, weight in zip(errors, weights, strict=True)) / sum(weights)
        assert entry.figures["mel_error"].mean == pytest.approx(expected, rel=1e-5)
        assert entry.figures["codebook_usage"].mean == pytest.approx(len(seen) / 32)
        assert entry.figures["tokens_per_second"].mean == 25.0
        assert entry.figures["bit_rate"].mean == 125.0
        for seconds in (3.0, 10.0):
            assert entry.figures[f"bit_rate_{seconds:g}s"].mean == tokenizer.format.bit_rate(seconds) > 125.0
        assert entry.bit_rate > 125.0  # counts the voices of these clips
    assert one.figures["per"].mean != other.figures["per"].mean  # another recognizer on the same codes
    assert one.figures["per_majority"] == other.figures["per_majority"]


@pytest.mark.slow
def test_a_cut_run_ends_with_the_same_bytes(plan: Plan, out: tuple[Path, Card]) -> None:
    folder, _ = out
    before = {name: (folder / name).read_bytes() for name in ("results.jsonl", "summary.json")}
    (folder / "results.jsonl").write_bytes(b"".join(before["results.jsonl"].splitlines(keepends=True)[:-2]))
    evaluate(lambda: Codes(plan, folder), folder)
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_a_damaged_clip_is_named_and_the_others_go_on(plan: Plan, place: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in plan.manifests[0].read_text().splitlines()]
    lines[0]["audio_path"] = "broken.flac"
    del lines[1]["alignment"], lines[1]["text"]
    (place / "corpus" / "broken.flac").write_bytes(b"fLaC")
    manifest = place / "corpus" / "some.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    some = Plan(tokenizers=plan.tokenizers[:1], manifests=(manifest,), split="test")
    card = evaluate(lambda: Codes(some, tmp_path), tmp_path)
    (entry,) = card.entries
    assert (entry.figures["mel_error"].n, entry.figures["per"].n) == (3, 2)
    assert "broken.flac" in str(card.quarantined)
    assert card.left_out == ["1.flac: no phones to compare with: its line has no 'phones', 'alignment' or 'text'"]
