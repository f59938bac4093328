"""Quantized voices: rounding, their bits in token files, round trips, and files that lie about them."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokens.small import SMALL
from tests.tokens.test_broken_files import HEADER, crafted, sealed
from vocable.errors import ArgumentError, SpecError, TokenFileError
from vocable.tokens import Tokens, pack, unpack
from vocable.voices import LIMIT, MAX_LEVELS, pack_voices, round_voice, unpack_voices, voice_bits

LEVELS = [2, 3, 8, 13, 16, 256, 257, MAX_LEVELS]


def quantized(width: int, levels: int, seed: int = 0) -> Tokens:
    voice = 2 * torch.randn(2, width, generator=torch.Generator().manual_seed(seed))
    return replace(SMALL, voice=round_voice(voice, levels), voice_levels=levels)


@pytest.mark.parametrize("levels", LEVELS)
def test_a_value_goes_to_its_nearest_level_and_stays_there(levels: int) -> None:
    grid = np.linspace(-LIMIT, LIMIT, levels)
    values = torch.linspace(-LIMIT, LIMIT, 997)
    rounded = round_voice(values, levels)
    nearest = np.abs(values.numpy()[:, None] - grid).min(1)
    assert np.allclose(np.abs(values.numpy() - rounded.numpy()), nearest, atol=1e-5)
    assert torch.equal(round_voice(rounded, levels), rounded)
    assert round_voice(torch.tensor([-1e9, 1e9]), levels).tolist() == [-LIMIT, LIMIT]
    assert torch.equal(round_voice(-values, levels), -rounded) or levels % 2  # ties at 0 aside, it is symmetric


@given(levels=st.integers(2, MAX_LEVELS), width=st.integers(1, 70), count=st.integers(0, 4), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_every_grid_survives_its_bytes(levels: int, width: int, count: int, seed: int) -> None:
    voices = round_voice(3 * torch.randn(count, width, generator=torch.Generator().manual_seed(seed)), levels)
    data = pack_voices(voices, levels)
    assert 8 * len(data) == count * voice_bits(width, levels)
    assert torch.equal(torch.from_numpy(unpack_voices(data, count, width, levels)), voices)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("width", [1, 5, 64])
def test_a_file_holds_the_bits_that_the_rate_counts(width: int, levels: int) -> None:
    tokens = quantized(width, levels)
    data, without = pack(tokens), pack(replace(tokens, voice_levels=None))
    assert data[8] == 3
    assert without[8] == 2
    again = unpack(data)
    assert again == tokens
    assert again.voice_levels == levels
    assert pack(again) == data
    header = len(f',"voice_levels":{levels}')
    assert len(without) - len(data) == len(tokens) * (4 * width - voice_bits(width, levels) // 8) - header
    assert again != unpack(without)


def test_voices_of_float32_are_written_as_before() -> None:
    assert pack(SMALL)[8] == 2
    assert b"voice_levels" not in pack(SMALL)
    assert b"voice_levels" not in pack(replace(SMALL, voice=None, voice_levels=16))
    assert replace(SMALL, voice=None, voice_levels=16) == replace(SMALL, voice=None)


def test_levels_go_with_clips_and_slices() -> None:
    tokens = quantized(5, 16)
    assert [part.voice_levels for part in (tokens[0], tokens[:1], tokens.keep_levels(1), tokens.to("cpu"))] == [16] * 4


@pytest.mark.parametrize("value", [0.1, float("nan"), float("inf"), 5.0])
def test_a_voice_off_the_grid_is_refused_with_the_way_out(value: float) -> None:
    with pytest.raises(SpecError, match=r"voice is not at the 16 levels .*round_voice\(voice, 16\)"):
        replace(SMALL, voice=torch.full((2, 3), value), voice_levels=16)


@pytest.mark.parametrize("levels", [-1, 0, 1, MAX_LEVELS + 1])
def test_levels_out_of_range_are_refused(levels: int) -> None:
    with pytest.raises(SpecError, match=f"voice_levels is {levels}: it must be between 2 and {MAX_LEVELS}"):
        replace(SMALL, voice_levels=levels)


@pytest.mark.usefixtures("untyped")
def test_levels_of_another_type_are_refused() -> None:
    for levels in ("16", 16.0, True):
        with pytest.raises(ArgumentError, match="voice_levels"):
            replace(SMALL, voice_levels=levels)  # type: ignore[arg-type]


def lying(version: int = 3, payload: bytes = b"\x01\x02\x70", **changes: Any) -> bytes:
    return sealed(
        json.dumps({**HEADER, "voice_width": 2, "voice_levels": 6, **changes}).encode(), payload, version=version
    )


def test_the_crafted_file_is_sound_before_it_is_spoilt() -> None:
    with pytest.raises(TokenFileError, match="promises 3 bytes"):
        unpack(lying(payload=b"\x01\x02"))
    assert unpack(lying(payload=b"\x01\x02\x28")).voice.tolist() == [[-LIMIT, LIMIT]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lying(payload=b"\x01\x02\x07"), r"contradict one another: a voice is at level 7 of 6"),
        (lying(payload=b"\x01\x02\x06"), r"a voice is at level 6 of 6"),
        (lying(voice_levels=1), r"voice_levels is 1"),
        (lying(voice_levels=0), r"voice_levels is 0"),
        (lying(voice_levels=-6), r"voice_levels is -6"),
        (lying(voice_levels=MAX_LEVELS + 1), "voice_levels is 65537"),
        (lying(voice_levels=10**30), "voice_levels is 1"),
        (lying(voice_levels=2.5), "voice_levels is 2.5"),
        (lying(voice_levels=True), "voice_levels is True"),
        (lying(voice_levels="16"), "voice_levels is '16'"),
        (lying(voice_levels=None), r"version 3 without voice_levels"),
        (lying(voice_levels=[16]), "voice_levels is"),
        (lying(voice_width=0, payload=b"\x01\x02"), "voice_levels is 6, but voice_width is 0"),
        (lying(voice_width=1 << 19), "promises 196610 bytes of ids and voices, 3 are there"),
        (lying(version=2), "voice_levels: Unexpected keyword"),
        (lying(version=1), "voice_levels: Unexpected keyword"),
        (crafted(voice_levels=16), "voice_levels: Unexpected keyword"),
    ],
)
def test_a_file_that_lies_about_its_voices_is_refused_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(TokenFileError, match=message) as raised:
        unpack(data)
    assert "\n" not in str(raised.value)
