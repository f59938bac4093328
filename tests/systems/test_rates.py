"""Rates with all that a clip carries: voices, timing and texts count, in tables, in the catalog and for token files."""

from pathlib import Path

import pytest

import vocable
from vocable.apps.catalog import list_models
from vocable.evaluate.describe import describe
from vocable.tokens import Tokens

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize(
    ("name", "beside", "short", "long"),
    [
        ("guided-small", 0, 4_000, 4_000),
        ("ctap-small", 7_168, 250 + 7_168 / 3, 250 + 7_168 / 10),
        ("vqalattent-fsdd", 96, (2_816 + 96) / 3, (2_816 + 96) / 10),
        ("supervised-small", None, None, None),
        ("taste-small", None, None, None),
    ],
)
def test_a_rate_counts_what_is_beside_the_ids(
    name: str, beside: int | None, short: float | None, long: float | None
) -> None:
    tokenizer = vocable.load(name)
    voice = Tokens.read(GOLDEN / f"{name}-0.tokens").voice
    width = 0 if voice is None else voice.shape[1]
    assert tokenizer.format.voice_width == width
    rates = tokenizer.format.bit_rate(3.0), tokenizer.format.bit_rate(10.0)
    if beside is not None:
        assert 32 * width == beside
        assert rates == pytest.approx((short, long))
    assert rates[0] > rates[1] or not width
    rows = dict(tuple(row[:2]) for table in tokenizer.describe() for row in table.rows if len(row) == 2)
    shown = next(model.rate for model in list_models() if model.name == name)
    if width:
        assert f"{32 * width:,} bit a clip" in rows["beside the ids"]
        both = [f"{rate:,.0f} bit/s for a clip of {seconds} s" for rate, seconds in zip(rates, (3, 10), strict=True)]
        assert rows["bit rate with it"] == ", ".join(both)
        assert f"{rates[0]:.0f} bit/s for 3 s, {rates[1]:.0f} bit/s for 10 s" in shown
    else:
        assert "beside the ids" not in rows
        assert "beside" not in shown


def test_text_counts_where_tokens_stand_for_it() -> None:
    taste = vocable.load("taste-small").format
    assert taste.text_bits > 5
    ids_alone = 3 * taste.spec.bits_per_frame
    assert taste.bit_rate(10.0) > ids_alone + 3 * taste.text_bits


@pytest.mark.parametrize("name", ["ctap-small", "taste-small", "supervised-small", "vqalattent-fsdd"])
def test_inspect_of_a_file_counts_its_contents(name: str) -> None:
    tokens = Tokens.read(GOLDEN / f"{name}-0.tokens")
    rows = dict(row[:2] for row in describe(str(GOLDEN / f"{name}-0.tokens"))[0].rows)
    assert tokens.voice is not None
    assert f"{32 * tokens.voice.shape[1]:,} of voices" in rows["contents"]
    assert f"{8 * len((tokens.text or ('',))[0] or ''):,} of texts" in rows["contents"]


def test_tokens_without_side_information_have_their_rate_alone() -> None:
    rows = dict(row[:2] for row in describe(str(GOLDEN / "guided-small-0.tokens"))[0].rows)
    assert "contents" not in rows
