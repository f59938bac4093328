"""VQalAttent's sizes: the paper's, those in the box, any that fit together; and those that do not."""

from dataclasses import replace
from math import prod
from typing import Any

import pytest
import torch

from tests.digits import digit
from tests.models import ready_speaker
from tests.systems.vqalattent.conftest import DIGITS, SIZE
from vocable.errors import ConfigError
from vocable.quantizers import EmaCodebook, GradientCodebook, StochasticVectorQuantizer
from vocable.schema import parse, to_json
from vocable.systems.registry import find_recipe, systems
from vocable.systems.vqalattent.config import (
    ImageSpec,
    PriorConfig,
    VqalattentConfig,
    VqvaeConfig,
)
from vocable.systems.vqalattent.model import VqalattentModel


def vqvae_parameters(sizes: VqvaeConfig) -> int:
    """By a formula of its own; the entries of an EMA codebook are no parameters."""

    def convolution(before: int, behind: int, kernel: int) -> int:
        return before * behind * kernel**2 + behind

    first, second = ({1: 3, 2: 4}[stride] for stride in sizes.strides)
    width, residual = sizes.width, 2 * convolution(sizes.width, sizes.width, 3) * sizes.residual_blocks
    strided = convolution(1, width, first) + 2 * convolution(width, width, second) + convolution(width, 1, first)
    return strided + 2 * residual + convolution(width, sizes.latent_dim, 3) + convolution(sizes.latent_dim, width, 3)


def prior_parameters(sizes: PriorConfig, ids: int, entries: int, labels: int) -> int:
    """Blocks of two layer norms, attention without bias in queries, keys and values, and a network of four widths."""
    width = sizes.width
    block = 4 * width + 3 * width**2 + width * (width + 1) + width * 4 * (width + 1) + 4 * width * width + width
    rows = entries + 1 + len(sizes.conditions) + labels  # codes, BOS, and for each condition "not said" and its labels
    places = 1 + len(sizes.conditions) + ids
    return sizes.blocks * block + (rows + places) * width + 2 * width + (width + 1) * entries


@pytest.mark.parametrize(("recipe", "grid"), [("vqalattent-paper", (16, 22)), ("vqalattent-paper-cr4", (32, 44))])
def test_the_papers_sizes(recipe: str, grid: tuple[int, int]) -> None:
    config = replace(find_recipe(recipe).model, labels={"digit": DIGITS})
    ids = grid[0] * grid[1]
    assert (config.grid, config.frames) == (grid, ids)
    assert config.frames == {"vqalattent-paper": 352, "vqalattent-paper-cr4": 1_408}[recipe]
    with torch.device("meta"):
        model = VqalattentModel(config).eval()
        images, asked = torch.zeros(2, 64, 88), torch.zeros(2, 1, dtype=torch.int64)
    assert model.vqvae.quantizer.codebooks[0].entries.shape == (256, 64)
    assert model.vqvae.latents(images).shape == (2, ids, 64)
    tokens = torch.zeros(2, ids, dtype=torch.int64, device="meta")
    assert model.vqvae.decode(tokens).shape == (2, 64, 88)
    assert model.prior(tokens, asked).shape == (2, ids, 256)
    assert (len(model.prior.blocks), model.prior.blocks[0].heads) == (12, 8)
    counts = [sum(value.numel() for value in part.parameters()) for part in (model.vqvae, model.prior)]
    assert counts[0] == vqvae_parameters(config.vqvae)
    assert counts[1] == prior_parameters(config.prior, ids, 256, 10)
    assert counts[1] == {"vqalattent-paper": 9_693_440, "vqalattent-paper-cr4": 9_963_776}[recipe]


@pytest.mark.parametrize(
    ("recipe", "said"), [("vqalattent-paper", ("352 (16 × 22), 2816 bit", "16")),
                         ("vqalattent-paper-cr4", ("1408 (32 × 44), 11264 bit", "4"))],
)  # fmt: skip
def test_a_recipe_tells_its_ids_and_compression(recipe: str, said: tuple[str, str]) -> None:
    rows = dict(systems()["vqalattent"].describe_config(find_recipe(recipe).model)[0].rows)
    assert (rows["ids of an utterance"], rows["image values to an id"]) == said
    assert "1.02 s" in rows["image"]


def test_the_model_in_the_box_begins_from_a_vqvae_of_its_own_shape() -> None:
    """One recipe trains the VQ-VAE on more speakers, the other its prior."""
    both, first, finer = (find_recipe(f"vqalattent-{name}") for name in ("fsdd", "fsdd-vqvae", "fsdd-cr4"))
    assert first.model == both.model
    assert first.losses.prior_from(first.train.steps) == first.train.steps
    assert 0 < both.losses.prior_from(both.train.steps) < both.train.steps
    assert (both.model.frames, finer.model.frames) == (352, 1_408)
    assert both.model.image.sample_rate == 8_000
    assert both.model.prior.conditions == ("digit", "speaker")


@pytest.mark.parametrize("strides", [(2, 2), (2, 1), (1, 2), (1, 1)])
def test_any_strides_give_their_grid_and_the_picture_back(strides: tuple[int, int]) -> None:
    tokenizer = ready_speaker({"strides": strides})
    reduction = strides[0] * strides[1]
    assert tokenizer.config.grid == (32 // reduction, 44 // reduction)
    tokens = tokenizer.encode(digit(0, 1, 1.0))
    assert tokens.ids.shape == (1, 1, 32 * 44 // reduction**2)
    assert tokenizer.decode_images(tokens).shape == (1, 32, 44)
    assert prod(tokenizer.model.vqvae.grid) == tokenizer.config.frames


@pytest.mark.parametrize("begin", ["kmeans", "data", "normal", "uniform"])
@pytest.mark.parametrize("codebook", ["ema", "gradient", "stochastic"])
def test_a_codebook_is_the_one_that_was_asked_for(codebook: str, begin: str) -> None:
    quantizer = ready_speaker({"codebook": codebook, "codebook_init": begin, "temperature": 0.7}).model.vqvae.quantizer
    (book,) = quantizer.codebooks
    assert type(book) is (EmaCodebook if codebook == "ema" else GradientCodebook)
    assert isinstance(quantizer, StochasticVectorQuantizer) == (codebook == "stochastic")
    assert getattr(quantizer, "temperature", 0.7) == 0.7
    assert (book.init, book.size, book.dim) == (begin, SIZE, 8)


OTHER = VqalattentConfig(
    image=ImageSpec(sample_rate=16_000, n_fft=512, bins=40, frames=60, trim_db=20.0, range_db=70.0),
    vqvae=VqvaeConfig(strides=(2, 1), width=8, residual_blocks=2, latent_dim=4, codebook_size=16, codebook="gradient",
                      codebook_init="data", temperature=0.5, order="time_major"),
    prior=PriorConfig(blocks=3, heads=2, width=16, dropout=0.2, conditions=("speaker", "digit"), label_dropout=0.3),
    labels={"speaker": ("ann",), "digit": ("0", "1")},
)  # fmt: skip


@pytest.mark.parametrize("config", [OTHER, find_recipe("vqalattent-paper").model, find_recipe("vqalattent-tiny").model])
def test_a_config_comes_back_from_json(config: VqalattentConfig) -> None:
    assert parse(VqalattentConfig, to_json(config), "config") == config


@pytest.mark.parametrize(
    "broken",
    [
        to_json(OTHER) | {"vqvae": 3},
        to_json(OTHER) | {"labels": None},
        to_json(OTHER) | {"image": {"size": 3}},
        to_json(OTHER) | {"prior": {**to_json(OTHER)["prior"], "colour": "red"}},
        to_json(OTHER) | {"vqvae": {**to_json(OTHER)["vqvae"], "strides": 2}},
    ],
)
@pytest.mark.usefixtures("untyped")
def test_a_config_that_is_none_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^model.json: "):
        parse(VqalattentConfig, broken, "model.json")


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"codebook": "none"}, "codebook is 'none': Input should be 'ema', 'gradient' or 'stochastic'"),
        (
            {"codebook_init": "zeros"},
            "codebook_init is 'zeros': Input should be 'kmeans', 'data', 'normal' or",
        ),
        ({"order": "random"}, "order is 'random': Input should be 'row_major' or 'time_major'"),
        ({"width": 0}, "width is 0: Input should be greater than or equal to 1"),
        ({"width": "wide"}, "width is 'wide': Input should be a valid integer"),
        ({"residual_blocks": 10**9}, "residual_blocks is 1000000000: .* less than or equal to 1024"),
        ({"residual_blocks": 0}, "residual_blocks is 0"),
        ({"latent_dim": 0}, "latent_dim is 0"),
        ({"codebook_size": 0}, "codebook_size is 0"),
        ({"strides": (2, 3)}, "strides.1 is 3: Input should be 1 or 2"),
        ({"strides": (2, 2, 2)}, r"strides is \(2, 2, 2\): Tuple should have at most 2 items"),
        ({"strides": (2,)}, "strides.1: Field required"),
        ({"temperature": 0.0}, "temperature is 0.0: Input should be greater than 0"),
    ],
)
def test_vqvae_sizes_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        VqvaeConfig(**values)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label_ids": "none"}, "label_ids is 'none': Input should be 'separate' or 'shared'"),
        ({"positions": "none"}, "positions is 'none': Input should be 'absolute' or 'grid'"),
        ({"width": 30}, "heads 8 must divide width 30"),
        ({"blocks": 0}, "blocks is 0: Input should be greater than or equal to 1"),
        ({"blocks": 10**9}, "blocks is 1000000000"),
        ({"heads": 0}, "heads is 0"),
        ({"label_dropout": 1.0}, "label_dropout is 1.0: Input should be less than 1"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"conditions": ("digit", "digit")}, "conditions digit, digit: name each of them once"),
        ({"label_ids": "shared", "label_dropout": 0.1}, "cannot be left open: set label_dropout to 0"),
    ],
)
def test_prior_sizes_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PriorConfig(**values)


def test_a_picture_must_fit_the_strides_and_labels_the_ids_they_share() -> None:
    with pytest.raises(ConfigError, match="an image of 64 × 90 is no multiple of 4 along both axes"):
        VqalattentConfig(image=ImageSpec(frames=90))
    with pytest.raises(ConfigError, match="10 labels cannot share 8 ids; use separate ids"):
        VqalattentConfig(
            vqvae=VqvaeConfig(codebook_size=8), prior=PriorConfig(label_ids="shared"), labels={"digit": DIGITS}
        )
