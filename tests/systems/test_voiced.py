"""Tokenizers with a voice: models of vocable 0.1 are migrated, and few functions lie between audio and ids."""

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import vocable
from vocable.systems.supervised.recipe import tiny
from vocable.systems.voiced import VoicedTokenizer, measure_scale, voice_alarms
from vocable.testing import speechlike
from vocable.vocoders.scaled import SpectraModel

LIBRARY = str(Path(vocable.__file__).parent)


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
