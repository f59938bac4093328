"""The plan of an evaluation: tokenizers, codecs, clips and metrics, before anything is loaded."""

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
from vocable.evaluate.measures import RATE, Scorers
from vocable.files import sha256
from vocable.systems import registry

_Item = TypeVar("_Item")
_ALL = "all"  # in place of the name of a split


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Settings of an evaluation.

    Attributes:
        tokenizers: Names of bundled models, or folders.
        manifests: JSONL files.
        split: Split of the manifests, or ``all``; None takes ``test`` if there is one, else all.
        limit: Number of clips, spread evenly over the split; None takes all.
        levels: Numbers of levels to decode from, beside all levels.
        codecs: Names of codecs to compare with; ``all`` takes those that this machine has.
        lyra: Folder with the TFLite files of Lyra v2.
        models: Folders or hub names of the codecs of transformers, by codec name.
        decoded: Folders of audio that was decoded elsewhere, by their names in the results.
        metrics: Names of metrics; None takes the default.
        scorers: Choice of the scorers.
        recognise: Number of clips, spread evenly, that go to the speech recognizer; None takes all.
        probes: Names of probes to fit on the tokens afterwards.
        seed: Seed of the noise and the intervals.
        device: Torch device of the tokenizers, and of the scorers whose networks are torch's.
        beam: Number of paths of their search for ids over residual levels; see
            :attr:`~vocable.systems.base.BaseTokenizer.beam`.
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
    scorers: Scorers = field(default_factory=Scorers)
    recognise: int | None = None
    probes: tuple[str, ...] = ()
    seed: int = 0
    device: str = "cpu"
    beam: int = 1


def select_clips(plan: Plan, *, every: bool = False) -> dict[str, Utterance]:
    """Return the utterances of a plan by key, in the order of the manifests.

    The key is the path relative to the manifest's folder, in POSIX style. Where files lie outside that folder, it is
    the path relative to the deepest folder that holds all files of the manifest. With several manifests, the name of
    the manifest's folder comes before it, with a number where two have the same name.

    Args:
        plan: Plan with manifests, split and limit.
        every: Whether to ignore the split and the limit, for probes that are fitted on other splits.

    Raises:
        ConfigError: If the plan has no manifest.
        ManifestError: If a manifest cannot be read, or holds no clip of the split.
    """
    if not plan.manifests:
        raise ConfigError("there is nothing to evaluate; name a manifest with --data")
    clips: dict[str, Utterance] = {}
    prefixes = _prefixes(plan.manifests)
    for manifest in plan.manifests:
        utterances = every_line = read_manifest(manifest)
        split = plan.split or ("test" if any(utterance.split == "test" for utterance in utterances) else _ALL)
        if split != _ALL and not every:
            utterances = read_manifest(manifest, split)
        root, prefix = _root_of(manifest, every_line), prefixes[manifest]
        for utterance in utterances:
            clips[prefix + Path(os.path.relpath(utterance.audio_path, root)).as_posix()] = utterance
    if plan.limit is not None and not every:
        clips = {key: clips[key] for key in spread_evenly(list(clips), plan.limit)}
    return clips


def describe_split(split: str | None) -> str:
    """Return the description of a split for a report."""
    return "split test, or all where there is none" if split is None else "all" if split == _ALL else f"split {split}"


def spread_evenly(items: Sequence[_Item], count: int | None) -> list[_Item]:
    """Return ``count`` items, from the first to the last at equal steps; all of them for None.

    Example:
        >>> spread_evenly(["a", "b", "c", "d", "e"], 3)
        ['a', 'c', 'e']
    """
    if count is None or count >= len(items):
        return list(items)
    return [items[at] for at in np.linspace(0, len(items) - 1, count).round().astype(int)]


def common_settings(plan: Plan, clips: Mapping[str, Utterance], digests: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that the rows of every evaluation depend on, as JSON values; ``digests`` are by tokenizer."""
    return {
        "vocable": version("vocable"),
        "manifests": [{"name": path.absolute().parent.name, "sha256": sha256(path)} for path in plan.manifests],
        "split": plan.split,
        "clips": len(clips),
        "limit": plan.limit,
        "seed": plan.seed,
        "tokenizers": dict(digests),
        "beam": plan.beam,
    }


def short_names(tokenizers: Sequence[str]) -> dict[str, str]:
    """Return tokenizers by a short name: a model's name, or the last part of a folder, with a number if it is taken."""
    names: dict[str, str] = {}
    for source in dict.fromkeys(tokenizers):
        name = source if source in registry.released() else _last_part(source)
        same = sum(other.split("#")[0] == name for other in names)
        names[name if not same else f"{name}#{same + 1}"] = source
    return names


def _root_of(manifest: Path, utterances: Sequence[Utterance]) -> Path:
    """Return the folder that keys are relative to, the same for every split of a manifest."""
    folder = manifest.parent.absolute()
    paths = [Path(os.path.normpath(utterance.audio_path.absolute())) for utterance in utterances]
    if all(path.is_relative_to(os.path.normpath(folder)) for path in paths):
        return folder
    return Path(os.path.commonpath([path.parent for path in paths]))


def _prefixes(manifests: Sequence[Path]) -> dict[Path, str]:
    """Return what the keys of each manifest begin with: nothing for a lone one, else the name of its folder."""
    if len(manifests) == 1:
        return {manifests[0]: ""}
    folders = list(dict.fromkeys(manifest.absolute().parent for manifest in manifests))
    names: dict[Path, str] = {}
    for folder in folders:
        same = sum(name.split("#")[0] == folder.name for name in names.values())
        names[folder] = folder.name if not same else f"{folder.name}#{same + 1}"
    return {manifest: names[manifest.absolute().parent] + "/" for manifest in manifests}


def as_scored(clip: Audio) -> Audio:
    """Return a clip at 16 kHz and 16 bits, so that no codec gains from samples that a file would not hold."""
    steps = np.round(clip.resample(RATE).samples.clip(-1, 1) * 32_767)
    return Audio((steps / 32_767).astype(np.float32), RATE)


def _last_part(folder: str) -> str:
    """Return the name of a folder, which may be ``.`` or a link; of what is no path, its last part."""
    try:
        return Path(folder).resolve().name
    except (OSError, RuntimeError, ValueError):  # RuntimeError: a link to itself
        return Path(folder).name


def level_counts(requested: Sequence[int], available: int) -> list[int | None]:
    """Return the numbers of levels to decode from: None, which means all of them, and the smaller ones requested."""
    return [None, *sorted({count for count in requested if count < available}, reverse=True)]


def parse_named(texts: Sequence[str], option: str) -> dict[str, str]:
    """Parse values of an option given as ``NAME=VALUE``, each name once; the name of a lone folder is its last part."""
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name, value = (name, value) if equals else (_last_part(text), text)
        if name in values:
            raise ConfigError(f"{option} {text}: the name '{name}' is taken; give another as NAME=FOLDER")
        values[name] = value
    return values


def parse_counts(text: str, option: str) -> tuple[int, ...]:
    """Parse the numbers of an option, such as ``1,2,4``, each a whole number above 0."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [part for part in parts if not part.isdecimal() or int(part) < 1]
    if wrong:
        raise ConfigError(f"{option} holds '{wrong[0]}': give whole numbers over 0, such as 1,2,4")
    return tuple(int(part) for part in parts)


def derive_seed(seed: int, name: str) -> int:
    """Return a seed that depends on a seed and a name.

    Example:
        >>> derive_seed(0, "a.flac") == derive_seed(0, "a.flac"), derive_seed(0, "a.flac") == derive_seed(1, "a.flac")
        (True, False)
    """
    mixed = np.random.SeedSequence([seed, zlib.crc32(name.encode("utf-8", "surrogatepass"))])
    return int(mixed.generate_state(1)[0])
