"""What batches of every kind share. The digests are of batches as they were first made: they must stay."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from tests.digits import write_digits
from vocable.audio import Audio
from vocable.audio_files import open_audio
from vocable.data import clip_files
from vocable.data.batches import BatchConfig
from vocable.data.clips import Clip, ClipStore
from vocable.data.crops import CropConfig, Crops
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import AlignmentError, ConfigError, ManifestError
from vocable.systems.vqalattent.config import ImageSpec
from vocable.systems.vqalattent.data import ImageConfig, Images

SPEC = ImageSpec(sample_rate=8_000, n_fft=256, bins=16, frames=20)


def digest(*parts: Tensor | list[str]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part.numpy().tobytes() if isinstance(part, Tensor) else "\n".join(part).encode())
    return found.hexdigest()[:16]


def record(path: Path, samples: np.ndarray, rate: int = 8_000) -> Utterance:
    Audio(samples.astype(np.float32), rate).write(path)
    return Utterance(audio_path=path)


def noise(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, size)


@pytest.mark.parametrize(("gain", "wanted"), [((0.0, 0.0), "90167dcca1944227"), ((-9.0, 3.0), "61fc8267963eca12")])
def test_crops_stay_the_same_to_the_bit(tmp_path: Path, gain: tuple[float, float], wanted: str) -> None:
    listed = [record(tmp_path / f"{size}.wav", noise(size, size)) for size in (300, 8_000, 30_000)]
    config = CropConfig(batch_size=6, frames=9, gain_db=gain, seed=2)
    batch = Crops([listed[1], *listed], config, sample_rate=8_000, hop=80).batch(5)
    names = [name.removeprefix(f"{tmp_path}/") for name in batch.names]
    assert digest(batch.samples, batch.mask, names) == wanted


def test_the_recordings_and_labels_of_pictures_stay_the_same(tmp_path: Path) -> None:
    said = read_manifest(write_digits(tmp_path, takes=2, digits=3))
    config = ImageConfig(batch_size=6, gain_db=(-9.0, -3.0), warp=0.2, shift=0.1, seed=2)
    batch = Images(said, config, SPEC, ("digit", "speaker")).batch(5)
    assert digest(batch.labels, [Path(name).name for name in batch.names]) == "f0c2fbacb9d85995"
    means = batch.images.mean(dim=(1, 2)).tolist()  # the pictures themselves depend on a machine's Fourier transform
    assert means == pytest.approx([0.386492, 0.271945, 0.305687, 0.200146, 0.253171, 0.250937], abs=1e-5)


def test_a_store_keeps_what_can_be_used_in_order(tmp_path: Path) -> None:
    good, other = (record(tmp_path / f"{name}.wav", noise(size)) for name, size in (("good", 500), ("other", 700)))
    gone = Utterance(audio_path=tmp_path / "gone.wav")
    refused = good.model_copy(update={"speaker": "nobody"})

    def look(utterance: Utterance, clip: Clip) -> int:
        if utterance.speaker == "nobody":
            raise AlignmentError("ends after 9 s")
        return clip.size

    store = ClipStore([good, gone, other, refused, good, gone], 8_000, look)
    assert store.kept.tolist() == [0, 2, 4]
    assert (store.infos, len(store)) == ([500, 700, 500], 3)
    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in store.problems] == [
        "good.wav: ends after 9 s",
        "gone.wav: no such file",
    ]
    assert isinstance(store.problems[0], AlignmentError)
    with pytest.raises(ManifestError, match=r"none of 1 recordings can be used; the first: .*good.wav: ends after 9 s"):
        ClipStore([refused], 8_000, look)


def test_samples_of_a_store_are_those_of_the_file_to_16_bit(tmp_path: Path) -> None:
    said = record(tmp_path / "a.wav", noise(500))
    store = ClipStore([said], 8_000, None)
    whole = store.samples(0)
    assert whole.dtype == np.float32
    assert np.array_equal(whole, Audio.read(said.audio_path).samples)
    assert np.array_equal(store.samples(0, 100, 120), whole[100:120])
    assert np.array_equal(store.samples(0, 490, 600), whole[490:])


def test_a_recording_that_is_listed_twice_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said, paths = record(tmp_path / "a.wav", noise(500)), []
    monkeypatch.setattr(clip_files, "open_audio", lambda path: paths.append(path) or open_audio(path))
    assert len(ClipStore([said] * 3, 8_000, None)) == 3
    assert paths == [str(said.audio_path)]


def test_a_kind_is_named_by_what_it_refuses() -> None:
    for config in (BatchConfig, CropConfig, ImageConfig):
        with pytest.raises(ConfigError, match=f"{config.kind}: batch_size is 1048577: it must be at most 1048576"):
            config(batch_size=(1 << 20) + 1)
    with pytest.raises(ConfigError, match="ImageConfig: warp is nan"):
        ImageConfig(warp=float("nan"))
