"""A vocoder by name, by folder, or the one in the box for its spectra."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.vocoders.istft import SPEC, mel
from vocable import folder as folders
from vocable.audio import Audio
from vocable.errors import CheckpointError, ConfigError
from vocable.metrics.spectral import log_mel_distance
from vocable.systems import registry as hub
from vocable.vocoders import GriffinLim, MelSpec, find_vocoder, recipe

OTHER = MelSpec(sample_rate=8_000, n_fft=384, hop=96, bins=64)


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch, saved: Path) -> dict[str, Path]:
    """A box with one vocoder for the tiny spectra."""
    held = {"vocoder-tiny": saved}
    monkeypatch.setattr("vocable.vocoders.find.bundled", lambda *systems: held)
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
    shutil.copytree(folders.bundled("guided")["guided-small"], models / "codes")
    for name, text in (("broken", "{"), ("numbers", "[1]"), ("nameless", "{}")):
        (models / name).mkdir()
        (models / name / "model.json").write_text(text)
    monkeypatch.setattr(folders, "files", lambda package: tmp_path)
    assert list(folders.bundled("vocoder")) == ["speaks"]
    assert hub.released() == ["codes"]
    with pytest.raises(CheckpointError, match="speaks: no such model; give a folder, or one of: codes"):
        hub.load("speaks")
    with pytest.raises(CheckpointError, match=r"system 'vocoder' is not registered; .* model of one of: guided"):
        hub.load(saved)
