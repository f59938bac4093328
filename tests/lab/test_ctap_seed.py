"""VQ-CTAP's seed: what every key means where the answer is known, resume, what cannot be measured, and the page."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.evaluate.browser import opened
from tests.lab.ctap import PHONES, Oracle, alignment, little, phones_of, telling, write_corpus
from vocable.audio import Audio
from vocable.cli.main import app
from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError, MissingDependencyError
from vocable.evaluate.judges import find
from vocable.evaluate.plan import Plan
from vocable.metrics.codebook import usage_figure
from vocable.metrics.retrieval import retrieval_scores
from vocable.metrics.text import per
from vocable_lab.ctap import sentences as ctap_sentences
from vocable_lab.ctap.frames import draw_batches, embed_frames, make_untrained, score_retrieval
from vocable_lab.ctap.seed import CtapSeed
from vocable_lab.shared.phones import PhoneReader
from vocable_lab.shared.voices import draw_targets, score_similarity

pytestmark = pytest.mark.slow  # trains

_KEYS = {
    "retrieval_top1", "retrieval_chance", "per", "per_majority", "codebook_usage", "vc_target_closer_share",
    "per_after_conversion",
}  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four speakers, two clips each."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained tokenizer's folder."""
    folder = tmp_path_factory.mktemp("models") / "little"
    little().save(folder)
    return folder


def _run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--protocol", "seed", "--jobs", "1"])


@pytest.fixture(scope="module")
def out(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of it."""
    folder = tmp_path_factory.mktemp("out") / "seed"
    result = _run(model, "--data", corpus, "--out", folder, "--recognise", "1")
    assert result.exit_code == 0, result.output
    return folder


# ---- the frames -----------------------------------------------------------------------------------------------------


def test_an_oracle_finds_every_frame_and_the_controls_find_next_to_none() -> None:
    oracle = Oracle()
    clips = {str(at): (telling(oracle, phones_of(at)), alignment(phones_of(at))) for at in range(4)}
    found = score_retrieval(oracle, little(), clips, seed=0)
    own, shuffled, fresh = (found[name] for name in ("own", "shuffled", "untrained"))
    assert own["retrieval_top1"].value == own["retrieval_top5"].value == own["retrieval_phoneme"].value == 1.0
    assert own["retrieval_top1_all"].value == 1.0
    frames = own["retrieval_top1"].weight
    assert own["retrieval_chance"].value == 1 / frames
    assert own["retrieval_times_chance"].value == frames > 100
    assert shuffled["retrieval_top1"].value < 0.05
    assert fresh["retrieval_top1"].value < 0.05
    assert own["retrieval_over_shuffled"].value == 1.0 - shuffled["retrieval_top1"].value


def test_silence_neither_asks_nor_answers() -> None:
    oracle = Oracle()
    frames = embed_frames(oracle, telling(oracle, PHONES), alignment(PHONES))
    silent = int((frames.labels == 0).sum())
    assert silent >= 4  # at both ends
    clips = {
        "a": (telling(oracle, PHONES), alignment(PHONES)),
        "b": (telling(oracle, PHONES[::-1]), alignment(PHONES[::-1])),
    }
    scores = score_retrieval(oracle, oracle, clips, seed=0)["own"]
    assert scores["retrieval_top1_all"].weight - scores["retrieval_top1"].weight >= 2 * silent


def test_a_frame_that_fits_no_better_than_another_is_missed() -> None:
    frames = embed_frames(Oracle(), telling(Oracle(), PHONES), alignment(PHONES))
    assert retrieval_scores(frames.speech, frames.phonemes * 0, frames.labels)["top1"].value == 0.0


def test_the_shuffled_control_keeps_durations_and_pauses() -> None:
    oracle, pauses = Oracle(), ["HH", "AH", "SIL", "L", "OW", "W"]
    plain, mixed = (
        embed_frames(oracle, telling(oracle, pauses), alignment(pauses), shuffle=seed) for seed in (None, 3)
    )
    assert torch.equal(plain.labels == 0, mixed.labels == 0)
    assert not torch.equal(plain.labels, mixed.labels)
    in_order, moved = (frames.labels.unique_consecutive().tolist() for frames in (plain, mixed))
    assert sorted(in_order) == sorted(moved)


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_played_faster_there_are_fewer_frames_with_their_phonemes_in_order(speed: float) -> None:
    tokenizer = little()
    clip, plain = telling(tokenizer, PHONES), embed_frames(tokenizer, telling(tokenizer, PHONES), alignment(PHONES))
    played = embed_frames(tokenizer, clip, alignment(PHONES), speed=speed)
    assert len(played.labels) == pytest.approx(len(plain.labels) / speed, abs=1)
    assert played.labels.unique_consecutive().tolist() == plain.labels.unique_consecutive().tolist()


def test_batches_are_of_different_speakers_and_full() -> None:
    clips = {f"{at}": Utterance(audio_path=f"{at}.flac", speaker=f"s{at % 5}") for at in range(20)}
    found = draw_batches(clips, seed=1, size=4)
    assert [len(batch) for batch in found] == [4] * 5
    for batch in found:
        assert len({clips[key].speaker for key in batch}) == 4
    assert len({key for batch in found for key in batch}) == 20
    assert draw_batches(clips, seed=1, size=4) == found


def test_the_untrained_control_has_other_weights_and_the_same_scale() -> None:
    tokenizer = little()
    tokenizer.model.middle.fill_(-33.0)
    fresh = make_untrained(tokenizer, 5)
    assert fresh.digest != tokenizer.digest
    assert torch.equal(fresh.model.middle, tokenizer.model.middle)
    assert make_untrained(tokenizer, 5).digest == fresh.digest


# ---- phones, voices, codebooks, sentences ---------------------------------------------------------------------------


def test_phones_come_from_phones_then_from_the_alignment() -> None:
    aligned = {"alignment": alignment(["HH", "AY"]).values()}
    both = Utterance(audio_path="a.flac", extra={"phones": [["B", "IY1"], ["D"]], **aligned})
    assert PhoneReader().phones(both) == ["B", "IY", "D"]
    assert PhoneReader().phones(Utterance(audio_path="a.flac", text="bee", extra=aligned)) == ["HH", "AY"]
    assert PhoneReader().phones(Utterance(audio_path="a.flac", text="hello")) == ["HH", "AH", "L", "OW"]
    with pytest.raises(AlignmentError, match="only English is pronounced"):
        PhoneReader().phones(Utterance(audio_path="a.flac", text="Der Lappen", extra={"language": "de"}))


def test_voices_are_of_other_speakers_of_either_gender() -> None:
    clips = {
        f"{at}": Utterance(audio_path=f"{at}.flac", speaker=f"s{at % 6}", extra={"gender": "fm"[at % 2]})
        for at in range(60)
    }
    pairs = draw_targets(clips, list(clips.values()), seed=0)
    assert pairs.keys() == clips.keys()
    for key, pair in pairs.items():
        assert pair.voice.speaker == pair.reference.speaker != clips[key].speaker
        assert pair.voice.audio_path != pair.reference.audio_path
    crossing = [pair.voice.value("gender") != clips[key].value("gender") for key, pair in pairs.items()]
    assert 0.3 < np.mean(crossing) < 0.7
    some = dict(list(clips.items())[:7])
    assert draw_targets(some, list(clips.values()), seed=0) == {key: pairs[key] for key in some}


def test_the_judge_says_whose_voice_it_is() -> None:
    class Judge:
        name = "first sample"

        def embed(self, clip: Audio) -> Any:
            angle = float(clip.samples[0])
            return np.array([np.cos(angle), np.sin(angle)], dtype=np.float32)

    source, target = (Audio(np.full(100, value, dtype=np.float32), 16_000) for value in (0.1, 0.9))
    found = score_similarity(Judge(), source, target, {"unconverted": source, "target": target})
    assert found["unconverted"]["vc_target_closer_share"].value == 0.0
    assert found["target"]["vc_target_closer_share"].value == 1.0
    assert found["unconverted"]["vc_source_similarity"].value == pytest.approx(1.0)


def test_the_interval_of_usage_lies_about_it() -> None:
    random = torch.Generator().manual_seed(0)
    clips = [torch.randint(100, (30,), generator=random) for _ in range(10)]
    figure = usage_figure(clips, 200, seed=0)
    assert figure.mean == len(torch.cat(clips).unique()) / 200
    assert figure.low < figure.mean < figure.high


def test_shuffled_tokens_are_the_same_tokens() -> None:
    tokenizer = little(trained=True)
    voice = telling(tokenizer, PHONES)
    said, shuffled = ctap_sentences.speak_sentence(tokenizer, ctap_sentences.SENTENCES[0], voice, seed=0)
    assert torch.equal(said.ids.sort().values, shuffled.ids.sort().values)
    assert not torch.equal(said.ids, shuffled.ids)


def test_a_recogniser_that_hears_the_sentence_finds_no_error() -> None:
    class Judge:
        name = "knows"

        def __init__(self) -> None:
            self.left = [ctap_sentences.SENTENCES[1], "nothing of it"]

        def transcribe(self, clip: Audio) -> str:
            return self.left.pop(0)

    tokenizer = little(trained=True)
    scores = ctap_sentences.score_sentence(
        tokenizer, ctap_sentences.SENTENCES[1], telling(tokenizer, PHONES), Judge(), seed=0
    )
    assert scores["tts_wer"].value == 0.0
    assert scores["tts_wer_shuffled"].value == 1.0
    assert {"tts_per", "tts_per_shuffled"} <= scores.keys()


# ---- all of it ------------------------------------------------------------------------------------------------------


def test_every_key_with_its_interval(out: Path) -> None:
    summary = json.loads((out / "summary.json").read_text())
    cells = summary["little"]
    assert cells.keys() >= _KEYS
    for key in _KEYS:
        low, high = cells[key]["interval"]
        assert low <= cells[key]["mean"] <= high
        assert cells[key]["n"] == (2 if key.startswith("retrieval") else 8)
    assert cells["retrieval_top1"]["mean"] < 0.2  # nothing was learnt
    assert {"speaker_from_codes", "speaker_from_voice", "disentanglement", "mel_error"} <= cells.keys()
    apart = cells["speaker_from_voice"]["mean"] - cells["speaker_from_codes"]["mean"]
    assert cells["disentanglement"]["mean"] == pytest.approx(apart)
    assert {"probe/emotion/level 1/top-1 accuracy", "probe/emotion/voice vector/top-1 accuracy"} <= cells.keys()
    assert (cells["bit_rate"]["reported"], cells["samples_per_token"]["reported"]) == (325.0, 960.0)
    assert cells["bit_rate_3s"]["mean"] > cells["bit_rate_10s"]["mean"] > cells["bit_rate"]["mean"]
    assert (summary["unconverted"]["vc_target_closer_share"]["mean"], cells["wer_recording"]["n"]) == (0.0, 1)
    assert {"shuffled", "untrained", "target", "own voice"} <= summary.keys()
    assert "connector is not trained" in (out / "report.md").read_text()


def test_the_majority_guess_is_right_where_its_phone_stands(out: Path) -> None:
    commonest = json.loads((out / "run.json").read_text())["commonest phone"]
    assert PHONES.count(commonest) == 2
    expected = per(PHONES, [commonest] * len(PHONES)).rate
    assert json.loads((out / "summary.json").read_text())["little"]["per_majority"]["mean"] == pytest.approx(expected)


def test_a_cut_run_ends_with_the_same_bytes(model: Path, corpus: Path, out: Path) -> None:
    before = {name: (out / name).read_bytes() for name in ("results.jsonl", "summary.json")}
    lines = before["results.jsonl"].splitlines(keepends=True)
    (out / "results.jsonl").write_bytes(b"".join(lines[:-4]))
    assert _run(model, "--data", corpus, "--out", out, "--recognise", "1").exit_code == 0
    assert {name: (out / name).read_bytes() for name in before} == before


def test_the_page_shows_pictures_and_plays(out: Path, browser: Any) -> None:
    with opened(browser, out / "report.html") as page:
        text = page.inner_text("body")
        for words in ("speech against phonemes", "frames by kind", "frames by class of phoneme", "in the voice of"):
            assert words in text
        assert page.locator("audio").count() >= 4 * 4
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_trained_connector_is_asked_for_ten_sentences(corpus: Path, tmp_path: Path) -> None:
    little(trained=True).save(tmp_path / "speaks")
    task = CtapSeed(Plan(tokenizers=(str(tmp_path / "speaks"),), manifests=(corpus,)), tmp_path / "out")
    assert len([item for item in task.items() if item.startswith("sentence ")]) == 10


def _changed(corpus: Path, name: str, change: Any) -> Path:
    lines = [json.loads(line) for line in corpus.read_text().splitlines()]
    for number, line in enumerate(lines):
        change(number, line)
    manifest = corpus.parent / name
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return manifest


def test_what_cannot_be_aligned_is_named_and_the_others_go_on(model: Path, corpus: Path, tmp_path: Path) -> None:
    def change(number: int, line: dict[str, Any]) -> None:
        if number == 0:
            line["alignment"] = [["what", 0.0, line["duration"]]]
        if number == 1:
            del line["alignment"], line["text"]

    manifest = _changed(corpus, "partly.jsonl", change)
    task = CtapSeed(Plan(tokenizers=(str(model),), manifests=(manifest,)), tmp_path)
    assert set(task.without_phones) == {"1.flac"}
    (batch,) = [name for name, keys in task.batches.items() if "0.flac" in keys]
    rows = task.work(batch)
    assert rows[0].extra["unaligned"].keys() == {"0.flac"}
    assert rows[0].scores["retrieval_top1"].defined
    assert "1.flac" in [item.removeprefix("clip ") for item in task.items()]


def test_missing_scorers_are_said_first_and_their_figures_alone_are_undefined(
    model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise MissingDependencyError("it needs a package; run pip install it")

    monkeypatch.setattr(find, "find_scorer", missing)
    result = _run(model, "--data", corpus, "--out", tmp_path / "out", "--recognise", "1")
    assert result.exit_code == 0, result.output
    before, _, _ = result.output.partition("# ")
    for figure in ("speaker similarity", "WER"):
        assert f"{figure}: undefined: it needs a package; run pip install it" in before
    assert "quarantined" not in result.output
    cells = json.loads((tmp_path / "out" / "summary.json").read_text())["little"]
    assert cells["per"]["mean"] is not None
    for key in ("vc_target_similarity", "wer_recording"):
        assert cells[key]["mean"] is None
        assert list(cells[key]["reasons"]) == ["it needs a package; run pip install it"]
    named = _run(model, "--data", corpus, "--out", tmp_path / "named", "--speaker-model", "resemblyzer")
    assert isinstance(named.exception, MissingDependencyError)
    assert not (tmp_path / "named").exists()


def test_a_manifest_that_says_nothing_is_refused(model: Path, corpus: Path, tmp_path: Path) -> None:
    def change(_: int, line: dict[str, Any]) -> None:
        del line["alignment"], line["text"]

    manifest = _changed(corpus, "bare.jsonl", change)
    with pytest.raises(
        AlignmentError, match=r"none of 8 clips has phones; the first: 0\.flac: its line has no 'phones'"
    ):
        CtapSeed(Plan(tokenizers=(str(model),), manifests=(manifest,)), tmp_path)


def test_real_speech_without_an_alignment_is_aligned(model: Path, speech_data: Path, tmp_path: Path) -> None:
    corpus = speech_data / "read_speechocean762" / "manifest.jsonl"
    build = partial(CtapSeed, Plan(tokenizers=(str(model),), manifests=(corpus,), split="dev", limit=3), tmp_path)
    task = build()
    (row, *_) = task.work(next(iter(task.batches)))
    assert row.extra["unaligned"] == {}
    assert row.scores["retrieval_top1"].weight > 50
