"""A disturbed command loses nothing, leaves nothing half-written, and finishes when it is run again.

The long proofs are those of benchmarks/faults.py: every write with every error, and twenty kills of each command.
"""

from pathlib import Path

import pytest

from tests.faults.commands import WORKS, make_inputs
from tests.faults.proofs import ERRORS, faults, full_disks, kills, kills_of_two

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("faults") / "inputs")


@pytest.mark.parametrize("name", WORKS)
def test_a_write_that_fails_loses_nothing(name: str, inputs: Path, tmp_path: Path) -> None:
    proof = faults(name, inputs, tmp_path / "out", ERRORS[:1], lambda count: range(0, count, max(1, count // 5)))
    assert not proof.failures
    assert proof.disturbed >= 5


@pytest.mark.parametrize("name", WORKS)
def test_a_kill_loses_nothing(name: str, inputs: Path, tmp_path: Path) -> None:
    proof = kills(name, inputs, tmp_path / "out", 3)
    assert not proof.failures
    assert proof.disturbed == 3


@pytest.mark.parametrize("name", WORKS)
def test_a_full_disk_loses_nothing(name: str, inputs: Path, tmp_path: Path) -> None:
    proof = full_disks(name, inputs, tmp_path / "out", [64, 4_000])
    assert not proof.failures
    assert proof.disturbed == 2


def test_a_kill_of_one_or_both_of_two_processes_loses_nothing(inputs: Path, tmp_path: Path) -> None:
    proof = kills_of_two("tokenize", inputs, tmp_path / "out", 3)
    assert not proof.failures
    assert proof.disturbed == 3
    assert not proof.leftovers
