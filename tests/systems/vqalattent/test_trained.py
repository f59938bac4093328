"""The tiny recipe, trained for real: it says what is asked for, and its codebook and prior have learnt."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vocable import recipes
from vocable.audio import Audio
from vocable.data.manifest import read_manifest
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer

pytestmark = pytest.mark.slow  # trains


def standardised(pictures: Tensor) -> Tensor:
    flat = pictures.flatten(1)
    return (flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True)


def nearest_label(pictures: Tensor, trained: VqalattentTokenizer, manifest: Path) -> list[str]:
    """The digit of the training recording whose picture is nearest to each."""
    known = read_manifest(manifest, "train")
    seen = standardised(torch.stack([trained.image(Audio.read(one.audio_path)) for one in known]))
    return [str(known[place].value("digit")) for place in torch.cdist(standardised(pictures), seen).argmin(1).tolist()]


def test_what_is_asked_for_is_what_is_spoken(trained: VqalattentTokenizer, manifest: Path) -> None:
    """A hundred utterances, ten of each digit, told by the nearest recording: chance is 0.1."""
    asked = [str(row % 10) for row in range(100)]
    drawn = trained.decode_images(trained.sample([{"digit": which} for which in asked], seed=0))
    told = nearest_label(drawn, trained, manifest)
    assert np.mean([one == two for one, two in zip(asked, told, strict=True)]) > 0.5


def test_what_is_spoken_is_not_always_the_same(trained: VqalattentTokenizer) -> None:
    tokens = trained.sample([{"digit": 7}] * 10, seed=0)
    assert len({tuple(row) for row in tokens.ids[:, 0].tolist()}) > 5


def test_recordings_it_has_not_seen_come_back_as_the_same_digit(trained: VqalattentTokenizer, manifest: Path) -> None:
    test = read_manifest(manifest, "test")
    made = trained.decode_images(trained.encode_batch([Audio.read(one.audio_path) for one in test]))
    told = nearest_label(made, trained, manifest)
    assert np.mean([one.value("digit") == label for one, label in zip(test, told, strict=True)]) > 0.9


def test_the_codebook_is_in_use(trained: VqalattentTokenizer, manifest: Path) -> None:
    (book,) = trained.model.vqvae.quantizer.codebooks
    assert float(book.stats()["used"]) > 0.25
    test = [Audio.read(one.audio_path) for one in read_manifest(manifest, "test")]
    assert len(trained.encode_batch(test).ids.unique()) > 0.25 * book.size


def test_the_prior_expects_recordings_more_than_chance_does(trained: VqalattentTokenizer, manifest: Path) -> None:
    """In nats an id: less than the logarithm of the codebook's size, and least with the right digit."""
    test = read_manifest(manifest, "test")[:10]
    tokens = trained.encode_batch([Audio.read(one.audio_path) for one in test])
    right = trained.score(tokens, [{"digit": one.value("digit")} for one in test]).mean()
    wrong = trained.score(tokens, [{"digit": (int(str(one.value("digit"))) + 5) % 10} for one in test]).mean()
    assert float(right) > float(wrong)
    assert float(right) > -0.8 * math.log(32)


def test_an_utterance_lasts_as_long_as_those_it_learnt_from(trained: VqalattentTokenizer, manifest: Path) -> None:
    material = recipes.find("vqalattent-tiny").material_of(read_manifest(manifest, "train"))
    lasting = [float(material.durations[(material.labels[:, 0] == which).numpy()].mean()) for which in range(10)]
    tokens = trained.sample([{"digit": which} for which in range(10)])
    assert tokens.voice[:, 1].tolist() == pytest.approx(lasting, rel=1e-4)
    assert float(trained.model.mean_duration) == pytest.approx(material.durations.mean(), rel=1e-5)
    assert torch.equal(trained.model.bounds, material.bounds)
