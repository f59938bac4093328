"""What a thing on disk or in the box looks like, as pictures. Which ones there are depends on what it is."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import ConfigError, InputError, ManifestError, VocableError
from vocable.evaluate.canvas import classes
from vocable.evaluate.card import Picture
from vocable.evaluate.clips import Clips, spread
from vocable.evaluate.curves import (
    Curve,
    curve_of,
    loss_picture,
    schedule_picture,
    stat_names,
    stat_picture,
    usage_names,
    usage_picture,
)
from vocable.evaluate.describe import kind_of
from vocable.evaluate.latents import projection_picture
from vocable.evaluate.pictures import codebook_picture, count_ids, log_mel_picture, token_picture
from vocable.files import make_folder, write_whole
from vocable.interfaces import Embedding, Tokenizer
from vocable.systems import registry as hub
from vocable.systems.registry import find_recipe, recipes
from vocable.tokens import Tokens
from vocable.train.record import Record, read_record, schedules, start_steps
from vocable.train.run import run_to_json

Named = tuple[str, Picture]  # a file's name without its suffix, and what it shows

_SOUNDS = 3  # clips whose spectrograms are drawn
_STRETCHES = 10  # points a clip gives to a projection, at most
_FRAMES_WITHOUT_CLOCK = 4  # in a stretch of tokens that do not follow the clock
_UNKNOWN = "(none)"
_OWN_KEYS = ("speaker", "split", "text")
_GROUPS = 6  # classes whose codebook use is drawn


@dataclass(frozen=True)
class _Seen:
    """A recording, its tokens, and the speech made from them."""

    utterance: Utterance
    recording: Audio
    tokens: Tokens


def draw(what: str, clips: Clips | None = None, *, say: Callable[[str], None] = print) -> Iterator[Named]:
    """Pictures of a token file, an audio file, a run, a model or a recipe, one by one.

    Args:
        what: As :func:`~vocable.evaluate.describe.describe` takes it.
        clips: Recordings for the tokenizer of a run or a model.
        say: Gets lines about recordings that cannot be used.

    Raises:
        InputError: It is nothing that is known, or there is nothing to draw without ``clips``.
        ConfigError: ``clips`` for what has no tokenizer.
        ManifestError: No clip, or a key to colour by that no line has.
    """
    kind = kind_of(what)
    if clips is not None and kind not in ("run", "model"):
        raise ConfigError(f"{what}: recordings are for a run or a model; leave the data out")
    if kind == "audio":
        yield "log-mel", log_mel_picture([(Path(what).name, Audio.read(what))])
    elif kind == "tokens":
        tokens = Tokens.read(what)
        yield "tokens", token_picture(tokens)
        yield "codebooks", codebook_picture(count_ids(tokens))
    elif kind == "recipe":
        yield "schedules", _schedules(run_to_json(find_recipe(what)), [])
    else:
        if kind == "run":
            yield from _record(read_record(Path(what)))
        elif clips is None and what in recipes():  # a model in the box, named like the recipe that made it
            yield "schedules", _schedules(run_to_json(find_recipe(what)), [])
        elif clips is None:
            raise InputError(f"{what}: the pictures of a model need recordings; pass --data MANIFEST")
        if clips is not None:
            yield from _tokenizer(hub.load(what), clips, say)


def folder_for(what: str, say: Callable[[str], None] = print) -> Path | None:
    """Where pictures go if nobody says: into a run's own folder; None for all else, and where that cannot be.

    Args:
        what: As :func:`draw` takes it.
        say: Gets a line about why a run has no pictures.
    """
    folder = Path(what)
    if kind_of(what) != "run" or (folder / "model.json").exists():  # a published model keeps what it was published with
        return None
    if find_spec("matplotlib") is None:
        say("no pictures: they need matplotlib; run pip install 'vocable[evaluate]'")
        return None
    if not os.access(folder, os.W_OK):
        say(f"no pictures: {folder} cannot be written; pass --out")
        return None
    return folder / "pictures"


def write(pictures: Iterator[Named], folder: Path) -> Iterator[tuple[Path, Picture]]:
    """Write each picture as a PNG as soon as it is drawn, whole or not at all.

    Raises:
        OutputError: The folder cannot be written.
    """
    for name, picture in pictures:
        make_folder(folder)
        target, png = folder / f"{name}.png", picture.png
        write_whole(target, partial(Path.write_bytes, data=png))
        yield target, picture


def _record(record: Record) -> Iterator[Named]:
    if record.rows:
        yield "losses", loss_picture(record.rows)
    if stat_names(record.rows):
        yield "figures", stat_picture(record.rows)
    yield "schedules", _schedules(record.values, record.rows)
    if usage_names(record.rows):
        yield "codebooks-in-training", usage_picture(record.rows)


def _schedules(values: Mapping[str, object], rows: Sequence[Mapping[str, object]]) -> Picture:
    planned = schedules(values)
    keys = {key.removesuffix("/weight").rpartition("/")[2]: key for row in rows for key in row
            if key.endswith("/weight") or key in planned}  # fmt: skip
    found = {name: curve_of(rows, keys[name]) for name in planned if name in keys}
    logged: dict[str, Curve] = {name: (steps - 1, values) for name, (steps, values) in found.items()}  # step 1 is made
    return schedule_picture(planned, _steps(values), begins=start_steps(values), logged=logged)


def _steps(values: Mapping[str, object]) -> int:
    train = values["train"]
    return int(train["steps"]) if isinstance(train, Mapping) else 0


def _tokenizer(tokenizer: Tokenizer, clips: Clips, say: Callable[[str], None]) -> Iterator[Named]:
    chosen = clips.utterances()
    for key in clips.colors:
        if all(_label(item, key) == _UNKNOWN for item in chosen):
            known = sorted({*_OWN_KEYS, *(key for item in chosen for key in item.extra)})
            raise ManifestError(f"{clips.manifest}: no line has '{key}' to colour by; there are {', '.join(known)}")
    colors = clips.colors or ("speaker",)
    seen = list(_encoded(tokenizer, chosen, say))
    for number, clip in enumerate(spread(seen, _SOUNDS), 1):
        sounds = [("recording", clip.recording), ("from its tokens", tokenizer.decode(clip.tokens))]
        yield f"log-mel-{number}", log_mel_picture(sounds, title=clip.utterance.audio_path.name)
    yield "codebooks", codebook_picture(sum((count_ids(clip.tokens) for clip in seen[1:]), count_ids(seen[0].tokens)))
    for key in colors:
        groups = [_label(clip.utterance, key) for clip in seen]
        if 1 < len(set(groups)) <= _GROUPS:
            yield f"codebooks-by-{_file(key)}", _codebooks_by(seen, groups, key)
    if not isinstance(tokenizer, Embedding):
        say("no picture of the latents: this tokenizer has no vectors behind its ids")
        return
    stretches = [_stretches(tokenizer.embed(clip.tokens)[0].cpu().numpy(), clip.tokens) for clip in seen]
    for key in colors:
        names = [_label(clip.utterance, key) for clip, rows in zip(seen, stretches, strict=True) for _ in rows]
        for method in ("pca", "tsne"):
            picture = projection_picture(np.concatenate(stretches), names, method=method, title=f"Latents by {key}")
            yield f"{method}-{_file(key)}", picture


def _codebooks_by(seen: Sequence[_Seen], groups: Sequence[str], key: str) -> Picture:
    counts = np.stack([count_ids(clip.tokens) for clip in seen])
    by = {name: counts[rows].sum(0) for name, rows in classes(groups)}
    return codebook_picture(counts.sum(0), groups=by, title=f"Codebook use by {key}")


def _encoded(tokenizer: Tokenizer, chosen: Sequence[Utterance], say: Callable[[str], None]) -> Iterator[_Seen]:
    """The clips that can be used; the others are named."""
    used = 0
    for item in chosen:
        try:
            audio = Audio.read(item.audio_path, tokenizer.spec.sample_rate)
            tokens = tokenizer.encode(audio, item.text)
        except VocableError as error:
            say(f"left out: {error}")
            continue
        used += 1
        yield _Seen(item, audio, tokens)
    if not used:
        raise InputError(f"none of {len(chosen)} recordings can be used; the first: {chosen[0].audio_path}")


def _label(item: Utterance, key: str) -> str:
    value = getattr(item, key) if key in _OWN_KEYS else item.extra.get(key)
    return _UNKNOWN if value is None else str(value)


def _stretches(latents: Float[ndarray, "N D"], tokens: Tokens) -> Float[ndarray, "M D"]:
    """Means over stretches of about a second, at most so many of them, evenly over the clip."""
    length = _FRAMES_WITHOUT_CLOCK if tokens.spec.hop is None else max(1, round(tokens.spec.frame_rate))
    parts = np.array_split(latents, max(1, round(len(latents) / length)))
    return np.stack([part.mean(0) for part in spread(parts, _STRETCHES)])


def _file(key: str) -> str:
    """A key of a manifest as part of a file's name."""
    return "".join(letter if letter.isalnum() else "-" for letter in key)
