"""Pictures of a token file, a recording, a run, a model or a recipe, as ``vocable inspect`` writes them."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import ConfigError, InputError, ManifestError, VocableError
from vocable.evaluate import curves
from vocable.evaluate.canvas import group_rows
from vocable.evaluate.card import Picture
from vocable.evaluate.describe import Clips, kind_of
from vocable.evaluate.pictures import count_ids, plot_codebooks, plot_log_mel, plot_projection, plot_tokens
from vocable.evaluate.plan import spread_evenly
from vocable.files import exists, make_folder, write_whole
from vocable.interfaces import Embedding, Tokenizer
from vocable.systems import registry
from vocable.tokens import Tokens
from vocable.train.record import read_record, schedules, start_steps
from vocable.train.run import run_to_json

Named = tuple[str, Picture]  # file name without its suffix, picture
_EncodedClip = tuple[Utterance, Audio, Tokens]

_MAX_SPECTROGRAMS = 3  # clips
_MAX_POINTS = 10  # of one clip in a projection
_POINT_FRAMES = 4  # frames of a point where tokens have no frame rate
_NO_LABEL = "(none)"
_FIELDS = ("speaker", "split", "text")  # keys of a manifest that are attributes of an utterance
_MAX_GROUPS = 6  # classes whose codebook usage is drawn


def draw(what: str, clips: Clips | None = None, *, say: Callable[[str], None] = print) -> Iterator[Named]:
    """Draw the pictures of a token file, an audio file, a run, a model or a recipe, one by one.

    Args:
        what: Name or path, as for :func:`~vocable.evaluate.describe.describe`.
        clips: Recordings for the tokenizer of a run or a model.
        say: Function that receives a line about each recording that cannot be used.

    Raises:
        InputError: If the name is unknown, or there is nothing to draw without ``clips``.
        ConfigError: If ``clips`` are given for something that is not a run or a model.
        ManifestError: If there is no clip, or no line has a key of ``clips.colors``.
    """
    kind = kind_of(what)
    if clips is not None and kind not in ("run", "model"):
        raise ConfigError(f"{what}: recordings are for a run or a model; leave the data out")
    if kind == "manifest":
        raise InputError(f"{what}: a manifest has no pictures; leave --out out")
    if kind == "audio":
        yield "log-mel", plot_log_mel([(Path(what).name, Audio.read(what))])
    elif kind == "tokens":
        tokens = Tokens.read(what)
        yield "tokens", plot_tokens(tokens)
        yield "codebooks", plot_codebooks(count_ids(tokens))
    elif kind == "recipe" or (kind == "model" and clips is None and what in registry.recipes()):
        # a bundled model without recordings shows the recipe of its name
        yield "schedules", _plot_run_schedules(run_to_json(registry.find_recipe(what)), [])
    else:
        if kind == "run":
            yield from _draw_run(Path(what))
        elif clips is None:
            raise InputError(f"{what}: the pictures of a model need recordings; pass --data MANIFEST")
        if clips is not None:
            yield from _draw_tokenizer(registry.load(what, clips.device), clips, say)


def default_folder(what: str, say: Callable[[str], None] = print) -> Path | None:
    """Return the default folder of pictures: ``pictures`` in a run's folder that can be written, None otherwise.

    ``say`` receives a line with the reason why a run has no pictures.
    """
    folder = Path(what)
    if kind_of(what) != "run" or exists(folder / "model.json"):  # a published model's folder stays as it is
        return None
    if find_spec("matplotlib") is None:
        say("no pictures: they need matplotlib; run pip install 'vocable[evaluate]'")
        return None
    if not os.access(folder, os.W_OK):
        say(f"no pictures: {folder} cannot be written; pass --out")
        return None
    return folder / "pictures"


def write_pictures(pictures: Iterator[Named], folder: Path) -> Iterator[tuple[Path, Picture]]:
    """Write each picture as a PNG as soon as it is drawn, whole or not at all."""
    for name, picture in pictures:
        make_folder(folder)
        target = folder / f"{name}.png"
        write_whole(target, partial(Path.write_bytes, data=picture.png))
        yield target, picture


def _draw_run(folder: Path) -> Iterator[Named]:
    record = read_record(folder)
    if record.rows:
        yield "losses", curves.plot_losses(record.rows)
    if curves.metric_names(record.rows):
        yield "metrics", curves.plot_metrics(record.rows)
    yield "schedules", _plot_run_schedules(record.values, record.rows)
    if curves.usage_names(record.rows):
        yield "codebooks-in-training", curves.plot_codebook_usage(record.rows)


def _plot_run_schedules(values: Mapping[str, object], rows: Sequence[Mapping[str, object]]) -> Picture:
    planned, train = schedules(values), values["train"]
    keys = {key.removesuffix("/weight").rpartition("/")[2]: key for row in rows for key in row
            if key.endswith("/weight") or key in planned}  # fmt: skip
    logged = {name: curves.read_curve(rows, keys[name]) for name in planned if name in keys}
    logged = {name: (steps - 1, seen) for name, (steps, seen) in logged.items()}  # a log counts steps from 1
    steps = int(train["steps"]) if isinstance(train, Mapping) else 0
    return curves.plot_schedules(planned, steps, start_steps=start_steps(values), logged=logged)


def _draw_tokenizer(tokenizer: Tokenizer, clips: Clips, say: Callable[[str], None]) -> Iterator[Named]:
    utterances = clips.utterances()
    for key in clips.colors:
        if all(_label(item, key) == _NO_LABEL for item in utterances):
            keys = sorted({*_FIELDS, *(key for item in utterances for key in item.extra)})
            raise ManifestError(f"{clips.manifest}: no line has '{key}' to color by; there are {', '.join(keys)}")
    colors = clips.colors or ("speaker",)
    encoded = _encode_clips(tokenizer, utterances, say)
    for number, (item, recording, tokens) in enumerate(spread_evenly(encoded, _MAX_SPECTROGRAMS), 1):
        sounds = [("recording", recording), ("from its tokens", tokenizer.decode(tokens))]
        yield f"log-mel-{number}", plot_log_mel(sounds, title=item.audio_path.name)
    counts = np.stack([count_ids(tokens) for _, _, tokens in encoded])
    yield "codebooks", plot_codebooks(counts.sum(0))
    for key in colors:
        labels = [_label(item, key) for item, _, _ in encoded]
        if 1 < len(set(labels)) <= _MAX_GROUPS:
            groups = {name: counts[rows].sum(0) for name, rows in group_rows(labels)}
            picture = plot_codebooks(counts.sum(0), groups=groups, title=f"Codebook usage by {key}")
            yield f"codebooks-by-{_file_stem(key)}", picture
    if not isinstance(tokenizer, Embedding):
        say("no picture of the latents: this tokenizer has no vectors behind its ids")
        return
    points = [_average_stretches(tokenizer.embed(tokens)[0].cpu().numpy(), tokens) for _, _, tokens in encoded]
    for key in colors:
        names = [_label(item, key) for (item, _, _), rows in zip(encoded, points, strict=True) for _ in rows]
        for method in ("pca", "tsne"):
            picture = plot_projection(np.concatenate(points), names, method=method, title=f"Latents by {key}")
            yield f"{method}-{_file_stem(key)}", picture


def _encode_clips(
    tokenizer: Tokenizer, utterances: Sequence[Utterance], say: Callable[[str], None]
) -> list[_EncodedClip]:
    """Encode the clips that can be used; say which cannot."""
    encoded = []
    for item in utterances:
        try:
            audio = Audio.read(item.audio_path, tokenizer.spec.sample_rate)
            encoded.append((item, audio, tokenizer.encode(audio, item.text)))
        except VocableError as error:
            say(f"left out: {error}")
    if not encoded:
        raise InputError(f"none of {len(utterances)} recordings can be used; the first: {utterances[0].audio_path}")
    return encoded


def _label(item: Utterance, key: str) -> str:
    value = getattr(item, key) if key in _FIELDS else item.extra.get(key)
    return _NO_LABEL if value is None else str(value)


def _average_stretches(latents: Float[ndarray, "N D"], tokens: Tokens) -> Float[ndarray, "M D"]:
    """Return means over stretches of about one second, at most 10 of them, evenly over the clip."""
    length = _POINT_FRAMES if tokens.spec.hop is None else max(1, round(tokens.spec.frame_rate))
    parts = np.array_split(latents, max(1, round(len(latents) / length)))
    return np.stack([part.mean(0) for part in spread_evenly(parts, _MAX_POINTS)])


def _file_stem(key: str) -> str:
    """Return a manifest key as part of a file name."""
    return "".join(letter if letter.isalnum() else "-" for letter in key)
