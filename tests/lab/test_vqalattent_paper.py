"""Tables I and II through the runner: keys, reported beside measured, resume, several models, and a page to look at."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.digits import write_digits
from tests.evaluate.browser import opened
from vocable import Audio, load, recipes
from vocable.cli.main import app
from vocable.data.manifest import read_manifest
from vocable.errors import ConfigError
from vocable.evaluate.plan import Plan
from vocable.systems.vqalattent.recipe import unconditional
from vocable.tokens import Tokens
from vocable_lab.vqalattent.classifier import find_classifier
from vocable_lab.vqalattent.figures import agreement, features, memorization, variety
from vocable_lab.vqalattent.paper import VqalattentPaper

pytestmark = pytest.mark.slow  # trains

_KEYS = {"real_accuracy", "reconstruction_accuracy", "conditional_accuracy", "fidelity", "diversity", "f1"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four made-up digits."""
    return write_digits(tmp_path_factory.mktemp("digits"), takes=3, digits=4)


@pytest.fixture(scope="module")
def model(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps with its classifier, which has seen the recordings for a little longer."""
    torch.set_num_threads(1)
    run = recipes.find("vqalattent-tiny")
    prior = replace(run.model.prior, label_dropout=0.2)
    run = replace(run, model=replace(run.model, prior=prior), train=replace(run.train, steps=120, save_every=120))
    folder = tmp_path_factory.mktemp("runs") / "little"
    recipes.fit(run, [corpus], folder, quiet=True, say=lambda line: None)
    find_classifier(folder, read_manifest(corpus, "train"), run.model.image, "digit", folder, steps=80)
    return folder


def _run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--jobs", "1"])


@pytest.fixture(scope="module")
def out(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of twelve recordings and sixty fakes of each digit."""
    folder = tmp_path_factory.mktemp("out") / "tables"
    result = _run(model, "--protocol", "paper", "--data", corpus, "--out", folder, "--limit", "60")
    assert result.exit_code == 0, result.output
    return folder


def test_both_tables_with_reported_beside_measured(out: Path) -> None:
    summary = json.loads((out / "summary.json").read_text())
    asked, nothing = summary["little"], summary["little, nothing asked"]
    assert asked.keys() >= _KEYS
    assert asked["reconstruction_accuracy"]["n"] == 12
    assert asked["conditional_accuracy"]["n"] == 240
    low, high = asked["conditional_accuracy"]["interval"]
    assert low <= asked["conditional_accuracy"]["mean"] <= high
    assert (asked["reconstruction_accuracy"]["reported"], asked["f1"]["reported"]) == (0.961, 0.943)
    assert nothing["f1"]["reported"] == 0.72
    assert "conditional_accuracy" not in nothing
    assert "reconstruction_accuracy" not in nothing
    assert "codebook vectors" in asked["fidelity"]["settings"]
    assert {
        "f1_tokens",
        "f1_spectrogram",
        "frechet",
        "kernel",
        "precision",
        "coverage",
        "variety",
        "copied",
    } <= asked.keys()
    assert "real_accuracy" in summary["noise"]
    assert "as reported" in (out / "report.md").read_text()


def test_fakes_are_kept_and_a_cut_run_ends_with_the_same_bytes(model: Path, corpus: Path, out: Path) -> None:
    fakes = [Tokens.read(path) for path in sorted((out / "fakes").glob("*.tokens"))]
    assert sum(map(len, fakes)) == 4 * 60 + 10 * 60
    before = {name: (out / name).read_bytes() for name in ("results.jsonl", "summary.json")}
    (out / "results.jsonl").write_bytes(before["results.jsonl"][: len(before["results.jsonl"]) // 2])
    again = _run(model, "--protocol", "paper", "--data", corpus, "--out", out, "--limit", "60")
    assert again.exit_code == 0, again.output
    assert {name: (out / name).read_bytes() for name in before} == before


def test_the_page_shows_sheets_and_attention_and_plays(out: Path, browser: Any) -> None:
    with opened(browser, out / "report.html") as page:
        text = page.inner_text("body")
        for words in (
            "recordings, reconstructions, fakes",
            "attention of the last block",
            "little: codebook use by digit",
        ):
            assert words in text
        assert page.locator("audio").count() >= 4 * 4
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_several_models_of_one_system_stand_in_one_table(model: Path, corpus: Path, tmp_path: Path) -> None:
    newest = model / "checkpoints/step-00000120"
    result = _run(model, newest, "--protocol", "paper", "--data", corpus, "--out", tmp_path / "two", "--limit", "5")
    assert result.exit_code == 0, result.output
    assert {"little", "step-00000120"} <= json.loads((tmp_path / "two/summary.json").read_text()).keys()


@pytest.mark.parametrize(
    ("tokenizers", "message"),
    [(["guided-small"], "is of guided, which has none"), (["guided-small", "MODEL"], "is for one system"),
     ([], "0 are named")],
)  # fmt: skip
def test_the_protocol_of_another_system_is_refused(
    model: Path, corpus: Path, tmp_path: Path, tokenizers: list[str], message: str
) -> None:
    names = [str(model) if name == "MODEL" else name for name in tokenizers]
    result = _run(*names, "--protocol", "paper", "--data", corpus, "--out", tmp_path / "out")
    assert message in str(result.exception)


def test_recordings_must_say_their_label(model: Path, corpus: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in corpus.read_text().splitlines()]
    bare = corpus.parent / "bare.jsonl"
    bare.write_text("".join(json.dumps({"audio_path": line["audio_path"]}) + "\n" for line in lines))
    with pytest.raises(ConfigError, match="no recording of the split has a 'digit'"):
        VqalattentPaper(Plan(tokenizers=(str(model),), manifests=(bare,)), tmp_path)


def test_a_classifier_of_other_pictures_is_refused(model: Path, corpus: Path) -> None:
    other = replace(load(model).config.image, trim_db=20.0)
    with pytest.raises(ConfigError, match="the model makes ImageSpec"):
        find_classifier(model, read_manifest(corpus), other, "digit", model)


def test_recordings_of_the_speakers_learnt_from_are_what_fakes_are_compared_with(model: Path, corpus: Path) -> None:
    task = VqalattentPaper(Plan(tokenizers=(str(model),), manifests=(corpus,)), model)
    assert {clip.split for clip in task.training} == {"train"}
    strangers = corpus.parent / "strangers.jsonl"
    lines = [json.loads(line) for line in corpus.read_text().splitlines()]
    strangers.write_text("".join(json.dumps({**line, "split": "heldout"}) + "\n" for line in lines))
    task = VqalattentPaper(Plan(tokenizers=(str(model),), manifests=(strangers,)), model)
    assert task.training == []
    assert len(task.clips) == len(lines)


def test_recordings_themselves_are_copied_and_fakes_of_noise_are_not(model: Path, corpus: Path) -> None:
    tokenizer = load(model)
    learnt = tokenizer.encode_batch([Audio.read(clip.audio_path) for clip in read_manifest(corpus, "train")])
    random = torch.randint(
        0, tokenizer.spec.codebook_size, learnt.ids.shape, generator=torch.Generator().manual_seed(0)
    )
    voices = [clip.speaker or "" for clip in read_manifest(corpus, "train")]
    copied = memorization(tokenizer, learnt, learnt, voices, 0)
    assert (copied["copied"].mean, copied["neighbour"].mean) == (1.0, 0.0)
    apart = memorization(tokenizer, replace(learnt, ids=random), learnt, voices, 0)
    assert copied["voices_heard"].mean == pytest.approx(3.0)
    assert apart["copied"].mean == 0.0
    assert apart["neighbour"].mean > 1.0
    assert agreement(learnt.ids[0, 0], learnt.ids[:, 0])[0] == 1.0


def test_variety_and_labels_heard(model: Path, corpus: Path) -> None:
    tokenizer = load(model)
    clips = read_manifest(corpus, "train")
    tokens = tokenizer.encode_batch([Audio.read(clip.audio_path) for clip in clips])
    labels = [clip.value("digit") or "" for clip in clips]
    same = variety(tokenizer, tokens, labels, tokens, labels)
    assert same["variety"].mean == pytest.approx(1.0)
    assert same["labels_heard"].mean == pytest.approx(4.0)
    one = variety(
        tokenizer, replace(tokens, ids=tokens.ids[:1].expand_as(tokens.ids)), ["7"] * len(tokens), tokens, labels
    )
    assert (one["variety"].mean, one["labels_heard"].mean) == (pytest.approx(0.0, abs=1e-3), pytest.approx(1.0))
    with pytest.raises(ConfigError, match="there is no space 'pixels'; there are latent, tokens, spectrogram"):
        features(tokenizer, tokens, "pixels")


def test_where_nothing_differs_variety_is_undefined(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collapsed codebook, as stochastic selection has it at tiny size, is no division by zero."""
    tokenizer = load(model)
    drawn = tokenizer.sample([{"digit": digit} for digit in (0, 0, 1, 1)], seed=0)
    names = ["0", "0", "1", "1"]
    assert variety(tokenizer, drawn, names, drawn, names)["variety"].mean == pytest.approx(1.0)
    monkeypatch.setattr(tokenizer, "embed", lambda tokens: torch.ones(*tokens.ids.shape[::2], 3))
    assert math.isnan(variety(tokenizer, drawn, names, drawn, names)["variety"].mean)


def test_the_paper_s_condition_stands_beside_ours_and_under_the_voices_ceiling(
    model: Path, corpus: Path, tmp_path: Path
) -> None:
    """A prior of digit, speaker and gender with guidance: as it is used, with the digit alone, and with nothing."""
    lines = [json.loads(line) for line in corpus.read_text().splitlines()]
    lines = [line | {"gender": ("male", "female")[number % 2]} for number, line in enumerate(lines)]
    corpus = corpus.parent / "mixed.jsonl"  # two speakers and more of either
    corpus.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = recipes.find("vqalattent-tiny")
    prior = replace(run.model.prior, label_dropout=0.2, guidance=1.0, conditions=("digit", "speaker", "gender"))
    run = replace(run, model=replace(run.model, prior=prior), train=replace(run.train, steps=30, save_every=30))
    recipes.fit(run, [corpus], tmp_path / "guided", quiet=True, say=lambda line: None)
    for key in ("digit", "gender"):
        find_classifier(
            tmp_path / "guided", read_manifest(corpus, "train"), run.model.image, key, tmp_path / "guided", steps=40
        )
    _run(tmp_path / "guided", "--protocol", "paper", "--data", corpus, "--out", tmp_path / "out", "--limit", "5")
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    ours, paper, nothing, ceiling = (
        summary[f"guided{suffix}"] for suffix in ("", ", label alone", ", nothing asked", ", recordings in its voices")
    )
    assert "reported" not in ours["conditional_accuracy"]
    assert paper["conditional_accuracy"]["reported"] == 0.909
    assert nothing["fidelity"].get("reported", 0.57) == 0.57
    assert {"perplexity"} <= paper.keys() & nothing.keys()
    assert "perplexity" not in ours
    assert ours["gender_heard"]["n"] == 4
    assert 0 <= ours["gender_recordings"]["mean"] <= 1
    assert {"voice_real_accuracy", "voice_reconstruction_accuracy"} <= ceiling.keys() & paper.keys()
    text = (tmp_path / "out/report.html").read_text()
    for words in ("digit alone, no guidance, as the paper", "guidance 1, as the model is used"):
        assert words in text


def test_an_unconditional_recipe_keeps_the_vqvae_of_the_conditional_one(corpus: Path, tmp_path: Path) -> None:
    run = recipes.find("vqalattent-tiny")
    plain = replace(unconditional(run), train=replace(run.train, steps=4, save_every=4))
    start = replace(run, train=replace(run.train, steps=4, save_every=4))
    recipes.fit(start, [corpus], tmp_path / "first", quiet=True, say=lambda line: None)
    recipes.fit(plain, [corpus], tmp_path / "second", start=load(tmp_path / "first"), find=load, quiet=True,
                say=lambda line: None)  # fmt: skip
    first, second = load(tmp_path / "first"), load(tmp_path / "second")
    assert second.labels == {}
    assert len(second.sample([{}, {}], seed=1)) == 2
    clip = Audio.read(read_manifest(corpus)[0].audio_path)
    assert torch.equal(first.encode(clip).ids, second.encode(clip).ids)
    for name in ("vqalattent-paper", "vqalattent-paper-cr4", "vqalattent-fsdd"):
        one, other = recipes.find(name), recipes.find(f"{name}-unconditional")
        assert (other.model.vqvae, other.model.image) == (one.model.vqvae, one.model.image)
        assert other.model.prior.conditions == ()
