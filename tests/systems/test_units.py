"""Units of tokenizers: the ids of one level, kept by TargetCache, and said again."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.models import ready, ready_ctap, ready_speaker
from tests.s3_graph import SmallS3
from vocable.audio import Audio
from vocable.data.targets import FeatureExtractor, TargetCache
from vocable.errors import CheckpointError, ConfigError, ShapeError, SpecError
from vocable.systems import registry as hub
from vocable.systems.units import TokenizerUnits, UnitSource, UnitsSpec, check_source, find_units, unit_extractor
from vocable.testing import speechlike

CLIP = speechlike(9_000)


def source(level: int = 1) -> TokenizerUnits:
    return TokenizerUnits(ready("spectral"), "mine", level)


@pytest.mark.parametrize("level", [1, 2, 4])
def test_units_are_the_ids_of_a_level(level: int) -> None:
    units = source(level).units(CLIP)
    assert torch.equal(units, ready("spectral").encode(CLIP).ids[0, level - 1])
    assert units.dtype == torch.int64


def test_the_spec_says_which_units_they_are() -> None:
    codec = ready("spectral")
    assert source(2).spec == UnitsSpec(
        name="mine", level=2, digest=codec.digest, sample_rate=16_000, hop=320, size=codec.spec.codebook_size,
        voice_width=0,
    )  # fmt: skip
    assert UnitsSpec(**json.loads(json.dumps(asdict(source(2).spec)))) == source(2).spec
    assert source().spec.frame_rate == 50.0


def test_the_first_level_is_said_as_the_tokenizer_says_it() -> None:
    codec = ready("spectral")
    wanted = codec.decode(codec.encode(CLIP).keep_levels(1)).samples
    units = source().units(CLIP)
    assert np.array_equal(source().speech(units, samples=9_000).samples, wanted)
    whole = source().speech(units)
    assert whole.samples.size == len(units) * 320
    assert np.array_equal(whole.samples[:9_000], wanted)


def test_a_voice_goes_beside_the_units_where_the_tokenizer_has_one() -> None:
    tokenizer = ready_ctap()
    units = TokenizerUnits(tokenizer, "ctap")
    clip, other = speechlike(8_000, 8_000), speechlike(8_000, 8_000, 5)
    voice = units.voice(clip)
    assert voice is not None
    assert voice.shape == (units.spec.voice_width,) == (tokenizer.config.voice_size,)
    tokens = tokenizer.encode(clip)
    wanted = tokenizer.decode(replace(tokens, voice=voice[None])).samples
    assert np.array_equal(units.speech(units.units(clip), voice, samples=8_000).samples, wanted)
    moved = units.speech(units.units(clip), units.voice(other), samples=8_000).samples
    assert not np.array_equal(moved, wanted)
    with pytest.raises(SpecError, match=r"needs a voice of shape \(72,\), not none; `voice` gives one"):
        units.speech(units.units(clip))
    with pytest.raises(SpecError, match=r"not \(3,\)"):
        units.speech(units.units(clip), torch.zeros(3))


def test_a_codec_without_a_voice_has_none() -> None:
    assert source().voice(CLIP) is None
    assert isinstance(source(), UnitSource)


def test_only_the_first_level_is_speech() -> None:
    with pytest.raises(ConfigError, match="mine, level 2: has no decoder of its own; give level 1"):
        source(2).speech(source(2).units(CLIP))


@pytest.mark.parametrize(
    ("units", "samples", "error", "message"),
    [
        (torch.zeros(0, dtype=torch.long), None, ShapeError, r"units have shape \(0,\)"),
        (torch.tensor([0, 10**6]), None, SpecError, r"units of mine are integers in \[0, "),
        (torch.tensor([0, -1]), None, SpecError, r"units of mine are integers in \[0, "),
        (torch.tensor([0, 1]), 641, SpecError, "641 samples of 2 units: they give 1 to 640"),
        (torch.tensor([0, 1]), 0, SpecError, "0 samples of 2 units"),
    ],
)
def test_units_that_cannot_be_said(units: Tensor, samples: int | None, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        source().speech(units, samples=samples)


def test_targets_keep_whole_numbers(tmp_path: Path) -> None:
    heard = unit_extractor(source(2))
    assert isinstance(heard, FeatureExtractor)
    targets = TargetCache(heard, tmp_path / "kept")
    CLIP.write(tmp_path / "a.wav")
    clip = Audio.read(tmp_path / "a.wav")
    assert torch.equal(targets.ids(targets.store(tmp_path / "a.wav", clip)), source(2).units(clip))
    with pytest.raises(CheckpointError, match="another teacher"):
        TargetCache(unit_extractor(source(1)), tmp_path / "kept")


def test_listeners_of_two_levels_are_two() -> None:
    one, two = unit_extractor(source(1)), unit_extractor(source(2))
    assert one.digest != two.digest
    assert (one.frame_rate, one.sample_rate, one.width) == (50.0, 16_000, ready("spectral").spec.codebook_size)


# ---- by name --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "level", "hop", "voice"),
    [("guided-small:1", 1, 320, 0), ("guided-small", 1, 320, 0), ("guided-small:3", 3, 320, 0)],
)
def test_units_in_the_box(text: str, level: int, hop: int, voice: int) -> None:
    spec = find_units(text, hub.load).spec
    assert (spec.name, spec.level, spec.hop, spec.voice_width) == ("guided-small", level, hop, voice)
    assert spec.digest == hub.load("guided-small").digest


def test_a_speaker_in_the_box() -> None:
    found = find_units("ctap-small", hub.load)
    units, voice = found.units(CLIP), found.voice(CLIP)
    assert found.spec.voice_width == len(voice) > 0  # type: ignore[arg-type]
    assert found.speech(units, voice).samples.size == len(units) * found.spec.hop


def test_a_folder_with_or_without_a_level(tmp_path: Path) -> None:
    for folder in (tmp_path / "model", tmp_path / "odd:2"):
        ready("spectral").save(folder)
    assert find_units(f"{tmp_path / 'model'}:2", hub.load).spec.level == 2
    assert find_units(str(tmp_path / "odd:2"), hub.load).spec.level == 1
    assert find_units(f"{tmp_path / 'odd:2'}:3", hub.load).spec.level == 3


def test_s3_by_file_and_by_folder(tmp_path: Path) -> None:
    network = SmallS3()
    file = network.write(tmp_path / "speech_tokenizer_v1.onnx")
    for text in (f"s3:{file}", f"s3:{tmp_path}"):
        found = find_units(text, hub.load)
        assert (found.spec.name, found.spec.size, found.spec.hop) == (text, 4096, 320)
        assert torch.equal(found.units(CLIP), network.units(CLIP))
    with pytest.raises(CheckpointError, match="no S3 tokenizer"):
        find_units("s3:", hub.load)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("guided-small:9", ConfigError, "guided-small: has levels 1 to 8, not 9"),
        ("guided-small:0", ConfigError, "guided-small: has levels 1 to 8, not 0"),
        ("guided-small:9999", ConfigError, "guided-small: has levels 1 to 8, not 9999"),
        ("guided-small:" + "9" * 5000, CheckpointError, "no such model"),
        ("a" * 5000 + ":1", CheckpointError, "no such model"),
        ("vqalattent-fsdd", ConfigError, "have no fixed frame rate, so they are no units"),
        ("nobody", CheckpointError, "units 'nobody': nobody: no such model.*units are NAME or NAME:LEVEL"),
        ("guided-small:one", CheckpointError, "no such model"),
        ("", CheckpointError, "units ''"),
    ],
)
def test_names_that_give_no_units(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        find_units(text, hub.load)


def test_a_picture_of_an_utterance_is_no_clock() -> None:
    with pytest.raises(ConfigError, match="pictures: its tokens have no fixed frame rate"):
        TokenizerUnits(ready_speaker(), "pictures")


# ---- the units a model was trained on -------------------------------------------------------------------------------


def test_the_same_units_elsewhere_are_the_same() -> None:
    mine, elsewhere = source(), replace(source().spec, name="/another/place")
    assert mine.spec != elsewhere
    assert check_source(mine, elsewhere) is None, "only the name differs"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"digest": "sha256:other"},
            r"mine, level 1: units of another model \(sha256:.*trained on mine, level 1 \(sha256:other\)",
        ),
        ({"level": 2}, "trained on mine, level 2"),
        ({"size": 7}, "one of the two was altered"),
        ({"hop": 640}, "one of the two was altered"),
    ],
)
def test_units_of_another_model_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check_source(source(), replace(source().spec, **change))


@pytest.mark.slow
def test_units_know_no_hub() -> None:
    code = "import sys, vocable.systems.units; print('vocable.systems.registry' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "False"


def test_units_are_known_by_an_earlier_digest_of_their_weights() -> None:
    codec = ready("spectral")
    migrated = type(codec)(codec.model, aliases=("sha256:of-format-1",))
    pinned = replace(TokenizerUnits(codec, "mine").spec, digest="sha256:of-format-1")
    check_source(TokenizerUnits(migrated, "mine"), pinned)
    with pytest.raises(SpecError, match="units of another model"):
        check_source(TokenizerUnits(codec, "mine"), pinned)
