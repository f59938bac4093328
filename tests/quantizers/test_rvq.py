"""The residual quantizer: lookups, prefixes, gradients, level dropout, padding, and what must not move it."""

import inspect
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.quantizers.latents import DIM, SIZE, everywhere, noise
from tests.states import same, state
from vocable.errors import ShapeError
from vocable.features.spectrogram import mel_filters, spectra
from vocable.quantizers import EmaCodebook, GradientCodebook, Quantized, ResidualVectorQuantizer, VectorQuantizer
from vocable.quantizers.codebook import Codebook, CodebookSettings
from vocable.testing import speechlike

BOTH = pytest.mark.parametrize("kind", [EmaCodebook, GradientCodebook])
LEVELS = 3


def trained(kind: type = EmaCodebook, *, steps: int = 4, **settings: float) -> ResidualVectorQuantizer:
    rvq = ResidualVectorQuantizer(num_codebooks=LEVELS, codebook_size=SIZE, dim=DIM, codebook=kind, **settings)
    for step in range(steps):
        latents = noise(2, 20, DIM, seed=step)
        rvq(latents, everywhere(latents))
    return rvq


@BOTH
def test_quantized_is_the_lookup_of_the_ids(kind: type) -> None:
    rvq = trained(kind).eval()
    latents = noise(3, 11, DIM, seed=9)
    before = state(rvq)
    made = rvq(latents, everywhere(latents))
    assert torch.equal(made.ids, rvq.encode(latents))
    assert torch.equal(made.levels.sum(0), rvq.decode(made.ids))
    assert torch.allclose(made.latents, rvq.decode(made.ids), atol=1e-6)
    for level, book in enumerate(rvq.codebooks):
        assert torch.equal(made.levels[level], book.entries[made.ids[:, level]])
    assert same(state(rvq), before), "evaluation moved a codebook"


@BOTH
def test_in_training_the_lookup_is_in_the_codebook_before_it_learns(kind: type) -> None:
    rvq = trained(kind, restart_below=0.5)
    before = state(rvq)
    latents = noise(3, 11, DIM, seed=9)
    made = rvq(latents, everywhere(latents))
    for level in range(LEVELS):
        assert torch.equal(made.levels[level], before[f"codebooks.{level}.entries"][made.ids[:, level]])
    assert int(rvq.codebooks[0].updates) == int(before["codebooks.0.updates"]) + 1


def test_any_prefix_decodes_and_the_error_falls() -> None:
    """On log-mel frames of something like speech: every level takes error away, on clips not trained on."""

    def frames(seed: int) -> Tensor:
        samples = torch.from_numpy(speechlike(16_000, seed=seed).samples)[None]
        mels = spectra(samples, 640, 320).abs() @ mel_filters(16_000, 640, 16, device=samples.device)
        return (mels + 1e-3).log() / 2

    rvq = ResidualVectorQuantizer(num_codebooks=4, codebook_size=16, dim=16, decay=0.9)
    for step in range(25):
        clip = frames(step)
        rvq(clip, everywhere(clip))
    rvq.eval()
    clip = torch.cat([frames(100), frames(101)])
    ids = rvq.encode(clip)
    errors = [float((clip - clip.mean((0, 1))).square().mean())]
    for count in range(1, 5):
        assert rvq.decode(ids[:, :count]).shape == clip.shape
        errors.append(float((clip - rvq.decode(ids[:, :count])).square().mean()))
    assert all(after < 0.9 * before for before, after in pairwise(errors)), errors


def test_levels_out_of_range_are_refused() -> None:
    rvq = trained()
    with pytest.raises(ShapeError, match="ids have 4 levels; this quantizer has levels 1 to 3"):
        rvq.decode(torch.zeros(1, 4, 2, dtype=torch.int64))
    with pytest.raises(ShapeError, match="ids have 0 levels"):
        rvq.decode(torch.zeros(1, 0, 2, dtype=torch.int64))


def commitment_gradients(rvq: ResidualVectorQuantizer, latents: Tensor, *, detached: bool) -> list[Tensor]:
    """Gradient of each level's commitment to the latents, from scratch, with a detached residual or the wrong one."""
    leaf = latents.clone().requires_grad_()
    residual, gradients = leaf, []
    for book in rvq.codebooks:
        chosen = book.entries.detach()[book.nearest(residual.detach().reshape(-1, DIM))].reshape(latents.shape)
        gradients.append(torch.autograd.grad((residual - chosen).square().mean(), leaf, retain_graph=True)[0])
        residual = residual - (chosen if detached else residual + (chosen - residual).detach())
    return gradients


def test_commitment_reaches_the_input_from_every_level() -> None:
    """With the straight-through vector in place of the detached one, every level after the first is silent."""
    rvq = trained().eval()
    latents = noise(2, 7, DIM, seed=9)
    wrong = commitment_gradients(rvq, latents, detached=False)
    right = commitment_gradients(rvq, latents, detached=True)
    assert all(not gradient.any() for gradient in wrong[1:])
    assert all(gradient.abs().mean() > 1e-4 for gradient in right)
    leaf = latents.clone().requires_grad_()
    rvq(leaf, everywhere(leaf)).losses["commitment"].backward()
    assert torch.allclose(leaf.grad, sum(right) / LEVELS, atol=1e-7)
    assert not torch.allclose(leaf.grad, sum(wrong) / LEVELS, atol=1e-4)


@BOTH
def test_gradient_goes_straight_through_valid_frames_and_nowhere_else(kind: type) -> None:
    rvq = trained(kind)
    mask = torch.tensor([[True, True, False, False], [True, True, True, True]])
    for garbage in (0.0, 1e30, float("nan"), float("inf")):
        leaf = noise(2, 4, DIM).masked_fill(~mask[..., None], garbage).requires_grad_()
        made = rvq(leaf, mask)
        assert not made.latents[~mask].any()
        assert not made.levels[:, ~mask].any()
        assert not made.ids.transpose(1, 2)[~mask].any()
        pull = noise(2, 4, DIM, seed=1)
        through = torch.autograd.grad((made.latents * pull).sum(), leaf)[0]
        assert torch.equal(through, pull * mask[..., None])


@BOTH
def test_each_level_alone_passes_its_gradient_straight_through(kind: type) -> None:
    """A teacher of one level reaches the encoder, on the clips that use the level."""
    rvq = trained(kind)
    leaf = noise(2, 4, DIM).requires_grad_()
    made = rvq(leaf, everywhere(leaf), torch.tensor([1, 3]))
    pull = noise(2, 4, DIM, seed=1)
    for level in range(LEVELS):
        through = torch.autograd.grad((made.levels[level] * pull).sum(), leaf, retain_graph=True)[0]
        assert torch.equal(through[1], pull[1])
        assert torch.equal(through[0], pull[0] * (level == 0))


@BOTH
def test_dropped_levels_are_zero_and_neither_count_nor_learn(kind: type) -> None:
    rvq, alone = trained(kind), trained(kind)
    latents = noise(3, 10, DIM, seed=9)
    before = state(rvq)
    made = rvq(latents, everywhere(latents), torch.tensor([1, 2, 2]))
    for clip, levels in enumerate((1, 2, 2)):
        assert not made.levels[levels:, clip].any()
        assert not made.ids[clip, levels:].any()
        assert torch.equal(made.ids[clip, :levels], alone.eval().encode(latents[clip : clip + 1])[0, :levels])
    last = {name: value for name, value in state(rvq).items() if name.startswith("codebooks.2.")}
    assert same(last, {name: before[name] for name in last}), "a level nobody used moved"
    alone.train()(latents[1:], everywhere(latents[1:]), torch.tensor([2, 2]))
    for name in ("entries", "counts"):
        assert torch.equal(getattr(rvq.codebooks[1], name), getattr(alone.codebooks[1], name)), (
            "a dropped clip taught level 2"
        )
    assert float(rvq.codebooks[0].counts.sum()) > float(alone.codebooks[0].counts.sum())


def test_commitment_of_dropped_levels_is_over_the_clips_that_use_them() -> None:
    rvq = trained().eval()
    latents = noise(2, 10, DIM, seed=9)
    made = rvq(latents, everywhere(latents), torch.tensor([1, 3]))
    first = (latents - made.levels[0]).square().mean()
    rest = [(latents[1] - made.levels[:level, 1].sum(0)).square().mean() for level in (2, 3)]
    assert float(made.losses["commitment"]) == pytest.approx(float(first + sum(rest)) / 3, rel=1e-5)


@BOTH
@settings(deadline=None, max_examples=10)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=4),
    st.integers(1, 5),
    st.sampled_from([1.0, 1e30, float("nan"), float("-inf")]),
)
def test_padding_is_invisible(kind: type, lengths: list[int], extra: int, garbage: float) -> None:
    """Two lengths of padding, one full of garbage: the same entries, counts, ids, losses and statistics."""

    def run(size: int, fill: float) -> tuple[dict[str, Tensor], Quantized]:
        rvq = ResidualVectorQuantizer(
            num_codebooks=2, codebook_size=4, dim=DIM, codebook=kind, decay=0.5, restart_below=0.3
        )
        for step in range(3):
            latents = torch.full((len(lengths), size, DIM), fill)
            mask = torch.arange(size)[None] < torch.tensor(lengths)[:, None]
            latents[mask] = noise(sum(lengths), DIM, seed=step)
            made = rvq(latents, mask, 1 + torch.arange(len(lengths)) % 2)
        return state(rvq), made

    tight, padded = run(max(lengths), 0.0), run(max(lengths) + extra, garbage)
    assert same(tight[0], padded[0])
    assert torch.equal(padded[1].ids[:, :, : max(lengths)], tight[1].ids)
    assert not padded[1].ids[:, :, max(lengths) :].any()
    assert same(tight[1].losses, padded[1].losses)
    assert same(tight[1].stats, padded[1].stats)


@BOTH
@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e30])
@pytest.mark.parametrize("started", [True, False])
def test_latents_of_a_diverged_step_do_not_touch_the_codebooks(kind: type, garbage: float, started: bool) -> None:
    """1e30 is finite and its square is not: so is the loss, and the step is refused like one with a NaN."""
    rvq = trained(kind, steps=4 if started else 0, restart_below=0.9)
    before = state(rvq)
    latents = noise(2, 20, DIM, seed=9)
    latents[1, 7, 2] = garbage
    made = rvq(latents, everywhere(latents))
    assert same(state(rvq), before)
    assert not made.losses["commitment"].isfinite()
    assert int(made.ids.max()) < SIZE


@BOTH
def test_same_seed_same_codebooks(kind: type) -> None:
    torch.manual_seed(1)
    one = trained(kind, restart_below=0.5, seed=3)
    torch.manual_seed(2)
    two = trained(kind, restart_below=0.5, seed=3)
    assert same(state(one), state(two))
    assert not torch.equal(one.codebooks[0].entries, trained(kind, restart_below=0.5, seed=4).codebooks[0].entries)


@BOTH
def test_autocast_chooses_the_ids_of_float32(kind: type) -> None:
    """Latents made in bfloat16 are quantized in float32: the same ids, codebooks and loss as without autocast."""
    latents = noise(4, 200, DIM, seed=9).bfloat16()
    half, full = trained(kind), trained(kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ids = half.encode(latents)
        made = half(latents, everywhere(latents))
    wanted_ids = full.encode(latents.float())
    wanted = full(latents.float(), everywhere(latents))
    assert torch.equal(ids, wanted_ids)
    assert torch.equal(made.ids, wanted.ids)
    assert made.latents.dtype == torch.float32
    assert same(state(half), state(full))
    assert same(made.losses, wanted.losses)


@BOTH
def test_a_batch_of_padding_alone(kind: type) -> None:
    rvq = trained(kind)
    before = state(rvq)
    leaf = noise(2, 3, DIM).requires_grad_()
    made = rvq(leaf, torch.zeros(2, 3, dtype=torch.bool))
    assert same(state(rvq), before)
    assert not made.latents.any()
    assert all(float(loss.detach()) == 0 for loss in made.losses.values())


def test_losses_and_statistics_by_name() -> None:
    latents = noise(1, 5, DIM)
    for kind, losses in ((EmaCodebook, ["commitment"]), (GradientCodebook, ["commitment", "codebook"])):
        made = trained(kind)(latents, everywhere(latents))
        assert list(made.losses) == losses
        assert sorted(made.stats) == ["dead", "entropy", "perplexity", "restarts", "used"]
        assert all(value.shape == (LEVELS,) for value in made.stats.values())


def test_codebook_loss_reaches_every_codebook_and_no_latent() -> None:
    rvq = trained(GradientCodebook).eval()
    leaf = noise(2, 20, DIM, seed=9).requires_grad_()
    made = rvq(leaf, everywhere(leaf))
    assert float(made.losses["codebook"].detach()) == pytest.approx(float(made.losses["commitment"].detach()), rel=1e-5)
    made.losses["commitment"].backward(retain_graph=True)
    assert all(book.entries.grad is None for book in rvq.codebooks), "the commitment pulled an entry"
    leaf.grad = None
    made.losses["codebook"].backward()
    assert leaf.grad is None
    residual = leaf.detach()
    for level, book in enumerate(rvq.codebooks):
        wanted = torch.zeros(SIZE, DIM).index_add(
            0, made.ids[:, level].flatten(), (made.levels[level].detach() - residual).reshape(-1, DIM)
        )
        assert torch.allclose(book.entries.grad, 2 * wanted / (LEVELS * residual.numel()), atol=1e-7)
        residual = residual - made.levels[level].detach()


def test_state_dict_names() -> None:
    names = {
        f"codebooks.{level}.{name}" for level in range(LEVELS) for name in ("entries", "counts", "updates", "restarts")
    }
    assert set(trained(EmaCodebook).state_dict()) == names
    assert set(trained(GradientCodebook).state_dict()) == names


@BOTH
def test_vector_quantizer_is_the_residual_one_with_one_level(kind: type) -> None:
    sizes = {"codebook_size": SIZE, "dim": DIM, "codebook": kind, "decay": 0.7, "restart_below": 0.4, "seed": 5}
    one, other = VectorQuantizer(**sizes), ResidualVectorQuantizer(num_codebooks=1, **sizes)
    for step in range(5):
        latents = noise(2, 15, DIM, seed=step)
        made, wanted = one(latents, everywhere(latents)), other(latents, everywhere(latents))
    assert torch.equal(made.ids, wanted.ids)
    assert same(state(one), state(other))


@BOTH
def test_settings_of_a_codebook_are_those_it_takes(kind: type) -> None:
    known = inspect.signature(Codebook.__init__).parameters
    assert set(CodebookSettings.__annotations__) == {
        name for name, one in known.items() if one.kind is one.KEYWORD_ONLY
    }
    with pytest.raises(TypeError, match="unexpected keyword argument 'deacy'"):
        VectorQuantizer(codebook_size=SIZE, dim=DIM, codebook=kind, deacy=0.5)
