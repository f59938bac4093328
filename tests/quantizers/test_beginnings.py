"""Where the entries of any codebook begin."""

import pytest
import torch

from tests.quantizers.latents import DIM, SIZE, everywhere, noise
from vocable.errors import ConfigError
from vocable.quantizers import (
    Codebook,
    EmaCodebook,
    GradientCodebook,
    ResidualVectorQuantizer,
    StochasticVectorQuantizer,
    VectorQuantizer,
)

KINDS = pytest.mark.parametrize("kind", [EmaCodebook, GradientCodebook])
BEGINNINGS = ("kmeans", "data", "normal", "uniform")


@KINDS
@pytest.mark.parametrize("begin", BEGINNINGS)
def test_every_beginning_places_all_entries_by_its_seed_alone(kind: type[Codebook], begin: str) -> None:
    def begun(seed: int, chance: int) -> Codebook:
        torch.manual_seed(chance)
        book = kind(16, 3, seed=seed, init=begin)
        book.initialize(noise(200, 3) + 5)
        return book

    book, again, other = begun(0, 1), begun(0, 2), begun(1, 1)
    assert torch.isfinite(book.entries).all()
    assert torch.all(book.entries.detach().abs().sum(1) > 0)
    assert torch.unique(book.entries.detach(), dim=0).shape == (16, 3), "two entries in one place"
    assert torch.all(book.counts == 200 / 16)
    assert torch.equal(book.entries, again.entries)
    assert not torch.equal(book.entries, other.entries)


@KINDS
def test_data_begins_on_rows_and_kmeans_between_them(kind: type[Codebook]) -> None:
    rows = noise(200, 3)
    on_rows = {}
    for begin in ("data", "kmeans"):
        book = kind(16, 3, init=begin)
        book.initialize(rows)
        on_rows[begin] = int((book.entries.detach()[:, None] == rows).all(2).any(1).sum())
        error = (rows - book.lookup(book.nearest(rows)).detach()).square().mean()
        assert error < rows.var()
    assert on_rows["data"] == 16
    assert on_rows["kmeans"] < 8


@KINDS
@pytest.mark.parametrize("begin", ["normal", "uniform"])
def test_a_blind_beginning_owes_nothing_to_the_rows(kind: type[Codebook], begin: str) -> None:
    books = [kind(512, 3, init=begin) for _ in range(2)]
    for book, rows in zip(books, (noise(20, 3), 1_000 + noise(700, 3)), strict=True):
        book.initialize(rows)
    entries = books[0].entries.detach()
    assert torch.equal(entries, books[1].entries)
    assert float(entries.mean()) == pytest.approx(0, abs=0.1 * float(entries.std()))
    if begin == "normal":
        assert float(entries.std()) == pytest.approx(1, rel=0.05)
    else:
        assert float(entries.abs().max()) <= 1 / 512
        assert float(entries.std()) == pytest.approx(1 / 512 / 3**0.5, rel=0.05)


@KINDS
@pytest.mark.parametrize("begin", BEGINNINGS)
def test_a_beginning_waits_for_rows_and_happens_once(kind: type[Codebook], begin: str) -> None:
    book = kind(4, 2, init=begin)
    book.initialize(torch.zeros(0, 2))
    assert not book.entries.any()
    rows = noise(50, 2)
    book.initialize(rows)
    book.update(rows, book.nearest(rows))
    placed = book.entries.detach().clone()
    book.initialize(100 + noise(50, 2))
    assert torch.equal(book.entries, placed)


@pytest.mark.parametrize("begin", BEGINNINGS)
def test_quantizers_hand_the_beginning_on(begin: str) -> None:
    latents = noise(1, 60, DIM)
    wanted = GradientCodebook(SIZE, DIM, init=begin)
    wanted.initialize(latents[0])
    for quantizer in (
        VectorQuantizer(codebook_size=SIZE, dim=DIM, codebook=GradientCodebook, init=begin),
        ResidualVectorQuantizer(num_codebooks=2, codebook_size=SIZE, dim=DIM, codebook=GradientCodebook, init=begin),
        StochasticVectorQuantizer(codebook_size=SIZE, dim=DIM, init=begin),
    ):
        quantizer(latents, everywhere(latents))
        assert torch.equal(quantizer.codebooks[0].entries, wanted.entries)


@KINDS
def test_an_unknown_beginning_lists_those_there_are(kind: type[Codebook], untyped: None) -> None:
    with pytest.raises(ConfigError, match="init is 'zeros'; choose kmeans, data, normal, uniform"):
        kind(4, 2, init="zeros")
