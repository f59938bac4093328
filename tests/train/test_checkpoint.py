"""Checkpoints are whole or absent, and what is altered is not loaded."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.disk import disk_with_room_for
from tests.states import same
from vocable.errors import CheckpointError, OutputError
from vocable.train import checkpoint


class Counter(nn.Module):
    """A weight, a bias and a buffer of whole numbers."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.layer = nn.Linear(2, width)
        self.register_buffer("seen", torch.tensor(7))


Parts = dict[str, nn.Module]
Optimizers = dict[str, torch.optim.Optimizer]


def fresh(*names: str, width: int = 3, seed: int = 0) -> tuple[Parts, Optimizers]:
    torch.manual_seed(seed)
    parts: Parts = {name: Counter(width) for name in names or ("first", "second")}
    return parts, {name: torch.optim.AdamW(part.parameters(), lr=0.1) for name, part in parts.items()}


def moved(steps: int = 3) -> tuple[Parts, Optimizers]:
    """Parts that have been trained for some steps: the first for more than the second."""
    parts, optimizers = fresh()
    for step in range(steps):
        for name in ("first", "second")[: 1 + step % 2]:
            optimizers[name].zero_grad()
            parts[name].layer(torch.ones(1, 2)).square().sum().backward()
            optimizers[name].step()
        parts["first"].seen += 1
    return parts, optimizers


def export(folder: Path) -> None:
    (folder / "model.bin").write_bytes(bytes(range(64)))


def everything(parts: Parts, optimizers: Optimizers) -> dict[str, Tensor]:
    tensors = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, entry in optimizer.state_dict()["state"].items():
            tensors |= {f"{name}.{index}.{key}": value for key, value in entry.items()}
    return {key: value.clone() for key, value in tensors.items()}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return checkpoint.save(tmp_path / "run", 8, *moved(), export)


def test_restore_is_the_inverse_of_save(saved: Path) -> None:
    parts, optimizers = fresh(seed=1)
    assert checkpoint.restore(saved, parts, optimizers) == 8
    wanted = moved()
    assert same(everything(parts, optimizers), everything(*wanted))
    for part, optimizer in ((parts, optimizers), wanted):
        optimizer["first"].zero_grad()
        part["first"].layer(torch.ones(1, 2)).sum().backward()
        optimizer["first"].step()
    assert same(everything(parts, optimizers), everything(*wanted)), "the optimizers go on differently"


def test_an_optimizer_that_has_not_moved_has_nothing_to_restore(tmp_path: Path) -> None:
    saved = checkpoint.save(tmp_path, 0, *fresh(), export)
    parts, optimizers = fresh(seed=1)
    checkpoint.restore(saved, parts, optimizers)
    assert same(everything(parts, optimizers), everything(*fresh()))


def test_files_of_a_checkpoint(saved: Path) -> None:
    assert saved.name == "step-00000008"
    assert sorted(path.name for path in saved.iterdir()) == ["model.bin", "training.json", "training.safetensors"]
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    seal = json.loads((saved / "training.json").read_text())
    assert (seal["format"], seal["step"], sorted(seal["files"])) == (1, 8, ["model.bin", "training.safetensors"])


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 20, 3, 100, 45):
        checkpoint.save(tmp_path, step, *moved(), export, keep=2)
    assert [path.name for path in checkpoint.steps(tmp_path)] == ["step-00000045", "step-00000100"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_step_saved_again_is_replaced(saved: Path) -> None:
    again = checkpoint.save(saved.parent, 8, *moved(steps=6), export)
    parts, optimizers = fresh()
    checkpoint.restore(again, parts, optimizers)
    assert same(everything(parts, optimizers), everything(*moved(steps=6)))


def test_what_a_kill_left_is_no_checkpoint_and_goes_away(saved: Path) -> None:
    for name in (".step-00000009.part", ".step-00000012.part", ".step-00000003.gone", "step-00000010"):
        (saved.parent / name).mkdir()
        (saved.parent / name / "model.bin").write_bytes(b"half")
    assert checkpoint.steps(saved.parent) == [saved]
    checkpoint.save(saved.parent, 10, *moved(), export)
    assert sorted(path.name for path in saved.parent.iterdir()) == ["step-00000008", "step-00000010"]


def test_at_every_moment_of_a_save_checkpoints_are_whole_or_absent(tmp_path: Path) -> None:
    """A kill may come before any call to the system: before each, all that can be seen is verified."""
    seen: list[int] = []
    watching = False

    def look(event: str, args: object) -> None:
        nonlocal watching
        if watching and event.startswith(("open", "os.", "shutil.")):
            watching = False
            seen.append(max(checkpoint.verify(path) for path in tmp_path.glob("step-*")))
            watching = True

    sys.addaudithook(look)
    checkpoint.save(tmp_path, 1, *moved(), export, keep=2)
    watching = True
    for step in (2, 3, 4):
        checkpoint.save(tmp_path, step, *moved(), export, keep=2)
    watching = False
    assert seen == sorted(seen)
    assert set(seen) == {1, 2, 3, 4}
    assert len(seen) > 60


def assert_refused(folder: Path, match: str) -> None:
    parts, optimizers = fresh(seed=1)
    before = everything(parts, optimizers)
    with pytest.raises(CheckpointError, match=match):
        checkpoint.restore(folder, parts, optimizers)
    assert same(everything(parts, optimizers), before), "something was loaded all the same"


@pytest.mark.parametrize("name", ["model.bin", "training.safetensors"])
@pytest.mark.parametrize("where", [0, 0.3, 0.7, -1])
def test_a_flipped_byte_is_found(saved: Path, name: str, where: float) -> None:
    content = bytearray((saved / name).read_bytes())
    content[int(where * len(content)) if where >= 0 else -1] ^= 0x10
    (saved / name).write_bytes(content)
    assert_refused(
        saved, rf"step-00000008/{name}: the file is altered \(its SHA-256 differs\); resume from another checkpoint"
    )


def test_a_flipped_bit_of_the_seal_is_found_or_means_nothing(saved: Path) -> None:
    """White space may change into other white space; whatever else changes is an error, the step's digits too."""
    seal = saved / "training.json"
    good = seal.read_bytes()
    found = 0
    for place in range(len(good)):
        for bit in (0x01, 0x20):
            seal.write_bytes(good[:place] + bytes([good[place] ^ bit]) + good[place + 1 :])
            try:
                assert checkpoint.verify(saved) == 8
                assert chr(good[place]).isspace()
            except CheckpointError:
                found += 1
    assert found > 1.7 * len(good)


@pytest.mark.parametrize("name", ["model.bin", "training.safetensors"])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    assert_refused(saved, rf"step-00000008/{name}: the file is missing; resume from another checkpoint")


def test_a_missing_seal_is_named(saved: Path) -> None:
    (saved / "training.json").unlink()
    assert_refused(saved, r"training.json: cannot be read \(.*No such file.*\); resume from another checkpoint")
    (saved / "training.json").write_text("[1, 2]")
    assert_refused(saved, r"training.json: .*should be an object; resume from another checkpoint")


@pytest.mark.parametrize(
    ("name", "value"),
    [("step", "8"), ("step", -8), ("step", 8.5), ("files", ["model.bin"]), ("files", {"model.bin": 3}), ("files", None),
     ("format", "1"), ("format", None), ("step", float("nan")), ("more", 1)],
)  # fmt: skip
def test_a_seal_with_other_values_is_named(saved: Path, name: str, value: object) -> None:
    seal = json.loads((saved / "training.json").read_text())
    (saved / "training.json").write_text(json.dumps(seal | {name: value}))
    assert_refused(saved, rf"training.json: (Invalid|{name}|.*NaN).*; resume from another checkpoint")


@pytest.mark.parametrize("text", ["", "{", "[" * 5_000 + "]" * 5_000, '{"format": 1, "step": 8}'])
def test_a_seal_that_is_none_is_named(saved: Path, text: str) -> None:
    (saved / "training.json").write_text(text)
    assert_refused(saved, r"training.json: .*; resume from another checkpoint")
    with (saved / "training.json").open("wb") as file:
        file.truncate((64 << 20) + 1)
    assert_refused(saved, r"training.json: is larger than 64 MiB; resume from another checkpoint")


def test_another_version_is_refused(saved: Path) -> None:
    seal = json.loads((saved / "training.json").read_text())
    (saved / "training.json").write_text(json.dumps(seal | {"format": 2}))
    assert_refused(saved, "checkpoint format 2, this vocable reads 1; install another version")


@pytest.mark.parametrize(
    ("names", "width", "said"),
    [
        (("first", "second"), 4, "size mismatch"),
        (("first",), 3, "it has no second"),
        (("first", "second", "third"), 3, "Missing key"),
    ],
)
def test_another_recipe_is_refused(saved: Path, names: tuple[str, ...], width: int, said: str) -> None:
    with pytest.raises(CheckpointError, match=rf"does not fit this recipe \(.*{said}.*\); resume with the recipe"):
        checkpoint.restore(saved, *fresh(*names, width=width))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"file/checkpoints/.*cannot be created"):
        checkpoint.save(tmp_path / "file" / "checkpoints", 1, *moved(), export)


def test_a_full_disk_leaves_the_older_checkpoint_and_nothing_else(tmp_path: Path) -> None:
    older = checkpoint.save(tmp_path, 1, *moved(), export)
    said = r"step-00000002.*cannot be written \(.*File too large"
    with disk_with_room_for(700), pytest.raises(OutputError, match=said):
        checkpoint.save(tmp_path, 2, *moved(), export)
    assert list(tmp_path.iterdir()) == [older]
    assert checkpoint.verify(older) == 1


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("a bug")])
def test_an_export_that_fails_leaves_nothing(tmp_path: Path, error: Exception) -> None:
    def fails(folder: Path) -> None:
        export(folder)
        raise error

    wanted = OutputError if isinstance(error, OSError) else ValueError
    with pytest.raises(wanted, match=r"No space left on device|a bug"):
        checkpoint.save(tmp_path / "run", 1, *moved(), fails)
    assert list((tmp_path / "run").iterdir()) == []
