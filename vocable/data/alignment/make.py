"""A manifest with alignments, made of one without: by an aligner, or of files that others made."""

import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from vocable.audio import Audio
from vocable.data.alignment.files import LISTS, TEXTGRID, read_textgrid
from vocable.data.alignment.phones import words_of
from vocable.data.alignment.record import Alignment, PhoneAligner
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import AlignmentError, AudioError, ConfigError, OutputError
from vocable.files import find_files, make_folder, write_whole
from vocable.text.pronounce import ArpabetPronouncer

ALIGNERS = ("pocketsphinx", "ctc")
_SURROGATE = re.compile("[\ud800-\udfff]")  # no text in UTF-8; file names may have them
_Values = dict[str, Any]  # keys of a manifest's line


def align_with(
    manifest: Path, out: Path, aligner: PhoneAligner, *, least: float | None = None, keep: bool = False,
    say: Callable[[str], None] = print,
) -> Path:  # fmt: skip
    """Write a manifest whose lines have the keys ``alignment`` and ``alignment_score``.

    Args:
        manifest: Lines with ``phones``, a list of ARPAbet phones for each word, or with an English ``text``.
        out: The manifest to write.
        aligner: Of :func:`find_aligner`.
        least: Recordings with a lower score count as not aligned.
        keep: Write recordings that could not be aligned, without these keys. By default they are left out.
        say: Gets a line for each of them, and one for all.

    Returns:
        ``out``.

    Raises:
        ManifestError: The manifest cannot be used.
        AlignmentError: Not one recording could be aligned.
        OutputError: ``out`` is there already, or cannot be written.
    """
    pronouncer = cache(ArpabetPronouncer)  # made when a line has no phones

    def values_of(utterance: Utterance) -> _Values:
        words = words_of(utterance, pronouncer)
        try:
            found = aligner.phones(Audio.read(utterance.audio_path), words)
            if least is not None and found.score < least:
                raise AlignmentError(f"its score is {found.score:.2f}, under {least:g}; compare its phones with it")
        except AlignmentError as error:
            raise AlignmentError(f"{utterance.audio_path}: {error}") from error
        return {"alignment": found.alignment.values(), "alignment_score": round(found.score, 2)}

    return _write(manifest, out, values_of, keep, say)


def align_from(
    manifest: Path, out: Path, sources: Sequence[Path], *, keep: bool = False, say: Callable[[str], None] = print
) -> Path:
    """Write a manifest whose lines have the key ``alignment``, read from files that others made.

    Args:
        manifest: Any.
        out: The manifest to write.
        sources: TextGrid, CTM and CSV files, or folders of them. An utterance is called there as its audio file is,
            without the suffix.
        keep: As of :func:`align_with`.
        say: As of :func:`align_with`.

    Returns:
        ``out``.

    Raises:
        InputError: There are no such files.
        ManifestError: The manifest cannot be used.
        AlignmentError: A file cannot be read that holds more than one utterance, an utterance is in two files, or not
            one recording could be aligned.
        OutputError: ``out`` is there already, or cannot be written.
    """
    known = _index(sources)

    def values_of(utterance: Utterance) -> _Values:
        where = known.get(utterance.audio_path.stem)
        if where is None:
            raise AlignmentError(f"{utterance.audio_path}: no alignment is called {utterance.audio_path.stem!r}")
        seconds = Audio.read(utterance.audio_path).duration
        alignment = read_textgrid(where) if isinstance(where, Path) else where
        try:  # a TextGrid says how long its audio is; in lists, silence may go without saying
            return {"alignment": alignment.fitted(seconds, whole=isinstance(where, Path)).values()}
        except AlignmentError as error:
            raise AlignmentError(f"{utterance.audio_path}: {error}") from error

    return _write(manifest, out, values_of, keep, say)


def find_aligner(
    name: str, manifest: Path | None = None, *, whisper: str | None = None, head: Path | None = None,
    seed: int = 0, say: Callable[[str], None] = print,
) -> PhoneAligner:  # fmt: skip
    """An aligner by name.

    Args:
        name: One of :data:`ALIGNERS`.
        manifest: For ``ctc``, whose head learns from the lines with ``phones`` of the split ``train`` (from all, where
            there is no such split) if its folder is not there.
        whisper: For ``ctc``: folder or hub name of the encoder.
        head: For ``ctc``: the head's folder.
        seed: Of the head.
        say: Gets lines on the training.

    Raises:
        ConfigError: The name is not known, or ``ctc`` lacks its encoder or head.
        MissingDependencyError: What it needs is not installed.
        CheckpointError: The encoder or the head cannot be used.
        AlignmentError: There is nothing to train the head on.
        OutputError: The head cannot be written.

    Example:
        >>> find_aligner("mfa")
        Traceback (most recent call last):
        ...
        vocable.errors.ConfigError: there is no aligner 'mfa'; there are pocketsphinx, ctc
    """
    if name == "pocketsphinx":
        from vocable.data.alignment.pocketsphinx import Aligner

        return Aligner()
    if name != "ctc":
        raise ConfigError(f"there is no aligner {name!r}; there are {', '.join(ALIGNERS)}")
    if whisper is None or head is None:
        raise ConfigError("the aligner 'ctc' needs --whisper, an encoder, and --head, the folder of its head")
    from vocable.data.alignment.ctc import CtcAligner
    from vocable.data.alignment.ctc_training import train_head
    from vocable.features.whisper import WhisperEncoder

    encoder = WhisperEncoder.load(whisper)
    if not head.exists():
        if manifest is None:
            raise ConfigError(f"{head}: there is no head; give a manifest with 'phones' to train one on")
        utterances = read_manifest(manifest)
        taught = [one for one in utterances if one.split == "train"] or utterances
        CtcAligner(encoder, train_head(encoder, taught, seed=seed, say=say)).save(head)
    return CtcAligner.load(head, encoder)


def _index(sources: Sequence[Path]) -> dict[str, Path | Alignment]:
    """Alignments by utterance; a TextGrid is read when its turn comes, so that a bad one costs one recording."""
    known: dict[str, Path | Alignment] = {}
    for path in find_files(sources, (TEXTGRID, *LISTS), "alignment"):
        suffix = path.suffix.lower()
        if suffix != TEXTGRID and suffix not in LISTS:
            raise AlignmentError(f"{path}: not read from such files; those are {TEXTGRID}, {', '.join(LISTS)}")
        found = {path.stem: path} if suffix == TEXTGRID else LISTS[suffix](path)
        twice = next((name for name in found if name in known), None)
        if twice is not None:
            raise AlignmentError(f"{path}: utterance {twice!r} is in a file before it too; give one of them")
        known.update(found)
    return known


def _write(
    manifest: Path, out: Path, values_of: Callable[[Utterance], _Values], keep: bool, say: Callable[[str], None]
) -> Path:
    """Write the lines of a manifest with more keys; whole or not at all."""
    utterances = read_manifest(manifest)
    if out.exists():
        raise OutputError(f"{out}: is there already; name another file, or remove it")
    make_folder(out.parent)
    folder = out.parent.absolute()
    lines: list[str] = []
    aligned = 0
    for utterance in utterances:
        values: _Values = {}
        try:
            values = values_of(utterance)
            aligned += 1
        except (AlignmentError, AudioError) as error:
            say(f"{'not aligned' if keep else 'left out'}: {error}")
        if values or keep:
            lines.append(_line(utterance, folder, values))
    if not aligned:
        raise AlignmentError(
            f"{manifest}: not one of {len(utterances)} recordings could be aligned; nothing is written"
        )
    write_whole(out, lambda path: path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8"))
    say(f"{aligned} of {len(utterances)} recordings aligned")
    return out


def _line(utterance: Utterance, folder: Path, values: _Values) -> str:
    path = utterance.audio_path
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    known = {key: getattr(utterance, key) for key in ("text", "speaker", "split", "duration")}
    given = {key: value for key, value in known.items() if value is not None}
    old = {key: value for key, value in utterance.extra.items() if key not in ("alignment", "alignment_score")}
    line = {"audio_path": str(shown), **given, **old, **values}
    plain = json.dumps(line, ensure_ascii=False)
    return json.dumps(line) if _SURROGATE.search(plain) else plain
