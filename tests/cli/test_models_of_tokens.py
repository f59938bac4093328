"""Token files name their model: ``decode`` finds it by the digest, ``inspect`` names it; a name decides nothing."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vocable
from tests.cli.conftest import Run, files
from tests.models import ready
from vocable.audio import Audio
from vocable.errors import CheckpointError, SpecError
from vocable.systems.registry import load_for
from vocable.testing import speechlike
from vocable.tokens import Provenance, Tokens

GOLDEN = Path(__file__).parents[1] / "golden"


def test_decode_finds_the_bundled_model(run: Run, tmp_path: Path) -> None:
    speechlike(16_000).write(tmp_path / "a.wav")
    for model in ("guided-small", "ctap-small"):
        assert run("encode", tmp_path / "a.wav", "-o", tmp_path / "in" / f"{model}.tokens", "--model", model)[0] == 0
    shutil.copy(GOLDEN / "vqalattent-fsdd-0.tokens", tmp_path / "in" / "old.tokens")  # version 1, which has no name
    code, _, err = run("decode", tmp_path / "in", "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert files(tmp_path / "out") == ["ctap-small.wav", "guided-small.wav", "old.wav"]
    ctap = vocable.load("ctap-small")
    expected = ctap.decode(ctap.encode(Audio.read(tmp_path / "a.wav")))
    decoded = Audio.read(tmp_path / "out" / "ctap-small.wav")
    assert np.abs(decoded.samples - np.clip(expected.samples, -1, 1)).max() < 1e-4


def test_inspect_names_the_model(run: Run, tmp_path: Path) -> None:
    speechlike(16_000).write(tmp_path / "a.wav")
    assert run("encode", tmp_path / "a.wav", "-o", tmp_path / "a.tokens")[0] == 0
    for file, name in ((tmp_path / "a.tokens", "guided-small"), (GOLDEN / "guided-small-0.tokens", "guided-small")):
        code, out, _ = run("inspect", file)
        assert code == 0
        assert ["model", name] in [line.split() for line in out.splitlines()]


def test_tokens_of_a_model_of_ones_own_say_what_to_name(run: Run, tmp_path: Path) -> None:
    ready("spectral").save(tmp_path / "my model")
    speechlike(16_000).write(tmp_path / "a.wav")
    model = ("--model", tmp_path / "my model")
    assert run("encode", tmp_path / "a.wav", "-o", tmp_path / "a.tokens", *model)[0] == 0
    code, _, err = run("decode", tmp_path / "a.tokens", "-o", tmp_path / "b.wav")
    assert (code, err.count("\n"), files(tmp_path / "my model")) == (1, 1, ["model.json", "model.safetensors"])
    assert "a.tokens: these tokens were made by tokenizer sha256:" in err
    assert "which calls itself 'my model'," in err
    assert "--model" in err
    assert not (tmp_path / "b.wav").exists()
    assert run("decode", tmp_path / "a.tokens", "-o", tmp_path / "b.wav", *model)[0] == 0
    assert "not bundled; calls itself 'my model'" in " ".join(run("inspect", tmp_path / "a.tokens")[1].split())


def test_one_file_without_a_model_stops_no_other(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    ready("spectral").encode(speechlike(16_000)).write(tmp_path / "in" / "mine.tokens")
    vocable.load("guided-small").encode(speechlike(16_000)).write(tmp_path / "in" / "yours.tokens")
    code, _, _ = run("decode", tmp_path / "in", "-o", tmp_path / "out")
    assert (code, files(tmp_path / "out")) == (1, ["yours.wav"])


@pytest.mark.parametrize("hint", [None, "guided-small", "ctap-small", "nobody"])
def test_the_digest_decides_whatever_the_name(hint: str | None) -> None:
    tokens = vocable.load("guided-small").encode(speechlike(3_200))
    assert tokens.provenance == Provenance(model="guided-small")
    assert load_for(replace(tokens, provenance=Provenance(model=hint))).name == "guided-small"
    foreign = replace(tokens, tokenizer="sha256:" + 64 * "0", provenance=Provenance(model=hint))
    with pytest.raises(CheckpointError, match="no bundled model has this digest"):
        load_for(foreign)
    with pytest.raises(SpecError, match="this one is 'guided-small', sha256:"):
        vocable.load("guided-small").decode(foreign)


def test_a_name_is_never_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the name that tokens carry is not looked at."""
    monkeypatch.chdir(tmp_path)
    ready("spectral").save("guided-small")
    tokens = ready("spectral").encode(speechlike(3_200))
    with pytest.raises(CheckpointError, match="no bundled model"):
        load_for(replace(tokens, provenance=Provenance(model="guided-small")))


def test_every_way_to_make_tokens_names_the_model(tmp_path: Path) -> None:
    ready("spectral").save(tmp_path / "mine")
    codec = vocable.load(tmp_path / "mine")
    clip = speechlike(3_200)
    generator = vocable.load("vqalattent-fsdd")
    made = {
        "mine": [codec.encode(clip), codec.encode_batch([clip, clip]), codec.encode_blocks([clip.samples])],
        "vqalattent-fsdd": [generator.sample([{"digit": 7}])],
    }
    for name, several in made.items():
        for tokens in several:
            tokens.write(tmp_path / "a.tokens")
            assert Tokens.read(tmp_path / "a.tokens").provenance == Provenance(model=name)
