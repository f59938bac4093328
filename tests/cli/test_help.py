"""Help, versions and lists: what a newcomer asks first, in plain words."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

import vocable
from tests.cli.conftest import Run, quick_help
from tests.models import ready
from vocable.apps import catalog
from vocable.apps.catalog import list_models, list_recipes
from vocable.cli.main import app
from vocable.systems.registry import recipes, released

ROOT = Path(__file__).resolve().parents[2]


def commands() -> list[tuple[str, ...]]:
    def walk(command: object, words: tuple[str, ...]) -> list[tuple[str, ...]]:
        inner = getattr(command, "commands", {})
        return [words, *(found for name, one in inner.items() for found in walk(one, (*words, name)))]

    return walk(typer.main.get_command(app), ())


NETWORKS = (
    "encode",
    "decode",
    "edit",
    "vc",
    "tts",
    "asr",
    "score",
    "generate",
    "demo",
    "inspect",
    "evaluate",
    "train",
    "study",
)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_is_in_plain_words(run: Run, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    code, out, _ = run(*words, "--help")
    assert code == 0
    noise = re.findall(r"<[a-z]+(?: range|\[\w+\])?>|\bINTEGER\b|\bFLOAT\b|\bRANGE\b|x[<>]=|\bNone\b|\bdtype\b", out)
    assert noise == []
    for line in re.findall(r"│ \*? +(--[a-z-]+).*│", out):
        assert line


@pytest.mark.parametrize("command", NETWORKS)
def test_every_command_that_runs_a_network_takes_a_device(run: Run, command: str) -> None:
    assert "--device" in run(command, "--help")[1]


def test_commands_are_in_the_order_of_their_use(run: Run) -> None:
    out = run("--help")[1]
    names = re.findall(r"^│ (\w+) ", out, re.M)
    assert [name for name in names if name in ("demo", "encode", "decode", "tts", "vc", "models", "train")] == [
        "demo", "encode", "decode", "tts", "vc", "models", "train",
    ]  # fmt: skip
    assert {"models", "recipes", "data", "evaluate", "study"} <= set(names)
    assert "--install-completion" in out


def test_the_version_is_said_everywhere_alike(run: Run) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert run("--version") == (0, f"vocable {version('vocable')}\n", "")
    assert vocable.__version__ == version("vocable") == declared


@pytest.mark.slow
def test_the_version_does_not_wait_for_torch() -> None:
    assert "Print the version" in quick_help()


@pytest.mark.slow
def test_models_are_listed_with_rate_size_license_and_use(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run("models")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert {*released(), "vocoder-16k", "vocoder-8k", "g2p-en"} <= set(rows)
    assert all(text in rows["guided-small"] for text in ("4000 bit/s", "11.1 MB", "CC BY-SA 4.0", "voice conversion"))
    assert "text to speech" in rows["ctap-small"]
    for model in list_models():
        if model.is_bundled:
            assert model.license != "unknown"
            assert model.license in (model.folder / "README.md").read_text()
            assert model.use
            assert model.size > 100_000


def test_models_of_others_are_listed_from_folders_and_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "weights" / "whisper-tiny.en"
    place.mkdir(parents=True)
    (place / "config.json").write_text('{"model_type": "whisper"}')
    (place / "README.md").write_text("---\nlicense: mit\n---\n")
    (place / "model.safetensors").write_bytes(bytes(1_000))
    (tmp_path / "weights" / "notes").mkdir()
    for name, text in (("broken", "{"), ("list", "[1]")):
        (tmp_path / "weights" / name).mkdir()
        (tmp_path / "weights" / name / "config.json").write_text(text)
        (tmp_path / "weights" / name / "model.bin").write_bytes(bytes(10))
    monkeypatch.setattr(catalog.registry, "released", list)  # which are not looked at here
    monkeypatch.setenv("VOCABLE_WEIGHTS", f"{tmp_path / 'none'}:{tmp_path / 'weights'}")
    found = {model.name: model for model in list_models() if not model.is_bundled}
    assert {"whisper-tiny.en", "broken", "list"} <= set(found)
    assert "notes" not in found
    assert (found["whisper-tiny.en"].license, found["whisper-tiny.en"].size) == ("mit", 1_000)
    assert "taste-small" in found["whisper-tiny.en"].use
    assert "not known" in found["broken"].use


def test_recipes_are_listed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    code, out, _ = run("recipes")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()[1:] if line[1:2].strip()} >= set(recipes())
    listed = {recipe.name: recipe for recipe in list_recipes()}
    assert set(listed) == set(recipes())
    assert (listed["guided-small"].is_trained, listed["guided-paper"].is_trained) == (True, False)
    assert listed["taste-small"].system == "TASTE"


@pytest.mark.parametrize("name", ["guided-paper", "ctap-tiny", "taste-seed", "vocoder-tiny"])
def test_a_recipe_that_is_no_model_is_called_one(run: Run, tmp_path: Path, name: str) -> None:
    ready("spectral").encode(vocable.testing.speechlike(900)).write(tmp_path / "a.tokens")
    code, out, err = run("decode", tmp_path / "a.tokens", "--model", name, "-o", tmp_path / "a.wav")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"{name}: is a recipe" in err
    assert f"vocable train {name} --data" in err
