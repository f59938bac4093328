"""Tokenizers with a voice: models of vocable 0.1 are migrated, and few functions lie between audio and ids."""

import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

import vocable
from vocable.errors import CheckpointError
from vocable.systems.supervised.recipe import tiny
from vocable.systems.voiced import VoicedTokenizer, measure_scale, voice_alarms
from vocable.testing import speechlike
from vocable.vocoders.scaled import SpectraModel

LIBRARY = str(Path(vocable.__file__).parent)
BUNDLED = ("ctap-small",)  # of format 1; see test_format_1.py for those that vocable 0.1 had


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_model_is_migrated_and_keeps_its_digest_as_an_alias(name: str, tmp_path: Path) -> None:
    before = json.loads((Path(LIBRARY) / "models" / name / "model.json").read_text())
    tokenizer = vocable.load(name)
    assert before["format"] == 1
    assert tokenizer.aliases == (before["digest"],)
    assert tokenizer.digest != before["digest"]
    tokenizer.save(tmp_path)
    described = json.loads((tmp_path / "model.json").read_text())
    assert (described["format"], described["digest"]) == (2, tokenizer.digest)
    again = vocable.load(tmp_path)
    assert (again.config, again.digest, again.aliases) == (tokenizer.config, tokenizer.digest, tokenizer.aliases)
    for key, value in tokenizer.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[key], value), key


@pytest.mark.parametrize("change", [{"phonemes": ["AA"]}, {"mel": None}, {"more": 1}], ids=str)
@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.usefixtures("untyped")
def test_a_hostile_folder_of_format_1_is_refused(name: str, change: dict[str, object], tmp_path: Path) -> None:
    source = Path(LIBRARY) / "models" / name
    described = json.loads((source / "model.json").read_text())
    described["config"] |= change
    (tmp_path / "model.json").write_text(json.dumps(described))
    (tmp_path / "model.safetensors").symlink_to(source / "model.safetensors")
    with pytest.raises(CheckpointError, match="copy the model again"):
        vocable.load(tmp_path)


def test_from_audio_to_ids_there_are_few_calls_and_files(voiced: VoicedTokenizer[Any]) -> None:
    """At most 4 nested calls of the library's functions up to the quantizer, and functions of at most 16 files."""
    clip, files, depths = speechlike(16_000, voiced.spec.sample_rate), set[str](), list[int]()
    voiced.encode(clip)

    def library_calls(frame: FrameType | None) -> int:
        count = 0
        while frame is not None:
            count += frame.f_code.co_filename.startswith(LIBRARY)
            frame = frame.f_back
        return count

    def trace(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(LIBRARY):
            is_check = frame.f_code.co_filename.endswith(("numerics.py", "arguments.py", "systems/weights.py"))
            if not depths and not is_check:  # the way of the clip begins after the checks of every call
                files.add(frame.f_code.co_filename)
            if frame.f_code.co_qualname == "ResidualVectorQuantizer.encode":
                depths.append(library_calls(frame))

    sys.setprofile(trace)
    try:
        voiced.encode(clip)
    finally:
        sys.setprofile(None)
    assert depths
    assert max(depths) <= 4
    assert len(files) <= 16, sorted(files)


def test_a_configuration_is_described_as_its_trained_model_is(voiced: VoicedTokenizer[Any]) -> None:
    [planned] = voiced.describe_config(voiced.config)
    trained, codebook = voiced.describe()
    assert set(planned.rows) <= set(trained.rows)
    assert trained.rows[0] == ("digest", voiced.digest)
    assert codebook.rows


def test_the_scale_is_measured_on_clips_evenly_spaced() -> None:
    asked: list[int] = []

    def read(index: int) -> Any:
        asked.append(index)
        return speechlike(160, 16_000, index).samples

    model = SpectraModel(tiny().model.mel)
    measure_scale(model, 2_001, read)
    assert (len(asked), asked[:2], asked[-1]) == (500, [0, 4], 2_000)
    assert float(model.middle.std()) > 0


def test_a_voice_that_carries_nothing_is_reported_once_it_counts() -> None:
    assert voice_alarms(torch.tensor(0.5), 0.5, 1.0) == (
        "KL is at its floor of 0.5 nat: the voice embedding carries no information",
    )
    assert voice_alarms(torch.tensor(0.5), 0.5, 0.0) == voice_alarms(torch.tensor(0.6), 0.5, 1.0) == ()
