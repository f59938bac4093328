"""Encode and decode many files. A file that fails is reported, the others go on, and none is half-written."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from vocable.apps.asr import WordRecognizer, transcribe_words
from vocable.audio import Audio, find_audio, read_blocks
from vocable.data.manifest import read_manifest
from vocable.errors import AudioError, CheckpointError, ConfigError, OutputError, TextError, VocableError
from vocable.files import find_files, make_folder
from vocable.interfaces import Streaming, Tokenizer
from vocable.tokens import Tokens

_SUFFIX = ".tokens"
_MANIFEST = ".jsonl"
_Item = TypeVar("_Item")


class Writable(Protocol):
    """An object that writes itself to a file, completely or not at all, such as audio and tokens."""

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the object to a file."""
        ...


@dataclass
class Outcome:
    """Results of a job over many files.

    Attributes:
        done: Files that were written, or read where nothing is written.
        failed: Errors of the others.
    """

    done: list[Path] = field(default_factory=list)
    failed: list[VocableError] = field(default_factory=list)

    def finish(self) -> None:
        """Raise if any file failed.

        Raises:
            VocableError: If a file failed: its own error where it was the only file, else one with the count.
        """
        if self.failed and not self.done and len(self.failed) == 1:
            raise self.failed[0]
        if self.failed:
            raise VocableError(
                f"{len(self.failed)} of {len(self.failed) + len(self.done)} files failed; the others are done"
            )


def encode_files(
    tokenizer: Tokenizer, inputs: Sequence[str | os.PathLike[str]], out: Path, *,
    levels: int | None = None, text: str | None = None, recognizer: WordRecognizer | None = None,
    say: Callable[[str], None] = print,
) -> Outcome:  # fmt: skip
    """Encode audio files into token files, with the transcript of each where it is known.

    Args:
        tokenizer: Tokenizer to encode with.
        inputs: Files, folders, glob patterns, and manifests (``.jsonl``), whose lines may have texts.
        out: Path of a token file for one input. For several or a manifest, a folder that mirrors the inputs' folders.
        levels: Number of levels to keep, counted from the first; all by default.
        text: Transcript, where there is one recording.
        recognizer: Recognizer that transcribes recordings without a text. By default they stay without one.
        say: Function that gets a line for each file.

    Raises:
        VocableError: If the inputs cannot be used, or two of them would become one file.
        ConfigError: If a text is passed for more than one recording, or with a manifest.
    """

    def make(source: Path) -> tuple[Tokens, str]:
        transcript, note = texts.get(source, text), ""
        if recognizer is not None and not (transcript or "").strip():
            transcript = transcribe_words(Audio.read(source), recognizer, str(source))
            note = f", text recognized: {transcript}"
        tokens = _encode(tokenizer, source, transcript)
        if levels is not None:
            tokens = tokens.keep_levels(levels)
        seconds = int(tokens.samples[0]) / tokens.spec.sample_rate
        return tokens, f"{seconds:.2f} s, {tokens.ids.shape[2]} frames × {tokens.ids.shape[1]} levels{note}"

    manifests = [Path(entry) for entry in inputs if Path(entry).suffix == _MANIFEST]
    others = [entry for entry in inputs if Path(entry).suffix != _MANIFEST]
    lines = [line for manifest in manifests for line in read_manifest(manifest)]
    # without "..", so that outputs stay in their folder
    listed = [(Path(os.path.normpath(line.audio_path)), line.text) for line in lines]
    texts = dict(listed)
    sources = [*(find_audio(others) if others else ()), *(source for source, _ in listed)]
    if text is not None and (manifests or len(sources) != 1):
        raise ConfigError(
            f"there is one text for {len(sources)} recordings or a manifest; write the texts into a manifest"
        )
    roots = [*others, *(Path(os.path.normpath(manifest.parent.absolute())) for manifest in manifests)]
    return write_each(sources, _targets(sources, roots, out, _SUFFIX), make, say)


def decode_files(
    tokenizer: Tokenizer | Callable[[Tokens], Tokenizer], inputs: Sequence[str | os.PathLike[str]], out: Path, *,
    levels: int | None = None, voice: Audio | None = None, say: Callable[[str], None] = print,
) -> Outcome:  # fmt: skip
    """Decode token files into audio files (WAV in a folder; the suffix decides for a single file).

    Args:
        tokenizer: Tokenizer that made the tokens, or a function that finds it for each file, such as
            :func:`vocable.systems.registry.load_for`; it is called once for each digest.
        inputs: Files, folders, glob patterns.
        out: Path of an audio file for one input, else of a folder.
        levels: Number of levels to decode, counted from the first; all by default.
        voice: Recording of the speaker to decode as, where the tokenizer keeps the voice beside its tokens.
        say: Function that gets a line for each file.

    Raises:
        VocableError: If the inputs cannot be used, or two of them would become one file.
    """

    def make(source: Path) -> tuple[Audio, str]:
        tokens = Tokens.read(source)
        if not isinstance(tokenizer, Tokenizer) and tokens.tokenizer not in found:
            with prefix_errors(str(source)):
                found[tokens.tokenizer] = tokenizer(tokens)
        made_by = tokenizer if isinstance(tokenizer, Tokenizer) else found[tokens.tokenizer]
        if levels is not None:
            tokens = tokens.keep_levels(levels)
        clips = [made_by.decode(tokens.clip(index), voice) for index in range(len(tokens))]
        joined = Audio(np.concatenate([clip.samples for clip in clips]), clips[0].sample_rate)
        return joined, f"{joined.duration:.2f} s at {joined.sample_rate} Hz"

    found: dict[str, Tokenizer] = {}
    sources = find_files(inputs, {_SUFFIX}, "token file")
    return write_each(sources, _targets(sources, inputs, out, ".wav"), make, say)


def mirrored(sources: Sequence[Path], inputs: Sequence[str | os.PathLike[str]], out: Path, suffix: str) -> list[Path]:
    """Return the target of each source in a folder that mirrors the folders among the inputs.

    Raises:
        OutputError: If two sources would become one file.

    Example:
        >>> [path.as_posix() for path in mirrored([Path("in/a.flac")], ["in/a.flac"], Path("out"), ".wav")]
        ['out/a.wav']
    """
    folders = [Path(entry) for entry in inputs if Path(entry).is_dir()]
    roots = [next((one for one in folders if source.is_relative_to(one)), source.parent) for source in sources]
    targets = [out / source.relative_to(root).with_suffix(suffix) for source, root in zip(sources, roots, strict=True)]
    duplicate = next((target for target in targets if targets.count(target) > 1), None)
    if duplicate is not None:
        raise OutputError(
            f"{duplicate}: two inputs would be written here; rename one, or write them to different folders"
        )
    return targets


def write_each(
    items: Sequence[_Item], targets: Sequence[Path], make: Callable[[_Item], tuple[Writable, str]],
    say: Callable[[str], None],
) -> Outcome:  # fmt: skip
    """Convert each item to a result and a summary, and write the result; its folder is created once there is one."""

    def process(pair: tuple[_Item, Path]) -> tuple[Path, str]:
        item, target = pair
        result, summary = make(item)
        make_folder(target.parent)
        result.write(target)
        return target, f"{item} → {target}: {summary}"

    return process_each(list(zip(items, targets, strict=True)), process, say, say)


def process_each(
    items: Sequence[_Item], process: Callable[[_Item], tuple[Path, str]], say: Callable[[str], None],
    complain: Callable[[str], None],
) -> Outcome:  # fmt: skip
    """Process each item. An item that fails is reported, and the others go on.

    Args:
        items: Arguments of ``process``.
        process: Function from an item to the file that was written or read, and a line about it.
        say: Function that gets the line of each item.
        complain: Function that gets a line for each item that fails, where there are several.
    """
    outcome = Outcome()
    for item in items:
        try:
            path, line = process(item)
            say(printable(line))
            outcome.done.append(path)
        except VocableError as error:
            outcome.failed.append(error)
            if len(items) > 1:
                complain(printable(f"failed: {error}"))
    return outcome


@contextmanager
def prefix_errors(where: str) -> Iterator[None]:
    """Prefix the message of an error with the file that the clip or text is from."""
    try:
        yield
    except (AudioError, CheckpointError, TextError) as error:
        raise type(error)(f"{where}: {error}" if where else str(error)) from error


def printable(text: str) -> str:
    """Return a line that a terminal can print: a file name need not be valid text.

    Example:
        >>> printable("a" + chr(0xDCFF) + ".wav")
        'a?.wav'
    """
    return text.encode(errors="replace").decode()


def _encode(tokenizer: Tokenizer, source: Path, text: str | None) -> Tokens:
    if isinstance(tokenizer, Streaming):
        tokens = tokenizer.encode_blocks(read_blocks(source, tokenizer.spec.sample_rate))
        return tokens if text is None else replace(tokens, text=(text,))
    audio = Audio.read(source)
    with prefix_errors(str(source)):
        return tokenizer.encode(audio, text)


def _targets(sources: Sequence[Path], inputs: Sequence[str | os.PathLike[str]], out: Path, suffix: str) -> list[Path]:
    if len(sources) == 1 and not out.is_dir() and not any(Path(entry).is_dir() for entry in inputs):
        return [out]
    return mirrored(sources, inputs, out, suffix)
