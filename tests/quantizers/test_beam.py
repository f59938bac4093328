"""Search for the ids of residual codebooks: exact, deterministic, row by row, and never worse than it promises."""

from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from tests.quantizers.latents import DIM, everywhere, noise
from tests.quantizers.test_rvq import LEVELS, trained
from tests.states import same, state
from vocable.quantizers import ResidualVectorQuantizer
from vocable.quantizers.beam import _smallest, search_ids


def integers(*shape: int, seed: int = 0, high: int = 4) -> Tensor:
    """Small whole numbers, of which many sums are equal and all are exact in float32."""
    return torch.randint(-high, high + 1, shape, generator=torch.Generator().manual_seed(seed)).float()


def search_slowly(row: Tensor, codebooks: list[Tensor], beam: int, prefix_weight: float) -> list[int]:
    """The same search, path by path; ``sorted`` keeps the order of equal costs."""
    paths: list[tuple[float, list[int], Tensor, float]] = [(0.0, [], row, 0.0)]
    for entries in codebooks:
        found = []
        for _, ids, residual, prefix in paths:
            for index, entry in enumerate(entries):
                rest = residual - entry
                squared = float(rest.square().sum())
                found.append((squared + prefix, [*ids, index], rest, prefix + prefix_weight * squared))
        paths = sorted(found, key=lambda path: path[0])[:beam]
    return paths[0][1]


@pytest.mark.parametrize("prefix_weight", [0.0, 0.5])
@pytest.mark.parametrize("beam", [1, 2, 3, 8, 100])
@pytest.mark.parametrize("size", [5, 64])
def test_the_search_is_that_of_its_definition_ties_included(beam: int, size: int, prefix_weight: float) -> None:
    codebooks = [integers(size, 3, seed=level) for level in range(3)]
    rows = integers(12, 3, seed=9, high=8)
    expected = [search_slowly(row, codebooks, beam, prefix_weight) for row in rows]
    assert search_ids(rows, codebooks, beam, prefix_weight).tolist() == expected


def test_a_beam_of_all_paths_finds_the_nearest_sum() -> None:
    codebooks = [noise(4, DIM, seed=level) for level in range(3)]
    rows = noise(20, DIM, seed=9)
    every = list(product(range(4), repeat=3))
    sums = torch.stack([sum(book[index] for book, index in zip(codebooks, ids, strict=True)) for ids in every])
    nearest = torch.cdist(rows, sums).argmin(1)
    assert search_ids(rows, codebooks, 64, prefix_weight=0.0).tolist() == [list(every[index]) for index in nearest]


def test_the_smallest_values_in_groups_are_those_of_a_stable_sort() -> None:
    values = integers(50, 320, high=9)
    assert torch.equal(_smallest(values, 8), values.sort(dim=1, stable=True).indices[:, :8])


def test_a_row_has_the_same_ids_alone_and_in_any_batch() -> None:
    rvq = trained()
    rvq.beam = 8
    rows = noise(60, DIM, seed=9)
    together = rvq.encode(rows[None])[0].T
    alone = torch.cat([rvq.encode(row[None, None])[0].T for row in rows])
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert torch.equal(alone, together)
    assert torch.equal(rvq.encode(rows[order][None])[0].T, together[order])
    assert torch.equal(rvq.encode(rows.reshape(3, 20, DIM)).transpose(1, 2).reshape(60, -1), together)


def test_a_beam_of_one_is_the_greedy_search_bit_for_bit() -> None:
    rvq, latents = trained(), noise(3, 40, DIM, seed=9)
    assert rvq.beam == 1
    residual, expected = latents.reshape(-1, DIM), []
    for book in rvq.codebooks:
        expected.append(book.nearest(residual))
        residual = residual - book.lookup(expected[-1])
    assert torch.equal(rvq.encode(latents), torch.stack(expected).unflatten(1, (3, 40)).transpose(0, 1))


def test_wider_beams_come_nearer_and_the_weight_keeps_prefixes_near() -> None:
    rvq = ResidualVectorQuantizer(num_codebooks=6, codebook_size=16, dim=8)
    for step in range(20):
        latents = noise(4, 60, 8, seed=step)
        rvq(latents, everywhere(latents))
    rows = noise(1, 400, 8, seed=99)
    books = [book.entries for book in rvq.codebooks]

    def error(beam: int, levels: int, prefix_weight: float = 0.0) -> float:
        ids = search_ids(rows[0], books, beam, prefix_weight).T[None]
        return float((rows - rvq.decode(ids[:, :levels])).square().mean())

    whole = [error(beam, 6) for beam in (1, 2, 8, 32)]
    assert all(wide < 0.99 * narrow for narrow, wide in pairwise(whole)), whole
    assert error(1, 1) < error(8, 1, 0.3) < error(8, 1)
    assert error(8, 6) <= error(8, 6, 0.3) < error(1, 6)


def test_in_training_the_ids_are_those_of_the_search_and_prefixes_of_it() -> None:
    rvq, greedy, latents = trained(), trained(), noise(3, 20, DIM, seed=9)
    rvq.beam = 4
    expected = rvq.encode(latents)
    assert not torch.equal(expected, greedy.encode(latents))
    made = rvq(latents, everywhere(latents), torch.tensor([LEVELS, 2, 1]))
    for clip, levels in enumerate((LEVELS, 2, 1)):
        assert torch.equal(made.ids[clip, :levels], expected[clip, :levels])
        assert not made.ids[clip, levels:].any()
    assert int(rvq.codebooks[0].updates) == int(greedy.codebooks[0].updates) + 1
    moved = state(rvq)["codebooks.0.entries"] - state(greedy)["codebooks.0.entries"]
    assert moved.abs().max() > 0, "the codebooks follow the rows that were given to them"


def test_codebooks_are_initialized_as_without_a_beam() -> None:
    searched, greedy = (ResidualVectorQuantizer(num_codebooks=3, codebook_size=8, dim=DIM) for _ in range(2))
    searched.beam = 8
    latents = noise(2, 40, DIM)
    for rvq in (searched, greedy):
        rvq(latents, everywhere(latents))
    assert same(state(searched), state(greedy))


def test_values_that_are_not_finite_give_ids_in_range() -> None:
    rvq = trained()
    rvq.beam = 8
    latents = noise(1, 6, DIM)
    latents[0, 2, 1], latents[0, 3, 0], latents[0, 4] = float("nan"), float("inf"), 1e30
    ids = rvq.encode(latents)
    assert int(ids.min()) >= 0
    assert int(ids.max()) < rvq.codebook_size
    assert torch.equal(ids[:, :, :2], rvq.encode(latents[:, :2]))
