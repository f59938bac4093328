import sys
import types
import warnings
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import torch

from vocable.audio import Audio
from vocable.data.manifest import read_manifest
from vocable.errors import CheckpointError, MissingDependencyError, ShapeError
from vocable.features.ge2e import Ge2eEncoder, raise_level


@pytest.fixture(scope="module")
def encoder() -> Ge2eEncoder:
    return Ge2eEncoder.pretrained()


@pytest.fixture(scope="module")
def package():
    """Resemblyzer itself; webrtcvad and a module scipy has given up serve its silence cutter alone."""
    stubs = {"webrtcvad": types.ModuleType("webrtcvad"), "scipy.ndimage.morphology": types.ModuleType("morphology")}
    stubs["scipy.ndimage.morphology"].binary_dilation = scipy.ndimage.binary_dilation
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, module in stubs.items():
            patch.setitem(sys.modules, name, module)
        import resemblyzer
    return resemblyzer


@pytest.fixture(scope="module")
def clips(speech_data: Path) -> dict[str, list[Audio]]:
    """Two clips each of five speakers."""
    found: dict[str, list[Audio]] = {}
    for item in read_manifest(speech_data / "read_speechocean762" / "manifest.jsonl", "dev"):
        of_speaker = found.setdefault(item.speaker, [])
        if len(of_speaker) < 2 and item.duration > 3:
            of_speaker.append(Audio.read(item.audio_path, 16_000))
    pairs = [(name, pair) for name, pair in found.items() if len(pair) == 2][:5]
    assert len(pairs) == 5
    return dict(pairs)


# one sample, around one window, around one partial, where the last partial is kept or left out, padded by one sample
@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 399, 16_000, 25_599, 25_600, 31_519, 31_521, 37_919, 37_921, 48_000])
@pytest.mark.filterwarnings("ignore")  # of librosa and of the package's own torch.load
def test_voices_equal_those_of_the_package(encoder, package, clips, samples) -> None:
    clip = next(iter(clips.values()))[0].samples
    part = np.tile(clip, 2)[4000 : 4000 + samples]
    expected = package.VoiceEncoder("cpu", verbose=False).embed_utterance(part)
    voice = encoder(torch.from_numpy(part)[None])[0].numpy()
    np.testing.assert_allclose(voice, expected, atol=1e-5)


@pytest.mark.parametrize("gain", [0.001, 0.02, 1.0])
def test_levels_equal_those_of_the_package(package, clips, gain) -> None:
    clip = next(iter(clips.values()))[0].samples * np.float32(gain)
    expected = package.audio.normalize_volume(clip, -30, increase_only=True)
    np.testing.assert_allclose(raise_level(torch.from_numpy(clip)[None])[0].numpy(), expected, rtol=1e-4, atol=1e-6)


def test_silence_has_no_level_to_raise_and_no_voice(encoder) -> None:
    silence = torch.zeros(1, 16_000)
    assert torch.equal(raise_level(silence), silence)
    assert torch.isfinite(encoder(silence)).all()


def test_a_voice_does_not_depend_on_batch_or_padding(encoder, clips) -> None:
    rows = [
        torch.from_numpy(pair[0].samples[:length])
        for pair, length in zip(clips.values(), (40_000, 25_599, 9000), strict=False)
    ]
    batch = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=0.3)
    voices = encoder(batch, torch.tensor([row.numel() for row in rows]))
    for row, voice in zip(rows, voices, strict=True):
        assert torch.allclose(encoder(row[None])[0], voice, atol=1e-6)


def test_gradients_reach_every_part_of_the_waveform(encoder, clips) -> None:
    samples = torch.from_numpy(next(iter(clips.values()))[0].samples[:32_000])[None].requires_grad_()
    other = encoder(torch.from_numpy(list(clips.values())[1][0].samples)[None]).detach()
    torch.cosine_similarity(encoder(samples), other).sum().backward()
    parts = samples.grad.reshape(-1, 1600).abs().sum(1)
    assert torch.isfinite(parts).all()
    assert bool((parts > 0).all())
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_two_clips_of_a_speaker_are_nearer_than_clips_of_two(encoder, clips) -> None:
    voices = [
        [encoder(raise_level(torch.from_numpy(clip.samples)[None]))[0] for clip in pair] for pair in clips.values()
    ]
    one, two = (torch.stack([pair[at] for pair in voices]) for at in (0, 1))
    assert (one @ two.T).argmax(1).tolist() == list(range(len(voices)))


def test_lengths_outside_the_batch_are_refused(encoder) -> None:
    with pytest.raises(ShapeError, match=r"clips of \[0\] samples"):
        encoder(torch.zeros(1, 100), torch.tensor([0]))
    with pytest.raises(ShapeError, match=r"clips of \[101\] samples"):
        encoder(torch.zeros(1, 100), torch.tensor([101]))


class _Wheel:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def locate_file(self, name: str) -> Path:
        return self.folder / name


def test_other_weights_are_refused_unread(tmp_path, monkeypatch) -> None:
    (tmp_path / "resemblyzer").mkdir()
    monkeypatch.setattr(metadata, "distribution", lambda name: _Wheel(tmp_path))
    with pytest.raises(CheckpointError, match="cannot be read"):
        Ge2eEncoder.pretrained()
    (tmp_path / "resemblyzer" / "pretrained.pt").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(CheckpointError, match="not the weights known here"):
        Ge2eEncoder.pretrained()


def test_a_missing_wheel_is_named(monkeypatch) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(MissingDependencyError, match="pip install --no-deps resemblyzer"):
        Ge2eEncoder.pretrained()
