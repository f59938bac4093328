"""What is to be judged: tokenizers, codecs, clips and metrics, before anything is loaded."""

import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vocable.audio import Audio
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import ConfigError
from vocable.evaluate.measures import RATE, Judges
from vocable.files import sha256
from vocable.systems import registry as hub

_Item = TypeVar("_Item")
_ALL = "all"  # instead of a split's name


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be judged, on what, and how.

    Attributes:
        tokenizers: Names of models in the box or folders.
        manifests: JSONL files.
        split: Of the manifests, or ``all``; None takes ``test`` where there is one, else all.
        limit: So many clips, spread over the split.
        levels: Numbers of levels to decode from, beside all of them.
        codecs: Of others, by name; ``all`` for those this machine has.
        lyra: Folder of Lyra v2's TFLite files.
        models: Folders or hub names of the codecs that come through transformers, by codec name.
        decoded: Folders of audio that somebody else decoded, by the name they shall have.
        metrics: By name; None takes the default.
        judges: Which models listen.
        recognise: So many clips, spread over the others, go to the recogniser; None: all.
        probes: Small models to fit on the tokens afterwards, by name.
        seed: Of the noise and the intervals.
    """

    tokenizers: tuple[str, ...] = ()
    manifests: tuple[Path, ...] = ()
    split: str | None = None
    limit: int | None = None
    levels: tuple[int, ...] = ()
    codecs: tuple[str, ...] = ("all",)
    lyra: Path | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    decoded: Mapping[str, Path] = field(default_factory=dict)
    metrics: tuple[str, ...] | None = None
    judges: Judges = field(default_factory=Judges)
    recognise: int | None = None
    probes: tuple[str, ...] = ()
    seed: int = 0


def clips_of(plan: Plan, *, every: bool = False) -> dict[str, Utterance]:
    """The plan's utterances by key: their path from their manifest's folder, POSIX style.

    Args:
        plan: Names manifests, split and limit.
        every: Whatever the split and the limit: what probes are fitted on lies outside.

    Raises:
        ConfigError: No manifest is named.
        ManifestError: A manifest cannot be read, or holds nothing of the split.
    """
    if not plan.manifests:
        raise ConfigError("there is nothing to judge on: name a manifest with --data")
    clips: dict[str, Utterance] = {}
    for manifest in plan.manifests:
        utterances = read_manifest(manifest)
        split = plan.split or ("test" if any(utterance.split == "test" for utterance in utterances) else _ALL)
        if split != _ALL and not every:
            utterances = read_manifest(manifest, split)
        for utterance in utterances:
            key = Path(os.path.relpath(utterance.audio_path, manifest.parent.absolute())).as_posix()
            clips[key if len(plan.manifests) == 1 else f"{manifest.parent.name}/{key}"] = utterance
    if plan.limit is not None and not every:
        clips = {key: clips[key] for key in spread(list(clips), plan.limit)}
    return clips


def split_words(split: str | None) -> str:
    """How to say which split it is."""
    return "split test, or all where there is none" if split is None else "all" if split == _ALL else f"split {split}"


def spread(items: Sequence[_Item], count: int | None) -> list[_Item]:
    """Return ``count`` items, from the first to the last at equal steps; all of them for None.

    Example:
        >>> spread(["a", "b", "c", "d", "e"], 3)
        ['a', 'c', 'e']
    """
    if count is None or count >= len(items):
        return list(items)
    return [items[at] for at in np.linspace(0, len(items) - 1, count).round().astype(int)]


def settings_of(plan: Plan, clips: Mapping[str, Utterance], digests: Mapping[str, str]) -> dict[str, Any]:
    """What every evaluation's rows depend on: the clips, the seed, the tokenizers, this version of vocable.

    Args:
        plan: The plan.
        clips: As :func:`clips_of` gives them.
        digests: Of the tokenizers, by name.
    """
    return {
        "vocable": version("vocable"),
        "manifests": [{"name": path.absolute().parent.name, "sha256": sha256(path)} for path in plan.manifests],
        "split": plan.split,
        "clips": len(clips),
        "limit": plan.limit,
        "seed": plan.seed,
        "tokenizers": dict(digests),
    }


def names_of(tokenizers: Sequence[str]) -> dict[str, str]:
    """A short name for each tokenizer: a model's own, a folder's last part; told apart by a number where equal."""
    names: dict[str, str] = {}
    for source in dict.fromkeys(tokenizers):
        name = source if source in hub.released() else Path(source).resolve().name
        same = sum(known.split("#")[0] == name for known in names)
        names[name if not same else f"{name}#{same + 1}"] = source
    return names


def as_filed(clip: Audio) -> Audio:
    """The clip at 16 kHz after 16-bit storage, so that nobody gains from samples that no file would hold."""
    steps = np.round(clip.resample(RATE).samples.clip(-1, 1) * 32_767)
    return Audio((steps / 32_767).astype(np.float32), RATE)


def level_counts(wanted: Sequence[int], most: int) -> list[int | None]:
    """Numbers of levels to decode from; None, all of them, comes first."""
    return [None, *sorted({count for count in wanted if count < most}, reverse=True)]


def named(texts: Sequence[str], option: str) -> dict[str, str]:
    """Names and values of an option given as ``NAME=VALUE``; a folder alone has its last part for a name.

    Raises:
        ConfigError: A name occurs twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name, value = (name, value) if equals else (Path(text).resolve().name, text)
        if name in found:
            raise ConfigError(f"{option} {text}: the name '{name}' is taken; give another as NAME=FOLDER")
        found[name] = value
    return found


def whole_numbers(text: str, option: str) -> tuple[int, ...]:
    """Numbers of an option, such as ``1,2,4``.

    Raises:
        ConfigError: One is no whole number over 0.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [part for part in parts if not part.isdecimal() or int(part) < 1]
    if wrong:
        raise ConfigError(f"{option} holds '{wrong[0]}': give whole numbers over 0, such as 1,2,4")
    return tuple(int(part) for part in parts)


def seeded(seed: int, name: str) -> int:
    """A seed of its own for every name.

    Example:
        >>> seeded(0, "a.flac") == seeded(0, "a.flac"), seeded(0, "a.flac") == seeded(1, "a.flac")
        (True, False)
    """
    mixed = np.random.SeedSequence([seed, zlib.crc32(name.encode("utf-8", "surrogatepass"))])
    return int(mixed.generate_state(1)[0])
