"""Common parts of the corpus readers: recordings of digits, splits, and manifests."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from vocable.audio import header_seconds
from vocable.errors import AudioError, ConfigError, InputError
from vocable.files import exists, folder_exists, make_folder, write_whole
from vocable.schema import read_utf8

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MANIFEST = "manifest.jsonl"
SPLITS = ("speaker", "random", "official")  # official: the one that the corpus was published with
SHARES: Mapping[str, float] = MappingProxyType({"train": 0.8, "dev": 0.1, "test": 0.1})
_MAX_AGE = 120  # years


def digit_row(
    path: Path, digit: int, take: int, *, speaker: str | None, duration: float, record: Mapping[str, object],
    source: str | None = None, split: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return the line of one spoken digit in a manifest. Values that the corpus does not provide are None.

    Args:
        path: Path of the audio file.
        digit: Digit 0 to 9; the text is its English word.
        take: Number that distinguishes recordings of one digit by one speaker.
        speaker: Name of the speaker with the corpus as a prefix, such as ``fsdd-jackson``.
        duration: Duration in seconds.
        record: Record of the speaker, which may have values for ``gender``, ``age`` (in years) and ``accent``.
        source: Name of the file that it was cut from.
        split: Split that the corpus was published with.
    """
    return {
        "audio_path": path, "text": WORDS[digit], "speaker": speaker, "duration": round(duration, 4), "digit": digit,
        "take": take, "gender": known_text(record.get("gender")), "age": known_age(record.get("age")),
        "accent": known_text(record.get("accent")), "source": source, "split": split,
    }  # fmt: skip


def check_split(split: str, known: Collection[str] = SPLITS) -> None:
    """Check the name of a split before the corpus is read.

    Raises:
        ConfigError: If the split is not among ``known``.
    """
    if split not in known:
        raise ConfigError(f"split is '{split}'; this corpus can be split by {', '.join(known)}")


def write_manifest(
    rows: Sequence[dict[str, Any]], out: Path, *, split: str, seed: int, say: Callable[[str], None]
) -> Path:
    """Split recordings and write their manifest, sorted by speaker, digit and take; see :func:`write_rows`.

    Args:
        rows: Lines of :func:`digit_row` in any order.
        out: As in :func:`write_rows`.
        split: One of :data:`SPLITS`.
        seed: Seed of the split.
        say: As in :func:`write_rows`.

    Raises:
        ConfigError: If there are too few speakers or recordings to split, or they have no official split.
    """
    ordered = sorted(rows, key=lambda row: (row["speaker"] or "", row["digit"], row["take"], row["audio_path"]))
    parts = _splits(ordered, split, seed)
    return write_rows([{**row, "split": part} for row, part in zip(ordered, parts, strict=True)], out, say)


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


def has_files(folder: Path, pattern: str) -> bool:
    """Return whether a folder exists and has a file that matches a glob pattern."""
    return folder_exists(folder) and any(folder.glob(pattern))


def read_takes(
    folder: Path, files: str, layout: re.Pattern[str], corpus: str, speakers: Mapping[str, Mapping[str, object]],
    say: Callable[[str], None],
) -> list[dict[str, Any]]:  # fmt: skip
    """Return lines of a manifest for files whose names describe them. Only headers of audio files are read.

    Args:
        folder: Folder of the recordings.
        files: Glob pattern of the files; hidden files are ignored.
        layout: Pattern of paths in the folder, with groups ``digit``, ``speaker`` and ``take``.
        corpus: Prefix of the speakers' names.
        speakers: Record of each speaker.
        say: Function that receives a line for each file or group of files left out.

    Raises:
        InputError: If no recording is left.
    """
    rows: list[dict[str, Any]] = []
    others: list[str] = []
    root = folder.resolve()
    for path in sorted(path for path in root.glob(files) if not path.name.startswith(".")):
        name = path.relative_to(root).as_posix()
        match = layout.fullmatch(name)
        if match is None:
            others.append(name)
            continue
        speaker, digit, take = match["speaker"], int(match["digit"]), int(match["take"])
        try:
            seconds, record = header_seconds(path), speakers.get(speaker, {})
            rows.append(digit_row(path, digit, take, speaker=f"{corpus}-{speaker}", duration=seconds, record=record))
        except AudioError as error:
            say(f"left out: {error}")
    if others:
        say(f"{len(others)} files left out: their names do not follow the corpus, such as {others[0]}")
    if not rows:
        raise InputError(f"{folder}: no recording can be used")
    return rows


def find_root(source: Path, names: Sequence[str], pattern: str) -> Path | None:
    """Return the folder of a corpus: the source, or a folder of one of these names in it; None if neither fits.

    Args:
        source: Folder that a user names.
        names: Names of the corpus's own folder.
        pattern: Glob pattern that a file of the corpus matches.
    """
    folders = [source, *(source / name for name in names)]
    return next((folder.resolve() for folder in folders if has_files(folder, pattern)), None)


def read_speech(
    paths: Iterable[Path], root: Path, layout: re.Pattern[str],
    describe: Callable[[Path, re.Match[str]], Mapping[str, Any]], say: Callable[[str], None],
) -> list[dict[str, Any]]:  # fmt: skip
    """Return lines of a manifest for recordings of read speech. Only headers of audio files are read.

    Args:
        paths: Recordings.
        root: Folder of the corpus.
        layout: Pattern of paths in the folder.
        describe: Function that returns ``text``, ``speaker`` and further keys of a recording and its match.
        say: Function that receives a line for each recording left out, and one on recordings without a text.

    Raises:
        InputError: If no recording is left.
    """
    rows: list[dict[str, Any]] = []
    for path in sorted(paths):
        match = layout.fullmatch(path.relative_to(root).as_posix())
        if match is None:
            say(f"left out: {path}: its name does not follow the corpus")
            continue
        try:
            seconds = round(header_seconds(path), 4)
        except AudioError as error:
            say(f"left out: {error}")
            continue
        empty = {"audio_path": path, "text": None, "speaker": None, "duration": seconds}
        rows.append(empty | dict(describe(path, match)))
    if not rows:
        raise InputError(f"{root}: no recording can be used")
    without_text = [row["utt_id"] for row in rows if row["text"] is None]
    if without_text:
        say(f"{len(without_text)} recordings have no text, such as {without_text[0]}")
    return rows


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text in UTF-8 that are not empty; none if the file is missing.

    Raises:
        InputError: If it cannot be read.
    """
    text = read_utf8(path, InputError, "copy it again") if exists(path) else ""
    return [line for line in text.splitlines() if line.strip()]


def read_text(path: Path, say: Callable[[str], None]) -> str | None:
    """Return the text of one recording on one line; None if the file is missing, empty or unreadable, which is said."""
    try:
        return " ".join(" ".join(read_lines(path)).split()) or None
    except InputError as error:
        say(f"no text: {error}")
        return None


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


def share_rows(rows: Sequence[Mapping[str, Any]], split: str, seed: int, say: Callable[[str], None]) -> list[str]:
    """Return a split for each recording, by speaker or at random, also where there are few of them.

    Of fewer than three speakers, the recordings are shared; fewer than three recordings are all train. Both is said.

    Args:
        rows: Lines with ``speaker``, and with ``gender`` where it is known.
        split: ``speaker`` or ``random``.
        seed: Seed of the split.
        say: Function that receives these lines.
    """
    speakers = [row["speaker"] for row in rows]
    count = len(set(speakers))
    if split == "speaker" and count >= len(SHARES):
        genders = {row["speaker"]: row["gender"] for row in rows if row.get("gender")}
        return split_by_speaker(speakers, genders=genders, seed=seed)
    if split == "speaker":
        say(
            f"{count} speaker{'s' * (count > 1)} cannot be shared by {len(SHARES)} splits: recordings are shared "
            "instead, so dev and test have the voices of train"
        )
    if len(rows) < len(SHARES):
        say(f"{len(rows)} recordings cannot be shared by {len(SHARES)} splits: all are train")
        return ["train"] * len(rows)
    return split_at_random(len(rows), seed=seed)


def write_shared_rows(
    rows: Sequence[Mapping[str, Any]], out: Path, *, split: str, seed: int, say: Callable[[str], None]
) -> Path:
    """Write a manifest whose lines keep their split (``official``) or are shared by :func:`share_rows`."""
    parts = [row["split"] for row in rows] if split == "official" else share_rows(rows, split, seed, say)
    return write_rows([{**row, "split": part} for row, part in zip(rows, parts, strict=True)], out, say)


def _line(row: Mapping[str, Any], folder: Path) -> str:
    path = row["audio_path"]
    values = {**row, "audio_path": str(path.relative_to(folder) if path.is_relative_to(folder) else path)}
    return json.dumps({key: value for key, value in values.items() if value is not None}, ensure_ascii=False) + "\n"


def _splits(rows: Sequence[Mapping[str, Any]], split: str, seed: int) -> list[str]:
    if split == "random":
        return split_at_random(len(rows), seed=seed)
    if split == "speaker":
        speakers = [row["speaker"] for row in rows if row["speaker"]]
        if len(speakers) < len(rows):
            raise ConfigError(f"{len(rows) - len(speakers)} recordings name no speaker; split at random instead")
        genders = {row["speaker"]: row["gender"] for row in rows if row.get("gender")}
        return split_by_speaker(speakers, genders=genders, seed=seed)
    parts = [row["split"] for row in rows if row["split"]]
    if len(parts) < len(rows):
        raise ConfigError(f"{len(rows) - len(parts)} recordings name no split; split by speaker instead")
    return parts


def split_by_speaker(speakers: Sequence[str], *, genders: Mapping[str, str] | None = None, seed: int = 0) -> list[str]:
    """Return a split for each recording, such that no speaker is in two splits.

    Every split has at least one speaker, and about its share (:data:`SHARES`) of each gender.

    Args:
        speakers: Speaker of each recording.
        genders: Gender of each speaker; speakers that are not in it count as one more gender.
        seed: Seed of the split.

    Raises:
        ConfigError: If there are fewer speakers than splits, or the seed is negative.

    Example:
        >>> split_by_speaker(["ann", "bob", "ann", "eve"], seed=1)
        ['train', 'dev', 'train', 'test']
        >>> split_by_speaker(["ann", "bob", "ann"])
        Traceback (most recent call last):
        vocable.errors.ConfigError: 2 speakers cannot be shared by 3 splits (train, dev, test); split at random instead
    """
    names = sorted(set(speakers))
    random = _generator("speakers", len(names), seed, "split at random instead")
    groups: dict[str, list[str]] = {}
    for at in random.permutation(len(names)):
        groups.setdefault((genders or {}).get(names[at], ""), []).append(names[at])
    # Spread each gender evenly over [0, 1]: any interval then has about the same share of each.
    positions = {name: (at + 0.5) / len(group) for group in groups.values() for at, name in enumerate(group)}
    order = sorted(positions, key=positions.__getitem__)
    split = dict(zip(order, _split_sequence(len(order)), strict=True))
    return [split[speaker] for speaker in speakers]


def split_at_random(count: int, *, seed: int = 0) -> list[str]:
    """Return a random split for each of ``count`` recordings; a speaker may be in several splits.

    Raises:
        ConfigError: If there are fewer recordings than splits, or the seed is negative.

    Example:
        >>> split_at_random(5)
        ['train', 'train', 'train', 'dev', 'test']
    """
    random = _generator("recordings", count, seed, "give more")
    sequence = _split_sequence(count)
    return [sequence[at] for at in random.permutation(count)]


def _split_sequence(count: int) -> list[str]:
    """Return ``count`` names of splits in proportion to their shares, each at least once, the smallest split first."""
    counts = dict.fromkeys(SHARES, 1)
    for _ in range(count - len(SHARES)):
        counts[max(SHARES, key=lambda split: SHARES[split] * count - counts[split])] += 1
    return [split for split in sorted(counts, key=counts.__getitem__) for _ in range(counts[split])]


def _generator(unit: str, count: int, seed: int, advice: str) -> np.random.Generator:
    """Return the random generator of a split."""
    if count < len(SHARES):
        raise ConfigError(f"{count} {unit} cannot be shared by {len(SHARES)} splits ({', '.join(SHARES)}); {advice}")
    if seed < 0:
        raise ConfigError(f"seed is {seed}: it must be at least 0")
    return np.random.default_rng(seed)
