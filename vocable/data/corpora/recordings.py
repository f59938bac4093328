"""What the readers of corpora have in common: a recording of a digit, and how recordings become a manifest."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vocable.audio import header_seconds
from vocable.data.corpora.splits import SHARES, split_at_random, split_by_speaker
from vocable.errors import AudioError, ConfigError, InputError
from vocable.files import make_folder, write_whole

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MANIFEST = "manifest.jsonl"
SPLITS = ("speaker", "random", "official")  # official: the one the corpus was published with
_OLDEST = 120  # years; a larger number is no age


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One spoken digit. What the corpus does not tell is None, and no key of the manifest.

    Attributes:
        audio_path: Where it lies.
        digit: 0 to 9; the manifest's text is its English word.
        speaker: With the corpus before it, such as ``fsdd-jackson``.
        duration: Seconds.
        take: Tells apart the recordings of one digit by one speaker.
        gender: Of the speaker.
        age: Of the speaker, in years.
        accent: Of the speaker.
        source: Name of the file it was cut from.
        split: The one the corpus was published with; after :func:`write_manifest` the one that was asked for.
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
        """The keys of this recording's line in a manifest."""
        return {
            "audio_path": self.audio_path, "text": WORDS[self.digit], "speaker": self.speaker,
            "duration": round(self.duration, 4), "digit": self.digit, "take": self.take, "gender": self.gender,
            "age": self.age, "accent": self.accent, "source": self.source, "split": self.split,
        }  # fmt: skip


def check_split(split: str, known: Collection[str] = SPLITS) -> None:
    """Refuse a split before the work, not after it.

    Raises:
        ConfigError: It is not among those known.
    """
    if split not in known:
        raise ConfigError(f"split is '{split}'; this corpus can be split by {', '.join(known)}")


def write_manifest(
    recordings: Sequence[Recording], out: Path, *, split: str, seed: int, say: Callable[[str], None]
) -> Path:
    """Split recordings and write their manifest, whole or not at all.

    Args:
        recordings: In any order; the manifest is sorted by speaker, digit and take.
        out: The manifest's folder. Paths of audio are relative where the audio lies in it, else absolute.
        split: One of :data:`SPLITS`.
        seed: Of the draw.
        say: Gets a line for each split.

    Returns:
        The manifest.

    Raises:
        InputError: A path or a speaker's name is no text.
        ConfigError: There are too few speakers or recordings to split, or they have no split of their own.
        OutputError: The manifest cannot be written.
    """
    ordered = sorted(recordings, key=lambda one: (one.speaker or "", one.digit, one.take, one.audio_path))
    parts = _splits(ordered, split, seed)
    ordered = [replace(one, split=part) for one, part in zip(ordered, parts, strict=True)]
    return write_rows([one.to_row() for one in ordered], out, say)


def write_rows(rows: Sequence[Mapping[str, Any]], out: Path, say: Callable[[str], None]) -> Path:
    """Write a manifest, whole or not at all.

    Args:
        rows: The keys of each line, ``audio_path``, ``speaker``, ``split`` and ``duration`` among them; what is None
            is no key of the line.
        out: The manifest's folder. Paths of audio are relative where the audio lies in it, else absolute.
        say: Gets a line for each split.

    Raises:
        InputError: A path or a speaker's name is no text.
        OutputError: The manifest cannot be written.
    """
    folder = out.resolve()
    try:
        data = "".join(_line(row, folder) for row in rows).encode()
    except UnicodeEncodeError as error:
        where = rows[0]["audio_path"].parent
        raise InputError(f"{where}: a path or a speaker's name is no text; rename it") from error
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
    """Recordings that their names describe. Only headers are read.

    Args:
        folder: Where they lie.
        files: Pattern of what is looked at; hidden files are not.
        layout: Of a path in the folder, with groups ``digit``, ``speaker`` and ``take``.
        corpus: Goes before the speaker.
        speakers: What is known of each.
        say: Gets a line for each file that cannot be read, and one for all whose names do not follow the layout.

    Raises:
        InputError: No recording is left.
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
        about = speakers.get(match["speaker"], {})
        try:
            recordings.append(
                Recording(
                    audio_path=path, digit=int(match["digit"]), speaker=f"{corpus}-{match['speaker']}",
                    duration=header_seconds(path), take=int(match["take"]), gender=known_text(about.get("gender")),
                    age=known_age(about.get("age")), accent=known_text(about.get("accent")),
                )
            )  # fmt: skip
        except AudioError as error:
            say(f"left out: {error}")
    if others:
        say(f"{len(others)} files left out: their names do not follow the corpus, such as {others[0]}")
    if not recordings:
        raise InputError(f"{folder}: none of the recordings in here can be used")
    return recordings


def check_speakers(value: object, path: Path) -> dict[str, dict[str, object]]:
    """What a corpus tells of its speakers, if it has the form that was published.

    Raises:
        InputError: It has not.
    """
    if not isinstance(value, dict) or not all(isinstance(about, dict) for about in value.values()):
        raise InputError(f"{path}: this does not tell of each speaker; copy it again, or remove it and go without")
    return value


def known_text(value: object) -> str | None:
    """What somebody wrote of a speaker, if it is a text that says something."""
    return value.strip() or None if isinstance(value, str) else None


def known_age(value: object) -> int | None:
    """Years, if that is what it can be.

    Example:
        >>> [known_age(value) for value in (31, "28 ", " 1234", "young", True, None)]
        [31, 28, None, None, None, None]
    """
    try:
        age = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else 0
    except ValueError:
        return None
    return age if 0 < age <= _OLDEST else None


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
