"""The vocoder learns: whole runs, a second life, the weights of its terms."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.runs import log, three_clips
from tests.vocoders.istft import SPEC, mel, network
from vocable import recipes
from vocable.data.manifest import read_manifests
from vocable.errors import ConfigError
from vocable.vocoders import IstftVocoder, find_vocoder
from vocable.vocoders.istft import IstftNetwork
from vocable.vocoders.objective import IstftLosses, IstftObjective, degrade


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips, one of them shorter than a crop."""
    return three_clips(tmp_path_factory.mktemp("data"), 1_000, 8_000)


def totals(made: IstftNetwork, manifest: Path) -> float:
    """The loss on a few batches whose spectra are not altered."""
    crops = recipes.find("vocoder-tiny").material_of(read_manifests([manifest], "train"))
    objective = IstftObjective(made, IstftLosses(altered=0.0))
    with torch.no_grad():
        return sum(float(turn.total) for step in range(4) for turn in objective.turns(crops.batch(step), step))


@pytest.mark.slow
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
    with pytest.raises(ConfigError, match="is trained from random weights"):
        run.objective(run.material_of(read_manifests([manifest], "train")), start=found)


def test_terms_follow_their_weights_and_export_is_the_vocoder_as_it_stands(manifest: Path, tmp_path: Path) -> None:
    run = recipes.find("vocoder-tiny")
    batch = run.material_of(read_manifests([manifest], "train")).batch(0)
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
        drawn.append(degrade(batch, IstftLosses(altered=0.5)))
    assert torch.equal(*drawn)
    changed = (drawn[0] != batch).flatten(1).any(1)
    assert 10 <= int(changed.sum()) <= 30
    assert torch.equal(degrade(batch, IstftLosses(altered=0.0)), batch)
    assert 0.3 < float((drawn[0] - batch)[changed].abs().mean()) < 10
