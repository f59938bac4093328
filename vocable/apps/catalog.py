"""Models and recipes that are at hand, as ``vocable models`` and ``vocable recipes`` list them."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from vocable.errors import CheckpointError
from vocable.features.hub import WEIGHTS
from vocable.files import folder_exists, is_file
from vocable.folder import system_of
from vocable.schema import read_object, read_utf8
from vocable.systems import registry

_LICENSE = re.compile(r"weights are (?:under )?\**(CC[ A-Z-]* \d\.\d|Apache-2\.0|MIT)")
_CACHED_LICENSE = re.compile(r"^license: *(\S+)", re.MULTILINE)
_USES = {
    "tts": "text to speech", "vc": "voice conversion", "asr": "phoneme recognition", "generate": "speech generation",
    "edit": "word editing", "score": "scoring of texts",
}  # fmt: skip
_PARTS = {
    "letters": "pronunciation of English words", "vocoder": "mel spectra to speech, for the models above",
    "words": "words of English in the phonemes of the models above",
}  # fmt: skip
_CACHED_USES = {
    "whisper": "input of supervised-small and taste-small, speech recognizer",
    "hubert": "teacher of guided recipes", "wavlm": "teacher of guided recipes, speaker similarity",
    "wav2vec2": "teacher of guided recipes",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CatalogModel:
    """A model that is at hand.

    Attributes:
        name: Name to load it by.
        rate: Rate of its tokens; empty for a model without tokens.
        size: Size of its weights in bytes.
        license: License of the weights; ``unknown`` where none is stated.
        use: What it is good for.
        folder: Folder that it lies in.
        is_bundled: Whether it comes with vocable.
    """

    name: str
    rate: str
    size: int
    license: str
    use: str
    folder: Path
    is_bundled: bool


@dataclass(frozen=True, kw_only=True)
class CatalogRecipe:
    """A training recipe.

    Attributes:
        name: Name of the recipe.
        system: Title of the system that it trains.
        steps: Number of training steps.
        summary: First line of its description.
        is_trained: Whether a model of this name comes with vocable.
    """

    name: str
    system: str
    steps: int
    summary: str
    is_trained: bool


def list_models() -> list[CatalogModel]:
    """Return the bundled models, then the models of others in ``VOCABLE_WEIGHTS`` and the cache of transformers.

    Example:
        >>> next(model.rate for model in list_models() if model.name == "guided-small")
        '50 Hz, 400 tokens/s, 4000 bit/s'
    """
    root = Path(str(files("vocable"))) / "models"
    folders = sorted(card.parent for card in root.glob("*/model.json"))
    tokenizers = registry.released()
    bundled = [_bundled(folder) for folder in sorted(folders, key=lambda folder: folder.name not in tokenizers)]
    return [*bundled, *_listed_folders(), *_cached()]


def list_recipes() -> list[CatalogRecipe]:
    """Return every training recipe, those for tests last.

    Example:
        >>> [recipe.is_trained for recipe in list_recipes() if recipe.name in ("guided-small", "guided-paper")]
        [False, True]
    """
    titles = {name: system.title for system in registry.systems().values() for name in system.recipes}
    recipes = registry.recipes()
    folders = {folder.name for folder in (Path(str(files("vocable"))) / "models").iterdir()}
    return [
        CatalogRecipe(
            name=name, system=titles.get(name, "other"), steps=recipe().train.steps, summary=_first_line(recipe),
            is_trained=name in folders,
        )
        for name, recipe in sorted(recipes.items(), key=lambda item: "-tiny" in item[0])
    ]  # fmt: skip


def _bundled(folder: Path) -> CatalogModel:
    system = system_of(folder) or ""
    rate, use = "", _PARTS.get(system, "")
    if folder.name in registry.released():
        form = registry.load(folder.name).format
        spec = form.spec
        rate = f"{spec.num_codebooks} × {spec.codebook_size} for each subword or cell"
        if spec.hop is not None:
            rate = f"{spec.frame_rate:g} Hz, {spec.token_rate:g} tokens/s, {spec.bit_rate:g} bit/s"
        if form.voice_width:
            rate += f"; with what a clip carries beside the ids, {form.rate_text()}"
        uses = registry.systems()[system].uses
        use = ", ".join(["coding", *(phrase for name, phrase in _USES.items() if name in uses)])
    card = folder / "README.md"
    found = _LICENSE.search(read_utf8(card, CheckpointError, "copy it again")) if is_file(card) else None
    return CatalogModel(
        name=folder.name, rate=rate, size=_weight_bytes(folder), license=found[1] if found else "unknown", use=use,
        folder=folder, is_bundled=True,
    )  # fmt: skip


def _listed_folders() -> Iterator[CatalogModel]:
    """Yield the models in the folders of ``VOCABLE_WEIGHTS``."""
    for place in filter(None, os.environ.get(WEIGHTS, "").split(os.pathsep)):
        with suppress(OSError):
            for folder in sorted(Path(place).iterdir()):
                if folder_exists(folder) and _weight_bytes(folder):
                    yield _other(folder.name, folder)


def _cached() -> Iterator[CatalogModel]:
    """Yield the models in the cache of huggingface_hub, newest revision of each."""
    try:
        from huggingface_hub import CacheNotFound, scan_cache_dir
    except ImportError:
        return
    with suppress(CacheNotFound, OSError, ValueError):
        for repository in sorted(scan_cache_dir().repos, key=lambda one: one.repo_id):
            if repository.repo_type == "model" and repository.revisions:
                newest = max(repository.revisions, key=lambda revision: revision.last_modified)
                yield _other(repository.repo_id, newest.snapshot_path)


def _other(name: str, folder: Path) -> CatalogModel:
    """Describe a model of others by its own files."""
    kind, stated = "", "unknown"
    with suppress(CheckpointError):
        kind = str(read_object(folder / "config.json").get("model_type"))
    if is_file(folder / "hyperparams.yaml"):
        kind = "ecapa"
    with suppress(CheckpointError):
        if found := _CACHED_LICENSE.search(read_utf8(folder / "README.md", CheckpointError, "copy it again")[:2_000]):
            stated = found[1]
    use = {**_CACHED_USES, "ecapa": "speaker similarity"}.get(
        kind, f"not known to vocable ({kind or 'no config.json'})"
    )
    return CatalogModel(
        name=name, rate="", size=_weight_bytes(folder), license=stated, use=use, folder=folder, is_bundled=False
    )


def _weight_bytes(folder: Path) -> int:
    suffixes = {".safetensors", ".bin", ".pt", ".ckpt", ".tflite", ".onnx"}
    with suppress(OSError):
        return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in suffixes)
    return 0


def _first_line(recipe: Callable[..., object]) -> str:
    line = (recipe.__doc__ or "").strip().partition("\n")[0].replace("``", "'").removeprefix("Return ")
    return line[:1].upper() + line[1:]
