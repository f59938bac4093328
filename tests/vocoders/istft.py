"""A small network with random weights, and spectra for it."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from vocable.testing import speechlike
from vocable.vocoders import recipe
from vocable.vocoders.istft import IstftNetwork

CONFIG = recipe.tiny().model
SPEC = CONFIG.mel


def network(**changes: Any) -> IstftNetwork:
    torch.manual_seed(0)
    return IstftNetwork(replace(CONFIG, **changes)).eval()


def mel(spectra: int = 30, seed: int = 0) -> Tensor:
    """Spectra of samples like speech, (F, S)."""
    return SPEC.mel(torch.from_numpy(speechlike(spectra * SPEC.hop, seed=seed).samples)[None])[0]
