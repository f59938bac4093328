"""Rates with all that a clip carries: voices, timing and texts count, in tables, in the catalog and for token files."""

from pathlib import Path
from types import ModuleType

import pytest

import vocable
from vocable.apps.catalog import list_models
from vocable.evaluate.codecs.tokenizer import TokenizerCodec
from vocable.evaluate.describe import describe
from vocable.systems.registry import find_recipe
from vocable.systems.token_format import TokenFormat
from vocable.tokens import Tokens
from vocable_lab.ctap import figures as ctap_figures
from vocable_lab.guided import levels as guided_levels
from vocable_lab.shared import codes
from vocable_lab.shared.rates import CLIP_RATES, RATE_COLUMNS, rate_figures
from vocable_lab.taste import columns as taste_columns

GOLDEN = Path(__file__).parents[1] / "golden"
MODELS = Path(vocable.__file__).parent / "models"
README = (Path(__file__).parents[2] / "README.md").read_text()


def readme_row(name: str) -> str:
    """The row of the main README's table of tokenizers."""
    return next(line for line in README.splitlines() if line.startswith(f"| `{name}` |"))


@pytest.mark.parametrize(
    ("name", "beside", "short", "long"),
    [
        ("guided-small", 0, 4_000, 4_000),
        ("ctap-small", 7_168, 250 + 7_168 / 3, 250 + 7_168 / 10),
        ("vqalattent-fsdd", 96, (2_816 + 96) / 3, (2_816 + 96) / 10),
        ("supervised-small", 256, 250 + 256 / 3, 250 + 256 / 10),
        ("taste-small", 256, None, None),
    ],
)
def test_a_rate_counts_what_is_beside_the_ids(name: str, beside: int, short: float | None, long: float | None) -> None:
    tokenizer = vocable.load(name)
    token_format = tokenizer.format
    voice = Tokens.read(GOLDEN / f"{name}-0.tokens").voice
    width = 0 if voice is None else voice.shape[1]
    assert tokenizer.format.voice_width == width
    rates = tokenizer.format.bit_rate(3.0), tokenizer.format.bit_rate(10.0)
    assert token_format.voice_bits == beside
    if short is not None:
        assert rates == pytest.approx((short, long))
    assert rates[0] > rates[1] or not width
    rows = dict(tuple(row[:2]) for table in tokenizer.describe() for row in table.rows if len(row) == 2)
    shown = next(model.rate for model in list_models() if model.name == name)
    if width:
        assert f"{beside:,} bit a clip" in rows["beside the ids"]
        both = f"{rates[0]:,.0f} bit/s for 3 s, {rates[1]:,.0f} bit/s for 10 s"
        assert rows["bit rate with it"] == tokenizer.format.rate_text() == both
        assert both in shown
        assert both in TokenizerCodec(name, tokenizer).note
        assert both in (MODELS / name / "README.md").read_text()
        assert both in readme_row(name)
    else:
        assert "beside the ids" not in rows
        assert "beside" not in shown


@pytest.mark.parametrize("name", ["guided-small", "ctap-small", "supervised-small"])
def test_reports_have_the_rate_of_the_ids_and_that_of_a_clip(name: str) -> None:
    token_format = vocable.load(name).format
    figures = rate_figures(token_format, 7)
    assert list(figures) == [column.key for column in RATE_COLUMNS] == ["bit_rate", "bit_rate_3s", "bit_rate_10s"]
    both = ", ".join(f"{figures[f'bit_rate_{seconds}s'].mean:,.0f} bit/s for {seconds} s" for seconds in (3, 10))
    assert both == token_format.rate_text()
    assert {figure.n for figure in figures.values()} == {7}


@pytest.mark.parametrize("module", [codes, ctap_figures, guided_levels, taste_columns])
def test_every_report_of_the_laboratory_shows_a_rate_with_the_voice(module: ModuleType) -> None:
    assert {column.key for column in CLIP_RATES} <= {column.key for column in module.COLUMNS}


@pytest.mark.parametrize(("name", "voice_width"), [("ctap-paper", 64)])
def test_recipes_without_weights_state_the_same_rate(name: str, voice_width: int) -> None:
    rows = dict(row[:2] for row in describe(name)[0].rows)
    text = TokenFormat(spec=find_recipe(name).model.spec, voice_width=voice_width).rate_text()
    assert rows["bit rate with it"] == text
    assert text in readme_row(name)
    assert text in (MODELS.parent / "systems" / "ctap" / "README.md").read_text()


def test_no_page_states_a_rate_of_a_voiced_model_without_the_voice() -> None:
    """The main README's table has no bit rate of ids alone in a row whose tokens come with a voice."""
    for name in ("ctap-small", "ctap-paper", "supervised-small", "taste-small", "vqalattent-fsdd"):
        assert readme_row(name).count("bit/s") == 2, name


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
    assert f"{vocable.load(name).format.voice_bits:,.0f} of voices" in rows["contents"]
    assert f"{8 * len((tokens.text or ('',))[0] or ''):,} of texts" in rows["contents"]


def test_tokens_without_side_information_have_their_rate_alone() -> None:
    rows = dict(row[:2] for row in describe(str(GOLDEN / "guided-small-0.tokens"))[0].rows)
    assert "contents" not in rows
