"""One codebook: nearest entries, how they learn, how the dead come back, and what is said of their use."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.quantizers.latents import noise
from tests.states import state
from vocable.quantizers import Codebook, EmaCodebook, GradientCodebook
from vocable.quantizers import codebook as module
from vocable.quantizers.codebook import nearest

BOTH = pytest.mark.parametrize("kind", [EmaCodebook, GradientCodebook])
STATE = ("entries", "counts", "updates", "restarts")


def learn(book: Codebook, rows: Tensor) -> Tensor:
    """One training step of a codebook alone, as the quantizers do it; returns the ids."""
    book.initialize(rows)
    ids = book.nearest(rows)
    book.update(rows, ids)
    return ids


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(1, 70), st.integers(1, 6), st.integers(0, 2**31))
def test_nearest_is_brute_force_on_a_grid_with_ties(rows: int, entries: int, dim: int, seed: int) -> None:
    """Small whole numbers have exact distances and many ties: the lowest index must win each."""
    random = np.random.default_rng(seed)
    here = random.integers(-3, 4, (rows, dim)).astype(np.float32)
    book = random.integers(-3, 4, (entries, dim)).astype(np.float32)
    wanted = ((here[:, None] - book[None]) ** 2).sum(-1).argmin(1)
    assert np.array_equal(nearest(torch.from_numpy(here), torch.from_numpy(book)).numpy(), wanted)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 16), st.floats(0.01, 100), st.integers(0, 2**31))
def test_nearest_is_brute_force_on_real_numbers(rows: int, entries: int, dim: int, scale: float, seed: int) -> None:
    """The entry chosen is the nearest, or so near to it that float32 cannot tell."""
    generator = torch.Generator().manual_seed(seed)
    here = scale * torch.randn(rows, dim, generator=generator)
    book = scale * torch.randn(entries, dim, generator=generator)
    distances = torch.cdist(here.double(), book.double()).square()
    ids = nearest(here, book)
    assert torch.all(distances.gather(1, ids[:, None])[:, 0] <= distances.min(1).values + 1e-5 * scale**2)
    first, second = distances.sort(1).values[:, [0, min(1, entries - 1)]].unbind(1)
    clear = second - first > 1e-5 * scale**2
    assert torch.equal(ids[clear], distances.argmin(1)[clear])


def test_nearest_in_blocks_is_nearest_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, entries = noise(50, 4), noise(20, 4, seed=1)
    whole = nearest(rows, entries)
    monkeypatch.setattr(module, "_BLOCK_ROWS", 7)
    assert torch.equal(nearest(rows, entries), whole)


def test_ema_is_the_moving_sum_over_the_moving_count() -> None:
    """An independent reference keeps both sums; the codebook keeps only their quotient and the counts."""
    book = EmaCodebook(6, 3, decay=0.9, restart_below=0.0)
    learn(book, noise(200, 3))
    counts = book.counts.double()
    sums = counts[:, None] * book.entries.double()
    for step in range(50):
        rows = noise(30 + step, 3, seed=step) + 0.05 * step
        ids = learn(book, rows)
        chosen = torch.nn.functional.one_hot(ids, 6).double()
        counts = 0.9 * counts + 0.1 * chosen.sum(0)
        sums = 0.9 * sums + 0.1 * chosen.T @ rows.double()
        assert torch.allclose(book.counts.double(), counts, rtol=1e-5)
        assert torch.allclose(book.entries.double(), sums / counts[:, None], rtol=1e-5, atol=1e-5)
    assert int(book.updates) == 51


@BOTH
@pytest.mark.parametrize("seed", range(3))
def test_start_finds_planted_clusters(kind: type[Codebook], seed: int) -> None:
    centres = 10 * noise(5, 4, seed=7)
    rows = centres.repeat_interleave(80, 0) + 0.1 * noise(400, 4, seed=seed)
    book = kind(20, 4, seed=seed)
    book.initialize(rows[torch.randperm(400, generator=torch.Generator().manual_seed(seed))])
    distances = torch.cdist(centres, book.entries.detach())
    assert distances.min(1).values.max() < 0.2, "a cluster has no entry"
    assert distances.min(0).values.max() < 0.5, "an entry lies between clusters"


@BOTH
def test_start_makes_each_entry_the_mean_of_its_rows(kind: type[Codebook]) -> None:
    """k-means ends where every entry is the mean of the rows nearest to it."""
    rows = noise(64, 2)
    book = kind(4, 2)
    book.initialize(rows)
    for _ in range(5):
        book.updates.zero_()
        book.initialize(rows)
    ids = book.nearest(rows)
    means = torch.stack([rows[ids == entry].mean(0) for entry in range(4)])
    before = (rows - book.lookup(ids)).square().mean()
    assert (rows - means[ids]).square().mean() > 0.95 * before


@BOTH
def test_start_with_fewer_rows_than_entries(kind: type[Codebook]) -> None:
    rows = noise(3, 4)
    book = kind(8, 4)
    book.initialize(rows)
    assert torch.equal(torch.cdist(rows, book.entries.detach()).min(1).values, torch.zeros(3))
    assert torch.equal(torch.cdist(book.entries.detach(), rows).min(1).values, torch.zeros(8))


@BOTH
def test_start_waits_for_rows_and_happens_once(kind: type[Codebook]) -> None:
    book = kind(4, 2)
    learn(book, torch.zeros(0, 2))
    assert int(book.updates) == 0
    assert not book.entries.any()
    learn(book, noise(50, 2))
    placed = book.entries.detach().clone()
    book.initialize(100 + noise(50, 2))
    assert torch.equal(book.entries, placed)


def hot_and_cold(kind: type[Codebook], *, restart_below: float = 0.1) -> tuple[Codebook, Tensor]:
    """A codebook with 8 entries, one update before the 5 that have had no rows are dead; and rows for the other 3."""
    book = kind(8, 2, decay=0.9, restart_below=restart_below)
    with torch.no_grad():
        book.entries.copy_(10 * noise(8, 2, seed=5))
    book.counts.fill_(5.0)
    book.updates.fill_(1)
    rows = book.entries.detach()[:3].repeat_interleave(14, 0)[:40] + 0.01 * noise(40, 2)
    for _ in range(100):
        if float(book.counts[3:].max()) * 0.9 < restart_below * 5:
            return book, rows
        book.update(rows, book.nearest(rows))
    return book, rows


@BOTH
def test_dead_entries_restart_from_rows_with_fresh_counts(kind: type[Codebook]) -> None:
    book, rows = hot_and_cold(kind)
    before = state(book)
    assert int(book.restarts) == 0
    book.update(rows, book.nearest(rows))
    assert int(book.restarts) == 5
    from_rows = (book.entries.detach()[3:, None] == rows[None]).all(-1)
    assert from_rows.any(1).all(), "a restarted entry is not a row of the batch"
    assert len(from_rows.int().argmax(1).unique()) == 5, (
        "two entries restarted on one row: one of them can never be chosen"
    )
    assert torch.all(book.counts[3:] > before["counts"][3:])
    assert torch.all((book.entries[:3] - before["entries"][:3]).abs() < 0.1), "a living entry moved"


@BOTH
def test_a_restarted_entry_is_given_time(kind: type[Codebook]) -> None:
    """Unchosen, it restarts again only after ln 2 / (1 − decay) updates; chosen, never."""
    book, rows = hot_and_cold(kind)
    book.update(rows, book.nearest(rows))
    hot = torch.arange(40) % 3
    restarts = []
    for _ in range(8):
        book.update(rows, hot)
        restarts.append(int(book.restarts))
    assert restarts[:6] == [5] * 6
    assert restarts[-1] == 10
    everybody = torch.arange(40) % 8
    for _ in range(30):
        book.update(book.entries.detach()[everybody], everybody)
    assert int(book.restarts) == 10


@BOTH
def test_restart_below_zero_never_restarts(kind: type[Codebook]) -> None:
    book, rows = hot_and_cold(kind, restart_below=0.0)
    for _ in range(20):
        book.update(rows, book.nearest(rows))
    assert int(book.restarts) == 0


def test_gradient_loss_pulls_entries_to_their_rows() -> None:
    """∂/∂e of the mean of (e − row)² is 2 (e − row) / (rows · width), and rows get no gradient."""
    book = GradientCodebook(3, 2)
    with torch.no_grad():
        book.entries.copy_(torch.tensor([[0.0, 0.0], [4.0, 4.0], [9.0, 9.0]]))
    rows = torch.tensor([[1.0, 0.0], [4.0, 5.0], [4.0, 3.0], [5.0, 4.0]], requires_grad=True)
    ids = book.nearest(rows.detach())
    loss = book.loss(rows, book.lookup(ids))
    assert loss is not None
    assert float(loss.detach()) == pytest.approx(4 / 8)
    loss.backward()
    assert rows.grad is None
    assert torch.allclose(book.entries.grad, torch.tensor([[-2.0, 0.0], [-2.0, 0.0], [0.0, 0.0]]) / 8)
    for _ in range(60):
        pull = torch.autograd.grad(book.loss(rows, book.lookup(ids)), book.entries)[0]
        book.entries.data -= pull
    assert torch.allclose(book.entries[:2], torch.stack([rows[0], rows[1:].mean(0)]), atol=1e-3)


def test_gradient_codebook_moves_by_gradient_and_restart_alone() -> None:
    book = GradientCodebook(4, 2, restart_below=0.1)
    parameter = book.entries
    rows = noise(40, 2)
    book.initialize(rows)
    assert book.entries is parameter
    assert parameter.requires_grad
    placed = parameter.detach().clone()
    assert placed.any()
    book.update(rows, book.nearest(rows))
    assert torch.equal(parameter, placed)
    book.counts[2] = 0.0
    book.update(rows, torch.zeros(40, dtype=torch.int64))
    assert [bool(moved) for moved in (parameter != placed).any(1)] == [False, False, True, False]


def test_ema_codebook_has_no_loss_and_no_parameters() -> None:
    book = EmaCodebook(4, 2)
    assert book.loss(noise(3, 2), noise(3, 2)) is None
    assert list(book.parameters()) == []


@BOTH
def test_statistics_by_hand(kind: type[Codebook]) -> None:
    book = kind(4, 2, restart_below=0.25)
    book.restarts.fill_(3)
    for counts, used, entropy in (
        ([1.0, 1.0, 1.0, 1.0], 1.0, 2.0),
        ([8.0, 8.0, 0.0, 0.0], 0.5, 1.0),
        ([4.0, 2.0, 2.0, 0.0], 0.75, 1.5),
        ([0.0, 7.0, 0.0, 0.0], 0.25, 0.0),
        ([3.5, 3.5, 0.9, 0.1], 0.5, 1.4772),  # 0.9 is 0.45 of uniform use: not yet twice the restart threshold
        ([3.0, 3.0, 1.1, 0.9], 0.75, 1.8095),
    ):
        book.counts.copy_(torch.tensor(counts))
        stats = {name: float(value) for name, value in book.stats().items()}
        wanted = {"used": used, "perplexity": 2**entropy, "entropy": entropy, "dead": 4 * (1 - used), "restarts": 3.0}
        assert stats == pytest.approx(wanted, abs=1e-3)


@BOTH
def test_restarts_do_not_hide_a_collapse(kind: type[Codebook]) -> None:
    """All rows alike: one entry is used however often the others are restarted."""
    book = kind(32, 3, decay=0.9)
    learn(book, noise(200, 3))
    for step in range(120):
        learn(book, torch.ones(64, 3) + 1e-4 * noise(64, 3, seed=step) * (step < 5))
    assert int(book.restarts) >= 31
    stats = book.stats()
    assert float(stats["used"]) == pytest.approx(1 / 32)
    assert float(stats["dead"]) == 31
    assert float(stats["perplexity"]) < 2


@BOTH
def test_the_seed_decides_and_torch_does_not(kind: type[Codebook]) -> None:
    def run(seed: int, global_seed: int) -> dict[str, Tensor]:
        torch.manual_seed(global_seed)
        book = kind(16, 3, decay=0.7, restart_below=0.3, seed=seed)
        for step in range(12):
            learn(book, noise(40, 3, seed=step) + step % 3)
        assert int(book.restarts) > 0
        assert torch.initial_seed() == global_seed
        assert torch.equal(torch.rand(1), torch.rand(1, generator=torch.Generator().manual_seed(global_seed)))
        return state(book)

    first, again, other = run(0, 1), run(0, 2), run(1, 1)
    assert all(torch.equal(first[name], again[name]) for name in STATE)
    assert not torch.equal(first["entries"], other["entries"])


@BOTH
def test_state_dict_is_these_four_and_goes_on_as_before(kind: type[Codebook]) -> None:
    book = kind(8, 3, decay=0.8, restart_below=0.3)
    for step in range(5):
        learn(book, noise(30, 3, seed=step))
    assert sorted(book.state_dict()) == sorted(STATE)
    copy = kind(8, 3, decay=0.8, restart_below=0.3)
    copy.load_state_dict(state(book))
    for step in range(5, 15):
        learn(book, noise(30, 3, seed=step))
        learn(copy, noise(30, 3, seed=step))
    assert all(torch.equal(book.state_dict()[name], copy.state_dict()[name]) for name in STATE)
