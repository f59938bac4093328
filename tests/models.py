"""Small tokenizers whose codebooks have seen something, for tests."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from tests.digits import digit
from vocable.features.whisper import WhisperEncoder
from vocable.systems.ctap import recipe as ctap
from vocable.systems.ctap.config import CtapConfig
from vocable.systems.ctap.networks import CtapModel
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.systems.guided import recipe as guided
from vocable.systems.guided.config import GuidedConfig, SeanetConfig
from vocable.systems.guided.networks import GuidedModel
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.systems.supervised import recipe as supervised
from vocable.systems.supervised.networks import SupervisedModel
from vocable.systems.supervised.tokenizer import SupervisedTokenizer
from vocable.systems.voiced import VoicedTokenizer
from vocable.systems.vqalattent import recipe as vqalattent
from vocable.systems.vqalattent.image import mel_image, to_unit
from vocable.systems.vqalattent.model import VqalattentModel
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.testing import speechlike
from vocable.text.phonemes import PhonemeSet

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


def ready_speaker(
    vqvae: dict[str, Any] | None = None, prior: dict[str, Any] | None = None, speakers: tuple[str, ...] = ("ann", "bob")
) -> VqalattentTokenizer:
    """A VQalAttent with random weights whose codebook has seen ten digits and whose prior has preferences.

    The digit d of the first speaker lasts 0.2 + d / 50 seconds, that of the second half as long again.

    Args:
        vqvae: What is not as in the tiny recipe.
        prior: The same.
        speakers: May be asked for, beside digits.
    """
    sizes = vqalattent.tiny().model
    torch.manual_seed(0)
    model = VqalattentModel(replace(
        sizes, vqvae=replace(sizes.vqvae, **(vqvae or {})),
        prior=replace(sizes.prior, **({"conditions": ("digit", "speaker")} | (prior or {}))),
        labels={"digit": tuple("0123456789"), "speaker": speakers},
    ))  # fmt: skip
    with torch.no_grad():
        nn.init.constant_(model.vqvae.decoder[-1].bias, 0.5)  # pictures of something that can be heard
        seen = [mel_image(digit(which, 0, 1.0).samples, sizes.image) for which in range(10)]
        model.vqvae.train()(to_unit(torch.stack(seen), model.bounds))
        for matrix in model.prior.parameters():
            if matrix.ndim > 1:
                nn.init.normal_(matrix, std=0.25)
        model.mean_duration.fill_(0.25)
        for column, key in enumerate(model.config.prior.conditions):
            each = 0.2 + torch.arange(10) / 50 if key == "digit" else 0.25 + torch.arange(len(speakers)) / 8
            model.label_durations[column, : len(each)] = each
        model.prior_codebook.fill_(model.codebook_fingerprint())
    return VqalattentTokenizer(model, "griffin-lim")


@cache
def ready_ctap(phonemes: tuple[str, ...] = PhonemeSet.arpabet().symbols, *, trained: bool = True) -> CtapTokenizer:
    """A VQ-CTAP with random weights whose codebook has seen speech and whose connector listens to phonemes and voice.

    Args:
        phonemes: The inventory.
        trained: Whether connector and durations say that they are.
    """
    torch.manual_seed(0)
    model = CtapModel(replace(ctap.tiny().model, phonemes=phonemes))
    tokenizer = CtapTokenizer(model, "griffin-lim")
    with torch.no_grad():
        heard = torch.cat([tokenizer.latents(speechlike(64_000, 8_000, seed)).clone() for seed in range(4)], dim=1)
        model.train().transcoder.quantizer(heard, torch.ones(heard.shape[:2], dtype=torch.bool))
        for diffusion in (model.connector, model.durations.diffusion):
            for layer in diffusion.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.normal_(layer.weight, std=0.3)
        model.trained.fill_(int(trained))
    return CtapTokenizer(model, "griffin-lim")


def save_whisper(folder: Path, seed: int = 0) -> Path:
    """A small random Whisper in a folder, in OpenAI's names."""
    torch.manual_seed(seed)
    encoder = WhisperEncoder(width=64, depth=2)
    folder.mkdir(parents=True)
    save_file(
        {f"encoder.{name}": value for name, value in encoder.state_dict().items()}, folder / "encoder.safetensors"
    )
    return folder


def ready_supervised(whisper: Path) -> SupervisedTokenizer:
    """Supervised units with random weights on a small Whisper, whose codebook has seen speech.

    Args:
        whisper: Its folder; ``VOCABLE_WEIGHTS`` must name the folder that it lies in.
    """
    torch.manual_seed(0)
    config = replace(supervised.tiny().model, whisper=WhisperEncoder.load(str(whisper)).spec)
    model = SupervisedModel(config)
    tokenizer = SupervisedTokenizer(model, "griffin-lim")
    heard = torch.cat([tokenizer.latents(speechlike(64_000, seed=seed)).clone() for seed in range(4)], dim=1)
    model.quantizer.train()(heard, torch.ones(heard.shape[:2], dtype=torch.bool))
    return SupervisedTokenizer(model, "griffin-lim")


def with_levels(tokenizer: VoicedTokenizer[Any], levels: int | None) -> VoicedTokenizer[Any]:
    """The same weights, with so many levels in each dimension of the voice."""
    config: Any = tokenizer.config
    voice = replace(config.voice, levels=levels)
    if isinstance(config, CtapConfig):
        config = replace(config, transcoder=replace(config.transcoder, voice=voice))
    else:
        config = replace(config, voice=voice)
    model = type(tokenizer.model)(config)
    model.load_state_dict(tokenizer.model.state_dict())
    return type(tokenizer)(model, "griffin-lim")
