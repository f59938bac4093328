"""Finite scalar quantization against its definition: every id, both ways, gradients, masks and counts."""

from itertools import product
from math import prod

import numpy as np
import pytest
import torch

from tests.quantizers.latents import everywhere, noise
from vocable.errors import ConfigError
from vocable.quantizers import FiniteScalarQuantizer, VectorQuantizer
from vocable.quantizers.fsq import SummedFsq

LEVELS = [(8, 5), (2, 2, 2), (3,), (4, 3, 7), (8, 8, 8), (2,), (16, 5)]
DIM = 6
EVERY = pytest.mark.parametrize("levels", LEVELS, ids=str)


def quantizer(levels: tuple[int, ...], dim: int = DIM) -> FiniteScalarQuantizer:
    torch.manual_seed(0)
    return FiniteScalarQuantizer(levels=levels, dim=dim)


def plain(levels: tuple[int, ...]) -> FiniteScalarQuantizer:
    """Without the linear layers: latents are the numbers."""
    made = quantizer(levels, len(levels))
    with torch.no_grad():
        for layer in (made.narrow, made.widen):
            layer.weight.copy_(torch.eye(len(levels)))
            layer.bias.zero_()
    return made


def by_the_paper(numbers: np.ndarray, levels: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """One number after the other, as in the paper's appendix: bound, round, scale; and the id, first number fastest."""
    values, ids = np.zeros_like(numbers), np.zeros(len(numbers), dtype=np.int64)
    step = 1
    for place, count in enumerate(levels):
        half = (count - 1) * (1 + 1e-3) / 2
        offset = 0.5 if count % 2 == 0 else 0.0
        bounded = np.tanh(numbers[:, place] + np.arctanh(offset / half)) * half - offset
        whole = np.round(bounded)
        values[:, place] = whole / (count // 2)
        ids += (whole + count // 2).astype(np.int64) * step
        step *= count
    return values, ids


def test_summed_quantizers_are_those_alone_added_up() -> None:
    torch.manual_seed(0)
    fsq, latents = SummedFsq(num_codebooks=3, levels=(4, 4), dim=DIM), noise(2, 7, DIM)
    mask = everywhere(latents)
    mask[1, 5:] = False
    made, parts = fsq(latents, mask), [part(latents, mask) for part in fsq.codebooks]
    assert torch.equal(made.latents, sum(part.latents for part in parts))
    assert torch.equal(made.ids, torch.cat([part.ids for part in parts], dim=1))
    assert made.levels.shape == (3, 2, 7, DIM)
    assert {name: len(value) for name, value in made.stats.items()}["perplexity"] == 3
    ids = fsq.encode(latents)
    assert torch.equal(ids[0], made.ids[0])
    assert torch.allclose(fsq.decode(ids)[0], made.latents[0], atol=1e-6)
    prefix = sum(part.decode(ids[:, level : level + 1]) for level, part in enumerate(fsq.codebooks[:2]))
    assert torch.allclose(fsq.decode(ids[:, :2]), prefix)
    made.latents.sum().backward()
    assert all(part.narrow.weight.grad.abs().sum() > 0 for part in fsq.codebooks)


@EVERY
def test_it_is_the_papers_definition(levels: tuple[int, ...]) -> None:
    fsq = plain(levels).eval()
    numbers = 3 * noise(1, 2_000, len(levels))
    values, ids = by_the_paper(numbers[0].double().numpy(), levels)
    made = fsq(numbers, everywhere(numbers))
    agree = made.ids[0, 0].numpy() == ids
    assert agree.mean() > 0.999  # a number between two values may fall to either in float32
    assert np.allclose(made.latents.detach()[0].numpy()[agree], values[agree], atol=1e-6)
    assert torch.equal(fsq.encode(numbers), made.ids)


@EVERY
def test_every_id_is_a_combination_of_its_own_that_latents_reach(levels: tuple[int, ...]) -> None:
    fsq = plain(levels)
    size = prod(levels)
    assert fsq.codebook_size == size
    every = torch.arange(size)[None, None]
    vectors = fsq.decode(every)[0]
    assert torch.unique(vectors, dim=0).shape == (size, len(levels))
    grid = [[(value - count // 2) / (count // 2) for value in range(count)] for count in levels]
    wanted = torch.tensor([combination[::-1] for combination in product(*reversed(grid))])
    assert torch.allclose(vectors, wanted)
    # Far out and between: latents whose numbers lie in the middle of every value's stretch.
    middle = [torch.atanh(((torch.arange(count) - count // 2 + 0.5 * (count % 2 == 0)) / ((count - 1) * 1.001 / 2))
                          .clamp(-0.9999, 0.9999)) for count in levels]  # fmt: skip
    shift = [torch.atanh(torch.tensor(0.5 * (count % 2 == 0) / ((count - 1) * 1.001 / 2))) for count in levels]
    points = torch.tensor([one[::-1] for one in product(
        *reversed([(part - away).tolist() for part, away in zip(middle, shift, strict=True)]))])  # fmt: skip
    assert torch.equal(fsq.encode(points[None])[0, 0], every[0, 0])


@EVERY
def test_no_latent_falls_outside(levels: tuple[int, ...]) -> None:
    fsq = plain(levels)
    latents = torch.cat([noise(1, 50, len(levels)) * scale for scale in (1e-6, 1.0, 10.0, 1e4, 1e30)], dim=1)
    ids = fsq.encode(latents)
    assert int(ids.min()) >= 0
    assert int(ids.max()) < fsq.codebook_size
    assert torch.equal(fsq(latents, everywhere(latents)).ids, ids)


def test_the_middle_is_a_value_of_its_own() -> None:
    """Zero lies on a value, for odd and for even counts: the paper's shift."""
    for levels in LEVELS:
        fsq = plain(levels)
        assert not fsq.decode(fsq.encode(torch.zeros(1, 1, len(levels)))).any()


@EVERY
def test_what_is_decoded_is_what_training_saw(levels: tuple[int, ...]) -> None:
    fsq = quantizer(levels)
    latents = noise(3, 20, DIM)
    made = fsq(latents, everywhere(latents))
    assert torch.allclose(fsq.decode(made.ids), made.latents, atol=1e-6)
    assert torch.equal(made.levels[0], made.latents)


def test_the_gradient_passes_the_rounding() -> None:
    """As if nothing were rounded: that of tanh alone, scaled to the values."""
    fsq = plain((5, 8))
    latents = (0.3 * noise(1, 30, 2)).requires_grad_()
    fsq(latents, everywhere(latents)).latents.sum().backward()
    tops = torch.tensor([4.0, 7.0]) * 1.001 / 2
    shift = torch.atanh(torch.tensor([0.0, 0.5]) / tops)
    wanted = tops * (1 - torch.tanh(latents.detach() + shift) ** 2) / torch.tensor([2.0, 4.0])
    assert torch.allclose(latents.grad, wanted, rtol=1e-4)


def test_both_linear_layers_learn() -> None:
    fsq = quantizer((5, 8))
    latents = noise(2, 30, DIM).requires_grad_()
    fsq(latents, everywhere(latents)).latents.square().sum().backward()
    assert all(bool(parameter.grad.any()) for parameter in fsq.parameters())
    assert bool(latents.grad.any())


def test_padding_is_nothing_and_is_not_counted() -> None:
    fsq = quantizer((4, 4)).train()
    latents = noise(2, 10, DIM)
    mask = torch.arange(10)[None] < torch.tensor([10, 3])[:, None]
    made = fsq(latents, mask)
    assert not made.ids[1, :, 3:].any()
    assert not made.latents[1, 3:].any()
    other = quantizer((4, 4)).train()
    again = other(torch.where(mask[..., None], latents, 50.0), mask)
    assert torch.equal(again.ids, made.ids)
    assert torch.equal(again.latents, made.latents)
    assert torch.equal(other.counts, fsq.counts)
    wanted = torch.bincount(made.ids[:, 0][mask], minlength=16).float()
    assert torch.allclose(fsq.counts, 0.01 * wanted)


def test_counts_move_in_training_alone_and_not_with_what_is_not_finite() -> None:
    fsq = quantizer((4, 4)).train()
    latents = noise(2, 10, DIM)
    fsq(latents, everywhere(latents))
    before = fsq.counts.clone()
    bad = latents.clone()
    bad[0, 0, 0] = float("nan")
    fsq(bad, everywhere(bad))
    fsq.eval()(latents, everywhere(latents))
    fsq.encode(latents)
    assert torch.equal(fsq.counts, before)
    fsq.train()(latents, everywhere(latents))
    assert torch.allclose(fsq.counts, before * 1.99, rtol=1e-5)


def test_statistics_by_hand() -> None:
    fsq = quantizer((2, 2))
    fsq.counts.copy_(torch.tensor([4.0, 2.0, 2.0, 0.0]))
    stats = {name: float(value) for name, value in fsq.stats().items()}
    assert stats == pytest.approx({"used": 0.75, "perplexity": 2**1.5, "entropy": 1.5, "dead": 1.0, "restarts": 0.0})
    assert fsq.codebooks == [fsq]
    fresh = {name: float(value) for name, value in quantizer((2, 2)).stats().items()}
    assert fresh == pytest.approx({"used": 0.0, "perplexity": 1.0, "entropy": 0.0, "dead": 4.0, "restarts": 0.0})


def test_it_is_a_quantizer_like_the_others() -> None:
    fsq = quantizer((4, 8))
    latents = noise(2, 5, DIM)
    other = VectorQuantizer(codebook_size=32, dim=DIM)
    made, beside = (one(latents, everywhere(latents)) for one in (fsq, other))
    for field in ("ids", "latents", "levels"):
        assert getattr(made, field).shape == getattr(beside, field).shape
        assert getattr(made, field).dtype == getattr(beside, field).dtype
    assert {name: value.shape for name, value in made.stats.items()} == {
        name: value.shape for name, value in beside.stats.items()
    }
    assert made.losses == {}
    assert (fsq.num_codebooks, fsq.codebook_size, fsq.dim) == (1, 32, DIM)


def test_in_bfloat16_ids_are_those_of_float32() -> None:
    fsq = quantizer((8, 8, 8)).eval()
    latents = noise(2, 200, DIM).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = fsq(latents, everywhere(latents))
    assert made.latents.dtype == torch.float32
    assert torch.equal(made.ids, fsq.encode(latents.float()))


def test_its_state_comes_back_also_onto_a_network_without_memory() -> None:
    """Models are read onto the meta device: what is not in the file would stay there."""
    fsq = quantizer((4, 3, 2)).train()
    latents = noise(2, 40, DIM)
    fsq(latents, everywhere(latents))
    assert sorted(fsq.state_dict()) == ["counts", "narrow.bias", "narrow.weight", "widen.bias", "widen.weight"]
    with torch.device("meta"):
        again = FiniteScalarQuantizer(levels=(4, 3, 2), dim=DIM)
    again.load_state_dict(fsq.state_dict(), assign=True)
    again = again.to("cpu")
    ids = fsq.encode(latents)
    assert torch.equal(again.encode(latents), ids)
    assert torch.equal(again.decode(ids), fsq.decode(ids))
    assert torch.equal(again.counts, fsq.counts)


@pytest.mark.parametrize("levels", [(), (1,), (8, 0, 4), (4, -2)])
def test_levels_that_hold_nothing(levels: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="expected at least one scalar, each of at least 2 values"):
        FiniteScalarQuantizer(levels=levels, dim=DIM)
