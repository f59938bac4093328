"""Runs with teachers and an adversary: finite, exact when resumed, and absent from the exported tokenizer."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import vocable
from tests.features.test_hubert import saved
from tests.runs import log, three_clips
from vocable import recipes
from vocable.audio import Audio
from vocable.data.manifest import read_manifest
from vocable.errors import CheckpointError, ConfigError, VocableError
from vocable.features.ecapa import EcapaTdnn
from vocable.systems.guided import recipe as guided
from vocable.systems.guided.config import (
    AcousticConfig,
    AdversaryConfig,
    DiscriminatorConfig,
    GuidedConfig,
    SeanetConfig,
    SemanticConfig,
)
from vocable.systems.guided.recipe import GuidedRun
from vocable.systems.guided.teachers import (
    FrameFeatureExtractor,
    SpeakerFeatureExtractor,
    find_frame_extractor,
    find_speaker_extractor,
)
from vocable.train import checkpoint
from vocable.train.overrides import override
from vocable.train.schedule import LearningRate, Weight

pytestmark = pytest.mark.slow  # trains

SMALL = DiscriminatorConfig(periods=(3,), period_width=1, scales=1, scale_width=16, windows=(256, 128), filters=2)


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A small random HuBERT and a small random ECAPA-TDNN, as the hub holds them."""
    folder = tmp_path_factory.mktemp("teachers")
    torch.manual_seed(0)
    (folder / "ecapa").mkdir()
    save_file(EcapaTdnn(width=16, outputs=24).state_dict(), folder / "ecapa" / "embedding_model.safetensors")
    return {"semantic": str(saved(folder / "hubert")), "acoustic": str(folder / "ecapa")}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return three_clips(tmp_path_factory.mktemp("data"), 3_500)


def tiny(steps: int, **changes: Any) -> GuidedRun:
    run = guided.tiny()
    return replace(
        run,
        losses=replace(
            run.losses,
            semantic=Weight(value=0.5),
            acoustic=Weight(value=0.5),
            adversarial=Weight(value=1.0),
            feature=Weight(value=2.0, ramp=4),
            balance=1.0,
        ),
        semantic=SemanticConfig(),
        acoustic=AcousticConfig(),
        adversary=AdversaryConfig(
            discriminators=SMALL, begin=3, learning_rate=LearningRate(peak=5e-4, warmup=4, decay=0.0)
        ),
        train=replace(run.train, steps=steps, log_every=1, save_every=4, keep=20),
        **changes,
    )


def fit(run: GuidedRun, teachers: dict[str, str], manifest: Path, folder: Path, *, resume: bool = False) -> None:
    named = run.with_teachers(teachers, str(folder.parent / "kept"))
    recipes.fit(named, [manifest], folder, resume=resume, quiet=True, say=lambda line: None)


@pytest.fixture(scope="module")
def uninterrupted(teachers: dict[str, str], manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty steps without a break."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    fit(tiny(40), teachers, manifest, folder)
    return folder


def test_forty_steps_are_finite_with_both_rates_logged(uninterrupted: Path) -> None:
    lines = log(uninterrupted)
    assert len(lines) == 40
    numbers = [value for line in lines for value in line.values() if isinstance(value, float)]
    assert all(value is not None for line in lines for value in line.values()), "a NaN is logged as null"
    assert all(map(math.isfinite, numbers))
    played = [line for line in lines if "discriminator/total" in line]
    assert [line["step"] for line in played] == list(range(4, 41))
    assert [line["discriminator/learning_rate"] for line in played[:5]] == pytest.approx(
        [1.25e-4, 2.5e-4, 3.75e-4, 5e-4, 5e-4]
    )
    rate = guided.tiny().train.learning_rate
    assert [line["learning_rate"] for line in lines] == [rate.at(step, 40) for step in range(40)]
    for name in ("log_mel", "spectrum", "adversarial", "feature", "commitment", "semantic", "acoustic"):
        assert f"generator/{name}" in lines[-1]
    assert {"discriminator/real", "discriminator/made", "acoustic_entropy", "semantic_variety"} < set(lines[-1])


def test_the_tokenizer_holds_no_weight_of_teachers_or_adversary_and_names_its_teachers(
    uninterrupted: Path, teachers: dict[str, str]
) -> None:
    newest = checkpoint.steps(uninterrupted / "checkpoints")[-1]
    codec = vocable.load(uninterrupted)
    assert set(load_file(newest / "model.safetensors")) == set(codec.model.state_dict())
    records = json.loads((uninterrupted / "run.json").read_text())["teachers"]
    assert records == json.loads((newest / "teachers.json").read_text())
    assert {part: (one["name"], one["width"], one["frame_rate"]) for part, one in records.items()} == {
        "semantic": ("hubert", 16, 50.0), "acoustic": ("ecapa", 24, None),
    }  # fmt: skip
    assert records["semantic"]["digest"] == find_frame_extractor(teachers["semantic"]).digest
    kept = set(load_file(newest / "training.safetensors"))
    assert {"generator.model.semantic.project.weight", "generator.model.acoustic.deviation"} < kept
    assert {"generator.model.balance.sums", "discriminator.model.periods.0.last.bias"} < kept


def test_a_resumed_run_equals_an_uninterrupted_one(
    uninterrupted: Path, teachers: dict[str, str], manifest: Path, tmp_path: Path
) -> None:
    """Checkpoints hold the balance, the align layer, the discriminators and all moments."""
    folder = shutil.copytree(uninterrupted, tmp_path / "run")
    for later in checkpoint.steps(folder / "checkpoints")[7:]:  # after step 28
        shutil.rmtree(later)
    fit(tiny(40), teachers, manifest, folder, resume=True)
    one, two = (load_file(run / "checkpoints/step-00000040/training.safetensors") for run in (folder, uninterrupted))
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    assert log(folder) == log(uninterrupted)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_without_features_equals_one_that_found_them_and_computes_on_its_device(
    workers: int, uninterrupted: Path, teachers: dict[str, str], manifest: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It stops at its first step, is resumed, and computes what its batches need, no recording twice."""
    moved, computed = [], []
    for kind in (FrameFeatureExtractor, SpeakerFeatureExtractor):
        extract, to = kind.extract, kind.to
        monkeypatch.setattr(
            kind,
            "extract",
            lambda self, clip, extract=extract: (computed.append((self.name, len(clip.samples))), extract(self, clip))[
                1
            ],
        )
        monkeypatch.setattr(
            kind, "to", lambda self, device, to=to: (moved.append((self.name, device)), to(self, device))[1]
        )
    run = replace(tiny(40), train=replace(tiny(40).train, workers=workers))
    fit(replace(run, train=replace(run.train, steps=4)), teachers, manifest, tmp_path / "run")
    fit(run, teachers, manifest, tmp_path / "run", resume=True)
    one, two = (load_file(path / "checkpoints/step-00000040/training.safetensors")
                for path in (tmp_path / "run", uninterrupted))  # fmt: skip
    assert one.keys() == two.keys()
    different = {name for name in one if not torch.equal(one[name], two[name])}
    assert different == set()
    assert set(moved) == {("hubert", "cpu"), ("ecapa", "cpu")}
    assert len(computed) == len(set(computed)) == 6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch sees")
def test_teachers_compute_on_the_gpu_that_trains(teachers: dict[str, str], manifest: Path, tmp_path: Path) -> None:
    named = tiny(2).with_teachers(teachers, str(tmp_path / "kept"))
    recipes.fit(named, [manifest], tmp_path / "run", device="cuda", quiet=True, say=lambda line: None)
    assert {one.device.type for one in named.extractors().values()} == {"cuda"}
    assert all(math.isfinite(line["generator/semantic"]) for line in log(tmp_path / "run"))


def test_a_run_is_not_resumed_with_another_teacher(
    uninterrupted: Path, teachers: dict[str, str], manifest: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(uninterrupted, tmp_path / "run")
    before = (folder / "run.json").read_bytes()
    other = teachers | {"semantic": str(saved(tmp_path / "other", normalise=True))}
    with pytest.raises(CheckpointError, match=r"run.json: the run has the teachers .*hubert.*pass the same ones"):
        fit(tiny(40), other, manifest, folder, resume=True)
    assert (folder / "run.json").read_bytes() == before
    shutil.copytree(uninterrupted.parent / "kept", tmp_path / "kept")
    with pytest.raises(CheckpointError, match=r"keeps the targets of another teacher \(hubert\), not of other"):
        fit(tiny(4), other, manifest, tmp_path / "new")


@pytest.mark.parametrize("recipe", [guided.paper, guided.paper_speechtokenizer, guided.small_taught])
def test_all_losses_of_the_recipes_have_weight_and_stay_finite(
    recipe: Any, teachers: dict[str, str], manifest: Path, tmp_path: Path
) -> None:
    """Losses, teachers and adversary of the recipe on a codec of next to no weights; all start at once."""
    run = recipe()
    losses = {
        name: replace(getattr(run.losses, name), start=0, ramp=0)
        for name in ("semantic", "acoustic", "adversarial", "feature")
    }
    run = replace(
        run,
        model=guided.tiny().model,
        losses=replace(run.losses, **losses, quantize_from=0),
        batches=replace(guided.tiny().batches, frames=24),
        adversary=replace(run.adversary, discriminators=SMALL, begin=0),
        train=replace(run.train, steps=3, log_every=1, save_every=3, keep=1),
    )
    fit(run, teachers, manifest, tmp_path / "run")
    lines = log(tmp_path / "run")
    weights = {name: value for name, value in lines[-1].items() if name.endswith("/weight")}
    assert all(weight > 0 for weight in weights.values())
    assert {"generator/adversarial/weight", "generator/semantic/weight", "generator/acoustic/weight"} < set(weights)
    assert all(value is not None for line in lines for value in line.values())
    shares = {name: weights[f"generator/{name}/weight"] for name in ("semantic", "acoustic")}
    expected = {guided.paper: (0.5, 0.5), guided.paper_speechtokenizer: (60.0, 60.0), guided.small_taught: (1.0, 0.05)}
    assert tuple(shares.values()) == expected[recipe]


def test_impossible_teachers_are_refused_with_a_reason(
    teachers: dict[str, str], manifest: Path, tmp_path: Path
) -> None:
    run = guided.small_taught()
    refused: list[tuple[Any, type[VocableError], str]] = [
        (lambda: recipes.fit(run, [manifest], tmp_path / "run"), ConfigError,
         r"the recipe has a semantic teacher: name it with --teacher semantic=FOLDER"),
        (lambda: override(run, teachers=["semantic"]), ConfigError, "a teacher is 'semantic'; write PART=SOURCE"),
        (lambda: override(run, teachers=["prosodic=x"]), ConfigError,
         "the recipe has no prosodic teacher; it has semantic, acoustic"),
        (lambda: override(guided.small(), teachers=["semantic=x"]), ConfigError, "it has none"),
        (lambda: override(recipes.find("vocoder-tiny"), teachers=["semantic=x"]), ConfigError, "has no teachers"),
        (lambda: override(run, teachers=["semantic=nowhere", "acoustic=x"]).teachers(), CheckpointError,
         "nowhere: no folder"),
        (lambda: find_frame_extractor(teachers["semantic"], layers=(3,)), ConfigError,
         r"hubert has no layer \[3\]; it has 0 to 2"),
        (lambda: find_speaker_extractor(teachers["semantic"]), CheckpointError,
         r"hubert: .*(give a model trained to verify speakers|holds no model of this kind)"),
        (lambda: find_speaker_extractor(str(tmp_path)), CheckpointError, "holds no embedding_model.safetensors"),
        (lambda: find_frame_extractor(teachers["acoustic"]), CheckpointError, "ecapa: holds no model of this kind"),
        (lambda: replace(run, model=GuidedConfig(num_codebooks=1)), ConfigError, "this codec has one level"),
    ]  # fmt: skip
    for attempt, error, message in refused:
        with pytest.raises(error, match=message):
            attempt()
    assert not (tmp_path / "run").exists()


def test_teachers_of_another_sample_rate_or_frame_rate_are_refused(
    teachers: dict[str, str], manifest: Path, tmp_path: Path
) -> None:
    run = tiny(4)
    slow = replace(run, model=replace(run.model, sample_rate=8_000))
    with pytest.raises(ConfigError, match="the semantic teacher hubert takes 16000 Hz, the tokenizer 8000 Hz"):
        fit(slow, teachers, manifest, tmp_path / "run")
    with pytest.raises(ConfigError, match="the acoustic teacher ecapa takes 16000 Hz, the tokenizer 8000 Hz"):
        fit(replace(slow, semantic=None), {"acoustic": teachers["acoustic"]}, manifest, tmp_path / "run")
    fine = SeanetConfig(strides=(2, 4, 5, 4), channels=4, lstm_layers=1, latent_width=16)
    with pytest.raises(ConfigError, match="the semantic teacher hubert has 50 frames a second, the tokenizer 100"):
        fit(replace(run, model=replace(run.model, backbone=fine)), teachers, manifest, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_teacher_without_weight_is_run_and_not_distilled(
    teachers: dict[str, str], manifest: Path, tmp_path: Path
) -> None:
    run = tiny(4)
    without_semantic = replace(run, losses=replace(run.losses, semantic=Weight(value=0.0)))
    fit(without_semantic, teachers, manifest, tmp_path / "run")
    assert set(json.loads((tmp_path / "run" / "run.json").read_text())["teachers"]) == {"acoustic"}
    assert "generator/acoustic" in log(tmp_path / "run")[-1]
    assert "generator/semantic" not in log(tmp_path / "run")[-1]
    clips, cache = read_manifest(manifest), str(tmp_path / "kept")
    without_loss, with_loss, without_teacher = (
        one.material_of(clips).batch(2).samples
        for one in (without_semantic.with_teachers(teachers, cache), run.with_teachers(teachers, cache), guided.tiny())
    )
    assert torch.equal(without_loss, with_loss)
    assert not torch.equal(without_loss, without_teacher), "with teachers, crops begin on whole frames"


def test_fine_tuning_begins_from_a_codec_with_its_codebooks(
    teachers: dict[str, str], manifest: Path, tmp_path: Path
) -> None:
    """A run that begins from another, with teachers or without, quantizes from its first step."""
    first = replace(guided.tiny(), train=replace(guided.tiny().train, steps=8, log_every=1, save_every=8))
    recipes.fit(first, [manifest], tmp_path / "first", quiet=True, say=lambda line: None)
    start = vocable.load(tmp_path / "first")
    late = replace(first, losses=replace(first.losses, quantize_from=1_000))
    distilled = tiny(8).with_teachers(teachers, str(tmp_path / "kept"))
    distilled = replace(distilled, losses=replace(distilled.losses, quantize_from=1_000))
    for name, run in (("again", late), ("taught", distilled)):
        folder = tmp_path / name
        recipes.fit(run, [manifest], folder, start=start, quiet=True, say=lambda line: None)
        assert json.loads((folder / "run.json").read_text())["start"] == start.digest
        assert "generator/commitment" in log(folder)[0]
        assert vocable.load(folder).digest != start.digest
    with pytest.raises(ConfigError, match="the model to begin from has other sizes than the recipe"):
        recipes.fit(guided.small(), [manifest], tmp_path / "other", start=start, quiet=True, say=lambda line: None)


def test_whisper_and_resemblyzer_are_teachers_on_real_recordings(
    weights: Path, speech_data: Path, tmp_path: Path
) -> None:
    """The encoder of Whisper tiny.en in HuBERT's place, Resemblyzer in ECAPA's, as in the experiments."""
    whisper = find_frame_extractor(str(weights / "whisper-tiny.en"), layers=(-1,))
    utterances = read_manifest(speech_data / "read_speechocean762" / "manifest.jsonl", "dev")
    chosen = {one.speaker: one for one in utterances if one.duration and one.duration < 3}
    some = list(chosen.values())[:4]
    clip = Audio.read(some[0].audio_path, 16_000)
    frames = whisper.extract(clip)
    assert frames.shape == (-(-clip.samples.size // 320), 384)
    assert (whisper.name, whisper.frame_rate, whisper.layers) == ("whisper-tiny.en", 50.0, [4])
    assert find_frame_extractor(str(weights / "whisper-tiny.en")).digest != whisper.digest

    run = tiny(1, cache=None).with_teachers(
        {"semantic": str(weights / "whisper-tiny.en"), "acoustic": "resemblyzer"}, str(tmp_path / "kept")
    )
    material = run.material_of(some)
    objective = run.objective(material)
    batch = material.batch(0)
    assert batch.targets["semantic"].shape == (4, 12, 384)
    assert batch.targets["acoustic"].shape == (4, 256)
    turns = {turn.name: turn for turn in objective.turns(batch, 5)}
    assert 0 < float(turns["generator"].losses["semantic"].detach()) < 2
    assert float(turns["generator"].losses["acoustic"].detach()) > 0
    assert float(turns["generator"].stats["acoustic_entropy"]) < math.log(256) - 0.1, "the teacher would be inert"
    assert turns["generator"].alarms == ()


@pytest.mark.parametrize("recipe", [guided.paper, guided.paper_speechtokenizer])
def test_codecs_of_paper_size_reconstruct_first_then_are_taught_then_judged(recipe: Any) -> None:
    run = recipe()
    losses, rate = run.losses, run.train.learning_rate
    assert 0 < rate.warmup < losses.semantic.start == losses.acoustic.start < run.adversary.begin
    assert run.adversary.begin < losses.adversarial.start == losses.feature.start < run.train.steps // 10
    assert rate.at(0, run.train.steps) < rate.peak
