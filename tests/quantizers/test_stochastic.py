"""Selection by chance."""

from dataclasses import fields
from math import log

import pytest
import torch
from torch import Tensor

from tests.quantizers.latents import DIM, SIZE, everywhere, noise
from tests.states import same, state
from vocable.errors import ConfigError
from vocable.quantizers import (
    Quantized,
    StochasticVectorQuantizer,
    VectorQuantizer,
)


def with_entries(entries: Tensor, **settings: float) -> StochasticVectorQuantizer:
    """A quantizer that has begun, with these entries."""
    quantizer = StochasticVectorQuantizer(
        codebook_size=entries.shape[0], dim=entries.shape[1], restart_below=0.0, **settings
    )
    book = quantizer.codebooks[0]
    with torch.no_grad():
        book.entries.copy_(entries)
    book.counts.fill_(1.0)
    book.updates.fill_(1)
    return quantizer


def run(quantizer: StochasticVectorQuantizer, latents: Tensor, seed: int = 0, mask: Tensor | None = None) -> Quantized:
    torch.manual_seed(seed)
    return quantizer(latents, everywhere(latents) if mask is None else mask)


def test_in_use_the_nearest_entry_is_taken() -> None:
    quantizer = with_entries(noise(SIZE, DIM)).eval()
    latents = noise(3, 50, DIM, seed=1)
    wanted = torch.cdist(latents, quantizer.codebooks[0].entries.detach()).argmin(2)
    assert torch.equal(quantizer.encode(latents)[:, 0], wanted)
    made = [run(quantizer, latents, seed) for seed in (1, 2)]
    for quantized in made:
        assert torch.equal(quantized.ids[:, 0], wanted)
        assert torch.equal(quantized.latents, quantizer.decode(quantized.ids))
        assert torch.equal(quantized.levels[0], quantized.latents)


def test_in_use_nothing_moves() -> None:
    quantizer = with_entries(noise(SIZE, DIM)).eval()
    before = state(quantizer)
    run(quantizer, noise(2, 20, DIM, seed=1))
    assert same(state(quantizer), before)


@pytest.mark.parametrize("term", ["commitment", "uniformity", "mixture"])
def test_every_term_is_finite_and_reaches_the_encoder(term: str) -> None:
    quantizer = StochasticVectorQuantizer(codebook_size=SIZE, dim=DIM)
    latents = noise(2, 20, DIM).requires_grad_()
    made = run(quantizer, latents)
    assert set(made.losses) == {"commitment", "uniformity"}
    value = made.latents.square().sum() if term == "mixture" else made.losses[term]
    assert torch.isfinite(value)
    value.backward()
    assert torch.isfinite(latents.grad).all()
    assert latents.grad.abs().sum() > 0


def test_entries_learn_from_what_is_made_of_them_and_from_uniformity() -> None:
    quantizer = with_entries(noise(SIZE, DIM))
    for value in (
        lambda made: made.latents.square().sum(),
        lambda made: made.losses["uniformity"],
        lambda made: made.losses["commitment"],
    ):
        quantizer.zero_grad()
        value(run(quantizer, noise(2, 20, DIM, seed=1))).backward()
        gradient = quantizer.codebooks[0].entries.grad
        assert torch.isfinite(gradient).all()
        assert torch.all(gradient.abs().sum(1) > 0), "an entry has no gradient"


def test_commitment_alone_pulls_rows_and_not_entries_together() -> None:
    """Two rows at the one entry there is: its distance is that of the rows, with no gradient to the entry."""
    quantizer = with_entries(torch.zeros(1, 2))
    rows = torch.tensor([[[3.0, 4.0], [0.0, 1.0]]], requires_grad=True)
    made = run(quantizer, rows)
    assert float(made.losses["commitment"].detach()) == pytest.approx(
        (25 + 1) / 2 / 2
    )  # a mean over rows and over width
    made.losses["commitment"].backward()
    assert torch.allclose(rows.grad, rows.detach() / 2)
    assert not quantizer.codebooks[0].entries.grad.any()


@pytest.mark.parametrize("training", [True, False])
def test_uniformity_is_nothing_where_all_entries_are_as_likely(training: bool) -> None:
    quantizer = with_entries(torch.eye(SIZE)).train(training)
    made = run(quantizer, torch.full((1, 5, SIZE), 0.7))
    assert float(made.losses["uniformity"].detach()) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_uniformity_is_the_logarithm_of_the_size_where_one_entry_is_certain(training: bool) -> None:
    quantizer = with_entries(30 * torch.eye(SIZE)).train(training)
    made = run(quantizer, 30 * torch.eye(SIZE)[None, :5])
    assert float(made.losses["uniformity"].detach()) == pytest.approx(log(SIZE), rel=1e-5)
    assert made.ids[0, 0].tolist() == [0, 1, 2, 3, 4]


def test_uniformity_is_the_divergence_from_equal_chances() -> None:
    quantizer = with_entries(noise(SIZE, DIM)).eval()
    rows = noise(40, DIM, seed=1)
    chances = torch.distributions.Categorical(logits=-torch.cdist(rows, quantizer.codebooks[0].entries).square())
    wanted = (log(SIZE) - chances.entropy()).mean()
    made = run(quantizer, rows[None]).losses["uniformity"]
    assert float(made.detach()) == pytest.approx(float(wanted.detach()), rel=1e-4)


def test_towards_zero_temperature_the_mixture_becomes_a_draw() -> None:
    entries, latents = noise(SIZE, DIM), noise(1, 60, DIM, seed=1)
    away = []
    for temperature in (2.0, 0.5, 1e-4):
        made = run(with_entries(entries, temperature=temperature), latents)
        away.append(float((made.latents - entries[made.ids[:, 0]]).detach().abs().mean()))
    assert away[0] > away[1] > away[2]
    assert away[2] < 1e-2
    assert len(made.ids.unique()) > 1


def test_draws_are_as_frequent_as_they_are_likely() -> None:
    """P(entry | row) = softmax(−distance²), whatever the temperature of the mixture."""
    entries, row = torch.tensor([[0.0], [0.7], [1.2], [2.5]]), torch.full((1, 20_000, 1), 0.3)
    wanted = (-(entries[:, 0] - 0.3).square()).softmax(0)
    for temperature in (0.3, 1.0):
        ids = run(with_entries(entries, temperature=temperature), row).ids.flatten()
        assert torch.allclose(ids.bincount(minlength=4) / 20_000, wanted, atol=0.015)


def test_padding_does_not_count() -> None:
    mask = torch.tensor([[True, True, False, False], [True, True, True, True]])
    made = {}
    for garbage in (0.0, 1e30, float("nan")):
        quantizer = StochasticVectorQuantizer(codebook_size=4, dim=DIM)
        latents = noise(2, 4, DIM).masked_fill(~mask[..., None], garbage).requires_grad_()
        quantized = run(quantizer, latents, mask=mask)
        assert not quantized.latents[~mask].any()
        assert not quantized.ids[:, 0][~mask].any()
        (sum(quantized.losses.values()) + quantized.latents.sum()).backward()
        assert not latents.grad[~mask].any()
        made[garbage] = (quantized, state(quantizer))
    (first, books), *others = made.values()
    for other, its_books in others:
        assert torch.equal(other.latents, first.latents)
        assert other.losses == first.losses
        assert same(its_books, books)


def test_nothing_but_padding_costs_nothing_and_moves_nothing() -> None:
    quantizer = with_entries(noise(SIZE, DIM))
    before = state(quantizer)
    made = run(quantizer, noise(2, 3, DIM), mask=torch.zeros(2, 3, dtype=torch.bool))
    assert [float(loss.detach()) for loss in made.losses.values()] == [0.0, 0.0]
    assert same(state(quantizer), before)


def test_a_step_that_diverged_does_not_poison_the_entries() -> None:
    quantizer = with_entries(noise(SIZE, DIM))
    before = state(quantizer)
    latents = noise(1, 5, DIM)
    latents[0, 2, 1] = float("nan")
    run(quantizer, latents)
    assert same(state(quantizer), before)


def test_dead_entries_restart_on_rows() -> None:
    quantizer = StochasticVectorQuantizer(codebook_size=SIZE, dim=2, decay=0.5, restart_below=0.2)
    book = quantizer.codebooks[0]
    rows = noise(1, 80, 2)
    run(quantizer, rows)
    with torch.no_grad():
        book.entries[3:] = 100.0  # where no row ever goes
    for step in range(6):
        made = run(quantizer, rows, seed=step)
    assert int(book.restarts) >= 5
    assert float(book.entries.detach().max()) < 10
    assert float(made.stats["restarts"]) == float(book.restarts)


def test_equal_seeds_equal_results() -> None:
    def trained(seed: int, chance: int) -> dict[str, Tensor]:
        quantizer = StochasticVectorQuantizer(codebook_size=SIZE, dim=DIM, seed=seed, decay=0.7, restart_below=0.3)
        for step in range(6):
            made = run(quantizer, noise(1, 40, DIM, seed=step), seed=chance + step)
        return state(quantizer) | {"made": made.latents.detach()}

    assert same(trained(0, 0), trained(0, 0))
    assert not torch.equal(trained(0, 0)["codebooks.0.entries"], trained(1, 0)["codebooks.0.entries"])
    assert not torch.equal(trained(0, 0)["made"], trained(0, 9)["made"])


def test_bfloat16_chooses_the_same_entries() -> None:
    quantizer = with_entries(noise(SIZE, DIM)).eval()
    latents = noise(2, 100, DIM, seed=1)
    wanted = run(quantizer, latents).ids
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(run(quantizer, latents).ids, wanted)


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ConfigError, match=f"temperature is {temperature}: it must be positive"):
        StochasticVectorQuantizer(codebook_size=4, dim=2, temperature=temperature)


def test_one_record_as_every_quantizer_gives_it() -> None:
    made = run(StochasticVectorQuantizer(codebook_size=SIZE, dim=DIM), noise(2, 20, DIM))
    other = VectorQuantizer(codebook_size=SIZE, dim=DIM)(noise(2, 20, DIM), torch.ones(2, 20, dtype=torch.bool))
    for field in fields(Quantized):
        one, two = getattr(made, field.name), getattr(other, field.name)
        if isinstance(one, Tensor):
            assert (one.shape, one.dtype) == (two.shape, two.dtype)
    assert {name: value.shape for name, value in made.stats.items()} == {
        name: value.shape for name, value in other.stats.items()
    }


def test_hard_samples_are_entries_with_the_gradient_of_the_mixture() -> None:
    entries, rows = noise(SIZE, DIM), noise(2, 20, DIM, seed=1)
    gradients = []
    for hard in (False, True):
        quantizer, latents = with_entries(entries), rows.clone().requires_grad_()
        quantizer.hard = hard
        made = run(quantizer, latents)
        made.latents.sum().backward()
        gradients.append(latents.grad)
    assert torch.allclose(made.latents.detach(), quantizer.decode(made.ids), atol=1e-6)
    assert torch.allclose(*gradients, atol=1e-6)


def test_without_noise_training_takes_the_entry_that_use_takes() -> None:
    quantizer = with_entries(noise(SIZE, DIM))
    quantizer.hard, quantizer.noise = True, 0.0
    latents = noise(2, 20, DIM, seed=1)
    made = run(quantizer, latents)
    quantizer.eval()
    assert torch.equal(made.ids, run(quantizer, latents).ids)
