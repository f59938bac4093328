"""What tables say of things, without anyone knowing which system they are of."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from tests.models import CONFIGS, ready
from vocable.errors import InputError, ManifestError
from vocable.evaluate.describe import describe, kind_of
from vocable.systems.describe import Table
from vocable.systems.guided.networks import GuidedModel
from vocable.systems.registry import systems
from vocable.testing import speechlike
from vocable.tokens import Tokens, TokenSpec


def _cells(tables: list[Table]) -> Mapping[str, str]:
    return {row[0]: row[1] for table in tables for row in table.rows if len(row) == 2}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_codec_and_its_config_tell_their_own_sizes(name: str) -> None:
    codec = ready(name)
    trained, planned = _cells(codec.describe()), _cells(systems()["guided"].describe_config(CONFIGS[name]))
    model = GuidedModel(CONFIGS[name])
    parts = sum(int(planned[f"{part} parameters"].replace(",", "")) for part in ("encoder", "decoder"))
    assert parts == sum(p.numel() for p in model.parameters())
    assert trained["parameters"].startswith(f"{parts:,} and ")
    assert trained["digest"] == codec.digest
    assert trained["long audio"].startswith("constant memory" if name == "spectral" else "whole clips only")
    assert trained["bit rate"] == planned["bit rate"] == f"{codec.spec.bit_rate:g} bit/s"
    books = codec.describe()[1]
    assert len(books.rows) == codec.spec.num_codebooks
    assert {len(row) for row in books.rows} == {len(books.columns)}


def test_padding_is_no_use_of_a_codebook(tmp_path: Path) -> None:
    spec = TokenSpec(sample_rate=16_000, hop=None, codebook_size=8, num_codebooks=1)
    ids = torch.tensor([[[3, 3, 5]], [[3, 0, 0]]])
    tokens = Tokens(ids=ids, lengths=torch.tensor([3, 1]), samples=torch.tensor([900, 300]), spec=spec, tokenizer="x")
    tokens.write(tmp_path / "a.tokens")
    first, levels = describe(str(tmp_path / "a.tokens"))
    assert levels.rows == [("1", "2 of 4 reachable", "2", "0.81")]
    assert _cells([first])["frames"] == "do not follow the clock"


def test_audio_is_described(tmp_path: Path) -> None:
    speechlike(8_000).write(tmp_path / "a.flac")
    (table,) = describe(str(tmp_path / "a.flac"))
    assert table.rows[:2] == [("speech", "0.50 s"), ("sample rate", "16000 Hz")]


def test_a_manifest_is_described_split_by_split(tmp_path: Path) -> None:
    speechlike(16_000).write(tmp_path / "a.flac")
    lines = [
        {"audio_path": "a.flac", "text": "one", "speaker": "ann", "split": "train", "duration": 3.0},
        {"audio_path": "a.flac", "speaker": "ann", "split": "train", "duration": 5.0},
        {"audio_path": "a.flac", "text": "two", "split": "test"},  # its duration is in the file
    ]
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (table,) = describe(str(path))
    assert table.rows == [
        ("train", "2", "1", "1", "0.00", "4.00 s", "5.00 s"),
        ("test", "1", "1", "0", "0.00", "1.00 s", "1.00 s"),
    ]
    assert len(table.columns) == len(table.rows[0])
    (tmp_path / "broken.jsonl").write_text("words\n")
    with pytest.raises(ManifestError, match="line 1"):
        describe(str(tmp_path / "broken.jsonl"))


def test_what_is_nothing_is_named_with_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    with pytest.raises(InputError, match="is not a token file, audio or a manifest"):
        kind_of(str(tmp_path / "a.txt"))
    with pytest.raises(InputError, match=r"model \(ctap-small, guided-small.*recipe \(guided-paper"):
        kind_of(str(tmp_path / "none"))
    assert kind_of("guided-paper") == "recipe"
