"""Latents to quantize, and the frames of them that are real."""

import torch
from torch import Tensor

SIZE, DIM = 8, 4


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def everywhere(latents: Tensor) -> Tensor:
    return torch.ones(latents.shape[:2], dtype=torch.bool)
