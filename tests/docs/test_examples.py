"""The example programs run, on a corpus that is small and made up."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.needed import needed
from vocable.corpus.shard_format import ShardHeader, ShardRow
from vocable.corpus.shard_writer import write_shard
from vocable.tokens import Tokens

_ROOT = Path(__file__).parents[2]
_HEADER = ShardHeader(sample_rate=16_000, hop=320, codebook_size=32, num_codebooks=2, tokenizer="sha256:" + "a" * 64)


@pytest.mark.slow
def test_a_language_model_learns_what_follows_what(tmp_path: Path) -> None:
    needed("transformers")
    random = np.random.default_rng(0)
    rows = []
    for number in range(60):  # each id follows the one before it, from a random first one
        ids = (random.integers(0, 32, (2, 1)) + np.arange(180)) % 32
        tokens = Tokens(ids=torch.from_numpy(ids)[None], lengths=torch.tensor([180]), samples=torch.tensor([57_600]),
                        spec=_HEADER.spec, tokenizer=_HEADER.tokenizer)  # fmt: skip
        split = "train" if number < 50 else "test"
        rows.append((ShardRow(id=str(number), speaker=f"{split}{number % 5}", split=split), tokens))
    (tmp_path / "tokens").mkdir()
    write_shard(tmp_path / "tokens" / "a.shard", rows, _HEADER)
    program = [sys.executable, str(_ROOT / "examples" / "language_model.py"), str(tmp_path / "tokens"), "15"]
    result = subprocess.run(
        program, env=os.environ | {"PYTHONPATH": str(_ROOT)}, capture_output=True, text=True, check=True
    )
    lines = re.findall(r"^(.+): ([\d.]+) bits a token", result.stdout, re.MULTILINE)
    bits = {name: float(value) for name, value in lines}
    assert {"1-gram", "2-gram", "3-gram", "transformer"} <= bits.keys()
    assert bits["2-gram"] < 0.1
    assert bits["transformer"] < bits["1-gram"] - 1.0  # in so few steps
    assert "tokens of 10 recordings" in result.stdout
