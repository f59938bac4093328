"""Batches of pictures: a function of the seed and the step, with the labels of the recordings they show."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.digits import digit, write_digits
from vocable.audio import Audio
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import ConfigError, ManifestError
from vocable.systems.vqalattent.config import ImageSpec
from vocable.systems.vqalattent.data import UNKNOWN, ImageBatch, ImageConfig, Images, collect_values, label_indices
from vocable.systems.vqalattent.image import find_speech, mel_image, to_unit

SPEC = ImageSpec(sample_rate=8_000, n_fft=256, bins=16, frames=20)
PLAIN = ImageConfig(batch_size=6)
BENT = ImageConfig(batch_size=6, gain_db=(-9.0, -3.0), warp=0.2, shift=0.1)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    """Three digits by three speakers, twice each."""
    return read_manifest(write_digits(tmp_path_factory.mktemp("digits"), takes=2, digits=3))


@pytest.fixture(scope="module")
def plain(said: list[Utterance]) -> Images:
    return Images(said, PLAIN, SPEC, ("digit", "speaker"))


def about(**extra: Any) -> Utterance:
    """An utterance of which only the labels matter."""
    known = {key: extra.pop(key) for key in ("speaker", "split", "text") if key in extra}
    return Utterance(audio_path=Path("a.wav"), extra=extra, **known)


def equal(one: ImageBatch, other: ImageBatch) -> bool:
    return torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels) and one.names == other.names


def place(images: Images, name: str) -> int:
    return [str(one.audio_path) for one in images.utterances].index(name)


@pytest.mark.parametrize("config", [PLAIN, BENT], ids=["plain", "bent"])
def test_a_batch_is_a_function_of_the_seed_and_the_step(said: list[Utterance], config: ImageConfig) -> None:
    images, again = (Images(said, config, SPEC, ("digit",)) for _ in range(2))
    first = [images.batch(step) for step in range(6)]
    for step in (4, 1, 5, 1):  # in any order, by any reader
        assert equal(again.batch(step), first[step])
    assert len({batch.names for batch in first}) == 6
    other = Images(said, replace(config, seed=1), SPEC, ("digit",))
    assert not any(equal(other.batch(step), first[step]) for step in range(6))


@pytest.mark.parametrize("world", [1, 2, 3, 6])
def test_the_ranks_share_one_global_batch(said: list[Utterance], world: int) -> None:
    images = Images(said, BENT, SPEC, ("digit",))
    for step in range(2):
        parts = [images.batch(step, rank, world) for rank in range(world)]
        whole = images.batch(step)
        assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
        assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)
        assert sum((part.names for part in parts), ()) == whole.names


def test_a_batch_that_cannot_be_shared_is_refused(plain: Images) -> None:
    with pytest.raises(ConfigError, match="a batch of 6 cannot be shared by 4 ranks; take a multiple"):
        plain.batch(0, 0, 4)


def test_every_picture_carries_its_own_labels(plain: Images) -> None:
    for step in range(5):
        batch = plain.batch(step)
        for row, (image, labels) in enumerate(zip(batch.images, batch.labels.tolist(), strict=True)):
            index = place(plain, batch.names[row])
            utterance = plain.utterances[index]
            assert torch.equal(image, plain.image(index))
            assert plain.values["digit"][labels[0]] == utterance.value("digit")
            assert plain.values["speaker"][labels[1]] == utterance.speaker


def test_every_recording_is_drawn_about_as_often(plain: Images) -> None:
    names = [name for step in range(60) for name in plain.batch(step).names]  # 20 times each, on average
    counts = [names.count(str(one.audio_path)) for one in plain.utterances]
    assert min(counts) > 5
    assert max(counts) < 40


def test_a_picture_is_of_the_speech_on_the_corpus_scale(said: list[Utterance], plain: Images) -> None:
    samples = Audio.read(said[4].audio_path).samples
    wanted = to_unit(mel_image(samples, SPEC, bounds=find_speech(samples, SPEC)), plain.bounds)
    assert torch.allclose(plain.image(4), wanted, atol=2e-3)  # kept as 16-bit
    assert plain.batch(0).images.shape == (6, 16, 20)


def test_the_scale_ends_at_the_loudest_value_and_spans_its_range(said: list[Utterance], plain: Images) -> None:
    everything = torch.stack([plain._image(index)[0] for index in range(len(said))])
    assert float(plain.bounds[1]) == float(everything.max())
    assert float(plain.bounds[1] - plain.bounds[0]) <= SPEC.range_db
    narrow, wide = (Images(said, PLAIN, replace(SPEC, range_db=size)) for size in (30.0, 500.0))
    assert float(narrow.bounds[1] - narrow.bounds[0]) == pytest.approx(30.0)
    assert float(wide.bounds[0]) == float(everything.min())
    for images in (narrow, wide):
        shown = torch.stack([images.image(index) for index in range(len(said))])
        assert (float(shown.min()), float(shown.max())) == (0.0, 1.0)


def test_durations_are_of_the_speech_alone(said: list[Utterance], plain: Images) -> None:
    whole = np.array([Audio.read(one.audio_path).duration for one in said])
    around = 700 / 8_000  # silence that the corpus puts at both ends
    assert np.all(plain.durations < whole)
    assert np.all(np.abs(plain.durations - (whole - around)) < 2.5 * SPEC.n_fft / 8_000)
    assert plain.hours == pytest.approx(plain.durations.sum() / 3600)


def test_gain_is_drawn_between_its_ends(said: list[Utterance], plain: Images) -> None:
    wide = replace(SPEC, range_db=500.0)  # which cuts nothing off
    loud, quiet = (Images(said, ImageConfig(batch_size=6, gain_db=(db, db)), wide) for db in (0.0, -6.0))
    shift = 6.0 / float(loud.bounds[1] - loud.bounds[0])
    one, other = loud.batch(3).images, quiet.batch(3).images
    kept = other > 0
    assert torch.allclose((one - other)[kept], torch.full_like(one, shift)[kept], atol=1e-4)
    between = Images(said, ImageConfig(batch_size=6, gain_db=(-6.0, 0.0)), wide).batch(3).images
    assert torch.all(between <= one + 1e-6)
    assert torch.all(between >= other - 1e-6)


@pytest.mark.parametrize("config", [ImageConfig(batch_size=6, warp=0.2), ImageConfig(batch_size=6, shift=0.2)],
                         ids=["warp", "shift"])  # fmt: skip
def test_bending_changes_the_pictures_and_not_what_is_drawn(
    said: list[Utterance], plain: Images, config: ImageConfig
) -> None:
    made, before = Images(said, config, SPEC, ("digit", "speaker")).batch(2), plain.batch(2)
    assert made.names == before.names
    assert torch.equal(made.labels, before.labels)
    assert not any(torch.equal(one, other) for one, other in zip(made.images, before.images, strict=True))
    assert float(made.images.min()) >= 0
    assert float(made.images.max()) <= 1


def test_from_its_step_on_pictures_are_plain(said: list[Utterance], plain: Images) -> None:
    images = Images(said, replace(BENT, shift=0.0, plain_from=3), SPEC, ("digit", "speaker"))
    assert [equal(images.batch(step), plain.batch(step)) for step in range(5)] == [False, False, False, True, True]


def test_without_keys_there_are_no_labels(said: list[Utterance]) -> None:
    images = Images(said, PLAIN, SPEC)
    assert images.values == {}
    assert images.labels.shape == (len(said), 0)
    assert images.batch(0).labels.shape == (6, 0)


def test_a_batch_goes_to_a_device(plain: Images) -> None:
    batch = plain.batch(0).to(torch.device("meta"))
    assert batch.images.is_meta
    assert batch.labels.is_meta
    assert batch.names == plain.batch(0).names


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        ([10, 9, 0, 100, 9], ("0", "9", "10", "100")),
        (["b", "10", "a", "9"], ("9", "10", "a", "b")),
        (["07", "7"], ("7", "07")),
        ([None, "", "x"], ("x",)),
        ([2.5, True], ("2.5", "True")),
    ],
)
def test_values_are_in_order_and_numbers_in_that_of_numbers(there: Sequence[object], wanted: tuple[str, ...]) -> None:
    assert collect_values([about(digit=value) for value in there], "digit") == wanted


def test_a_key_that_nobody_has_lists_those_there_are(said: list[Utterance]) -> None:
    with pytest.raises(
        ManifestError, match="no utterance has 'accent' as a label; choose one of digit, gender, speaker"
    ):
        Images(said, PLAIN, SPEC, ("accent",))


def test_a_label_that_is_missing_or_unknown_is_minus_one() -> None:
    values = {"digit": ("0", "7"), "speaker": ("ann",)}
    rows = [about(digit=7), about(digit=3, speaker="ann"), about(digit=None, speaker="eve"), about(digit="")]
    assert label_indices(rows, values).tolist() == [[1, -1], [-1, 0], [-1, -1], [-1, -1]]
    assert UNKNOWN == -1


def test_a_recording_without_the_key_is_used_without_its_label(said: list[Utterance]) -> None:
    nameless = said[0].model_copy(update={"extra": {}})
    images = Images([nameless, *said[1:]], PLAIN, SPEC, ("digit",))
    assert images.labels[0].tolist() == [UNKNOWN]
    assert UNKNOWN not in images.labels[1:]


@pytest.mark.parametrize("key", ["speaker", "split", "text"])
def test_the_value_of_a_field_is_its_own(key: str) -> None:
    assert about(**{key: "x"}).value(key) == "x"
    assert about().value(key) is None
    assert about(**{key: ""}).value(key) is None


def test_the_value_of_another_key_is_text() -> None:
    said = about(digit=0, take=1.5, none=None)
    assert [said.value(key) for key in ("digit", "take", "none", "nobody", "audio_path")] == ["0", "1.5", *3 * [None]]


@pytest.fixture
def mixed(tmp_path: Path) -> list[Utterance]:
    """One recording that can be used among three that cannot."""
    digit(1, 0, 1.0).write(tmp_path / "good.wav")
    Audio(np.zeros(4_000, dtype=np.float32), 8_000).write(tmp_path / "silent.wav")
    (tmp_path / "text.wav").write_text("these are words")
    names = ("silent.wav", "good.wav", "text.wav", "gone.wav")
    (tmp_path / "m.jsonl").write_text("".join(json.dumps({"audio_path": name, "digit": 1}) + "\n" for name in names))
    return read_manifest(tmp_path / "m.jsonl")


def test_recordings_that_cannot_be_used_are_named_and_left_out(mixed: list[Utterance]) -> None:
    images = Images(mixed, PLAIN, SPEC, ("digit",))
    assert [one.audio_path.name for one in images.utterances] == ["good.wav"]
    assert images.labels.tolist() == [[0]]
    assert len(images.durations) == 1
    assert set(images.batch(0).names) == {str(mixed[1].audio_path)}
    problems = [str(problem) for problem in images.problems]
    assert len(problems) == 3
    for problem, name, reason in zip(
        problems,
        ("silent", "text", "gone"),
        ("there is no speech", "cannot be read as audio", "no such file"),
        strict=True,
    ):
        assert f"{name}.wav" in problem
        assert reason in problem


def test_nothing_that_can_be_used_is_an_error(mixed: list[Utterance]) -> None:
    with pytest.raises(ManifestError, match=r"none of 2 recordings can be used; the first: .*silent.wav: the clip is"):
        Images([mixed[0], mixed[3]], PLAIN, SPEC)
    with pytest.raises(ManifestError, match=r"none of 0 recordings can be used$"):
        Images([], PLAIN, SPEC)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0: it must be at least 1"),
        ({"seed": -1}, "seed is -1: it must be at least 0"),
        ({"warp": 0.6}, "warp is 0.6: it must be at most 0.5"),
        ({"warp": -0.1}, "warp is -0.1"),
        ({"shift": 0.5}, "shift is 0.5: it must be at most 0.4"),
        ({"gain_db": (3.0, -3.0)}, r"gain_db is \(3.0, -3.0\): the lower bound comes first"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ImageConfig(**values)
