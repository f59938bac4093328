"""The vocoder with an inverse transform: its laws, its training, its files, and how it is found."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vocable import folder as folders
from vocable import recipes
from vocable.audio import Audio
from vocable.data.manifest import read_manifests
from vocable.errors import CheckpointError, ConfigError
from vocable.metrics.spectral import log_mel_distance
from vocable.recipes import vocoder as recipe
from vocable.systems import hub
from vocable.testing import speechlike
from vocable.vocoders import GriffinLim, IstftVocoder, MelSpec, Vocoder, find_vocoder
from vocable.vocoders.istft import IstftConfig, IstftNetwork
from vocable.vocoders.objective import IstftLosses, IstftObjective, altered

CONFIG = recipe.tiny().model
SPEC = CONFIG.mel
OTHER = MelSpec(sample_rate=8_000, n_fft=384, hop=96, bins=64)


def network(**changes: Any) -> IstftNetwork:
    torch.manual_seed(0)
    return IstftNetwork(replace(CONFIG, **changes)).eval()


def mel(spectra: int = 30, seed: int = 0) -> Tensor:
    """Spectra of samples like speech, (F, S)."""
    return SPEC.mel(torch.from_numpy(speechlike(spectra * SPEC.hop, seed=seed).samples)[None])[0]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    IstftVocoder(network()).save(tmp_path / "vocoder")
    return tmp_path / "vocoder"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips, one of them shorter than a crop."""
    folder = tmp_path_factory.mktemp("data")
    with (folder / "manifest.jsonl").open("w") as lines:
        for clip in range(3):
            speechlike(1_000 + 3_000 * clip, 8_000, seed=clip).write(folder / f"{clip}.wav")
            lines.write(json.dumps({"audio_path": f"{clip}.wav", "split": "train"}) + "\n")
    return folder / "manifest.jsonl"


# ---- the network ----------------------------------------------------------------------------------------------------


def test_what_is_behind_a_clip_does_not_change_it() -> None:
    short, made = mel(20), network()
    mask = torch.zeros(2, 33, dtype=torch.bool)
    mask[0, :20], mask[1, :33] = True, True
    padded = torch.stack([torch.cat([short, torch.randn(SPEC.bins, 13) * 20], dim=1), mel(33, seed=1)])
    with torch.inference_mode():
        alone = made(short[None], torch.ones(1, 20, dtype=torch.bool))[0]
        batch = made(padded, mask)
    end = 20 * SPEC.hop
    assert batch.shape == (2, 33 * SPEC.hop)
    assert float((batch[0, :end] - alone).abs().max()) < 1e-5
    assert not batch[0, end:].any()
    assert batch[1, end:].any()


def test_it_looks_no_further_than_its_blocks() -> None:
    one, made = mel(60), network()
    other = one.clone()
    other[:, 40:] += 30.0
    reach = CONFIG.blocks * (CONFIG.kernel // 2)
    before = (40 - reach) * SPEC.hop - SPEC.n_fft
    mask = torch.ones(1, 60, dtype=torch.bool)
    with torch.inference_mode():
        difference = (made(one[None], mask) - made(other[None], mask))[0].abs()
    assert float(difference[:before].max()) < 1e-6
    assert float(difference[before + SPEC.n_fft : 40 * SPEC.hop].max()) > 1e-4


def test_louder_spectra_give_louder_samples_before_any_training() -> None:
    made, spectra = network(), mel()
    energies = [float(np.square(IstftVocoder(made).render(spectra + gain)).mean()) for gain in (-30.0, 0.0)]
    assert 300 < energies[1] / energies[0] < 3_000
    silence = IstftVocoder(made).render(torch.full((SPEC.bins, 10), -100.0))
    assert np.abs(silence).max() < 1e-3


@pytest.mark.parametrize("spectra", [1, 2, 40])
def test_render_is_the_network_alone(spectra: int) -> None:
    vocoder, given = IstftVocoder(network()), mel(spectra)
    made = vocoder.render(given)
    with torch.inference_mode():
        wanted = vocoder.network(given[None], torch.ones(1, spectra, dtype=torch.bool))[0].numpy()
    assert made.shape == (spectra * SPEC.hop,)
    assert float(np.abs(made - wanted).max()) < 1e-6
    assert np.array_equal(made, vocoder.render(given.clone()))


def test_rounds_bring_the_phases_to_agree() -> None:
    def apart(rounds: int) -> float:
        """How far the spectra of the samples are from the magnitudes that the network wanted."""
        made = network(rounds=rounds)
        with torch.inference_mode():
            wanted = made.predict(mel()[None], torch.ones(1, 30, dtype=torch.bool)).abs()
        samples = torch.from_numpy(IstftVocoder(made).render(mel()))[None]
        got = torch.stft(
            torch.nn.functional.pad(samples, (96, 96)), SPEC.n_fft, SPEC.hop,
            window=torch.hann_window(SPEC.n_fft), center=False, return_complex=True,
        ).abs().transpose(1, 2)  # fmt: skip
        return float((got - wanted).square().sum() / wanted.square().sum())

    assert apart(0) > 1.3 * apart(4) > 1.3 * apart(32)


def test_it_keeps_the_protocol() -> None:
    vocoder = IstftVocoder(network())
    assert isinstance(vocoder, Vocoder)
    assert (vocoder.name, vocoder.spec) == ("istft-8k", SPEC)
    wide = IstftConfig(mel=MelSpec(sample_rate=22_050, n_fft=256, hop=64, bins=32), width=8, blocks=1)
    assert IstftVocoder(IstftNetwork(wide)).name == "istft-22.05k"


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"width": 0}, "width is 0: it must be a whole number, at least 1"), ({"kernel": 4}, "kernel is 4: it must be"),
     ({"rounds": -1}, "rounds is -1"), ({"expansion": True}, "expansion is True")],
)  # fmt: skip
def test_sizes_out_of_range_are_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        replace(CONFIG, **changes)


# ---- training -------------------------------------------------------------------------------------------------------


def log(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def totals(made: IstftNetwork, manifest: Path) -> float:
    """The loss on a few batches whose spectra are not altered."""
    crops = recipes.find("vocoder-tiny").material(read_manifests([manifest], "train"))
    objective = IstftObjective(made, IstftLosses(altered=0.0))
    with torch.no_grad():
        return sum(float(turn.total) for step in range(4) for turn in objective.turns(crops.batch(step), step))


def test_a_run_learns_and_resumes_exactly(manifest: Path, tmp_path: Path) -> None:
    run = recipes.find("vocoder-tiny")
    recipes.fit(run, [manifest], tmp_path / "whole", quiet=True)
    lines = log(tmp_path / "whole")
    assert [line["step"] for line in lines] == [10, 20, 30, 40]
    trained = IstftVocoder.load(tmp_path / "whole/checkpoints/step-00000040").network
    assert totals(trained, manifest) < 0.8 * totals(network(), manifest)
    stopped = shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    shutil.rmtree(stopped / "checkpoints/step-00000040")
    said: list[str] = []
    recipes.fit(run, [manifest], stopped, resume=True, quiet=True, say=said.append)
    assert said[-1] == "resumed at step 20"
    one, two = (
        load_file(folder / "checkpoints/step-00000040/training.safetensors") for folder in (tmp_path / "whole", stopped)
    )
    assert [key for key in one if not torch.equal(one[key], two[key])] == []
    assert log(stopped) == lines
    found = find_vocoder(str(stopped), SPEC)
    assert found.name == "istft-8k"
    with pytest.raises(ConfigError, match="begins from random weights"):
        run.objective(run.material(read_manifests([manifest], "train")), start=found)


def test_terms_follow_their_weights_and_export_is_the_vocoder_as_it_stands(manifest: Path, tmp_path: Path) -> None:
    run = recipes.find("vocoder-tiny")
    batch = run.material(read_manifests([manifest], "train")).batch(0)
    losses = replace(IstftLosses(), magnitude=replace(IstftLosses().magnitude, start=5))
    objective = IstftObjective(network().train(), losses)
    [early], [late] = (list(objective.turns(batch, step)) for step in (4, 5))
    assert list(early.losses) == ["log_mel", "spectrum"]
    assert list(late.losses) == list(late.weights) == ["magnitude", "log_mel", "spectrum"]
    objective.export(tmp_path / "model")
    assert objective.network.training, "exporting ended the training mode"
    assert IstftVocoder.load(tmp_path / "model").digest == IstftVocoder(objective.network).digest


def test_spectra_are_altered_as_often_as_asked_and_by_torchs_generator() -> None:
    batch = torch.stack([mel(30, seed) for seed in range(40)])
    drawn = []
    for _ in range(2):
        torch.manual_seed(1)
        drawn.append(altered(batch, IstftLosses(altered=0.5)))
    assert torch.equal(*drawn)
    changed = (drawn[0] != batch).flatten(1).any(1)
    assert 10 <= int(changed.sum()) <= 30
    assert torch.equal(altered(batch, IstftLosses(altered=0.0)), batch)
    assert 0.3 < float((drawn[0] - batch)[changed].abs().mean()) < 10


# ---- files ----------------------------------------------------------------------------------------------------------


def test_save_then_load_is_the_identity(saved: Path, tmp_path: Path) -> None:
    vocoder, again = IstftVocoder(network()), IstftVocoder.load(saved)
    assert (again.config, again.digest) == (vocoder.config, vocoder.digest)
    assert np.array_equal(again.render(mel()), vocoder.render(mel()))
    vocoder.save(tmp_path / "half", half=True)
    half = IstftVocoder.load(tmp_path / "half")
    assert half.digest != vocoder.digest
    assert float(np.abs(half.render(mel()) - vocoder.render(mel())).max()) < 0.02


def _card(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        card = json.loads((folder / "model.json").read_text())
        change(card)
        (folder / "model.json").write_text(json.dumps(card))

    return alter


def _weights(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"enter.bias": tensors["enter.bias"] + 1}, folder / "model.safetensors")


ALTERED: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights": (_weights, "digest differs"),
    "truncated": (lambda folder: (folder / "model.safetensors").write_bytes(b"\x10"), "cannot be used"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "cannot be used"),
    "no card": (lambda folder: (folder / "model.json").unlink(), r"model\.json: cannot be used"),
    "card of numbers": (lambda folder: (folder / "model.json").write_text("[1]"), r"model\.json: cannot be used"),
    "no spectra": (_card(lambda card: card["config"].pop("mel")), "configuration cannot be used"),
    "hop 0": (_card(lambda card: card["config"]["mel"].update(hop=0)), "hop 0"),
    "words for sizes": (_card(lambda card: card["config"].update(width="wide")), "configuration cannot be used"),
    "half a bin": (_card(lambda card: card["config"]["mel"].update(bins=31.5)), "configuration cannot be used"),
    "a size more": (_card(lambda card: card["config"].update(depth=3)), "depth"),
    "another width": (_card(lambda card: card["config"].update(width=10**6)), "size mismatch"),
    "another format": (_card(lambda card: card.update(format=99)), "format 99"),
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_folder_is_a_named_error(saved: Path, name: str) -> None:
    alter, said = ALTERED[name]
    alter(saved)
    for load in (IstftVocoder.load, lambda folder: find_vocoder(str(folder), SPEC)):
        with pytest.raises(CheckpointError, match=said):
            load(saved)


def test_a_tokenizers_folder_is_no_vocoder() -> None:
    with pytest.raises(CheckpointError, match="configuration cannot be used"):
        IstftVocoder.load(folders.boxed("guided")["guided-small"])


# ---- by name --------------------------------------------------------------------------------------------------------


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch, saved: Path) -> dict[str, Path]:
    """A box with one vocoder for the tiny spectra."""
    held = {"vocoder-tiny": saved}
    monkeypatch.setattr("vocable.vocoders.find.boxed", lambda *systems: held)
    return held


def test_none_takes_the_one_in_the_box_for_these_spectra(box: dict[str, Path]) -> None:
    assert find_vocoder(None, SPEC).name == "istft-8k"
    assert find_vocoder(None, OTHER).name == "griffin-lim"
    box.clear()
    assert find_vocoder(None, SPEC).name == "griffin-lim"


def test_by_name_and_by_folder(box: dict[str, Path], saved: Path) -> None:
    assert isinstance(find_vocoder("griffin-lim", SPEC), GriffinLim)
    assert np.array_equal(
        find_vocoder("vocoder-tiny", SPEC).render(mel()), find_vocoder(str(saved), SPEC).render(mel())
    )


def test_other_spectra_are_an_error_with_both(box: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"vocoder-tiny' takes MelSpec\(.*n_fft=256.*these spectra are .*n_fft=384"):
        find_vocoder("vocoder-tiny", OTHER)


def test_a_name_that_is_not_there_lists_those_that_are(box: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="no vocoder 'wavenet'; give a folder, or one of: griffin-lim, vocoder-tiny"):
        find_vocoder("wavenet", SPEC)


def test_the_one_in_the_box_is_nearer_to_a_recording_than_griffin_lim(speech_data: Path) -> None:
    spec = recipe.telephone().model.mel
    assert find_vocoder(None, spec).name == find_vocoder("vocoder-8k", spec).name == "istft-8k"
    clip = Audio.read(speech_data / "digits_fsdd/audio/jackson/0_jackson_0.flac", spec.sample_rate).samples
    whole = spec.mel(torch.from_numpy(clip[: clip.size // spec.hop * spec.hop])[None])[0]
    distances = [
        float(log_mel_distance(clip, find_vocoder(name, spec).render(whole), spec.sample_rate))
        for name in (None, "griffin-lim")
    ]
    assert distances[0] < 0.95 * distances[1] < 2.0


def test_the_box_tells_vocoders_from_tokenizers(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = tmp_path / "models"
    shutil.copytree(saved, models / "speaks")
    shutil.copytree(folders.boxed("guided")["guided-small"], models / "codes")
    for name, text in (("broken", "{"), ("numbers", "[1]"), ("nameless", "{}")):
        (models / name).mkdir()
        (models / name / "model.json").write_text(text)
    monkeypatch.setattr(folders, "files", lambda package: tmp_path)
    assert list(folders.boxed("vocoder")) == ["speaks"]
    assert hub.released() == ["codes"]
    with pytest.raises(CheckpointError, match="speaks: no such model; give a folder, or one of: codes"):
        hub.load("speaks")
    with pytest.raises(CheckpointError, match="names no system this vocable knows: ctap, guided"):
        hub.load(saved)


def test_a_config_is_plain_values_and_back(saved: Path) -> None:
    assert json.loads((saved / "model.json").read_text())["config"] == asdict(CONFIG)
