"""Single digits cut out of spoken digit strings, such as SpeechOcean762's "ZERO THREE FIVE ONE".

The input is a manifest whose lines have a list ``digits`` beside their text. Forced alignment finds the words; nobody
has listened to the cuts.
"""

import reprlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vocable.audio import Audio
from vocable.data.alignment.pocketsphinx import Aligner
from vocable.data.alignment.record import Segment
from vocable.data.corpora.recordings import MANIFEST, WORDS, check_split, digit_row, write_manifest
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import AudioError, InputError, OutputError
from vocable.files import exists, folder_exists, make_folder

_MARGIN = 0.02  # seconds kept around a word, whose first and last frames are the least certain
_MIN_DURATION = 0.12  # seconds: no digit is shorter, so the alignment must be wrong


def prepare(
    source: Path, out: Path, *, split: str = "official", seed: int = 0, say: Callable[[str], None] = print
) -> Path:
    """Cut every digit out of the digit strings of a manifest; see :func:`~vocable.data.corpora.find_corpus`.

    The source is a manifest, or a folder with ``manifest.jsonl``. Lines without ``digits`` are ignored. The cuts are
    16-bit FLAC at the sample rate of the strings, in the folder ``audio`` beside the new manifest. The split is
    ``official``, which keeps the split of each line, or ``speaker`` or ``random``.

    Raises:
        ManifestError: If the source is no manifest.
        MissingDependencyError: If pocketsphinx is not installed.
        OutputError: If the folder holds a manifest already.
    """
    check_split(split)
    manifest = source / MANIFEST if folder_exists(source) else source
    strings = [one for one in enumerate(read_manifest(manifest), start=1) if "digits" in one[1].extra]
    if not strings:
        raise InputError(f"{manifest}: holds no digit strings (looked for lines with a list 'digits')")
    if exists(out / MANIFEST):
        raise OutputError(f"{out / MANIFEST}: exists already, and its audio would be mixed up; give another folder")
    aligner = Aligner()
    rows: list[dict[str, Any]] = []
    takes: Counter[tuple[str | None, int]] = Counter()
    poor = 0
    for number, string in strings:
        try:
            clip, words = _align_digits(aligner, string)
        except AudioError as error:
            say(f"left out: {error}")
            continue
        for position, (word, digit) in enumerate(words, start=1):
            if word.symbol != WORDS[digit] or word.duration < _MIN_DURATION:
                poor += 1
                continue
            make_folder(out / "audio")
            path = out.resolve() / "audio" / f"{number:05d}-{position}-{word.symbol}.flac"
            start, end = (round(at * clip.sample_rate) for at in (max(0.0, word.start - _MARGIN), word.end + _MARGIN))
            cut = Audio(clip.samples[start:end], clip.sample_rate)
            cut.write(path)
            take = takes[string.speaker, digit]
            takes[string.speaker, digit] += 1
            rows.append(
                digit_row(
                    path, digit, take, speaker=string.speaker, duration=cut.duration, record=string.extra,
                    source=string.audio_path.name, split=string.split,
                )
            )  # fmt: skip
    if poor:
        say(f"{poor} words left out: shorter than {_MIN_DURATION * 1000:.0f} ms, or not the digit that was expected")
    if not rows:
        raise InputError(f"{manifest}: none of {len(strings)} digit strings could be cut")
    return write_manifest(rows, out, split=split, seed=seed, say=say)


def _align_digits(aligner: Aligner, string: Utterance) -> tuple[Audio, list[tuple[Segment, int]]]:
    """Return the audio of a string, and its words with the digits that they should be."""
    digits = string.extra["digits"]
    if not isinstance(digits, list) or not all(type(digit) is int and 0 <= digit <= 9 for digit in digits):
        raise AudioError(f"{string.audio_path}: 'digits' is {reprlib.repr(digits)}: this is no list of digits")
    clip = Audio.read(string.audio_path)
    words = aligner.words(clip, string.text or "")
    if len(words) != len(digits):
        raise AudioError(
            f"{string.audio_path}: {len(words)} of {len(digits)} digits were found; compare its text with what is said"
        )
    return clip, list(zip(words, digits, strict=True))
