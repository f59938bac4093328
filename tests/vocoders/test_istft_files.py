"""A vocoder's folder: what is saved comes back, and what was altered is refused."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.vocoders.istft import CONFIG, SPEC, mel, network
from vocable import folder as folders
from vocable.errors import CheckpointError
from vocable.folder import digest_of
from vocable.vocoders import IstftVocoder, find_vocoder


def test_save_then_load_is_the_identity(saved: Path, tmp_path: Path) -> None:
    vocoder, again = IstftVocoder(network()), IstftVocoder.load(saved)
    assert (again.config, again.digest) == (vocoder.config, vocoder.digest)
    assert np.array_equal(again.render(mel()), vocoder.render(mel()))
    vocoder.save(tmp_path / "half", half=True)
    half = IstftVocoder.load(tmp_path / "half")
    assert half.digest != vocoder.digest
    assert float(np.abs(half.render(mel()) - vocoder.render(mel())).max()) < 0.02


def _card(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        card = json.loads((folder / "model.json").read_text())
        change(card)
        card["digest"] = digest_of(card["config"], load_file(folder / "model.safetensors"))  # as a stranger would
        (folder / "model.json").write_text(json.dumps(card))

    return alter


def _weights(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"in_proj.bias": tensors["in_proj.bias"] + 1}, folder / "model.safetensors")


ALTERED: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights": (_weights, "digest differs"),
    "truncated": (lambda folder: (folder / "model.safetensors").write_bytes(b"\x10"), "cannot be read as tensors"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "cannot be read as tensors"),
    "no card": (lambda folder: (folder / "model.json").unlink(), r"model\.json: "),
    "card of numbers": (lambda folder: (folder / "model.json").write_text("[1]"), r"model\.json: "),
    "no spectra": (_card(lambda card: card["config"].pop("mel")), "mel: Field required"),
    "hop 0": (_card(lambda card: card["config"]["mel"].update(hop=0)), "hop is 0"),
    "words for sizes": (_card(lambda card: card["config"].update(width="wide")), "width is 'wide'"),
    "half a bin": (_card(lambda card: card["config"]["mel"].update(bins=31.5)), "mel.bins is 31.5"),
    "a size more": (_card(lambda card: card["config"].update(depth=3)), "depth"),
    "another width": (_card(lambda card: card["config"].update(width=10**4)), "size mismatch"),
    "endless blocks": (_card(lambda card: card["config"].update(blocks=10**9)), "blocks is 1000000000"),
    "another format": (_card(lambda card: card.update(format=99)), "format 99"),
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_folder_is_a_named_error(saved: Path, name: str) -> None:
    alter, said = ALTERED[name]
    alter(saved)
    for load in (IstftVocoder.load, lambda folder: find_vocoder(str(folder), SPEC)):
        with pytest.raises(CheckpointError, match=said):
            load(saved)


def test_a_tokenizers_folder_is_no_vocoder() -> None:
    with pytest.raises(CheckpointError, match="the vocoder's configuration: "):
        IstftVocoder.load(folders.bundled("guided")["guided-small"])


def test_a_config_is_plain_values_and_back(saved: Path) -> None:
    assert json.loads((saved / "model.json").read_text())["config"] == asdict(CONFIG)


@pytest.mark.parametrize("name", ["vocoder-8k", "vocoder-16k"])
def test_a_bundled_vocoder_keeps_its_digest_of_before_as_an_alias(name: str, tmp_path: Path) -> None:
    folder = folders.bundled("vocoder")[name]
    before = json.loads((folder / "model.json").read_text())
    vocoder = IstftVocoder.load(folder)
    assert (before["format"], vocoder.aliases) == (1, (before["digest"],))
    vocoder.save(tmp_path)
    again = IstftVocoder.load(tmp_path)
    assert (again.digest, again.aliases) == (vocoder.digest, vocoder.aliases)
    spectra = torch.full((vocoder.spec.bins, 20), -40.0)
    assert np.array_equal(again.render(spectra), vocoder.render(spectra))
