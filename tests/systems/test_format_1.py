"""Model folders of vocable 0.1, format 1, and models of 0.1 that are no longer bundled.

``format_1.json`` has the configurations of two and the shapes of their tensors, whose weights here are random. The
bundled ``ctap-small`` is a folder of format 1 itself.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import vocable
from vocable.errors import CheckpointError, SpecError
from vocable.folder import digest_of
from vocable.systems.retired import retired
from vocable.systems.units import check_source, find_units
from vocable.tokens import Tokens

STORED: dict[str, Any] = json.loads((Path(__file__).parent / "format_1.json").read_text())
RETIRED = Path(__file__).parents[1] / "golden" / "retired"
MODELS = Path(vocable.__file__).parent / "models"
NAMES = ("ctap-small", *STORED)


def write_format_1(folder: Path, name: str, **change: Any) -> str:
    """Write a folder as vocable 0.1 did, with random weights where none are bundled; return their digest."""
    folder.mkdir()
    if name in STORED:
        stored, generator = STORED[name], torch.Generator().manual_seed(0)
        tensors = {key: torch.randn(shape, generator=generator).half() for key, shape in stored["shapes"].items()}
        tensors |= {
            key: torch.zeros(shape, dtype=torch.int64) for key, shape in stored["shapes"].items() if is_count(key)
        }
        save_file(tensors, folder / "model.safetensors")
        described = {key: stored[key] for key in ("system", "config")}
        described |= {"format": 1, "digest": digest_of(stored["config"], tensors)}
    else:
        described = json.loads((MODELS / name / "model.json").read_text())
        assert described["format"] == 1
        (folder / "model.safetensors").symlink_to(MODELS / name / "model.safetensors")
    described["config"] = described["config"] | change
    (folder / "model.json").write_text(json.dumps(described))
    return str(described["digest"])


def is_count(name: str) -> bool:
    return name.endswith((".restarts", ".updates"))


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_format_1_is_migrated_and_keeps_its_digest_as_an_alias(name: str, tmp_path: Path) -> None:
    before = write_format_1(tmp_path / "old", name)
    tokenizer = vocable.load(str(tmp_path / "old"))
    assert tokenizer.aliases == (before,)
    assert tokenizer.digest != before
    tokenizer.save(tmp_path / "new")
    described = json.loads((tmp_path / "new" / "model.json").read_text())
    assert (described["format"], described["digest"]) == (2, tokenizer.digest)
    again = vocable.load(str(tmp_path / "new"))
    assert (again.config, again.digest, again.aliases) == (tokenizer.config, tokenizer.digest, tokenizer.aliases)
    for key, value in tokenizer.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[key], value), key


@pytest.mark.parametrize("change", [{"phonemes": ["AA"]}, {"mel": None}, {"more": 1}], ids=str)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("untyped")
def test_a_hostile_folder_of_format_1_is_refused(name: str, change: dict[str, object], tmp_path: Path) -> None:
    write_format_1(tmp_path / "old", name, **change)
    with pytest.raises(CheckpointError, match="copy the model again"):
        vocable.load(str(tmp_path / "old"))


@pytest.mark.parametrize("name", STORED)
def test_tokens_of_a_retired_model_are_refused_by_the_version_that_reads_them(name: str) -> None:
    tokens = Tokens.read(RETIRED / f"{name}-0.tokens")
    assert tokens.tokenizer == STORED[name]["digest"]
    with pytest.raises(SpecError, match=rf"the {name} of vocable 0\.1 reads them; or encode again"):
        vocable.load(name).decode(tokens)


def test_a_model_that_predicts_retired_units_is_refused_by_the_version_that_has_them() -> None:
    source = find_units("supervised-small", vocable.load)
    spec = replace(source.spec, digest=STORED["supervised-small"]["digest"])
    with pytest.raises(SpecError, match=r"the supervised-small of vocable 0\.1 has it; or train again"):
        check_source(source, spec)


def test_no_bundled_model_is_retired() -> None:
    for card in MODELS.glob("*/model.json"):
        described = json.loads(card.read_text())
        assert not [digest for digest in (described["digest"], *described.get("aliases", ())) if retired(digest)], card
