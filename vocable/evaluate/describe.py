"""Tables that describe manifests, tokens, recordings, runs, models and recipes: ``vocable inspect``."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import log, log2
from pathlib import Path
from typing import Any, Literal

import torch

from vocable.audio import AUDIO_SUFFIXES, CONVERTIBLE_SUFFIXES, Audio, header_seconds
from vocable.audio_files.mark import read_mark
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import AudioError, CheckpointError, ConfigError, InputError, SpecError
from vocable.evaluate.plan import spread_evenly
from vocable.files import check_regular, exists, folder_exists, is_file, open_regular
from vocable.folder import system_of as folder_system
from vocable.interfaces import TokenGenerator, Tokenizer
from vocable.metrics.codebook import codebook_usage
from vocable.systems import registry
from vocable.systems.describe import Table, spec_rows
from vocable.token_file import MAGIC
from vocable.tokens import Tokens
from vocable.train import checkpoint
from vocable.train.record import read_record
from vocable.train.run import run_to_json
from vocable.voices import voice_bits

Kind = Literal["manifest", "tokens", "audio", "run", "model", "recipe"]
_PROGRESS_ROWS = 8
_MANIFEST_COLUMNS = ("split", "recordings", "with text", "speakers", "hours", "mean duration", "longest")


@dataclass(frozen=True, kw_only=True)
class Clips:
    """Selection of recordings on which a tokenizer is inspected.

    Attributes:
        manifest: Path of a JSONL manifest.
        split: Split of the manifest; ``all`` for every line. By default ``dev`` if there is one, else every line.
        limit: Maximum number of clips, spread evenly over the split.
        colors: Manifest keys that color the latents, such as ``gender``; the speaker by default.
        device: Torch device of the tokenizer.
    """

    manifest: Path
    split: str | None = None
    limit: int = 40
    colors: Sequence[str] = ()
    device: str = "cpu"

    def utterances(self) -> list[Utterance]:
        """Read the selected lines.

        Raises:
            ManifestError: If there is none.
        """
        lines = read_manifest(self.manifest)
        if self.split is None:
            lines = [line for line in lines if line.split == "dev"] or lines
        elif self.split != "all":
            lines = read_manifest(self.manifest, self.split)
        return spread_evenly(lines, self.limit)


def kind_of(what: str) -> Kind:
    """Return the kind of thing that a name or path stands for.

    Raises:
        InputError: If it is none of the kinds.
    """
    path = Path(what)
    try:
        if is_file(path):
            with open_regular(path) as file:
                begins = file.read(len(MAGIC))
            if begins == MAGIC or path.suffix == ".tokens":
                return "tokens"
            if path.suffix.lower() in AUDIO_SUFFIXES | CONVERTIBLE_SUFFIXES:
                return "audio"
            if path.suffix.lower() == ".jsonl":
                return "manifest"
            raise InputError(
                f"{path}: is not a token file, audio or a manifest (.jsonl); give one of these, a run, a model or a "
                "recipe"
            )
        if exists(path) and not folder_exists(path):
            check_regular(path)
        if exists(path / "run.json"):
            return "run"
        if folder_exists(path) or what in registry.released():
            return "model"
    except OSError as error:  # a name that is too long, a folder without rights
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path and its rights") from error
    if what in registry.recipes():
        return "recipe"
    models, recipes = ", ".join(registry.released()), ", ".join(registry.recipes())
    raise InputError(f"{what}: is no file, folder, model ({models}) or recipe ({recipes})")


def describe(what: str, clips: Clips | None = None) -> list[Table]:
    """Tabulate a manifest, a token file, an audio file, a run's folder, a model's folder, a bundled model, or a recipe.

    Args:
        what: Name or path.
        clips: Recordings; for a tokenizer with a prior, the bits that the prior saves on their ids are added.

    Raises:
        InputError: If it is none of these.
        ManifestError, TokenFileError, AudioError, CheckpointError: If it is one, but cannot be used.

    Example:
        >>> describe("guided-tiny")[0].rows[0]
        ('sample rate', '16000 Hz')
    """
    kind = kind_of(what)
    if kind == "manifest":
        return [_describe_manifest(Path(what))]
    if kind == "tokens":
        return list(_describe_tokens(Path(what)))
    if kind == "audio":
        audio, mark = Audio.read(what), read_mark(what)
        rows = [
            ("speech", f"{audio.duration:.2f} s"),
            ("sample rate", f"{audio.sample_rate} Hz"),
            ("peak", f"{abs(audio.samples).max():.4f} of full scale"),
            ("mark", "none" if mark is None else mark.sentence),
        ]
        return [Table(f"Audio {what}", rows)]
    if kind == "recipe":
        return list(_describe_recipe(what))
    tables = list(_describe_run(Path(what)) if kind == "run" else registry.load(what).describe())
    if clips is None:
        return tables
    return [*tables, *_describe_likelihood(registry.load(what, clips.device), clips)]


def _describe_manifest(path: Path) -> Table:
    """Tabulate the recordings of each split. Where a line has no duration, the file's header is read."""
    splits: dict[str, list[Utterance]] = {}
    for line in read_manifest(path):
        splits.setdefault(line.split or "none", []).append(line)
    rows = []
    for name, lines in splits.items():
        seconds = [line.duration or header_seconds(line.audio_path) for line in lines]
        speakers = {line.speaker for line in lines if line.speaker is not None}
        rows.append((
            name, f"{len(lines):,}", f"{sum(bool(line.text) for line in lines):,}", f"{len(speakers):,}",
            f"{sum(seconds) / 3600:.2f}", f"{sum(seconds) / len(seconds):.2f} s", f"{max(seconds):.2f} s",
        ))  # fmt: skip
    return Table(f"Manifest {path}", rows, _MANIFEST_COLUMNS)


def _describe_tokens(path: Path) -> Iterator[Table]:
    tokens = Tokens.read(path)
    size, seconds = path.stat().st_size, int(tokens.samples.sum()) / tokens.spec.sample_rate
    rows = [
        ("clips", str(len(tokens))),
        ("speech", f"{seconds:.2f} s"),
        ("frames", str(int(tokens.lengths.sum()))),
        ("file", f"{size} bytes, {8 * size / max(seconds, 1e-9):.0f} bit/s with its header"),
        *_side_rows(tokens, seconds),
        ("tokenizer", tokens.tokenizer),
        *_provenance_rows(tokens),
    ]
    yield Table(f"Tokens {path}", rows + spec_rows(tokens.spec))
    levels = codebook_usage(tokens.ids, tokens.lengths, tokens.spec.codebook_size)
    yield Table(
        "Levels",
        [(str(level.level), f"{level.distinct} of {level.reachable} reachable", f"{level.perplexity:.0f}",
          f"{level.entropy:.2f}") for level in levels],
        ("level", "entries used", "perplexity", "entropy (bit)"),
    )  # fmt: skip


def _side_rows(tokens: Tokens, seconds: float) -> list[tuple[str, str]]:
    """Return a row with the bits of ids, voices and texts, where the tokens carry more than ids."""
    voice = 0 if tokens.voice is None else len(tokens) * voice_bits(tokens.voice.shape[1], tokens.voice_levels)
    text = 8 * sum(len(one.encode()) for one in tokens.text or () if one)
    if not voice and not text:
        return []
    ids = int(tokens.lengths.sum()) * tokens.spec.bits_per_frame
    rate = (ids + voice + text) / max(seconds, 1e-9)
    return [("contents", f"{ids:,.0f} bit of ids, {voice:,} of voices, {text:,} of texts: {rate:,.0f} bit/s")]


def _provenance_rows(tokens: Tokens) -> list[tuple[str, str]]:
    """Return rows with the model of the digest, or the one that the tokens claim, and with source and settings."""
    claimed, source, settings = vars(tokens.provenance).values()
    problem = ""
    try:
        tokenizer = registry.load_for(tokens)
        model = tokenizer.name or ""
        tokenizer.check_tokens(tokens)
    except CheckpointError:
        model = f"not bundled; calls itself '{claimed}'" if claimed else "not bundled, and not named"
    except SpecError as error:
        problem = str(error)
    made_with = ", ".join(f"{name}={value}" for name, value in settings.items())
    rows = [("model", model), ("encoded from", source and f"audio of SHA-256 {source}"), ("settings", made_with),
            ("cannot be decoded", problem)]  # fmt: skip
    return [(name, value) for name, value in rows if value]


def _describe_likelihood(tokenizer: object, clips: Clips) -> Iterator[Table]:
    """Tabulate the bits of an id under entropy coders of growing knowledge: an id costs -log2 of its probability."""
    if not isinstance(tokenizer, TokenGenerator) or not isinstance(tokenizer, Tokenizer):
        return
    costs: dict[str, list[float]] = {"nothing": [], "its labels": []}
    ids = []
    for utterance in clips.utterances():
        try:
            tokens = tokenizer.encode(Audio.read(utterance.audio_path))
        except AudioError:
            continue  # a silent clip has no tokens
        labels = {key: value for key in tokenizer.labels if (value := utterance.value(key)) in tokenizer.labels[key]}
        ids.append(tokens.ids)
        for name, condition in (("nothing", {}), ("its labels", labels)):
            with suppress(ConfigError):  # a prior that was always conditioned on a label cannot do without
                costs[name].append(-float(tokenizer.score(tokens, [condition]).mean()) / log(2))
    if not ids:
        return
    joined, nominal = torch.cat(ids, dim=2), log2(tokenizer.spec.codebook_size)
    (level,) = codebook_usage(joined, torch.tensor([joined.shape[2]]), tokenizer.spec.codebook_size)
    rows = [("uniform probabilities", nominal), ("frequency of each id in these clips", level.entropy)]
    rows += [(f"previous ids and {name}", sum(bits) / len(bits)) for name, bits in costs.items() if bits]
    yield Table(
        f"Bits per id for an entropy coder, {len(ids)} clips",
        [(name, f"{bits:.2f}", f"{1 - bits / nominal:.0%}") for name, bits in rows],
        ("model of the coder", "bit", "saved"),
    )


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else ""


def _describe_run(folder: Path) -> Iterator[Table]:
    record = read_record(folder)
    lines, saved = record.rows, checkpoint.steps(folder / "checkpoints")
    rows = [
        ("data", ", ".join(record.manifests)),
        ("steps", f"{lines[-1]['step'] if lines else 0} of {record.steps}"),
        ("checkpoints", ", ".join(path.name for path in saved) or "none yet"),
    ]
    yield Table(f"Run {folder}", rows)
    if lines:
        keys = sorted(key for key in lines[-1] if "/" in key and not key.endswith("/weight"))
        yield Table(
            "Progress",
            [(str(line["step"]), *(_figure(line.get(key)) for key in keys))
             for line in spread_evenly(lines, _PROGRESS_ROWS)],
            ("step", *(key.removeprefix("generator/") for key in keys)),
        )  # fmt: skip
    yield Table("Settings", list(_flatten({**record.values, "data": record.manifests})))
    model = saved[-1] if saved else folder
    if exists(model / "model.json") and folder_system(model) in registry.systems():  # vocoders are not described
        yield from registry.load(folder).describe()


def _describe_recipe(name: str) -> Iterator[Table]:
    run = registry.find_recipe(name)
    system = next((one for one in registry.systems().values() if name in one.recipes), None)
    if system is not None:
        first, *more = system.describe_config(run.model)
        yield from (replace(first, title=f"Recipe {name}"), *more)
    yield Table("Settings", list(_flatten(run_to_json(run))))


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
