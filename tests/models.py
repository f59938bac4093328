"""Small tokenizers whose codebooks have seen something, for tests."""

from functools import cache

import torch

from vocable.recipes import guided
from vocable.systems.guided.config import GuidedConfig, SeanetConfig
from vocable.systems.guided.model import GuidedModel
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.testing import speechlike

CONFIGS = {
    "spectral": guided.tiny().model,
    "seanet": GuidedConfig(
        backbone=SeanetConfig(channels=4, lstm_layers=1, latent_width=16), codebook_size=16, num_codebooks=3
    ),
}


@cache
def ready(name: str) -> GuidedTokenizer:
    """A tokenizer with random weights and codebooks started on its own latents."""
    config = CONFIGS[name]
    torch.manual_seed(0)
    model = GuidedModel(config)
    samples = torch.from_numpy(speechlike(config.backbone.hop * 200).samples)[None]
    model.train()(samples, torch.ones(1, 200, dtype=torch.bool))
    return GuidedTokenizer(model)
