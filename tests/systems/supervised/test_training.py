"""What is learnt, from what, and that a run goes on where it was broken off."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import vocable
from tests.runs import fit
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import AlignmentError, AudioError, CheckpointError, ConfigError, ManifestError
from vocable.features.whisper import WhisperEncoder
from vocable.nn.spec_augment import mask_spectrogram
from vocable.systems.supervised.config import SpectraAdversaryConfig, SupervisedLosses
from vocable.systems.supervised.data import UtteranceConfig, UtteranceData
from vocable.systems.supervised.objective import DecodedRepresentation, ctc_loss
from vocable.systems.supervised.recipe import SupervisedRun, small, tiny
from vocable.systems.supervised.tokenizer import SupervisedTokenizer
from vocable.testing import speechlike
from vocable.text.letters import LABELS
from vocable.train import checkpoint
from vocable.train.schedule import Weight


@pytest.fixture
def material(run: SupervisedRun, manifest: Path) -> UtteranceData:
    return run.material_of(read_manifest(manifest, "train"))


def test_batches_hold_whole_utterances(material: UtteranceData) -> None:
    assert len(material) == 5
    (left_out,) = material.problems
    assert isinstance(left_out, AudioError)
    assert "5.wav" in str(left_out)
    assert "whole utterances of up to 20 s are taken" in str(left_out)
    assert 10.0 < 3_600 * material.hours < 10.6  # five clips of 1 to 3 s
    batch = material.batch(0)
    assert batch.frames.shape == (4, 2 * batch.mask.shape[1], 128)
    assert batch.samples.shape == (4, 640 * batch.mask.shape[1])
    assert batch.voices.shape == (4, 60 * 160)
    for row, name in enumerate(batch.names):
        clip = vocable.Audio.read(name, 16_000)
        tokens = -(-clip.samples.size // 640)
        assert int(batch.mask[row].sum()) == tokens
        assert (batch.samples[row, : clip.samples.size] - torch.from_numpy(clip.samples)).abs().max() < 1e-4
        assert not batch.samples[row, clip.samples.size :].any()
        assert not batch.frames[row, 2 * tokens :].any()
        assert (int(batch.num_phones[row]) == 0) == name.endswith("4.wav")
        assert not batch.phones[row, int(batch.num_phones[row]) :].any()


def test_a_batch_is_a_function_of_the_step_and_shared_by_processes(material: UtteranceData) -> None:
    one, again, other = material.batch(3), material.batch(3), material.batch(4)
    assert one.names == again.names
    assert torch.equal(one.voices, again.voices)
    assert one.names != other.names or not torch.equal(one.voices, other.voices)
    halves = [material.batch(3, rank, 2) for rank in (0, 1)]
    assert halves[0].names + halves[1].names == one.names
    seen = {name for step in range(40) for name in material.batch(step).names}
    assert len(seen) == 5


@pytest.mark.slow
def test_text_is_pronounced_and_what_does_not_fit_is_left_out(
    run: SupervisedRun, tmp_path: Path, manifest: Path
) -> None:
    for name, seconds in (("a", 1), ("b", 0.1)):
        speechlike(int(16_000 * seconds)).write(tmp_path / f"{name}.wav")
    lines = [
        Utterance(audio_path=tmp_path / "a.wav", text="good morning"),
        Utterance(audio_path=tmp_path / "b.wav", text="a very long text for so little sound"),
        Utterance(audio_path=tmp_path / "a.wav", extra={"phones": "AA"}),
        Utterance(audio_path=tmp_path / "c.wav"),
    ]
    material = run.material_of(lines)
    assert len(material) == 1
    assert material.phonemes.names(material.batch(0).phones[0].tolist()) == [
        "G",
        "UH",
        "D",
        "M",
        "AO",
        "R",
        "N",
        "IH",
        "NG",
    ]
    kinds = [type(problem) for problem in material.problems]
    assert sorted(kind.__name__ for kind in kinds) == ["AlignmentError", "AlignmentError", "AudioError"]
    assert any("CTC positions" in str(problem) and "b.wav" in str(problem) for problem in material.problems)
    assert all(isinstance(problem, AlignmentError | AudioError) for problem in material.problems)
    with pytest.raises(ManifestError, match="none of 1 recordings"):
        run.material_of(lines[1:2])


def test_phones_cost_what_all_their_paths_are_worth_and_unknown_ones_nothing() -> None:
    torch.manual_seed(0)
    scores = torch.randn(3, 5, 4, requires_grad=True).log_softmax(2)
    places, phones = torch.tensor([5, 3, 5]), torch.tensor([[1, 2], [3, 0], [0, 0]])
    loss = ctc_loss(scores, places, phones, torch.tensor([2, 1, 0]))
    worth = {}
    for path in torch.cartesian_prod(*[torch.arange(4)] * 5).tolist():
        said = tuple(one for at, one in enumerate(path) if one and (at == 0 or path[at - 1] != one))
        worth[said] = worth.get(said, 0) + scores[0, torch.arange(5), path].sum().exp()
    short = sum(
        scores[1, torch.arange(3), path].sum().exp()
        for path in torch.cartesian_prod(*[torch.arange(4)] * 3).tolist()
        if [one for at, one in enumerate(path) if one and (at == 0 or path[at - 1] != one)] == [3]
    )
    torch.testing.assert_close(loss, -(worth[(1, 2)].log() + short.log()) / 3)
    assert float(ctc_loss(scores, places, phones, torch.zeros(3, dtype=torch.int64)).detach()) == 0.0


def test_masks_hide_stretches_of_time() -> None:
    torch.manual_seed(0)
    hidden = mask_spectrogram(torch.ones(50, 64, 3), 2, max_time=12)
    share = float((hidden == 0).float().mean())
    assert 0.03 < share < 0.2
    assert bool((hidden.amin(2) == hidden.amax(2)).all())


def test_the_decoder_reaches_the_encoder_only_as_told(run: SupervisedRun, material: UtteranceData) -> None:
    """Without phones, what moves the encoder is the spectrum: by the share, and not at all where it is 0."""
    batch = material.batch(0)
    batch = replace(batch, num_phones=torch.zeros_like(batch.num_phones))
    slopes = {}
    for reach in (0.0, 0.5, 1.0):
        torch.manual_seed(0)
        losses = SupervisedLosses(encoder_gradient=reach, num_masks=0)
        objective = replace(run, losses=losses).objective(material)
        torch.manual_seed(1)
        (turn,) = objective.turns(batch, 0)
        turn.total.backward()
        slopes[reach] = objective.model.encoder.in_proj.weight.grad.clone()
        assert objective.model.decoder.in_proj.weight.grad.abs().sum() > 0
    assert not slopes[0.0].any()
    assert slopes[1.0].any()
    torch.testing.assert_close(slopes[0.5], 0.5 * slopes[1.0])


def test_padding_costs_nothing(run: SupervisedRun, material: UtteranceData) -> None:
    """What lies behind the ends of the clips changes no loss."""
    run = replace(run, losses=replace(run.losses, num_masks=0, codebook_start=0))
    batch = material.batch(1)
    away = ~batch.mask
    assert away.any()
    loud = replace(batch, frames=batch.frames + 7.0 * away.repeat_interleave(2, dim=1)[..., None])
    found = []
    for one in (batch, loud):
        torch.manual_seed(0)
        objective = run.objective(material)
        torch.manual_seed(1)
        (turn,) = objective.turns(one, 0)
        found.append({name: float(value.detach()) for name, value in turn.losses.items()})
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_letters_are_those_of_the_text_and_absent_without_it(run: SupervisedRun, tmp_path: Path) -> None:
    speechlike(32_000).write(tmp_path / "a.wav")
    run = replace(run, model=replace(run.model, recognizer=replace(run.model.recognizer, letters=True)))
    lines = [
        Utterance(audio_path=tmp_path / "a.wav", text="Mr. O'Hara -- at 5!"),
        Utterance(audio_path=tmp_path / "a.wav", extra={"phones": [["HH", "AY"]]}),
    ]
    batch = run.material_of(lines).batch(0)
    rows = zip(batch.letters.tolist(), batch.num_letters.tolist(), strict=True)
    read = {"".join(LABELS[label - 1] for label in row[:size]) for row, size in rows}
    assert read == {"mister o'hara at five", ""}


def test_letters_and_the_distilled_layer_reach_the_encoder(run: SupervisedRun, material: UtteranceData) -> None:
    """Each moves the encoder through the codebook, without phones and without the decoder."""
    batch = material.batch(0)
    spelled = replace(batch, num_phones=torch.zeros_like(batch.num_phones), num_letters=torch.full((4,), 3),
                      letters=torch.tensor([[5, 2, 9]] * 4))  # fmt: skip
    model = replace(run.model, recognizer=replace(run.model.recognizer, letters=True))
    for name in ("letters", "distillation"):
        losses = SupervisedLosses(encoder_gradient=0.0, codebook_start=0)
        losses = replace(losses, **{name: Weight(value=1.0)})
        objective = replace(run, model=model, losses=losses).objective(material)
        (turn,) = objective.turns(spelled, 0)
        turn.losses[name].backward()
        assert objective.model.encoder.in_proj.weight.grad.abs().sum() > 0
    own = {f"model.{name}" for name in objective.model.state_dict()}
    assert objective.parts()["units"].state_dict().keys() - own == {"distilled.weight", "distilled.bias"}


def test_decoded_audio_is_compared_with_the_recording(run: SupervisedRun, manifest: Path) -> None:
    """The loss passes vocoder and Whisper to the decoder, and falls where spectra come nearer to the recording's."""
    model = replace(run.model, mel=small().model.mel)
    losses = SupervisedLosses(representation=Weight(value=1.0), representation_layers=(1, 2), crop_tokens=20)
    run = replace(run, model=model, losses=losses)
    material = run.material_of(read_manifest(manifest, "train"))
    objective, batch = run.objective(material), material.batch(0)
    (turn,) = objective.turns(batch, 0)
    turn.losses["representation"].backward()
    assert objective.model.decoder.in_proj.weight.grad.abs().sum() > 0
    compare = DecodedRepresentation(objective.model, losses, run.extractors()["encoder"].encoder)
    true = objective.model.frames(batch.samples)
    found = []
    for noise in (0.0, 0.3, 1.0):
        torch.manual_seed(0)
        found.append(float(compare(true + noise * torch.randn_like(true), batch)))
    assert found == sorted(found)
    assert found[0] < 0.7 * found[2]
    with pytest.raises(ConfigError, match="no bundled vocoder takes"):
        replace(run, model=replace(run.model, mel=tiny().model.mel)).objective(material)


@pytest.mark.slow
def test_discriminators_are_trained_from_their_step_on(run: SupervisedRun, manifest: Path, tmp_path: Path) -> None:
    losses = replace(run.losses, adversarial=Weight(value=0.1), feature=Weight(value=1.0), crop_tokens=20)
    config = SpectraAdversaryConfig(width=4, begin=6)
    run = replace(run, losses=losses, adversary=config, train=replace(run.train, steps=12, log_every=1, save_every=6))
    fit(run, manifest, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [("discriminator/real" in line, "units/feature" in line) for line in lines] == [
        (step >= 6, step >= 6) for step in range(12)
    ]
    shutil.copytree(tmp_path / "run", tmp_path / "broken")
    shutil.rmtree(checkpoint.steps(tmp_path / "broken" / "checkpoints")[-1])
    fit(run, manifest, tmp_path / "broken", resume=True)
    one, two = (vocable.load(tmp_path / name, vocoder="griffin-lim") for name in ("run", "broken"))
    assert one.digest == two.digest


@pytest.mark.slow
def test_a_run_learns_to_say_what_is_said(run: SupervisedRun, manifest: Path, tmp_path: Path) -> None:
    run = replace(run, train=replace(run.train, steps=150, log_every=10, save_every=150))
    said = fit(run, manifest, tmp_path / "run")
    assert sum(line.startswith("left out: ") for line in said) == 1
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {"units/ctc", "units/spectrum", "units/kl", "units/commitment", "phone_errors", "used"} <= set(lines[-1])
    assert lines[-1]["units/ctc"] < 0.8 * lines[0]["units/ctc"]
    assert lines[-1]["units/spectrum"] < 0.9 * lines[0]["units/spectrum"]
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings["teachers"]["encoder"]["name"] == "whisper-random"
    tokenizer = vocable.load(tmp_path / "run", vocoder="griffin-lim")
    assert tokenizer.config.whisper == run.model.whisper
    assert tokenizer.encode(speechlike(16_000)).ids.shape == (1, 1, 25)


@pytest.mark.slow
def test_a_broken_run_goes_on_as_if_it_had_not_been(run: SupervisedRun, manifest: Path, tmp_path: Path) -> None:
    run = replace(run, train=replace(run.train, steps=12, log_every=1, save_every=6))
    fit(run, manifest, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "broken")
    shutil.rmtree(checkpoint.steps(tmp_path / "broken" / "checkpoints")[-1])
    fit(run, manifest, tmp_path / "broken", resume=True)
    one, two = (vocable.load(tmp_path / name, vocoder="griffin-lim") for name in ("whole", "broken"))
    assert len(checkpoint.steps(tmp_path / "broken" / "checkpoints")) == 2
    assert one.digest == two.digest
    started = fit(run, manifest, tmp_path / "more", start=one)
    assert any("hours of speech" in line for line in started)


def test_a_whisper_that_is_given_as_a_folder_keeps_the_hub_name_of_the_recipe(whisper: Path, tmp_path: Path) -> None:
    named = replace(tiny().model.whisper, name=f"openai/{whisper.name}")
    run = replace(tiny(), model=replace(tiny().model, whisper=named))
    taught = run.with_teachers({"encoder": str(whisper)}, str(tmp_path))
    assert taught.model.whisper == replace(WhisperEncoder.load(str(whisper)).spec, name=f"openai/{whisper.name}")
    shutil.copytree(whisper, tmp_path / "another")
    assert run.with_teachers({"encoder": str(tmp_path / "another")}, str(tmp_path)).model.whisper.name == "another"


def test_a_recipe_says_what_it_lacks(
    run: SupervisedRun, manifest: Path, tmp_path: Path, tokenizer: SupervisedTokenizer
) -> None:
    wider = replace(run, model=replace(run.model, latent_width=24))
    with pytest.raises(ConfigError, match="name it with --teacher encoder=FOLDER"):
        tiny().teachers()
    with pytest.raises(ConfigError, match="has no acoustic teacher; it has encoder"):
        tiny().with_teachers({"acoustic": "resemblyzer"}, str(tmp_path))
    with pytest.raises(CheckpointError, match="nowhere"):
        tiny().with_teachers({"encoder": str(tmp_path / "nowhere")}, str(tmp_path))
    with pytest.raises(ConfigError, match="no supervised one of this recipe's sizes"):
        wider.objective(wider.material_of(read_manifest(manifest, "train")), tokenizer)
    levels = replace(run, model=replace(run.model, voice=replace(run.model.voice, levels=16)))
    begun = levels.objective(levels.material_of(read_manifest(manifest, "train")), tokenizer)
    assert begun.model.config.voice.levels == 16  # which are no weights
    with pytest.raises(ConfigError, match="encoder_gradient is 2"):
        SupervisedLosses(encoder_gradient=2.0)
    with pytest.raises(ConfigError, match="num_masks is -1"):
        SupervisedLosses(num_masks=-1)
    for wrong, text in (({"max_seconds": 31.0}, "max_seconds"), ({"gain_db": (-3.0, 0.0)}, "loudness")):
        with pytest.raises(ConfigError, match=text):
            UtteranceConfig(**wrong)  # type: ignore[arg-type]
