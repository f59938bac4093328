"""Tokens name the model, the source and the settings that they come from, and only as long as it is true."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.tokens.small import SMALL, same
from vocable.errors import ConfigError
from vocable.systems.base import collate_tokens
from vocable.tokens import Provenance, pack, unpack

SOURCE = "0123456789abcdef" * 4
MADE = Provenance(
    model="tiny", source=SOURCE, settings={"levels": 2, "beam": 8, "text": None, "exact": True, "at": 0.5}
)


def header_of(data: bytes) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(data[14 : 14 + int.from_bytes(data[10:14], "little")])
    return header


@pytest.mark.parametrize(
    "provenance",
    [MADE, Provenance(model="läufe 3.1"), Provenance(source=SOURCE), Provenance(settings={"levels": None})],
)
def test_provenance_is_kept_in_the_file(provenance: Provenance) -> None:
    tokens = replace(SMALL, provenance=provenance)
    again = unpack(pack(tokens))
    assert again.provenance == provenance
    assert [type(value) for value in again.provenance.settings.values()] == [
        type(value) for value in provenance.settings.values()
    ]
    assert same(again, tokens)
    assert pack(again) == pack(tokens)


def test_what_is_not_known_takes_no_room() -> None:
    assert "provenance" not in header_of(pack(SMALL))
    named = replace(SMALL, provenance=Provenance(model="tiny"))
    assert header_of(pack(named))["provenance"] == {"model": "tiny"}
    assert header_of(pack(named)) | {"provenance": 0} == header_of(pack(SMALL)) | {"provenance": 0}


@pytest.mark.parametrize(
    "values",
    [
        {"model": "runs/tiny"},
        {"model": "a\nb"},
        {"source": "abc"},
        {"settings": {"levels": [1]}},
        {"settings": {f"s{number}": 1 for number in range(33)}},
        {"settings": {"at": float("nan")}},
    ],
)
def test_provenance_that_a_file_cannot_hold_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        Provenance(**values)


def test_edited_tokens_name_no_source() -> None:
    tokens = replace(SMALL, provenance=MADE)
    assert tokens.clip(0).provenance == MADE
    kept = Provenance(model="tiny", settings={"beam": 8})  # of the settings what other contents share
    assert tokens.keep_levels(1).provenance == kept
    assert tokens.with_contents(samples=tokens.samples + 1).provenance == kept


def test_a_batch_names_what_all_its_clips_share() -> None:
    one, other = (replace(SMALL, provenance=replace(MADE, source=source)) for source in (SOURCE, "f" * 64))
    assert collate_tokens([one, one]).provenance == MADE
    assert collate_tokens([one, other]).provenance == Provenance(model="tiny", settings={"beam": 8})
    greedy = replace(SMALL, provenance=Provenance(model="tiny"))
    for parts in ([one, greedy], [greedy, one]):
        assert collate_tokens(parts).provenance == Provenance(model="tiny")
