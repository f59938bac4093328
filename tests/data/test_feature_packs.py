"""Packs of features under damage: what is read is what was written, or an error that names the file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vocable.data.feature_packs import FeaturePack, pack_name, write_pack
from vocable.errors import CheckpointError


def write(folder: Path) -> Path:
    path = folder / pack_name(0)
    random = torch.Generator().manual_seed(0)
    write_pack(path, {name: torch.randn(40, 4, generator=random).half() for name in "abc"}, "sha256:1", {"d": "silent"})
    return path


def read(path: Path) -> dict[str, Tensor]:
    pack = FeaturePack(path, "sha256:1")
    try:
        return {name: pack.slice(name)[:] for name in pack}
    finally:
        pack.close()


def test_no_altered_or_cut_pack_is_read_as_features(tmp_path: Path) -> None:
    path, random = write(tmp_path), np.random.default_rng(0)
    sound, expected, refused = path.read_bytes(), read(path), 0
    for number in range(300):
        at = int(random.integers(len(sound)))
        altered = bytearray(sound)
        altered[at] ^= 1 << int(random.integers(8))
        path.write_bytes(sound[:at] if number % 10 == 0 else bytes(altered))
        try:
            found = read(path)
        except CheckpointError as error:
            assert str(error).startswith(str(path))  # noqa: PT017 most mutations raise it, not all
            refused += 1
        else:
            assert found.keys() == expected.keys()
            assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert refused > 200


def test_a_newer_format_and_another_teacher_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(CheckpointError, match=r"is of another teacher \(sha256:1\) than sha256:2"):
        FeaturePack(path, "sha256:2")
    sound = path.read_bytes()
    old, new = rb"\"format\":1", rb"\"format\":9"
    assert old in sound
    path.write_bytes(sound.replace(old, new))
    with pytest.raises(CheckpointError, match="feature format 9, this vocable reads 1; update it"):
        FeaturePack(path, "sha256:1")
