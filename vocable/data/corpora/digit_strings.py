"""Single digits cut out of spoken digit strings, such as SpeechOcean762's "ZERO THREE FIVE ONE".

Made of a manifest in which lines have a list ``digits`` beside their text. Where each word lies is found by forced
alignment; nobody has listened to the cuts.
"""

import reprlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from vocable.audio import Audio
from vocable.data.alignment.pocketsphinx import Aligner
from vocable.data.alignment.record import Segment
from vocable.data.corpora.recordings import (
    MANIFEST,
    WORDS,
    Recording,
    check_split,
    known_age,
    known_text,
    write_manifest,
)
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import AudioError, InputError, OutputError
from vocable.files import make_folder

_MARGIN = 0.02  # seconds left around a word: its first and last frames are the least certain
_SHORTEST = 0.12  # seconds; no digit is said in less, the alignment has slipped


def prepare(
    source: Path, out: Path, *, split: str = "official", seed: int = 0, say: Callable[[str], None] = print
) -> Path:
    """Cut every digit out of the digit strings of a manifest.

    Args:
        source: A manifest, or a folder with ``manifest.jsonl``. Lines without ``digits`` are passed over.
        out: Folder for ``manifest.jsonl`` and ``audio/``, 16-bit FLAC at the rate of the strings.
        split: ``official`` keeps the split of each line; or by ``speaker``, or at ``random``.
        seed: Of the split.
        say: Gets a line for what is left out, and one for each split.

    Returns:
        The manifest.

    Raises:
        InputError: No line has ``digits``, or none of them could be cut.
        ManifestError: The source is no manifest.
        ConfigError: The recordings cannot be split so.
        MissingDependencyError: pocketsphinx is not installed.
        OutputError: The folder holds a manifest already, or cannot be written.
    """
    check_split(split)
    manifest = source / MANIFEST if source.is_dir() else source
    strings = [one for one in enumerate(read_manifest(manifest), start=1) if "digits" in one[1].extra]
    if not strings:
        raise InputError(f"{manifest}: no digit strings in here (looked for lines with a list 'digits')")
    if (out / MANIFEST).exists():
        raise OutputError(f"{out / MANIFEST}: is there already, and its audio would be mixed up; take another folder")
    align = Aligner()
    recordings: list[Recording] = []
    takes: Counter[tuple[str | None, int]] = Counter()
    poor = 0
    for number, string in strings:
        try:
            clip, words = _aligned(align, string)
        except AudioError as error:
            say(f"left out: {error}")
            continue
        for place, (word, digit) in enumerate(words, start=1):
            if word.symbol != WORDS[digit] or word.duration < _SHORTEST:
                poor += 1
                continue
            make_folder(out / "audio")
            path = out.resolve() / "audio" / f"{number:05d}-{place}-{word.symbol}.flac"
            cut = _cut(clip, word)
            cut.write(path)
            recordings.append(_recording(path, cut, digit, takes[string.speaker, digit], string))
            takes[string.speaker, digit] += 1
    if poor:
        say(f"{poor} words left out: shorter than {_SHORTEST * 1000:.0f} ms, or not the digit that was expected")
    if not recordings:
        raise InputError(f"{manifest}: not one of {len(strings)} digit strings could be cut")
    return write_manifest(recordings, out, split=split, seed=seed, say=say)


def _aligned(align: Aligner, string: Utterance) -> tuple[Audio, list[tuple[Segment, int]]]:
    """A string with its words and the digit that each of them should be.

    Raises:
        AudioError: The recording cannot be read, or not every digit was found in it.
    """
    digits = string.extra["digits"]
    if not isinstance(digits, list) or not all(type(digit) is int and 0 <= digit <= 9 for digit in digits):
        raise AudioError(f"{string.audio_path}: 'digits' is {reprlib.repr(digits)}: this is no list of digits")
    clip = Audio.read(string.audio_path)
    words = align.words(clip, string.text or "")
    if len(words) != len(digits):
        raise AudioError(
            f"{string.audio_path}: {len(words)} of {len(digits)} digits were found; compare its text with what is said"
        )
    return clip, list(zip(words, digits, strict=True))


def _cut(clip: Audio, word: Segment) -> Audio:
    start, end = (round(at * clip.sample_rate) for at in (max(0.0, word.start - _MARGIN), word.end + _MARGIN))
    return Audio(clip.samples[start:end], clip.sample_rate)


def _recording(path: Path, cut: Audio, digit: int, take: int, string: Utterance) -> Recording:
    gender, age, accent = (string.extra.get(key) for key in ("gender", "age", "accent"))
    return Recording(
        audio_path=path, digit=digit, speaker=string.speaker, duration=cut.duration, take=take,
        gender=known_text(gender), age=known_age(age), accent=known_text(accent), source=string.audio_path.name,
        split=string.split,
    )  # fmt: skip
