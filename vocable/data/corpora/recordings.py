"""Common parts of the corpus readers: recordings of digits, splits, and manifests."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from vocable.audio import header_seconds
from vocable.errors import AudioError, ConfigError, InputError
from vocable.files import make_folder, write_whole

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MANIFEST = "manifest.jsonl"
SPLITS = ("speaker", "random", "official")  # official: the one that the corpus was published with
SHARES: Mapping[str, float] = MappingProxyType({"train": 0.8, "dev": 0.1, "test": 0.1})
_MAX_AGE = 120  # years


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Recording of one spoken digit. Fields that the corpus does not provide are None, and no keys of the manifest.

    Attributes:
        audio_path: Path of the audio file.
        digit: Digit 0 to 9; the manifest's text is its English word.
        speaker: Name of the speaker with the corpus as a prefix, such as ``fsdd-jackson``.
        duration: Duration in seconds.
        take: Number that distinguishes recordings of one digit by one speaker.
        gender: Gender of the speaker.
        age: Age of the speaker in years.
        accent: Accent of the speaker.
        source: Name of the file that it was cut from.
        split: Split that the corpus was published with; after :func:`write_manifest` the requested one.
    """

    audio_path: Path
    digit: int
    speaker: str | None
    duration: float
    take: int
    gender: str | None = None
    age: int | None = None
    accent: str | None = None
    source: str | None = None
    split: str | None = None

    def to_row(self) -> dict[str, object]:
        """Return the keys of this recording's line in a manifest."""
        return {
            "audio_path": self.audio_path, "text": WORDS[self.digit], "speaker": self.speaker,
            "duration": round(self.duration, 4), "digit": self.digit, "take": self.take, "gender": self.gender,
            "age": self.age, "accent": self.accent, "source": self.source, "split": self.split,
        }  # fmt: skip


def check_split(split: str, known: Collection[str] = SPLITS) -> None:
    """Check the name of a split before the corpus is read.

    Raises:
        ConfigError: If the split is not among ``known``.
    """
    if split not in known:
        raise ConfigError(f"split is '{split}'; this corpus can be split by {', '.join(known)}")


def write_manifest(
    recordings: Sequence[Recording], out: Path, *, split: str, seed: int, say: Callable[[str], None]
) -> Path:
    """Split recordings and write their manifest, whole or not at all.

    Args:
        recordings: Recordings in any order; the manifest is sorted by speaker, digit and take.
        out: Folder of the manifest. Paths of audio inside it are relative, others absolute.
        split: One of :data:`SPLITS`.
        seed: Seed of the split.
        say: Function that receives a line for each split.

    Returns:
        Path of the manifest.

    Raises:
        InputError: If a path or the name of a speaker is no valid text.
        ConfigError: If there are too few speakers or recordings to split, or they have no official split.
        OutputError: If the manifest cannot be written.
    """
    ordered = sorted(recordings, key=lambda one: (one.speaker or "", one.digit, one.take, one.audio_path))
    parts = _splits(ordered, split, seed)
    ordered = [replace(one, split=part) for one, part in zip(ordered, parts, strict=True)]
    return write_rows([one.to_row() for one in ordered], out, say)


def write_rows(rows: Sequence[Mapping[str, Any]], out: Path, say: Callable[[str], None]) -> Path:
    """Write a manifest, whole or not at all.

    Args:
        rows: Keys of each line, among them ``audio_path``, ``speaker``, ``split`` and ``duration``. A value of None is
            left out.
        out: Folder of the manifest. Paths of audio inside it are relative, others absolute.
        say: Function that receives a line for each split.

    Returns:
        Path of the manifest.

    Raises:
        InputError: If a path or the name of a speaker is no valid text.
        OutputError: If the manifest cannot be written.
    """
    folder = out.resolve()
    try:
        data = "".join(_line(row, folder) for row in rows).encode()
    except UnicodeEncodeError as error:
        where = rows[0]["audio_path"].parent
        raise InputError(f"{where}: a path or the name of a speaker is no valid text; rename it") from error
    make_folder(out)
    write_whole(out / MANIFEST, lambda path: path.write_bytes(data))
    for part in sorted({row["split"] for row in rows}, key=lambda part: ([*SHARES, part].index(part), part)):
        inside = [row for row in rows if row["split"] == part]
        speakers = len({row["speaker"] for row in inside})
        hours = sum(row["duration"] for row in inside) / 3600
        say(f"{part}: {len(inside)} recordings, {speakers} speakers, {hours:.3f} hours")
    return out / MANIFEST


def read_takes(
    folder: Path, files: str, layout: re.Pattern[str], corpus: str, speakers: Mapping[str, Mapping[str, object]],
    say: Callable[[str], None],
) -> list[Recording]:  # fmt: skip
    """Return the recordings that their file names describe. Only headers of audio files are read.

    Args:
        folder: Folder of the recordings.
        files: Glob pattern of the files; hidden files are ignored.
        layout: Pattern of paths in the folder, with groups ``digit``, ``speaker`` and ``take``.
        corpus: Prefix of the speakers' names.
        speakers: Record of each speaker.
        say: Function that receives a line for each file that cannot be read, and one for all whose names do not match.

    Raises:
        InputError: If no recording is left.
    """
    recordings: list[Recording] = []
    others: list[str] = []
    root = folder.resolve()
    for path in sorted(path for path in root.glob(files) if not path.name.startswith(".")):
        name = path.relative_to(root).as_posix()
        match = layout.fullmatch(name)
        if match is None:
            others.append(name)
            continue
        record = speakers.get(match["speaker"], {})
        try:
            recordings.append(
                Recording(
                    audio_path=path, digit=int(match["digit"]), speaker=f"{corpus}-{match['speaker']}",
                    duration=header_seconds(path), take=int(match["take"]), gender=known_text(record.get("gender")),
                    age=known_age(record.get("age")), accent=known_text(record.get("accent")),
                )
            )  # fmt: skip
        except AudioError as error:
            say(f"left out: {error}")
    if others:
        say(f"{len(others)} files left out: their names do not follow the corpus, such as {others[0]}")
    if not recordings:
        raise InputError(f"{folder}: no recording can be used")
    return recordings


def known_text(value: object) -> str | None:
    """Return a text without outer white space, or None if it is empty or no text."""
    return value.strip() or None if isinstance(value, str) else None


def known_age(value: object) -> int | None:
    """Return an age in years, or None if the value cannot be one.

    Example:
        >>> [known_age(value) for value in (31, "28 ", " 1234", "young", True, None)]
        [31, 28, None, None, None, None]
    """
    try:
        age = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else 0
    except ValueError:
        return None
    return age if 0 < age <= _MAX_AGE else None


def _line(row: Mapping[str, Any], folder: Path) -> str:
    path = row["audio_path"]
    values = {**row, "audio_path": str(path.relative_to(folder) if path.is_relative_to(folder) else path)}
    return json.dumps({key: value for key, value in values.items() if value is not None}, ensure_ascii=False) + "\n"


def _splits(recordings: Sequence[Recording], split: str, seed: int) -> list[str]:
    if split == "random":
        return split_at_random(len(recordings), seed=seed)
    if split == "speaker":
        speakers = [one.speaker for one in recordings if one.speaker]
        if len(speakers) < len(recordings):
            raise ConfigError(f"{len(recordings) - len(speakers)} recordings name no speaker; split at random instead")
        genders = {one.speaker: one.gender for one in recordings if one.speaker and one.gender}
        return split_by_speaker(speakers, genders=genders, seed=seed)
    parts = [one.split for one in recordings if one.split]
    if len(parts) < len(recordings):
        raise ConfigError(f"{len(recordings) - len(parts)} recordings name no split; split by speaker instead")
    return parts


def split_by_speaker(
    speakers: Sequence[str], *, genders: Mapping[str, str] | None = None, shares: Mapping[str, float] = SHARES,
    seed: int = 0,
) -> list[str]:  # fmt: skip
    """Return a split for each recording, such that no speaker is in two splits.

    Every split has at least one speaker, and about its share of each gender.

    Args:
        speakers: Speaker of each recording.
        genders: Gender of each speaker; speakers that are not in it count as one more gender.
        shares: Share of the speakers of each split, above 0; the sum is 1.
        seed: Seed of the split.

    Raises:
        ConfigError: If there are fewer speakers than splits, or shares or seed are out of range.

    Example:
        >>> split_by_speaker(["ann", "bob", "ann", "eve"], seed=1)
        ['train', 'dev', 'train', 'test']
        >>> split_by_speaker(["ann", "bob", "ann"])
        Traceback (most recent call last):
        vocable.errors.ConfigError: 2 speakers cannot be shared by 3 splits (train, dev, test); split at random instead
    """
    _check_shares(shares, seed)
    names = sorted(set(speakers))
    if len(names) < len(shares):
        raise ConfigError(
            f"{len(names)} speakers cannot be shared by {len(shares)} splits ({', '.join(shares)}); "
            "split at random instead"
        )
    random = np.random.default_rng(seed)
    groups: dict[str, list[str]] = {}
    for at in random.permutation(len(names)):
        groups.setdefault((genders or {}).get(names[at], ""), []).append(names[at])
    # Spread each gender evenly over [0, 1]: any interval then has about the same share of each.
    positions = {name: (at + 0.5) / len(group) for group in groups.values() for at, name in enumerate(group)}
    order = sorted(positions, key=positions.__getitem__)
    split = dict(zip(order, _split_sequence(len(order), shares), strict=True))
    return [split[speaker] for speaker in speakers]


def split_at_random(count: int, *, shares: Mapping[str, float] = SHARES, seed: int = 0) -> list[str]:
    """Return a random split for each recording; a speaker may be in several splits.

    Args:
        count: Number of recordings.
        shares: Share of the recordings of each split, above 0; the sum is 1.
        seed: Seed of the split.

    Raises:
        ConfigError: If there are fewer recordings than splits, or shares or seed are out of range.

    Example:
        >>> split_at_random(5)
        ['train', 'train', 'train', 'dev', 'test']
    """
    _check_shares(shares, seed)
    if count < len(shares):
        raise ConfigError(f"{count} recordings cannot be shared by {len(shares)} splits ({', '.join(shares)})")
    sequence = _split_sequence(count, shares)
    return [sequence[at] for at in np.random.default_rng(seed).permutation(count)]


def _split_sequence(count: int, shares: Mapping[str, float]) -> list[str]:
    """Return ``count`` names of splits in proportion to their shares, each at least once, the smallest split first."""
    counts = dict.fromkeys(shares, 1)
    for _ in range(count - len(shares)):
        counts[max(shares, key=lambda split: shares[split] * count - counts[split])] += 1
    return [split for split in sorted(counts, key=counts.__getitem__) for _ in range(counts[split])]


def _check_shares(shares: Mapping[str, float], seed: int) -> None:
    if not (shares and min(shares.values()) > 0 and abs(sum(shares.values()) - 1) < 1e-6):
        raise ConfigError(f"shares are {dict(shares)}: each must be above 0, and together they must be 1")
    if seed < 0:
        raise ConfigError(f"seed is {seed}: it must be at least 0")
