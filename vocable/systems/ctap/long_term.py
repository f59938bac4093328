"""The long-term average spectrum: what a voice, a room and a microphone leave on speech, whatever is said."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_LOUD = 0.7  # share of a clip's spectra: the others are pauses, of which each clip has more or fewer
_LEAST_SPREAD = 0.1  # of a filter: a steady sound is not blown up


def long_term(frames: Float[Tensor, "B S F"], real: Bool[Tensor, "B S"]) -> Float[Tensor, "B F*2"]:
    """Mean of each mel filter over a clip's louder spectra, and behind them their deviations.

    Args:
        frames: Spectra on a logarithmic scale, standardised over a corpus.
        real: Which belong to the clip; of each row one at least.

    Source:
        The long-term average spectrum tells speakers apart (Furui, 1981, of cepstra); mean and variance of a voice put
        on converted spectra: Toda, Black and Tokuda, IEEE TASLP 15(8), 2007, section V.

    Example:
        >>> frames = torch.tensor([[[1.0, 4.0], [3.0, 4.0], [1.0, 4.0], [3.0, 4.0], [-9.0, -9.0]]])
        >>> long_term(frames, torch.ones(1, 5, dtype=torch.bool))
        tensor([[2.0000, 4.0000, 1.0050, 0.1000]])
    """
    levels = frames.detach().mean(2).masked_fill(~real, -torch.inf)
    quietest = (real.sum(1) * _LOUD).ceil().long().clamp(min=1) - 1
    loud = real & (levels >= levels.sort(dim=1, descending=True).values.gather(1, quietest[:, None]))
    weight = loud.float()[..., None]
    said = weight.sum(1).clamp(min=1.0)
    mean = (frames * weight).sum(1) / said
    spread = (((frames - mean[:, None]).square() * weight).sum(1) / said + _LEAST_SPREAD**2).sqrt()
    return torch.cat([mean, spread], dim=1)


def brought_to(
    frames: Float[Tensor, "B S F"], real: Bool[Tensor, "B S"], wanted: Float[Tensor, "B F*2"]
) -> Float[Tensor, "B S F"]:
    """Spectra with another long-term average spectrum: each filter is shifted and stretched.

    Example:
        >>> frames, real = torch.randn(1, 9, 4), torch.ones(1, 9, dtype=torch.bool)
        >>> torch.allclose(brought_to(frames, real, long_term(frames, real)), frames, atol=1e-5)
        True
    """
    mean, spread = long_term(frames, real)[:, None].chunk(2, dim=2)
    wanted_mean, wanted_spread = wanted[:, None].chunk(2, dim=2)
    return (frames - mean) / spread * wanted_spread + wanted_mean
