"""What a thing on disk or in the box is, as tables. Systems tell of themselves (``vocable.systems.facts``)."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from math import log, log2
from pathlib import Path
from typing import Any, Literal

import torch

from vocable.audio import AUDIO_SUFFIXES, Audio
from vocable.errors import AudioError, ConfigError, InputError
from vocable.evaluate.clips import Clips
from vocable.folder import system_of as folder_system
from vocable.interfaces import TokenGenerator, Tokenizer
from vocable.metrics.codebook import codebook_usage
from vocable.systems import registry as hub
from vocable.systems.base import BaseTokenizer
from vocable.systems.describe import Table, spec_rows
from vocable.systems.registry import find_recipe
from vocable.tokens import MAGIC, Tokens
from vocable.train import checkpoint
from vocable.train.record import read_record
from vocable.train.run import run_to_json

Kind = Literal["tokens", "audio", "run", "model", "recipe"]


def kind_of(what: str) -> Kind:
    """What sort of thing a name or path stands for.

    Raises:
        InputError: None that is known.

    Example:
        >>> kind_of("guided-small"), kind_of("guided-tiny")
        ('model', 'recipe')
    """
    path = Path(what)
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(MAGIC)) == MAGIC or path.suffix == ".tokens":
                return "tokens"
        if path.suffix.lower() in AUDIO_SUFFIXES:
            return "audio"
        raise InputError(f"{path}: is not a token file or audio; give one of these, a run, a model or a recipe")
    if path.is_dir() and (path / "run.json").exists():
        return "run"
    if path.is_dir() or what in hub.released():
        return "model"
    if what in hub.recipes():
        return "recipe"
    raise InputError(
        f"{what}: is no file, folder, model ({', '.join(hub.released())}) or recipe ({', '.join(hub.recipes())})"
    )


def describe(what: str, clips: Clips | None = None) -> list[Table]:
    """Describe a token file, an audio file, a run's folder, a model's folder, a model in the box, or a recipe.

    Args:
        what: A name or a path.
        clips: Recordings: of a tokenizer with a prior, what their ids would cost if the prior coded them.

    Raises:
        InputError: It is none of these.
        TokenFileError, AudioError, CheckpointError: It is one, but cannot be used.

    Example:
        >>> describe("guided-tiny")[0].rows[0]
        ('sample rate', '16000 Hz')
    """
    kind = kind_of(what)
    if kind == "tokens":
        return list(_tokens(Path(what)))
    if kind == "audio":
        return list(_audio(Path(what)))
    if kind in ("run", "model"):
        tables = list(_run(Path(what)) if kind == "run" else _model(hub.load(what)))
        return [*tables, *_likelihood(hub.load(what), clips)] if clips is not None else tables
    return list(_recipe(what))


def _tokens(path: Path) -> Iterator[Table]:
    tokens = Tokens.read(path)
    size, seconds = path.stat().st_size, int(tokens.samples.sum()) / tokens.spec.sample_rate
    rows = [
        ("clips", str(len(tokens))),
        ("speech", f"{seconds:.2f} s"),
        ("frames", str(int(tokens.lengths.sum()))),
        ("file", f"{size} bytes, {8 * size / max(seconds, 1e-9):.0f} bit/s with its header"),
        ("tokenizer", tokens.tokenizer),
    ]
    yield Table(f"Tokens {path}", rows + spec_rows(tokens.spec))
    levels = codebook_usage(tokens.ids, tokens.lengths, tokens.spec.codebook_size)
    yield Table(
        "Levels",
        [(str(level.level), f"{level.distinct} of {level.reachable} they can show", f"{level.perplexity:.0f}",
          f"{level.entropy:.2f}") for level in levels],
        ("level", "entries used", "perplexity", "entropy (bit)"),
    )  # fmt: skip


def _audio(path: Path) -> Iterator[Table]:
    audio = Audio.read(path)
    loudest = max(abs(float(audio.samples.min())), abs(float(audio.samples.max())))
    rows = [
        ("speech", f"{audio.duration:.2f} s"),
        ("sample rate", f"{audio.sample_rate} Hz"),
        ("loudest sample", f"{loudest:.4f} of full scale"),
    ]
    yield Table(f"Audio {path}", rows)


def _model(tokenizer: BaseTokenizer[Any]) -> Iterator[Table]:
    yield from tokenizer.describe()


def _likelihood(tokenizer: object, clips: Clips) -> Iterator[Table]:
    """What an entropy coder would save that knows the prior: an id costs -log2 of its probability."""
    if not isinstance(tokenizer, TokenGenerator) or not isinstance(tokenizer, Tokenizer):
        return
    spent: dict[str, list[float]] = {"nothing": [], "its labels": []}
    ids = []
    for utterance in clips.utterances():
        try:
            tokens = tokenizer.encode(Audio.read(utterance.audio_path))
        except AudioError:
            continue  # a silent clip has no tokens
        known = {key: value for key in tokenizer.labels if (value := utterance.value(key)) in tokenizer.labels[key]}
        ids.append(tokens.ids)
        for name, said in (("nothing", {}), ("its labels", known)):
            with suppress(ConfigError):  # a prior that always knew a label cannot do without
                spent[name].append(-float(tokenizer.score(tokens, [said]).mean()) / log(2))
    if not ids:
        return
    together, nominal = torch.cat(ids, dim=2), log2(tokenizer.spec.codebook_size)
    (level,) = codebook_usage(together, torch.tensor([together.shape[2]]), tokenizer.spec.codebook_size)
    rows = [("every id alike", nominal), ("how often each id occurs in these clips", level.entropy)]
    rows += [(f"the ids before it and {name}", sum(bits) / len(bits)) for name, bits in spent.items() if bits]
    yield Table(
        f"Bits an id costs a coder, {len(ids)} clips",
        [(name, f"{bits:.2f}", f"{1 - bits / nominal:.0%}") for name, bits in rows],
        ("that knows", "bit", "saved"),
    )


def _run(folder: Path) -> Iterator[Table]:
    record = read_record(folder)
    lines, saved = record.rows, checkpoint.steps(folder / "checkpoints")
    rows = [
        ("data", ", ".join(record.manifests)),
        ("steps", f"{lines[-1]['step'] if lines else 0} of {record.steps}"),
        ("checkpoints", ", ".join(path.name for path in saved) or "none yet"),
    ]
    yield Table(f"Run {folder}", rows)
    if lines:
        shown = sorted(key for key in lines[-1] if "/" in key and not key.endswith("/weight"))
        marks = sorted({round(index * (len(lines) - 1) / 7) for index in range(8)})
        yield Table(
            "Progress",
            [(str(lines[mark]["step"]), *(_number(lines[mark].get(key)) for key in shown)) for mark in marks],
            ("step", *(key.removeprefix("generator/") for key in shown)),
        )
    yield Table("Settings", list(_flat({**record.values, "data": record.manifests})))
    model = saved[-1] if saved else folder
    if (model / "model.json").exists() and folder_system(model) in hub.systems():  # a vocoder or judge tells no more
        yield from _model(hub.load(folder))


def _recipe(name: str) -> Iterator[Table]:
    run = find_recipe(name)
    system = next((one for one in hub.systems().values() if name in one.recipes), None)
    if system is not None:
        first, *more = system.describe_config(run.model)
        yield from (replace(first, title=f"Recipe {name}"), *more)
    yield Table("Settings", list(_flat(run_to_json(run))))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}"
