"""Training by what a frozen recognizer's encoder makes of the decoded audio, and from a smaller model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import vocable
from tests.models import ready, save_whisper
from tests.runs import finite, fit, log, three_clips
from tests.states import same
from vocable import recipes
from vocable.data.manifest import read_manifest
from vocable.errors import ConfigError
from vocable.systems.guided import recipe as guided
from vocable.systems.guided.config import GuidedConfig, SpectralConfig
from vocable.systems.guided.networks import GuidedModel
from vocable.systems.guided.objective import GuidedObjective
from vocable.systems.guided.recipe import GuidedRun
from vocable.train.schedule import Weight


@pytest.fixture
def whisper(tmp_path: Path) -> str:
    return str(save_whisper(tmp_path / "whisper"))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return three_clips(tmp_path, 4_500)


def tiny(whisper: str, steps: int = 20, **losses: object) -> GuidedRun:
    run = guided.tiny_representation()
    run = replace(run, train=replace(run.train, steps=steps, log_every=1, save_every=steps))
    run = replace(run, losses=replace(run.losses, **losses))
    return run.with_teachers({"representation": whisper}, str(Path(whisper).parent / "cache"))


def objective(run: GuidedRun, manifest: Path) -> tuple[GuidedObjective, object]:
    material = run.material_of(read_manifest(manifest, "train"))
    torch.manual_seed(0)
    return run.objective(material), material.batch(0)


def test_the_gradient_reaches_the_decoder_and_the_encoder_stays_frozen(whisper: str, manifest: Path) -> None:
    off = Weight(value=0.0)
    alone = {"log_mel": off, "spectrum": off, "commitment": off, "quantize_from": 0}
    made, batch = objective(tiny(whisper, **alone), manifest)
    (turn,) = made.turns(batch, 0)
    turn.total.backward()
    assert "representation" in turn.losses
    assert all(weight.grad is not None and weight.grad.any() for weight in made.model.decoder.out_proj.parameters())
    assert made.model.encoder.in_proj.weight.grad.any()
    assert made.representation is not None
    assert all(weight.grad is None for weight in made.representation.encoder.parameters())
    held = {id(weight) for weight in made.parts()["generator"].parameters()}
    assert not held & {id(weight) for weight in made.representation.encoder.parameters()}


def test_the_balance_knows_the_loss(whisper: str, manifest: Path) -> None:
    made, batch = objective(tiny(whisper, balance=1.0, quantize_from=0), manifest)
    (turn,) = made.turns(batch, 0)
    assert set(turn.losses) == {"log_mel", "spectrum", "representation", "commitment"}
    assert turn.weights["representation"] != tiny(whisper).losses.representation.value
    turn.total.backward()
    assert made.model.decoder.out_proj.weight.grad.isfinite().all()


@pytest.mark.slow
def test_a_run_lowers_the_loss_and_names_its_encoder(whisper: str, manifest: Path, tmp_path: Path) -> None:
    fit(tiny(whisper, steps=60, quantize_from=40), manifest, tmp_path / "run")
    lines = log(tmp_path / "run")
    assert finite(lines)
    values = [line["generator/representation"] for line in lines]
    assert sum(values[30:40]) < 0.95 * sum(values[:10])
    stored = json.loads((tmp_path / "run" / "run.json").read_text())
    assert stored["representation"]["layers"] == [1, 2]
    assert stored["teachers"]["representation"]["name"] == "whisper"
    assert stored["teachers"]["representation"]["digest"].startswith("sha256:")
    tokenizer = vocable.load(tmp_path / "run")
    assert sum(weight.numel() for weight in tokenizer.model.parameters()) < 200_000


def test_the_encoder_has_to_be_named_and_to_take_the_rate(manifest: Path, whisper: str) -> None:
    run = guided.tiny_representation()
    with pytest.raises(ConfigError, match=r"has a representation teacher: .* with --teacher representation=FOLDER"):
        objective(run, manifest)
    other = replace(tiny(whisper), model=replace(run.model, sample_rate=24_000))
    with pytest.raises(ConfigError, match="Whisper takes 16000 Hz, the codec 24000"):
        objective(other, manifest)
    with pytest.raises(ConfigError, match="the recipe has no representation teacher; it has none"):
        guided.tiny().with_teachers({"representation": whisper}, "cache")


def test_other_speeds_are_refused_beside_a_teacher_of_recordings(whisper: str, manifest: Path) -> None:
    run = guided.tiny_taught().with_teachers({"semantic": whisper, "acoustic": "resemblyzer"}, f"{whisper}/../cache")
    run = replace(run, acoustic=None, batches=replace(run.batches, speed_range=(0.9, 1.1)))
    with pytest.raises(ConfigError, match="the semantic teacher knows recordings at their own speed"):
        run.material_of(read_manifest(manifest, "train"))


def test_dropped_clips_draw_from_the_levels_named(manifest: Path, whisper: str) -> None:
    made, _ = objective(tiny(whisper, level_dropout=1.0, dropout_levels=(1, 1, 3)), manifest)
    drawn = torch.cat([made._draw_levels(100, step) for step in range(10)])
    assert sorted(set(drawn.tolist())) == [1, 3]
    assert 0.6 < float((drawn == 1).float().mean()) < 0.73


def test_a_beam_in_training_is_the_models_and_not_the_tokenizers(manifest: Path, whisper: str, tmp_path: Path) -> None:
    made, _ = objective(tiny(whisper, beam=3), manifest)
    assert made.model.quantizer.beam == 3
    made.export(tmp_path / "model")
    assert vocable.load(tmp_path / "model").beam == 1


LARGER = replace(guided.tiny().model, backbone=replace(guided.tiny().model.backbone, expansion=3, decoder_blocks=3))


def test_a_larger_codec_begins_as_the_smaller_one(manifest: Path) -> None:
    start = ready("spectral")
    run = replace(recipes.find("guided-tiny"), model=LARGER)
    torch.manual_seed(1)
    model = run.objective(run.material_of(read_manifest(manifest, "train")), start).model.eval()
    samples = torch.randn(2, 3_200, generator=torch.Generator().manual_seed(0)) * 0.1
    mask = torch.ones(2, 10, dtype=torch.bool)
    with torch.no_grad():
        small, large = (one.reconstruct(samples, mask) for one in (start.model.eval(), model))
    assert torch.allclose(small, large, atol=1e-6)
    assert same(model.quantizer.state_dict(), start.model.quantizer.state_dict())
    model.train().reconstruct(samples, mask).square().mean().backward()
    added = [weight for name, weight in model.named_parameters() if name.startswith("decoder.blocks.2.contract")]
    assert all(weight.grad.any() for weight in added)


@pytest.mark.parametrize(
    "model",
    [
        replace(LARGER, codebook_size=32),
        replace(LARGER, backbone=replace(LARGER.backbone, width=32)),
        replace(LARGER, backbone=replace(LARGER.backbone, decoder_blocks=1)),
        GuidedConfig(backbone=SpectralConfig(width=16, encoder_blocks=1, decoder_blocks=2, latent_width=9)),
    ],
)
def test_other_sizes_are_no_beginning(model: GuidedConfig) -> None:
    with pytest.raises(ConfigError, match="the model to begin from has other sizes than the recipe"):
        GuidedModel(model).load_start(ready("spectral").model)


def test_a_codec_of_another_backbone_is_no_beginning() -> None:
    with pytest.raises(ConfigError, match="only a spectral backbone can begin from a smaller one"):
        GuidedModel(LARGER).load_start(ready("seanet").model)
