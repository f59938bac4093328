"""Rates are computed from the spec."""

import pytest

from vocable.errors import SpecError
from vocable.tokens import TokenSpec


@pytest.mark.parametrize(
    ("spec", "frame_rate", "token_rate", "bits_per_frame", "bit_rate"),
    [
        # VQ-CTAP: one id of 13 bits for 960 samples at 24 kHz
        (TokenSpec(sample_rate=24_000, hop=960, codebook_size=8192), 25, 25, 13, 325),
        # the units of CosyVoice's first tokenizer
        (TokenSpec(sample_rate=16_000, hop=320, codebook_size=4096), 50, 50, 12, 600),
        # the guided codec
        (TokenSpec(sample_rate=16_000, hop=320, codebook_size=1024, num_codebooks=8), 50, 400, 80, 4000),
        # not a power of two: log2 K bits of information, whatever the file spends
        (TokenSpec(sample_rate=16_000, hop=320, codebook_size=1000), 50, 50, 9.965784, 498.2892),
        (TokenSpec(sample_rate=16_000, hop=320, codebook_size=1), 50, 50, 0, 0),
        (TokenSpec(sample_rate=22_050, hop=256, codebook_size=2), 86.1328125, 86.1328125, 1, 86.1328125),
    ],
)
def test_rates_follow_from_the_spec(
    spec: TokenSpec, frame_rate: float, token_rate: float, bits_per_frame: float, bit_rate: float
) -> None:
    assert (spec.frame_rate, spec.token_rate) == (frame_rate, token_rate)
    assert (spec.bits_per_frame, spec.bit_rate) == (pytest.approx(bits_per_frame), pytest.approx(bit_rate))


@pytest.mark.parametrize(("cells", "token_rate", "bit_rate"), [(2, 1394, 11_150), (4, 349, 2_790)])
def test_a_grid_of_cells_is_a_frame_of_ids_a_column(cells: int, token_rate: float, bit_rate: float) -> None:
    """VQalAttent: an image of 64 × 88 mel values at a hop of 256, a cell for each 2 × 2 or 4 × 4 of them."""
    spec = TokenSpec(sample_rate=22_050, hop=256 * cells, codebook_size=256, num_codebooks=64 // cells)
    paper = 88 * 256 / 22_050 / 1.01  # it divides by the clip's 1.01 s, not by the 1.02 s that 88 columns cover
    assert spec.token_rate * paper == pytest.approx(token_rate, abs=1)
    assert spec.bit_rate * paper == pytest.approx(bit_rate, abs=5)


def test_tokens_that_follow_the_text_have_bits_but_no_rate() -> None:
    taste = TokenSpec(sample_rate=16_000, hop=None, codebook_size=512, num_codebooks=4)
    assert taste.bits_per_frame == 36  # three words a second: the paper's 108 bit/s
    for rate in ("frame_rate", "token_rate", "bit_rate"):
        with pytest.raises(SpecError, match="do not follow the clock; count the frames"):
            getattr(taste, rate)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample_rate", 0),
        ("sample_rate", 1_000_000),
        ("hop", 0),
        ("hop", -1),
        ("codebook_size", 0),
        ("codebook_size", (1 << 24) + 1),
        ("num_codebooks", 0),
        ("num_codebooks", 1025),
    ],
)
def test_a_spec_out_of_range_is_refused(name: str, value: int) -> None:
    with pytest.raises(SpecError, match=rf"{name} is {value}: it must be between 1 and \d+"):
        TokenSpec(**{"sample_rate": 16_000, "hop": 320, "codebook_size": 4} | {name: value})
