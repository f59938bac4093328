"""A Whisper with random weights where pretrained parts are looked for, and a TASTE that hears with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.data.conftest import lines  # noqa: F401
from tests.lab.conftest import place  # noqa: F401
from tests.models import ready
from tests.systems.taste.made import model_of
from vocable.features.hub import WEIGHTS
from vocable.features.whisper import WhisperEncoder, load_encoder
from vocable.systems.taste.config import tiny
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.systems.units import find_units
from vocable.text.subword_tokenizers import BytePairTokenizer

TEXTS = ["the dog and the other dog", "then they did not", "a dog is there", "who is it then", "she sees the others"]


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ``whisper-tiny.en``, of random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    (folder / "whisper-tiny.en").mkdir()
    state = {f"encoder.{name}": value for name, value in WhisperEncoder(width=128, depth=2).state_dict().items()}
    save_file(state, folder / "whisper-tiny.en" / "encoder.safetensors")
    return folder


@pytest.fixture
def hears(weights_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pretrained parts are found there."""
    monkeypatch.setenv(WEIGHTS, str(weights_folder))
    load_encoder.cache_clear()
    yield
    load_encoder.cache_clear()


@pytest.fixture
def taste(hears: None) -> TasteTokenizer:
    """Random weights; its units are the first level of a small codec."""
    subword_tokenizer = BytePairTokenizer.train(TEXTS, 40)
    encoder = WhisperEncoder.load("openai/whisper-tiny.en").spec
    units = find_units("spectral", ready).spec
    return TasteTokenizer(
        model_of(tiny(encoder, units, subword_tokenizer.to_json(), subword_tokenizer.size)), find=ready
    )
