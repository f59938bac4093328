"""TASTE's seed: what every key means where the answer is known, resume, what cannot be measured, and the page."""

import json
import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.lab.taste import PAUSE, PHONE, TEXTS, line_of, little, look_of, write_corpus, write_weights
from vocable.audio import Audio
from vocable.cli.main import app
from vocable.data.alignment.record import Alignment, ScoredAlignment, Segment
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import AlignmentError, MissingDependencyError, TextError
from vocable.evaluate.judges import find
from vocable.evaluate.plan import Plan
from vocable.features.hub import WEIGHTS
from vocable.features.whisper import load_encoder
from vocable.metrics.score import median_figure
from vocable.systems.taste.config import UnitLmConfig
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.testing import speechlike
from vocable_lab.taste import words as taste_words
from vocable_lab.taste.figures import attention_entropy, attention_error, length_ratio, prediction_scores
from vocable_lab.taste.pictures import attention_map
from vocable_lab.taste.seed import TasteSeed
from vocable_lab.taste.speech import find_donors, score_edit, swap_middle_word
from vocable_lab.taste.words import Words, span_consistency, subword_times

pytestmark = pytest.mark.slow  # trains

_KEYS = {
    "top1", "top5", "text_only_top1", "text_only_top5", "repeat_last_top1", "units_in_use", "alignment_error_ms",
    "gain_over_text", "gain_over_repeat", "top1_unquantized", "loss", "edit_changed_toward_donor", "bits_per_second",
    "top1_length_found", "loss_length_found",
    "majority_top1", "alignment_error_mean_ms", "attention_entropy", "attention_coverage", "heard_to_said",
}  # fmt: skip
_UNITS = [0, 0, 2, 3]


@pytest.fixture(scope="module", autouse=True)
def _hears(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Whisper of random weights is found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WEIGHTS, str(write_weights(tmp_path_factory.mktemp("weights"))))
        load_encoder.cache_clear()
        yield
    load_encoder.cache_clear()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of three speakers."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the units come from."""
    return tmp_path_factory.mktemp("codecs") / "codec"


@pytest.fixture(scope="module")
def taste(codec: Path) -> TasteTokenizer:
    """Random weights."""
    return little(codec)


@pytest.fixture(scope="module")
def counts(taste: TasteTokenizer, corpus: Path) -> torch.Tensor:
    """How often each unit occurs in the corpus."""
    units = [taste.source.units(Audio.read(clip.audio_path)) for clip in read_manifest(corpus)]
    return torch.bincount(torch.cat(units), minlength=taste.config.units.size).double()


@pytest.fixture(scope="module")
def model(taste: TasteTokenizer, counts: torch.Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer that knows how often each unit occurs, and hears nothing."""
    folder = tmp_path_factory.mktemp("models") / "little"
    taste = deepcopy(taste)
    head = taste.model.lm.head
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(-40.0)
        head.bias[:-1] = (counts / counts.sum()).log().clamp(min=-40.0)
    taste.save(folder)
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


def _task(model: Path, corpus: Path, out: Path) -> TasteSeed:
    return TasteSeed(Plan(tokenizers=(str(model),), manifests=(corpus,)), out)


# ---- units ----------------------------------------------------------------------------------------------------------


def _sure(of: Sequence[int], size: int = 8) -> torch.Tensor:
    """Logits of units and the end, as sure as can be."""
    return 60.0 * torch.nn.functional.one_hot(torch.tensor([*of, size]), size + 1)


def test_a_model_that_knows_is_right_and_one_that_does_not_is_wrong() -> None:
    heard, deaf = look_of(_sure(_UNITS), _UNITS), look_of(_sure([7, 7, 7, 7]), _UNITS)
    found = {key: score.value for key, score in prediction_scores(heard, deaf, deaf).items()}
    assert (found["top1"], found["top5"]) == (1.0, 1.0)
    assert found["loss"] == pytest.approx(0.0)
    assert (found["text_only_top1"], found["top1_unquantized"], found["gain_over_text"]) == (0.0, 0.0, 1.0)
    assert found["text_only_loss"] == pytest.approx(60.0)
    assert (found["repeat_last_top1"], found["gain_over_repeat"]) == (0.25, 0.75)
    assert {score.weight for score in prediction_scores(heard, deaf, deaf).values()} == {4.0}
    assert "top1_unquantized" not in prediction_scores(heard, None, deaf)
    assert "top1_length_found" not in prediction_scores(heard, None, deaf)
    assert prediction_scores(heard, None, deaf, deaf)["top1_length_found"].value == 0.0


def test_the_fifth_likeliest_counts_and_the_sixth_does_not() -> None:
    ranked = torch.arange(9.0).flip(0).expand(5, -1)  # unit 0 is the likeliest
    found = prediction_scores(*(look_of(ranked, [4, 5, 0, 1]),) * 3)
    assert (found["top1"].value, found["top5"].value) == (0.25, 0.75)


def test_loss_is_the_cross_entropy_without_the_end() -> None:
    logits = torch.randn(5, 9, generator=torch.Generator().manual_seed(0))
    look = look_of(logits, _UNITS)
    expected = torch.nn.functional.cross_entropy(logits[:-1], look.units)
    assert prediction_scores(look, None, look)["loss"].value == pytest.approx(float(expected))


def test_the_median_is_of_all_pieces_and_its_interval_of_speakers() -> None:
    figure = median_figure([[1.0, 2.0, 3.0], [10.0], []], ["a", "b", "c"], seed=0)
    assert (figure.mean, figure.low, figure.high, figure.n) == (2.5, 2.0, 10.0, 2)
    assert math.isnan(median_figure([[1.0]], ["a"], seed=0).low)


# ---- where it looks -------------------------------------------------------------------------------------------------

_SPANS = [(0.2, 0.6), (0.8, 1.0)]  # of words whose subwords have their middles at 0.3, 0.5 and 0.9 s


def _pointing(*frames: int, of: int = 60) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(frames), of).float()[None]


def test_looking_at_the_middles_is_no_error_and_a_tenth_of_a_second_later_is() -> None:
    right, late = (look_of(_sure(_UNITS), _UNITS, _pointing(*(at + late for at in (15, 25, 45)))) for late in (0, 5))
    assert attention_error(right, _SPANS).subwords == pytest.approx([0.0, 0.0, 0.0], abs=1e-3)
    assert attention_error(late, _SPANS).subwords == pytest.approx([100.0] * 3, abs=1e-3)
    assert attention_error(late, _SPANS).words == pytest.approx([100.0] * 2, abs=1e-3)
    assert attention_error(right, _SPANS).coverage.value == pytest.approx(3 / 30)
    with pytest.raises(AlignmentError, match="1 words are aligned, but the text has 2"):
        attention_error(right, _SPANS[:1])


def test_looking_at_everything_covers_everything_and_has_the_entropy_of_the_frames() -> None:
    look = look_of(_sure(_UNITS), _UNITS, torch.full((2, 3, 60), 1 / 60))
    assert attention_error(look, _SPANS).coverage.value == 1.0
    assert attention_entropy(look).value == pytest.approx(math.log(60))
    assert attention_entropy(look_of(_sure(_UNITS), _UNITS, _pointing(1, 2, 3))).value == 0.0
    assert length_ratio(look).value == 0.5


# ---- words ----------------------------------------------------------------------------------------------------------


class _Finder:
    """Finds words where it is told to."""

    name = "told"

    def __init__(self, shift: float | None) -> None:
        self.shift = shift

    def phones(self, clip: Audio, words: Sequence[Sequence[str]]) -> ScoredAlignment:
        if self.shift is None:
            raise AlignmentError("nothing is found")
        symbols = [phone for word in words for phone in word]
        each = PHONE + self.shift / len(symbols)
        return ScoredAlignment(
            Alignment(tuple(Segment(one, at * each, (at + 1) * each) for at, one in enumerate(symbols))), 0.0
        )


def test_words_have_their_time_from_the_line_and_their_pieces_share_it() -> None:
    clip = Utterance.model_validate({"audio_path": "0.flac", "extra": line_of(0, "the dog is there")})
    spans = Words().spans(clip, Audio(torch.zeros(round(1.2 * 16_000)).numpy(), 16_000))
    assert spans[1] == pytest.approx((PAUSE + 2 * PHONE, PAUSE + 5 * PHONE))
    subwords = look_of(_sure(_UNITS), _UNITS).subwords
    assert subword_times([(0.0, 1.0), (1.5, 2.0)], subwords).mean(1).tolist() == [0.25, 0.75, 1.75]


@pytest.mark.parametrize(("shift", "kept"), [(0.0, 1.0), (0.07, 1.0), (0.1, 0.5), (0.4, 0.0), (None, 0.0)])
def test_words_are_kept_within_fifty_milliseconds(
    shift: float | None, kept: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = line_of(0, "the dog")
    clip, silence = Utterance(audio_path=Path("0.flac"), extra=line), Audio(torch.zeros(32_000).numpy(), 16_000)
    spans = [(0.0, 2 * PHONE), (2 * PHONE, 5 * PHONE)]
    monkeypatch.setattr(taste_words, "find_aligner", lambda name: _Finder(shift))
    score = Words().consistency(clip, spans, silence)
    assert (score.value, score.weight) == (kept, 2.0)
    assert not span_consistency(spans, spans[:1]).defined


def test_a_text_in_another_language_is_not_pronounced() -> None:
    clip = Utterance(audio_path=Path("a.flac"), text="Der Lappen", extra={"language": "de"})
    with pytest.raises(AlignmentError, match="only English is pronounced"):
        Words().spans(clip, speechlike(8_000))


def test_the_words_of_a_real_recording_last_as_long_as_themselves(speech_data: Path) -> None:
    clip = read_manifest(speech_data / "read_speechocean762" / "manifest.jsonl", "dev")[0]
    audio, words = Audio.read(clip.audio_path), Words()
    spans = words.align(clip, audio)
    assert words.consistency(clip, spans, audio).value == 1.0
    assert words.consistency(clip, spans, audio.played(0.5)).value < 0.2


# ---- edits ----------------------------------------------------------------------------------------------------------


def test_a_word_moves_toward_the_donor_or_it_does_not() -> None:
    def moved(to: float, longer: float = 0.2) -> list[float]:
        found = score_edit([0.5, 0.5, 0.5], [0.5, to, 0.5], 1, longer)
        return [found[key].value for key in ("toward_donor", "carried", "others_ms")]

    assert moved(0.7) == pytest.approx([1.0, 1.0, 0.0])
    assert moved(0.45) == pytest.approx([0.0, -0.25, 0.0])
    assert moved(0.95) == pytest.approx([0.0, 2.25, 0.0])  # past the donor, and further away than before
    assert moved(0.4, -0.2) == pytest.approx([1.0, 0.5, 0.0])
    assert math.isnan(moved(0.7, 0.005)[0])


def test_a_swapped_word_lasts_as_its_donor_says(taste: TasteTokenizer) -> None:
    own, donor = (taste.encode(speechlike(20_000, seed=seed), TEXTS[0]) for seed in (1, 2))
    made = swap_middle_word(taste, own, donor)
    assert made.word == 2
    assert made.longer == pytest.approx(taste.seconds(donor)[2] - taste.seconds(own)[2])
    assert int(made.tokens.samples[0]) == pytest.approx(20_000 + made.longer * 16_000, abs=2)


def test_a_donor_is_another_recording_of_the_text() -> None:
    found = find_donors({"a": "so it is", "b": "So  it is", "c": "so it is", "d": "no"})
    assert found == {"a": "b", "b": "c", "c": "a", "d": None}


# ---- all of it ------------------------------------------------------------------------------------------------------


def test_every_key_with_its_interval(out: Path) -> None:
    cells = json.loads((out / "summary.json").read_text())["little"]
    assert cells.keys() >= _KEYS
    for key in _KEYS:
        low, high = cells[key]["interval"]
        assert low - 1e-9 <= cells[key]["mean"] <= high + 1e-9
        assert cells[key]["n"] == 6 - cells[key]["excluded"]
    assert cells["top1"]["reported"] == 0.114
    assert cells["loss"]["reported"] == 5.0857
    assert "another task" in cells["loss"]["reported_by"]
    assert (cells["wer_recording"]["n"], cells["wer"]["n"], cells["wer_codec"]["n"]) == (1, 1, 1)
    assert (cells["wer_length_found"]["n"], cells["length_error"]["n"]) == (1, 1)


def test_a_model_that_knows_how_often_units_occur_is_as_good_as_that(out: Path, counts: torch.Tensor) -> None:
    summary = json.loads((out / "summary.json").read_text())
    cells, shares = summary["little"], counts[counts > 0] / counts.sum()
    entropy = -float((shares * shares.log()).sum())
    assert cells["unigram_entropy"]["mean"] == pytest.approx(entropy)
    assert cells["loss"]["mean"] == cells["text_only_loss"]["mean"] == pytest.approx(entropy, rel=1e-5)
    assert cells["top1"]["mean"] == cells["majority_top1"]["mean"] == pytest.approx(float(shares.max()))
    assert cells["top5"]["mean"] == pytest.approx(float(shares.sort(descending=True).values[:5].sum()))
    assert cells["gain_over_text"]["mean"] == 0.0
    assert cells["units_in_use"]["mean"] == len(shares)
    assert cells["uniform"]["mean"] == pytest.approx(math.log(len(counts) + 1))
    assert summary["unigram"]["loss"]["mean"] == cells["unigram_entropy"]["mean"]
    assert summary["repeat last"]["top1"]["mean"] == cells["repeat_last_top1"]["mean"]
    assert {"text only", "uniform", "codec", "recording"} <= summary.keys()
    assert summary["length found"]["top1"]["mean"] == cells["top1_length_found"]["mean"]
    assert summary["length found"]["wer"]["mean"] == cells["wer_length_found"]["mean"]


def test_tokens_cost_what_their_pieces_cost(out: Path, taste: TasteTokenizer, corpus: Path) -> None:
    cells = json.loads((out / "summary.json").read_text())["little"]
    clips = read_manifest(corpus)
    subwords = sum(len(taste.subword_tokenizer.tokenize(clip.text or "").ids) for clip in clips)
    rate = subwords / sum(Audio.read(clip.audio_path).duration for clip in clips)
    assert cells["pieces_per_second"]["mean"] == pytest.approx(rate)
    assert cells["bits_per_second"]["mean"] == pytest.approx(rate * 2 * math.log2(8))
    assert cells["text_bits_per_second"]["mean"] == pytest.approx(rate * math.log2(taste.config.text.vocabulary_size))


def test_a_cut_run_ends_with_the_same_bytes(model: Path, corpus: Path, out: Path) -> None:
    before = {name: (out / name).read_bytes() for name in ("results.jsonl", "summary.json")}
    lines = before["results.jsonl"].splitlines(keepends=True)
    (out / "results.jsonl").write_bytes(b"".join(lines[:-2]))
    assert _run(model, "--data", corpus, "--out", out, "--recognise", "1").exit_code == 0
    assert {name: (out / name).read_bytes() for name in before} == before


def test_the_page_shows_pictures_and_plays(out: Path, browser: Any) -> None:
    page = browser.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((out / "report.html").as_uri())
    text = page.inner_text("body")
    for words in ("attention of each subword", "top-1 by place in the word", "codebook use", "from the text only"):
        assert words in text
    assert page.locator("audio").count() >= 4
    assert wrong == []
    page.close()


def test_clips_without_a_text_or_too_long_are_named_and_the_others_go_on(
    model: Path, corpus: Path, tmp_path: Path
) -> None:
    lines = [json.loads(line) for line in corpus.read_text().splitlines()]
    for line in lines:
        line["audio_path"] = str(corpus.parent / line["audio_path"])
    lines[0]["text"], lines[2]["text"] = "", "123 !"
    speechlike(31 * 16_000).write(tmp_path / "long.flac")
    lines[1]["audio_path"] = str(tmp_path / "long.flac")
    manifest = tmp_path / "partly.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    task = _task(model, manifest, tmp_path / "out")
    assert len(task.items()) == len(lines) - 2
    reasons = list(task.excluded.values())
    assert "no 'text'" in reasons[0]
    assert "lasts 31.0 s" in reasons[1]
    manifest.write_text("".join(json.dumps(line | {"text": None}) + "\n" for line in lines))
    with pytest.raises(TextError, match="not one of 6 clips can be evaluated"):
        _task(model, manifest, tmp_path / "out")


def test_what_this_machine_lacks_is_left_out_with_the_reason(
    model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise MissingDependencyError("it needs pocketsphinx")

    monkeypatch.setattr(taste_words, "find_aligner", missing)
    monkeypatch.setattr(find, "find_scorer", missing)
    task = _task(model, corpus, tmp_path)
    (row,) = task.work(task.items()[0])
    assert {"top1", "attention_coverage", "edit_carried"} <= row.scores.keys()  # times are in the line
    assert not {key for key in row.scores if key.startswith(("wer", "duration", "edit_spoken"))}
    assert set(row.extra["failed"].values()) == {"it needs pocketsphinx"}
    assert {"recognition", "durations of words", "edits in speech", "words of edits"} == set(row.extra["failed"])


def test_without_a_quantizer_units_are_predicted_and_there_are_no_tokens(
    codec: Path, corpus: Path, tmp_path: Path
) -> None:
    little(codec, quantizer=None).save(tmp_path / "free")
    result = _run(tmp_path / "free", "--data", corpus, "--out", tmp_path / "out", "--recognise", "1", "--limit", "2")
    assert result.exit_code == 0, result.output
    cells = json.loads((tmp_path / "out" / "summary.json").read_text())["free"]
    assert {"top1", "text_only_top1", "wer_codec", "wer_recording"} <= cells.keys()
    assert not {"wer", "bits_per_second", "top1_unquantized", "edit_carried"} & cells.keys()
    assert "this model has no quantizer" in result.output


def test_a_model_without_a_clock_tells_no_durations(codec: Path, corpus: Path, tmp_path: Path) -> None:
    plain = little(codec)
    lm = UnitLmConfig(size=plain.config.units.size, width=16, blocks=1, heads=2, hidden=16, dropout=0.0)
    little(codec, lm=lm).save(tmp_path / "timeless")
    task = _task(tmp_path / "timeless", corpus, tmp_path / "out")
    (row,) = task.work(task.items()[0])
    assert "no time positions" in row.extra["failed"]["edits"]
    assert "edit_carried" not in row.scores


def test_the_map_shows_the_words(taste: TasteTokenizer) -> None:
    look = taste.predict(speechlike(16_000), "this is")
    spans = [(0.1, 0.4), (0.5, 0.9)]
    told, untold = attention_map(look, spans), attention_map(look, [])
    assert "Boxes: times of the words" in told.caption
    assert "The words could not be aligned" in untold.caption
    assert told.png != untold.png
