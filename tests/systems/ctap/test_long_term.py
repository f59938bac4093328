"""Long-term average spectra: what pauses, padding and steady sounds do to them."""

import pytest
import torch

from vocable.systems.ctap.networks import long_term_spectrum, match_long_term_spectrum


def some(batch: int = 2, spectra: int = 40, bins: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, spectra, bins, generator=torch.Generator().manual_seed(seed))


def test_padding_is_not_listened_to() -> None:
    frames, sizes = some(), torch.tensor([40, 17])
    real = torch.arange(40) < sizes[:, None]
    loud = frames.masked_fill(~real[..., None], 50.0)
    assert torch.equal(long_term_spectrum(loud, real), long_term_spectrum(frames, real))
    alone = long_term_spectrum(frames[1:, :17], torch.ones(1, 17, dtype=torch.bool))
    assert torch.allclose(long_term_spectrum(frames, real)[1:], alone, atol=1e-6)


def test_pauses_count_little() -> None:
    """Three spectra in ten may be quiet, however quiet they are."""
    frames, real = some(1), torch.ones(1, 40, dtype=torch.bool)
    frames[:, :12] = -3.0
    deeper = frames.clone()
    deeper[:, :12] = -30.0
    assert torch.equal(long_term_spectrum(deeper, real), long_term_spectrum(frames, real))


def test_what_is_brought_there_is_there() -> None:
    frames, real = some(), torch.ones(2, 40, dtype=torch.bool)
    wanted = long_term_spectrum(3.0 * some(seed=1) + 1.0, real)
    made = match_long_term_spectrum(frames, real, wanted)
    # measured over the spectra that were loud before, as which are loud may change
    kept = match_long_term_spectrum(made, real, long_term_spectrum(made, real))
    assert torch.allclose(kept, made, atol=1e-4)
    assert float((long_term_spectrum(made, real) - wanted).abs().mean()) < 0.25 * float(
        (long_term_spectrum(frames, real) - wanted).abs().mean()
    )


def test_a_steady_sound_is_not_blown_up_and_gradients_are_finite() -> None:
    still = torch.full((1, 20, 8), -2.0, requires_grad=True)
    real = torch.ones(1, 20, dtype=torch.bool)
    made = match_long_term_spectrum(still, real, long_term_spectrum(some(1, 20), real))
    assert float(made.detach().std(dim=1).max()) < 1e-4
    made.square().sum().backward()
    assert bool(still.grad.isfinite().all())


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_shortest_clips_have_one(size: int) -> None:
    assert bool(long_term_spectrum(some(1, size), torch.ones(1, size, dtype=torch.bool)).isfinite().all())
