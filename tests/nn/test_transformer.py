"""The block that three systems are built of: who looks at whom, at once and one by one; and places."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vocable.errors import ConfigError
from vocable.nn.transformer import TransformerBlock, apply_rotary, sinusoidal_embedding

WIDTH, HEADS, LENGTH = 16, 4, 9


def block(*, causal: bool = False, dropout: float = 0.0) -> TransformerBlock:
    torch.manual_seed(0)
    return TransformerBlock(WIDTH, HEADS, 32, causal=causal, dropout=dropout).eval()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def first(*lengths: int) -> Tensor:
    return torch.arange(LENGTH)[None] < torch.tensor(lengths)[:, None]


@torch.no_grad()
def by_the_book(layer: TransformerBlock, hidden: Tensor, mask: Tensor | None) -> Tensor:
    """The block written with torch's own attention, one head after the other."""
    query, key, value = layer.mixed(layer.before(hidden)).chunk(3, dim=2)
    size = WIDTH // HEADS
    heads = [
        F.scaled_dot_product_attention(
            *(part[:, None, :, start : start + size] for part in (query, key, value)),
            attn_mask=None if mask is None else mask[:, None, None], is_causal=layer.causal,
        )[:, 0]
        for start in range(0, WIDTH, size)
    ]  # fmt: skip
    hidden = hidden + layer.out(torch.cat(heads, dim=2))
    return hidden + layer.contract(F.gelu(layer.expand(layer.between(hidden))))


@pytest.mark.parametrize("lengths", [None, (LENGTH, LENGTH), (LENGTH, 4), (1, 6)])
def test_attention_is_torchs_attention(lengths: tuple[int, int] | None) -> None:
    hidden, mask = noise(2, LENGTH, WIDTH), None if lengths is None else first(*lengths)
    made = block()(hidden, mask)
    wanted = by_the_book(block(), hidden, mask)
    assert torch.allclose(made, wanted, atol=1e-5)
    assert torch.allclose(block(causal=True)(hidden), by_the_book(block(causal=True), hidden, None), atol=1e-5)


@torch.no_grad()
def test_what_lies_at_masked_positions_changes_nothing() -> None:
    mask = first(LENGTH, 5, 1)
    hidden, other = noise(3, LENGTH, WIDTH), noise(3, LENGTH, WIDTH, seed=1) * 1e3
    made, again = (block()(torch.where(mask[..., None], hidden, rest), mask) for rest in (hidden, other))
    assert torch.equal(made[mask], again[mask])
    for row, length in enumerate(mask.sum(1).tolist()):  # nor does it where it is not there at all
        assert torch.allclose(block()(hidden[row : row + 1, :length])[0], made[row, :length], atol=1e-5)


def test_masked_positions_get_no_gradient_of_the_real_ones() -> None:
    mask, hidden = first(5, 3), noise(2, LENGTH, WIDTH).requires_grad_()
    block()(hidden, mask)[mask].square().sum().backward()
    assert hidden.grad is not None
    assert bool((hidden.grad != 0).any(2)[mask].all())
    assert not hidden.grad[~mask].any()


@torch.no_grad()
def test_a_causal_block_does_not_look_ahead() -> None:
    layer, hidden = block(causal=True), noise(1, LENGTH, WIDTH)
    changed = hidden.clone()
    changed[:, 5:] += noise(1, LENGTH - 5, WIDTH, seed=1)
    one, two = layer(hidden), layer(changed)
    assert torch.equal(one[:, :5], two[:, :5])
    assert not torch.isclose(one[:, 5:], two[:, 5:]).all(2).any()
    assert not torch.isclose(block()(hidden), block()(changed)).all(2).any(), "a block that is not causal looks ahead"


@torch.no_grad()
@pytest.mark.parametrize("pieces", [[LENGTH], [1] * LENGTH, [4, 1, 1, 1, 1, 1]])
def test_with_what_is_held_a_causal_block_makes_what_it_makes_at_once(pieces: list[int]) -> None:
    layer, hidden = block(causal=True), noise(2, LENGTH, WIDTH)
    room = (torch.full((2, HEADS, LENGTH, WIDTH // HEADS), 7.0), torch.full((2, HEADS, LENGTH, WIDTH // HEADS), 7.0))
    parts, at = [], 0
    for size in pieces:
        parts.append(layer(hidden[:, at : at + size], cache=(room, at)))
        at += size
    assert torch.allclose(torch.cat(parts, dim=1), layer(hidden), atol=1e-5)


@torch.no_grad()
def test_weights_are_those_that_values_are_summed_with() -> None:
    layer, hidden = block(causal=True), noise(2, LENGTH, WIDTH)
    weights = layer.weights(hidden)
    assert weights.shape == (2, HEADS, LENGTH, LENGTH)
    assert torch.allclose(weights.sum(3), torch.ones(2, HEADS, LENGTH))
    assert not weights.triu(1).any()
    value = layer.mixed(layer.before(hidden))[..., 2 * WIDTH :].unflatten(2, (HEADS, -1)).transpose(1, 2)
    seen = hidden + layer.out((weights @ value).transpose(1, 2).flatten(2))
    made = seen + layer.contract(F.gelu(layer.expand(layer.between(seen))))
    assert torch.allclose(made, layer(hidden), atol=1e-5)


def test_dropout_is_of_training_alone() -> None:
    layer, hidden = block(dropout=0.5), noise(1, LENGTH, WIDTH)
    assert torch.equal(layer(hidden), block()(hidden))
    layer.train()
    assert not torch.equal(layer(hidden), layer(hidden))


def test_in_bfloat16_it_stays_near() -> None:
    hidden, mask = noise(2, LENGTH, WIDTH), first(LENGTH, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = block()(hidden, mask)
    assert torch.allclose(made.float(), block()(hidden, mask), atol=0.1)


@pytest.mark.parametrize("heads", [0, -2, 3, 32])
def test_heads_that_do_not_divide(heads: int) -> None:
    with pytest.raises(ConfigError, match=f"width 16 must be a multiple of heads {heads}"):
        TransformerBlock(WIDTH, heads, 32)


def test_sinusoids_are_sines_then_cosines_of_falling_rates() -> None:
    made = sinusoidal_embedding(torch.tensor([[0, 3], [500, 20_000]]), 10)
    assert made.shape == (2, 2, 10)
    for (row, column), which in product([(0, 0), (0, 1), (1, 0)], range(5)):
        angle = (0, 3, 500)[2 * row + column] / 10_000 ** (which / 4)
        assert float(made[row, column, which]) == pytest.approx(math.sin(angle), abs=1e-4)
        assert float(made[row, column, 5 + which]) == pytest.approx(math.cos(angle), abs=1e-4)
    assert float(made.abs().max()) <= 1.0


@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_sinusoids_of_any_width(width: int) -> None:
    made = sinusoidal_embedding(torch.arange(4), width)
    assert made.shape == (4, width)
    assert bool(made.isfinite().all())
    if width % 2:
        assert not made[:, -1].any()


def test_sinusoids_say_how_far_apart_places_are_and_not_where() -> None:
    places = torch.arange(40)
    near, far = sinusoidal_embedding(places, 32), sinusoidal_embedding(places + 200, 32)
    assert torch.allclose(near @ near.T, far @ far.T, atol=1e-3)


@torch.no_grad()
def test_turned_vectors_say_how_far_apart_they_are_and_not_where() -> None:
    vectors, places = noise(1, 2, LENGTH, 8), torch.rand(1, LENGTH, generator=torch.Generator().manual_seed(1)) * 50
    near, far = apply_rotary(vectors, places), apply_rotary(vectors, places + 300.0)
    assert torch.allclose(near @ near.mT, far @ far.mT, atol=1e-3)
    assert not torch.allclose(near @ near.mT, vectors @ vectors.mT, atol=1e-2)
    assert torch.allclose(near.norm(dim=3), vectors.norm(dim=3), atol=1e-5)
    pairs = torch.view_as_complex(torch.stack(vectors.chunk(2, dim=3), dim=4))
    rates = torch.tensor([10_000 ** (-one / 4) for one in range(4)])
    wanted = torch.view_as_real(pairs * torch.exp(1j * places[:, None, :, None] * rates))
    assert torch.allclose(near, torch.cat(wanted.unbind(4), dim=3), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("causal", [True, False])
def test_a_block_with_positions_knows_how_far_apart_they_are(causal: bool) -> None:
    layer, hidden = block(causal=causal), noise(2, LENGTH, WIDTH)
    places = torch.arange(LENGTH).expand(2, -1).float()
    made = layer(hidden, positions=places)
    assert torch.allclose(made, layer(hidden, positions=places + 70.0), atol=1e-4)
    assert not torch.allclose(made, layer(hidden, positions=3 * places), atol=1e-3)
    assert torch.allclose(layer(hidden), layer(hidden, positions=torch.ones(2, LENGTH)), atol=1e-5)


@torch.no_grad()
def test_positions_are_held_too() -> None:
    layer, hidden, places = block(causal=True), noise(1, LENGTH, WIDTH), torch.rand(1, LENGTH) * 20
    room = (torch.empty(1, HEADS, LENGTH, WIDTH // HEADS), torch.empty(1, HEADS, LENGTH, WIDTH // HEADS))
    parts = [
        layer(hidden[:, start:stop], cache=(room, start), positions=places[:, start:stop])
        for start, stop in ((0, 4), (4, 5), (5, 6), (6, 7), (7, 8), (8, 9))
    ]
    assert torch.allclose(torch.cat(parts, dim=1), layer(hidden, positions=places), atol=1e-5)
