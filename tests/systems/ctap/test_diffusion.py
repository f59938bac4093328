"""The diffusion: its noise and steps as published, chance by seed, masks, and that it learns what it is shown."""

import pytest
import torch
from torch import Tensor, nn

from vocable.systems.ctap.config import DiffusionConfig
from vocable.systems.ctap.diffusion import Diffusion, DurationDiffusion

SMALL = DiffusionConfig(channels=16, layers=4, dilation_cycle=2, steps=12, betas=(0.01, 0.5))
WIDTH, CONDITION, VOICE, LENGTH = 3, 4, 2, 7


def diffusion(config: DiffusionConfig = SMALL, *, still: bool = False) -> Diffusion:
    """With random weights, unless ``still``: the last layer begins at zero, which tells no noise at all."""
    torch.manual_seed(0)
    made = Diffusion(config, width=WIDTH, condition=CONDITION, voice=VOICE)
    if not still:
        nn.init.normal_(made.out_proj[-1].weight, std=0.3)
    return made.eval()


def given(rows: int, length: int = LENGTH, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Condition, voice and mask."""
    generator = torch.Generator().manual_seed(seed)
    condition = torch.randn(rows, length, CONDITION, generator=generator)
    return condition, torch.randn(rows, VOICE, generator=generator), torch.ones(rows, length, dtype=torch.bool)


def test_what_is_kept_of_the_signal_falls_as_published() -> None:
    kept = diffusion().alphas_cumprod
    product = 1.0
    for step in range(12):
        product *= 1 - (0.01 + (0.5 - 0.01) * step / 11)
        assert float(kept[step]) == pytest.approx(product, rel=1e-5)
    paper = Diffusion(DiffusionConfig(layers=1), width=1, condition=1, voice=1).alphas_cumprod
    assert paper.shape == (200,)
    assert float(paper[0]) == pytest.approx(0.9999)
    assert float(paper[-1]) < 0.01, "noise that still holds the signal cannot be where sampling begins"


def test_sampling_is_the_published_rule_step_by_step() -> None:
    """μ = (x − (1 − α) / √(1 − ᾱ) · ε) / √α and σ² = (1 − ᾱ') / (1 − ᾱ) · (1 − α), without noise at the last step."""
    made, (condition, voice, mask) = diffusion(), given(1)
    source = torch.Generator().manual_seed(5)
    betas = torch.linspace(0.01, 0.5, 12)
    alphas = 1 - betas
    bars = alphas.cumprod(0)
    with torch.no_grad():
        here = torch.randn(LENGTH, WIDTH, generator=source)[None]
        for step in range(11, -1, -1):
            told = made(here, torch.tensor([step]), condition, voice, mask)
            here = (here - (1 - alphas[step]) / (1 - bars[step]).sqrt() * told) / alphas[step].sqrt()
            if step > 0:
                sigma = ((1 - bars[step - 1]) / (1 - bars[step]) * (1 - alphas[step])).sqrt()
                here = here + sigma * torch.randn(LENGTH, WIDTH, generator=source)[None]
    assert torch.allclose(made.sample(condition, voice, mask, seeds=[5]), here, rtol=1e-4, atol=1e-4)


def test_a_row_depends_on_its_own_seed_and_nothing_else() -> None:
    made, (condition, voice, mask) = diffusion(), given(3)
    torch.manual_seed(1)
    one = made.sample(condition, voice, mask, seeds=[4, 5, 6])
    torch.manual_seed(2)
    two = made.sample(condition, voice, mask, seeds=[4, 9, 6])
    assert torch.equal(one[[0, 2]], two[[0, 2]])
    assert not torch.isclose(one[1], two[1]).all()
    alone = made.sample(condition[2:], voice[2:], mask[2:], seeds=[6])
    assert torch.allclose(alone[0], one[2], atol=1e-4)
    same = made.sample(condition[:1].expand(2, -1, -1), voice[:1].expand(2, -1), mask[:2], seeds=[8, 8])
    assert torch.equal(same[0], same[1])


def test_behind_the_end_nothing_is_made_and_nothing_seen() -> None:
    made, (condition, voice, _) = diffusion(), given(2)
    mask = torch.arange(LENGTH)[None] < torch.tensor([LENGTH, 4])[:, None]
    one = made.sample(condition, voice, mask, seeds=[1, 2])
    other = made.sample(torch.where(mask[..., None], condition, 50.0), voice, mask, seeds=[1, 2])
    assert not one[1, 4:].any()
    assert torch.equal(one, other)


def test_condition_voice_and_step_are_all_heard() -> None:
    made, (condition, voice, mask) = diffusion(), given(1)
    noisy, step = torch.randn(1, LENGTH, WIDTH, generator=torch.Generator().manual_seed(3)), torch.tensor([4])
    with torch.no_grad():
        before = made(noisy, step, condition, voice, mask)
        for other in (
            made(noisy, step + 1, condition, voice, mask),
            made(noisy, step, condition + 0.5, voice, mask),
            made(noisy, step, condition, voice + 0.5, mask),
        ):
            assert not torch.isclose(before, other).any(2).all()
        later = condition.clone()
        later[:, -1] += 1.0
        moved = (made(noisy, step, later, voice, mask) - before).abs().amax(2)[0] > 0
        assert moved[-2:].all(), "it does not look both ways"


def test_before_training_a_straight_line_tells_the_noise() -> None:
    """Of what is standardised it leaves as much of the noise's power as of the signal's is kept at a step."""
    made, (condition, voice, mask) = diffusion(still=True), given(64, 30)
    clean = torch.randn(64, 30, WIDTH, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    drawn = torch.randint(12, (64,))
    torch.manual_seed(0)
    with torch.no_grad():
        made.out_proj[-1].bias.zero_()
        loss = made.loss(clean, condition, voice, mask)
    assert float(loss) == pytest.approx(float(made.alphas_cumprod[drawn].mean()), rel=0.05)


def test_masked_positions_cost_nothing() -> None:
    made, (condition, voice, _) = diffusion(), given(2)
    mask = torch.arange(LENGTH)[None] < torch.tensor([5, 2])[:, None]
    clean = torch.randn(2, LENGTH, WIDTH, generator=torch.Generator().manual_seed(3))
    losses = []
    for rest in (0.0, 40.0):
        torch.manual_seed(7)
        losses.append(float(made.loss(torch.where(mask[..., None], clean, rest), condition, voice, mask).detach()))
    assert losses[0] == losses[1]
    counted = mask & (torch.arange(LENGTH) != 1)
    torch.manual_seed(7)
    steps, noise = torch.randint(12, (2,)), torch.randn_like(clean)
    kept = made.alphas_cumprod[steps][:, None, None]
    told = made(kept.sqrt() * clean + (1 - kept).sqrt() * noise, steps, condition, voice, mask)
    torch.manual_seed(7)
    loss = made.loss(clean, condition, voice, mask, counted)
    assert float(loss.detach()) == pytest.approx(float((told - noise)[counted].square().mean().detach()), rel=1e-5)
    nothing = made.loss(clean, condition, voice, mask, mask & False)
    assert float(nothing.detach()) == 0.0
    nothing.backward()
    assert all(not parameter.grad.any() for parameter in made.parameters() if parameter.grad is not None)


def learn(made: nn.Module, loss: object, steps: int, rate: float = 3e-3) -> list[float]:
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(made.parameters(), lr=rate)
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps)
        value = loss()  # type: ignore[operator]
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    return losses


def test_one_batch_is_learnt_by_heart() -> None:
    made, rows = diffusion(still=True), torch.arange(16) % 2
    condition, voice, mask = (part[rows] for part in given(2))
    clean = torch.randn(2, LENGTH, WIDTH, generator=torch.Generator().manual_seed(1))[rows]
    losses = learn(made.train(), lambda: made.loss(clean, condition, voice, mask), 150, rate=2e-2)
    straight = float(made.alphas_cumprod.mean())  # what a straight line leaves of the noise, where training begins
    assert sum(losses[-15:]) / 15 < 0.55 * straight


@pytest.mark.slow
def test_a_mixture_of_two_bells_comes_out_as_it_went_in() -> None:
    """The condition says which of two sits where; the voice moves both. Mean and width come back."""
    config = DiffusionConfig(channels=24, layers=3, dilation_cycle=1, kernel=1, steps=40, betas=(1e-3, 0.25))
    torch.manual_seed(0)
    made = Diffusion(config, width=1, condition=1, voice=1)
    assert float(made.alphas_cumprod[-1]) < 0.02

    def drawn(rows: int) -> tuple[Tensor, Tensor, Tensor]:
        sides = torch.randint(2, (rows, 8, 1)).float()
        moved = torch.randint(2, (rows, 1)).float()
        clean = torch.where(torch.rand(rows, 8, 1) < 0.5, -1.2, 1.2) * sides + 0.25 * torch.randn(rows, 8, 1)
        return clean + moved[:, None], sides, moved

    mask = torch.ones(128, 8, dtype=torch.bool)

    def loss() -> Tensor:
        clean, sides, moved = drawn(128)
        return made.loss(clean, sides, moved, mask)

    learn(made.train(), loss, 400, rate=1e-2)
    rows = 200
    everywhere = torch.ones(rows, 8, dtype=torch.bool)
    for moved in (0.0, 1.0):
        voice = torch.full((rows, 1), moved)
        one = made.eval().sample(torch.zeros(rows, 8, 1), voice, everywhere, seeds=list(range(rows))) - moved
        assert float(one.mean()) == pytest.approx(0.0, abs=0.12)
        assert float(one.std()) == pytest.approx(0.25, abs=0.1)
        two = made.sample(torch.ones(rows, 8, 1), voice, everywhere, seeds=list(range(rows))) - moved
        assert float((two > 0).float().mean()) == pytest.approx(0.5, abs=0.12)
        assert float(two.abs().mean()) == pytest.approx(1.2, abs=0.15)
        assert float(two[two > 0].std()) == pytest.approx(0.25, abs=0.12)


def test_durations_are_spectra_of_at_least_one() -> None:
    torch.manual_seed(0)
    made = DurationDiffusion(
        DiffusionConfig(layers=2, channels=16, steps=5, betas=(0.1, 0.9)), phonemes=9, voice=VOICE
    ).eval()
    made.log_stats.copy_(torch.tensor([0.0, 3.0]))
    lasting = made.sample(torch.arange(9), torch.zeros(1, VOICE), seed=3)
    assert lasting.shape == (9,)
    assert float(lasting.min()) >= 1.0
    assert float(lasting.max()) <= 400.0
    assert torch.equal(lasting, made.sample(torch.arange(9), torch.zeros(1, VOICE), seed=3))
    assert not torch.equal(lasting, made.sample(torch.arange(9), torch.zeros(1, VOICE), seed=4))


@pytest.mark.slow
def test_durations_of_each_phoneme_are_learnt() -> None:
    """Phoneme p lasts about 4 · p spectra: drawn durations say so."""
    torch.manual_seed(0)
    made = DurationDiffusion(
        DiffusionConfig(layers=2, channels=24, dilation_cycle=1, steps=5, betas=(0.1, 0.9)), 5, VOICE
    )
    made.log_stats.copy_(torch.tensor([2.0, 0.6]))

    def loss() -> Tensor:
        ids = torch.randint(1, 5, (64, 6))
        lasting = (4 * ids * (1 + 0.1 * torch.randn(64, 6))).round().long()
        mask = torch.ones(64, 6, dtype=torch.bool)
        return made.loss(ids, lasting, torch.zeros(64, VOICE), mask, mask)

    learn(made.train(), loss, 200, rate=1e-2)
    ids = torch.arange(1, 5).repeat(6)
    drawn = torch.stack([made.eval().sample(ids, torch.zeros(1, VOICE), seed=seed) for seed in range(20)])
    means = drawn.unflatten(1, (6, 4)).mean(dim=(0, 1))
    assert means.tolist() == pytest.approx([4, 8, 12, 16], rel=0.2)
