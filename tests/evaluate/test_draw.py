"""Which pictures things have, where they go, and what happens to recordings that cannot be used."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.evaluate.drawn import check_words, watched
from tests.models import ready
from vocable.errors import ConfigError, InputError, ManifestError
from vocable.evaluate import draw as module
from vocable.evaluate.card import Picture
from vocable.evaluate.describe import Clips
from vocable.evaluate.draw import default_folder, draw, write_pictures
from vocable.systems.registry import find_recipe
from vocable.testing import speechlike
from vocable.train.overrides import override
from vocable.train.run import fit


@pytest.fixture(autouse=True)
def blank(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is rendered but in the tests that look at figures: here it matters which there are."""
    if "figures" not in request.fixturenames:
        monkeypatch.setattr("vocable.evaluate.canvas.draw_figure", lambda width, height, fill: b"PNG")


@pytest.fixture
def figures() -> Iterator[None]:
    """Every figure that is drawn has its words whole and apart."""
    with watched() as seen:
        yield
    assert seen
    for figure in seen:
        check_words(figure)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    lines = []
    for number in range(6):
        speechlike(24_000, seed=number).write(folder / f"{number}.wav")
        lines.append({"audio_path": f"{number}.wav", "text": "word", "speaker": f"s{number % 2}", "split": "train",
                      "age/years": number // 3})  # fmt: skip
    (folder / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "m.jsonl"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    ready("spectral").save(folder)
    return folder


def test_a_run_has_its_curves_and_with_recordings_its_latents(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit(override(find_recipe("guided-tiny"), steps=6), [data], run, quiet=True, say=lambda line: None)
    written = dict(write_pictures(draw(str(run), Clips(manifest=data, limit=4)), run / "pictures"))
    names = [path.stem for path in written]
    assert names[:4] == ["losses", "metrics", "schedules", "codebooks-in-training"]  # metrics: speed and memory
    assert names[-2:] == ["pca-speaker", "tsne-speaker"]
    assert all(path.read_bytes() == picture.png for path, picture in written.items())
    assert default_folder(str(run)) == run / "pictures"


def test_a_run_that_has_not_logged_yet_has_its_schedules(tmp_path: Path) -> None:
    values = {"train": {"steps": 10}, "losses": {"kl": {"value": 1.0, "start": 0, "ramp": 3}}}
    (tmp_path / "run.json").write_text(json.dumps(values))
    assert [name for name, _ in draw(str(tmp_path))] == ["schedules"]
    (tmp_path / "log.jsonl").write_text('{"step": 5, "g/kl": 2.0, "g/kl/weight": 1.0}\n')
    assert [name for name, _ in draw(str(tmp_path))] == ["losses", "schedules"]


@pytest.mark.usefixtures("figures")
def test_a_model_is_drawn_with_recordings_colored_by_any_key(model: Path, data: Path) -> None:
    said: list[str] = []
    clips = Clips(manifest=data, split="all", colors=("speaker", "age/years"))
    found = dict(draw(str(model), clips, say=said.append))
    assert list(found) == [
        "log-mel-1", "log-mel-2", "log-mel-3", "codebooks", "codebooks-by-speaker", "codebooks-by-age-years",
        "pca-speaker", "tsne-speaker", "pca-age-years", "tsne-age-years",
    ]  # fmt: skip
    assert found["log-mel-2"].title in {"2.wav", "3.wav"}
    assert found["pca-speaker"].title == "Latents by speaker: PCA of 12 points"
    assert "450 frames" in found["codebooks"].caption
    assert said == []


def test_a_bad_recording_is_named_and_the_others_are_drawn(model: Path, data: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) | {"split": "dev"} for line in data.read_text().splitlines()[:3]]
    for line in lines:
        line["audio_path"] = str(data.parent / line["audio_path"])
    lines[1]["audio_path"] = str(tmp_path / "none.wav")
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in [*lines, lines[0] | {"split": "test"}]))
    said: list[str] = []
    found = dict(draw(str(model), Clips(manifest=manifest), say=said.append))
    assert said == [f"left out: {tmp_path / 'none.wav'}: no such file"]
    assert "150 frames" in found["codebooks"].caption  # of the dev split alone
    manifest.write_text(json.dumps(lines[1]) + "\n")
    with pytest.raises(InputError, match=r"none of 1 recordings can be used; the first: .*none\.wav"):
        list(draw(str(model), Clips(manifest=manifest), say=said.append))


def test_a_tokenizer_without_vectors_has_all_other_pictures(
    model: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec, names = ready("spectral"), ("spec", "digest", "encode", "decode", "encode_batch", "decode_batch", "save")
    plain = SimpleNamespace(**{name: getattr(codec, name) for name in names})
    monkeypatch.setattr(module.registry, "load", lambda name, device: plain)
    said: list[str] = []
    found = [name for name, _ in draw(str(model), Clips(manifest=data, limit=2), say=said.append)]
    assert found[-1] == "codebooks-by-speaker"
    assert said == ["no picture of the latents: this tokenizer has no vectors behind its ids"]


def test_a_point_is_the_mean_of_about_a_second_and_a_clip_has_ten_at_most() -> None:
    codec = ready("spectral")
    tokens = codec.encode(speechlike(40_000))  # 125 frames
    vectors = codec.embed(tokens)[0].numpy()
    points = module._average_stretches(vectors, tokens)
    assert np.allclose(points, [vectors[:63].mean(0), vectors[63:].mean(0)])
    assert module._average_stretches(np.tile(vectors, (10, 1)), tokens).shape == (10, vectors.shape[1])
    assert np.allclose(module._average_stretches(vectors[:3], tokens), vectors[:3].mean(0))


def test_tokens_audio_and_recipes_have_theirs(tmp_path: Path) -> None:
    speechlike(9_000).write(tmp_path / "a.wav")
    ready("spectral").encode(speechlike(9_000)).write(tmp_path / "a.tokens")
    assert [name for name, _ in draw(str(tmp_path / "a.wav"))] == ["log-mel"]
    assert [name for name, _ in draw(str(tmp_path / "a.tokens"))] == ["tokens", "codebooks"]
    wanted = [("schedules", "300,000 steps. Always zero: representation, spectrum.")]
    assert [(name, picture.caption) for name, picture in draw("guided-paper")] == wanted
    with pytest.raises(ConfigError, match="recordings are for a run or a model"):
        list(draw("guided-paper", Clips(manifest=tmp_path / "m.jsonl")))


def test_every_weight_of_ctap_is_drawn_against_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a step is made: what each of the six terms, and of the branch, will weigh at every step."""
    planned: dict[str, Callable[[int], float]] = {}

    def note(schedules: dict[str, Callable[[int], float]], steps: int, **how: Any) -> Picture:
        assert steps == run.train.steps
        assert how["start_steps"] == {"codebook_start": run.losses.codebook_start}
        planned.update(schedules)
        return Picture(title="", caption="", png=b"PNG")

    run = find_recipe("ctap-small")
    monkeypatch.setattr(module.curves, "plot_schedules", note)
    assert [name for name, _ in draw("ctap-small")] == ["schedules"]
    terms = {"commitment", "phonemes", "spectrum", "contrastive", "kl", "consistency", "phoneme_branch"}
    assert planned.keys() >= terms | {"learning_rate", "second_stage_rate"}
    for term in terms:
        weight = getattr(run.losses, term)
        for step in (0, weight.start - 1, weight.start, weight.start + weight.ramp // 2, 5_199):
            assert planned[term](step) == weight.at(step)


@pytest.mark.slow
@pytest.mark.usefixtures("figures")
def test_the_schedules_of_ctap_can_be_read(tmp_path: Path) -> None:
    [(path, picture)] = write_pictures(draw("ctap-small"), tmp_path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "7,500 steps" in picture.caption


def test_requests_that_cannot_be_met(model: Path, data: Path) -> None:
    with pytest.raises(InputError, match="pass --data MANIFEST"):
        list(draw(str(model)))
    with pytest.raises(ManifestError, match="no line has 'accent' to color by; there are age/years, speaker, split"):
        list(draw(str(model), Clips(manifest=data, colors=("accent",))))
    with pytest.raises(ManifestError, match="no utterance has split 'x'"):
        list(draw(str(model), Clips(manifest=data, split="x")))


def test_only_a_run_of_ones_own_gets_pictures_unasked(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_folder(str(model)) is None
    assert default_folder("guided-small") is None
    (tmp_path / "run.json").write_text("{}")
    said: list[str] = []
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert default_folder(str(tmp_path), said.append) is None
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert default_folder(str(tmp_path), said.append) is None
    assert said[0].endswith("cannot be written; pass --out")
    assert "pip install 'vocable[evaluate]'" in said[1]
    (tmp_path / "model.json").write_text("{}")
    assert default_folder(str(tmp_path), said.append) is None
    assert len(said) == 2
