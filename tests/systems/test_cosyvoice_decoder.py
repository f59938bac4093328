"""CosyVoice by path: what goes into its package and what is made of what comes out, with one of the same names."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from tests.s3_graph import SmallS3
from vocable.errors import CheckpointError, ConfigError, MissingDependencyError, ShapeError, SpecError
from vocable.systems.cosyvoice import WEIGHTS, CosyVoiceDecoder
from vocable.systems.units import S3Units
from vocable.testing import speechlike

RATE, PER_UNIT = 22_050, 441  # samples a second, and of a unit


class FakeCosyVoice:
    """A unit sounds as a constant, its number over 10,000; the voice is the loudness of the recording."""

    sample_rate = RATE
    made: list["FakeCosyVoice"] = []  # noqa: RUF012

    def __init__(self, folder: str) -> None:
        self.folder, self.given = folder, []
        self.frontend = SimpleNamespace(_extract_spk_embedding=self.embed)
        self.model = SimpleNamespace(tts=self.tts)
        self.made.append(self)

    def embed(self, path: str) -> Tensor:
        samples, rate = soundfile.read(path)
        assert rate == 16_000
        return torch.full((1, 192), float(np.abs(samples).max()))

    def tts(self, source_speech_token: Tensor, flow_embedding: Tensor, stream: bool) -> Iterator[dict[str, Tensor]]:
        assert not stream
        assert source_speech_token.dtype == torch.int32
        self.given.append((source_speech_token, flow_embedding))
        whole = (source_speech_token.float() / 10_000).repeat_interleave(PER_UNIT, dim=1)
        yield {"tts_speech": whole[:, : PER_UNIT * 2]}
        yield {"tts_speech": whole[:, PER_UNIT * 2 :]}


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> list[FakeCosyVoice]:
    module = ModuleType("cosyvoice.cli.cosyvoice")
    module.CosyVoice = FakeCosyVoice  # type: ignore[attr-defined]
    for name in ("cosyvoice", "cosyvoice.cli"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "cosyvoice.cli.cosyvoice", module)
    monkeypatch.setattr(FakeCosyVoice, "made", [])
    return FakeCosyVoice.made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in WEIGHTS:
        (tmp_path / name).write_bytes(b"weights of another")
    SmallS3().write(tmp_path / "speech_tokenizer_v1.onnx")
    return tmp_path


def test_units_and_voice_go_in_and_a_waveform_comes_out(package: list[FakeCosyVoice], folder: Path) -> None:
    decoder = CosyVoiceDecoder(folder)
    units, voice = torch.tensor([1000, 2000, 3000, 4000]), torch.arange(192) / 192
    made = decoder.speech(units, voice)
    assert (made.sample_rate, made.samples.size) == (RATE, 4 * PER_UNIT)
    assert np.allclose(made.samples[::PER_UNIT], [0.1, 0.2, 0.3, 0.4])
    ((tokens, embedding),) = package[0].given
    assert tokens.tolist() == [[1000, 2000, 3000, 4000]]
    assert torch.equal(embedding, voice[None])
    assert package[0].folder == str(folder)


def test_the_package_is_loaded_once_and_hears_a_voice(package: list[FakeCosyVoice], folder: Path) -> None:
    decoder = CosyVoiceDecoder(folder)
    assert not package
    clip = speechlike(24_000, 48_000)
    heard = decoder.voice(clip)
    decoder.voice(clip)
    assert len(package) == 1
    assert heard.shape == (192,)
    assert float(heard[0]) == pytest.approx(float(np.abs(clip.resample(16_000).samples).max()), abs=1e-3)


def test_a_whole_folder_is_a_source_of_units_with_voices(package: list[FakeCosyVoice], folder: Path) -> None:
    source, clip = S3Units(folder), speechlike(5_000)
    units, voice = source.units(clip), source.voice(clip)
    assert (source.spec.voice_width, source.spec.sample_rate, source.spec.hop) == (192, 16_000, 320)
    assert len(units) == 16
    assert source.speech(units, voice).samples.size == 16 * 320
    made = source.speech(torch.full((16,), 2_500), voice, samples=5_000)
    assert (made.sample_rate, made.samples.size) == (16_000, 5_000)
    assert np.allclose(made.samples[500:4_500], 0.25, atol=1e-3)


def test_what_does_not_fit_is_refused(package: list[FakeCosyVoice], folder: Path) -> None:
    source, voice = S3Units(folder), torch.zeros(192)
    with pytest.raises(SpecError, match=r"needs a voice of shape \(192,\), not none"):
        source.speech(torch.tensor([1, 2]))
    with pytest.raises(SpecError, match=r"integers in \[0, 4096\)"):
        source.speech(torch.tensor([1, 4096]), voice)
    with pytest.raises(SpecError, match="641 samples of 2 units: they give 1 to 640"):
        source.speech(torch.tensor([1, 2]), voice, samples=641)
    with pytest.raises(ShapeError, match=r"units have shape \(0,\)"):
        source.speech(torch.zeros(0, dtype=torch.long), voice)
    with pytest.raises(SpecError, match=r"needs a voice of shape \(192,\), not \(3,\)"):
        source.speech(torch.tensor([1]), torch.zeros(3))
    assert not package


def test_without_the_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cosyvoice", None)
    source = S3Units(folder)  # units need no package
    assert len(source.units(speechlike(640))) == 2
    with pytest.raises(MissingDependencyError, match=r"needs the cosyvoice package .*clone github\.com/FunAudioLLM"):
        source.voice(speechlike(640))
    with pytest.raises(MissingDependencyError, match="on PYTHONPATH"):
        source.speech(torch.tensor([1]), torch.zeros(192))


def test_a_folder_that_is_not_whole(folder: Path) -> None:
    (folder / "campplus.onnx").unlink()
    for make in (CosyVoiceDecoder, S3Units):
        with pytest.raises(CheckpointError, match=r"campplus\.onnx missing; give CosyVoice-300M's folder"):
            make(folder)


def test_a_file_alone_gives_units_alone(folder: Path) -> None:
    source = S3Units(folder / "speech_tokenizer_v1.onnx")
    assert (source.spec.voice_width, source.voice(speechlike(640))) == (0, None)
    with pytest.raises(ConfigError, match="these units have no decoder; give the folder of a whole CosyVoice"):
        source.speech(source.units(speechlike(640)))
