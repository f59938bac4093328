"""Codebook usage: counts of real frames, and bits."""

import math

import pytest
import torch

from vocable.errors import ShapeError
from vocable.metrics.codebook import bit_rates, codebook_usage
from vocable.tokens import TokenSpec


def lengths(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


def test_a_codebook_used_alike_has_all_its_bits() -> None:
    ids = torch.arange(64).reshape(1, 1, 64)
    (level,) = codebook_usage(ids, lengths(64), 64)
    assert (level.level, level.frames, level.distinct, level.dead, level.used) == (1, 64, 64, 0, 1.0)
    assert level.entropy == pytest.approx(6.0)
    assert level.perplexity == pytest.approx(64.0)
    assert level.top_share == pytest.approx(1 / 64)


def test_a_constant_level_carries_nothing() -> None:
    (level,) = codebook_usage(torch.full((2, 1, 5), 3), lengths(5, 2), 8)
    assert (level.frames, level.distinct, level.dead, level.used) == (7, 1, 7, 1 / 8)
    assert (level.entropy, level.perplexity, level.top_share) == (0.0, 1.0, 1.0)
    assert math.copysign(1, level.entropy) == 1.0  # never "-0.0"


def test_entropy_is_shannons() -> None:
    ids = torch.tensor([[[0, 0, 0, 0, 1, 1, 2, 3]]])
    (level,) = codebook_usage(ids, lengths(8), 1024)
    assert level.entropy == pytest.approx(1.75)  # 1/2 · 1 + 1/4 · 2 + 2 · 1/8 · 3
    assert level.reachable == 8


def test_padding_does_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 16, (3, 2, 40), generator=generator)
    real = lengths(40, 0, 13)
    wanted = codebook_usage(torch.cat([ids[0], ids[2, :, :13]], dim=1)[None], lengths(53), 16)
    for padding in (0, 15, -1, 99):
        padded = ids.clone()
        padded[1], padded[2, :, 13:] = padding, padding
        assert codebook_usage(padded, real, 16) == wanted


def test_the_order_and_names_of_ids_do_not_matter() -> None:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 32, (1, 1, 200), generator=generator)
    renamed = torch.randperm(32, generator=generator)[ids][..., torch.randperm(200, generator=generator)]
    (before,), (after,) = codebook_usage(ids, lengths(200), 32), codebook_usage(renamed, lengths(200), 32)
    assert after.distinct == before.distinct
    assert after.entropy == pytest.approx(before.entropy)
    assert 0 < after.entropy <= math.log2(after.reachable)


def test_without_a_frame_ratios_are_undefined() -> None:
    levels = codebook_usage(torch.zeros(1, 2, 3, dtype=torch.int64), lengths(0), 8)
    assert [level.level for level in levels] == [1, 2]
    for level in levels:
        assert (level.frames, level.distinct, level.dead, level.reachable) == (0, 0, 8, 0)
        assert all(math.isnan(value) for value in (level.used, level.entropy, level.perplexity, level.top_share))
    assert math.isnan(bit_rates(levels, 50.0).entropy_coded)
    assert bit_rates(levels, 50.0).nominal == 300.0


@pytest.mark.parametrize("wrong", [-1, 8])
def test_ids_of_another_codebook_are_refused(wrong: int) -> None:
    ids = torch.zeros(1, 1, 4, dtype=torch.int64)
    ids[0, 0, 2] = wrong
    with pytest.raises(ShapeError, match="codebook_size is 8"):
        codebook_usage(ids, lengths(4), 8)


def test_bit_rates_agree_with_the_spec_and_the_counts() -> None:
    spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=1024, num_codebooks=8)
    ids = torch.randint(0, 1024, (1, 8, 500), generator=torch.Generator().manual_seed(2))
    levels = codebook_usage(ids, lengths(500), 1024)
    rates = bit_rates(levels, spec.frame_rate)
    assert rates.nominal == spec.bit_rate
    assert rates.entropy_coded == pytest.approx(50 * sum(level.entropy for level in levels))
    assert rates.entropy_coded < rates.nominal
    assert bit_rates(levels[:2], spec.frame_rate).nominal == spec.bit_rate / 4
