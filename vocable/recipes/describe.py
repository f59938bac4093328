"""What a thing on disk or in the box is, as tables."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vocable.errors import CheckpointError, InputError
from vocable.recipes import RECIPES, find
from vocable.recipes.run import run_to_json
from vocable.systems import hub
from vocable.systems.guided.model import GuidedModel
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.tokens import MAGIC, Tokens, TokenSpec
from vocable.train import checkpoint


@dataclass(frozen=True)
class Section:
    """A titled table; without column names it has two, a label and a value."""

    title: str
    rows: Sequence[tuple[str, ...]]
    columns: tuple[str, ...] = ()


def describe(what: str) -> list[Section]:
    """Describe a token file, a run's folder, a model's folder, a model in the box, or a recipe.

    Raises:
        InputError: It is none of these.
        TokenFileError, CheckpointError: It is one, but cannot be used.
    """
    path = Path(what)
    if path.is_file():
        if path.read_bytes()[: len(MAGIC)] != MAGIC and path.suffix != ".tokens":
            raise InputError(f"{path}: is not a token file; give a token file, a run, a model or a recipe")
        return list(_tokens(path))
    if path.is_dir() and (path / "run.json").exists():
        return list(_run(path))
    if path.is_dir() or what in hub.released():
        return list(_model(hub.load(what)))
    if what in RECIPES:
        return list(_recipe(what))
    raise InputError(
        f"{what}: is no file, folder, model ({', '.join(hub.released())}) or recipe ({', '.join(RECIPES)})"
    )


def _tokens(path: Path) -> Iterator[Section]:
    tokens = Tokens.read(path)
    size, seconds = path.stat().st_size, int(tokens.samples.sum()) / tokens.spec.sample_rate
    rows = [
        ("clips", str(len(tokens))),
        ("speech", f"{seconds:.2f} s"),
        ("frames", str(int(tokens.lengths.sum()))),
        ("file", f"{size} bytes, {8 * size / max(seconds, 1e-9):.0f} bit/s with its header"),
        ("tokenizer", tokens.tokenizer),
    ]
    yield Section(f"Tokens {path}", rows + _spec_rows(tokens.spec))
    distinct = [len(set(tokens.ids[:, level].reshape(-1).tolist())) for level in range(tokens.spec.num_codebooks)]
    yield Section(
        "Levels", [(str(level), f"{count} of {tokens.spec.codebook_size}") for level, count in enumerate(distinct, 1)],
        ("level", "entries used"),
    )  # fmt: skip


def _model(tokenizer: GuidedTokenizer) -> Iterator[Section]:
    parameters = sum(parameter.numel() for parameter in tokenizer.model.parameters())
    entries = sum(book.entries.numel() for book in tokenizer.model.quantizer.books)
    yield Section(
        "Model",
        [
            ("digest", tokenizer.digest),
            ("parameters", f"{parameters:,} and {entries:,} codebook values"),
            *_spec_rows(tokenizer.spec),
            ("long audio", "constant memory, tokens of the whole" if tokenizer.streams else "whole clips only"),
        ],
    )
    books = [book.stats() for book in tokenizer.model.quantizer.books]
    yield Section(
        "Codebooks in training",
        [(str(level), f"{book['used']:.1%}", f"{book['perplexity']:.0f}", f"{book['entropy']:.2f}",
          f"{book['dead']:.0f}", f"{book['restarts']:.0f}") for level, book in enumerate(books, 1)],
        ("level", "used", "perplexity", "entropy (bit)", "dead", "restarts"),
    )  # fmt: skip


def _run(folder: Path) -> Iterator[Section]:
    try:
        values = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{folder / 'run.json'}: cannot be read ({error})") from error
    log = folder / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")] if log.exists() else []
    saved = checkpoint.steps(folder / "checkpoints")
    rows = [
        ("data", ", ".join(map(str, values.get("data", [])))),
        ("steps", f"{lines[-1]['step'] if lines else 0} of {values['train']['steps']}"),
        ("checkpoints", ", ".join(path.name for path in saved) or "none yet"),
    ]
    yield Section(f"Run {folder}", rows)
    if lines:
        shown = sorted(key for key in lines[-1] if "/" in key and not key.endswith("/weight"))
        marks = sorted({round(index * (len(lines) - 1) / 7) for index in range(8)})
        yield Section(
            "Progress",
            [(str(lines[mark]["step"]), *(_number(lines[mark].get(key)) for key in shown)) for mark in marks],
            ("step", *(key.removeprefix("generator/") for key in shown)),
        )
    yield Section("Settings", list(_flat(values)))
    if saved:
        yield from _model(hub.load(folder))


def _recipe(name: str) -> Iterator[Section]:
    run = find(name)
    with torch.device("meta"):
        model = GuidedModel(run.model)
    parts = {"encoder": model.encoder, "decoder": model.decoder}
    counts = [(part, f"{sum(p.numel() for p in network.parameters()):,}") for part, network in parts.items()]
    yield Section(f"Recipe {name}", [*_spec_rows(run.model.spec), *((f"{part} parameters", n) for part, n in counts)])
    yield Section("Settings", list(_flat(run_to_json(run))))


def _spec_rows(spec: TokenSpec) -> list[tuple[str, ...]]:
    clock = [("sample rate", f"{spec.sample_rate} Hz"), ("codebooks", f"{spec.num_codebooks} × {spec.codebook_size}")]
    if spec.hop is None:
        return [*clock, ("frames", "follow the text")]
    return [
        *clock,
        ("frame rate", f"{spec.frame_rate:g} Hz (hop {spec.hop})"),
        ("token rate", f"{spec.token_rate:g} tokens/s"),
        ("bit rate", f"{spec.bit_rate:g} bit/s"),
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}"
