"""Manifests with alignments, made from manifests without: by an aligner, or from files of other aligners."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from vocable.audio import Audio
from vocable.data.alignment.files import LISTS, TEXTGRID, read_textgrid
from vocable.data.alignment.record import Alignment, PhoneAligner
from vocable.data.alignment.words import words_of
from vocable.data.manifest import Utterance, manifest_line, read_manifest
from vocable.errors import AlignmentError, ConfigError, MissingDependencyError, OutputError, VocableError, name_failure
from vocable.file_search import find_files
from vocable.files import exists, make_folder, write_text
from vocable.text.pronounce import ArpabetPronouncer
from vocable.write_rules import check_target

ALIGNERS = ("pocketsphinx", "ctc", "hama")
_REPLACED = ("alignment", "alignment_score")  # keys of an earlier alignment
_Values = dict[str, Any]  # keys and values to add to a manifest's line
_Entry = Path | Alignment | AlignmentError  # a TextGrid, or what a list of alignments says of an utterance
_Index = dict[str, dict[Path, _Entry]]  # utterance → file → entry


def align_with(
    manifest: Path, out: Path, aligner: PhoneAligner, *, least: float | None = None, keep: bool = False,
    overwrite: bool = False, say: Callable[[str], None] = print,
) -> Path:  # fmt: skip
    """Align the recordings of a manifest; write a manifest with the keys ``alignment`` and ``alignment_score``.

    Args:
        manifest: Manifest whose lines have ``phones``, a list of ARPAbet phones for each word, or an English ``text``.
        out: Path of the manifest to write.
        aligner: Aligner of :func:`find_aligner`.
        least: Lowest score; recordings with a lower one count as not aligned.
        keep: Whether to write recordings that could not be aligned, without these keys. By default they are left out.
        overwrite: Whether ``out`` is replaced where it exists.
        say: Function that receives a line for each of them, and one for all.

    Returns:
        ``out``.

    Raises:
        ManifestError: If the manifest cannot be used.
        AlignmentError: If no recording could be aligned.
        OutputError: If ``out`` exists, or cannot be written.
    """
    pronouncer = cache(ArpabetPronouncer)  # loaded once, if a line has no phones

    def values_of(utterance: Utterance) -> _Values:
        words = words_of(utterance, pronouncer)
        result = aligner.phones(Audio.read(utterance.audio_path), words)
        if least is not None and result.score < least:
            raise AlignmentError(
                f"its score is {result.score:.2f}, under {least:g}; check its phones, or allow lower scores"
            )
        return {"alignment": result.alignment.values(), "alignment_score": round(result.score, 2)}

    return _write(manifest, out, values_of, keep, overwrite, say)


def align_from(
    manifest: Path, out: Path, sources: Sequence[Path], *, keep: bool = False, overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> Path:  # fmt: skip
    """Read alignments from files of other aligners; write a manifest with the key ``alignment``.

    Arguments and errors are those of :func:`align_with`. ``sources`` are TextGrid, CTM and CSV files, or folders of
    them. The name of an utterance there is that of its audio file, without the suffix. Alignments that match no
    recording are counted.

    Raises:
        InputError: If there are no such files.
        AlignmentError: If a file with more than one utterance cannot be read, or an utterance is in two files.
    """
    index = _index(sources)
    used: set[str] = set()

    def values_of(utterance: Utterance) -> _Values:
        entry = _find(index, utterance.audio_path)
        used.add(utterance.audio_path.stem)
        if isinstance(entry, AlignmentError):
            raise entry
        seconds = Audio.read(utterance.audio_path).duration
        alignment = read_textgrid(entry) if isinstance(entry, Path) else entry
        # a TextGrid covers its whole audio; lists may omit silence
        return {"alignment": alignment.fitted(seconds, whole=isinstance(entry, Path)).values()}

    def unused() -> str:
        rest = sorted(index.keys() - used)
        return f"; {len(rest)} alignments match no recording, such as {rest[0]!r}" if rest else ""

    return _write(manifest, out, values_of, keep, overwrite, say, unused)


def find_aligner(
    name: str, manifest: Path | None = None, *, whisper: str | None = None, head: Path | None = None,
    seed: int = 0, say: Callable[[str], None] = print,
) -> PhoneAligner:  # fmt: skip
    """Return an aligner by name.

    Args:
        name: One of :data:`ALIGNERS`.
        manifest: For ``ctc``: manifest to train the head on, if its folder does not exist. The lines with ``phones`` of
            the split ``train`` are used, or of all splits if there is none.
        whisper: For ``ctc``: folder or hub name of the encoder.
        head: For ``ctc``: folder of the head.
        seed: Seed of the head's training.
        say: Function that receives lines on the training.

    Raises:
        ConfigError: If the name is unknown, or ``ctc`` lacks its encoder or head.
        MissingDependencyError: If a package that the aligner needs is not installed.
        CheckpointError: If the encoder or the head cannot be used.

    Example:
        >>> find_aligner("mfa")
        Traceback (most recent call last):
        ...
        vocable.errors.ConfigError: there is no aligner 'mfa'; there are pocketsphinx, ctc, hama
    """
    if name == "pocketsphinx":
        from vocable.data.alignment.pocketsphinx import Aligner

        return Aligner()
    if name == "hama":
        from vocable.data.alignment.hama import HamaAligner

        return HamaAligner()
    if name != "ctc":
        raise ConfigError(f"there is no aligner {name!r}; there are {', '.join(ALIGNERS)}")
    if whisper is None or head is None:
        raise ConfigError("the aligner 'ctc' needs --whisper, an encoder, and --head, the folder of its head")
    from vocable.data.alignment.ctc import CtcAligner, train_head
    from vocable.features.whisper import WhisperEncoder

    encoder = WhisperEncoder.load(whisper)
    if not exists(head):
        if manifest is None:
            raise ConfigError(f"{head}: there is no head; give a manifest with 'phones' to train one on")
        utterances = read_manifest(manifest)
        training = [one for one in utterances if one.split == "train"] or utterances
        CtcAligner(encoder, train_head(encoder, training, seed=seed, say=say)).save(head)
    return CtcAligner.load(head, encoder)


def find_optional_aligner(say: Callable[[str], None] = print) -> PhoneAligner | None:
    """Return the default aligner; None, with a line that says so, where its package is not installed."""
    try:
        return find_aligner(ALIGNERS[0])
    except MissingDependencyError as error:
        say(f"no times of words: {error}")
        return None


def _index(sources: Sequence[Path]) -> _Index:
    """Return alignments by utterance and file.

    A TextGrid is read later, so that a bad one costs one recording only. TextGrids of one name may lie in several
    folders, as in one folder a speaker.
    """
    index: _Index = {}
    for path in find_files(sources, (TEXTGRID, *LISTS), "alignment"):
        suffix = path.suffix.lower()
        if suffix != TEXTGRID and suffix not in LISTS:
            raise AlignmentError(f"{path}: unknown suffix; alignments are read from {TEXTGRID}, {', '.join(LISTS)}")
        entries: dict[str, _Entry] = {path.stem: path}
        if suffix != TEXTGRID:
            failures: dict[str, AlignmentError] = {}
            entries = {**LISTS[suffix](path, failures), **failures}
        for name, entry in entries.items():
            earlier = index.setdefault(name, {})
            if earlier and any(suffix != TEXTGRID or file.suffix.lower() != TEXTGRID for file in earlier):
                raise AlignmentError(f"{path}: utterance {name!r} is in an earlier file too; give one of them")
            earlier[path] = entry
    return index


def _find(index: _Index, audio: Path) -> _Entry:
    """Return the alignment of a recording: of its name, and of several such, the one in a folder of the same name."""
    entries = index.get(audio.stem, {})
    if not entries:
        raise AlignmentError(f"no alignment is called {audio.stem!r}")
    if len(entries) > 1:
        entries = {path: entry for path, entry in entries.items() if path.parent.name == audio.parent.name}
    if len(entries) != 1:
        raise AlignmentError(
            f"{len(index[audio.stem])} alignments are called {audio.stem!r}, and {len(entries) or 'none'} of them lie "
            f"in a folder called {audio.parent.name!r}; name folders as those of the recordings"
        )
    return next(iter(entries.values()))


def _write(
    manifest: Path, out: Path, values_of: Callable[[Utterance], _Values], keep: bool, overwrite: bool,
    say: Callable[[str], None], remark: Callable[[], str] = str,
) -> Path:  # fmt: skip
    """Write the lines of a manifest with more keys; the file is written whole or not at all."""
    utterances = read_manifest(manifest)
    check_target(out)  # before hours of work
    if exists(out) and not overwrite:
        raise OutputError(f"{out}: exists already; name another file, or pass --overwrite")
    make_folder(out.parent)
    folder = out.parent.absolute()
    lines: list[str] = []
    aligned = 0
    for utterance in utterances:
        values: _Values = {}
        path = utterance.audio_path
        try:
            with name_failure(str(path)):
                values = values_of(utterance)
            aligned += 1
        except VocableError as error:
            reason = str(error).removeprefix(f"{path}: ")
            say(f"{'not aligned' if keep else 'left out'}: {path}: {reason}")
        if values or keep:
            lines.append(manifest_line(utterance, folder, values, _REPLACED))
    if not aligned:
        raise AlignmentError(
            f"{manifest}: not one of {len(utterances)} recordings could be aligned; nothing is written"
        )
    write_text(out, "".join(f"{line}\n" for line in lines))
    say(f"{aligned} of {len(utterances)} recordings aligned{remark()}")
    return out
