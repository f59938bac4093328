"""Many files to tokens and back: one that fails is reported, the rest go on, nothing is half-written."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from vocable.apps.heard import Recognise, heard_text
from vocable.audio import Audio, find_audio, read_blocks
from vocable.data.manifest import read_manifest
from vocable.errors import AudioError, ConfigError, OutputError, TextError, VocableError
from vocable.files import find_files, make_folder
from vocable.interfaces import Streaming, Tokenizer
from vocable.tokens import Tokens

_SUFFIX = ".tokens"
_MANIFEST = ".jsonl"
_Item = TypeVar("_Item")


class Writable(Protocol):
    """What can be written to a file, whole or not at all: audio, tokens."""

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a file."""
        ...


@dataclass
class Outcome:
    """What became of many files."""

    done: list[Path] = field(default_factory=list)
    failed: list[VocableError] = field(default_factory=list)

    def finish(self) -> None:
        """Raise if any file failed.

        Raises:
            VocableError: The failure itself if there was one input; a count if there were more.
        """
        if self.failed and not self.done and len(self.failed) == 1:
            raise self.failed[0]
        if self.failed:
            raise VocableError(
                f"{len(self.failed)} of {len(self.failed) + len(self.done)} files failed; the others are done"
            )


def encode_files(
    tokenizer: Tokenizer, inputs: Sequence[str | os.PathLike[str]], out: Path, *,
    levels: int | None = None, text: str | None = None, recognise: Recognise | None = None,
    say: Callable[[str], None] = print,
) -> Outcome:  # fmt: skip
    """Encode files into token files, with the text of each where it is known.

    Args:
        tokenizer: Makes the tokens.
        inputs: Files, folders, glob patterns; manifests (``.jsonl``), whose lines may have texts.
        out: A token file if there is one input, else (and for a manifest) a folder that mirrors the inputs' folders.
        levels: Keep only the first levels.
        text: What is said, if there is one recording.
        recognise: Says the words of those that have no text; each one's line tells so. By default they have none.
        say: Gets a line for each file.

    Raises:
        InputError: A folder or pattern holds no audio.
        ManifestError: A manifest cannot be used.
        ConfigError: A text is given for more than one recording, or beside a manifest.
        OutputError: Two inputs would become one file, or the folder cannot be made.
    """

    def make(source: Path) -> tuple[Tokens, str]:
        given = texts.get(source, text)
        heard: str | None = None
        if recognise is not None and not (given or "").strip():
            heard = heard_text(Audio.read(source), recognise, str(source))
        tokens = _encode(tokenizer, source, given if heard is None else heard)
        if levels is not None:
            tokens = tokens.keep_levels(levels)
        seconds = int(tokens.samples[0]) / tokens.spec.sample_rate
        facts = f"{seconds:.2f} s, {tokens.ids.shape[2]} frames × {tokens.ids.shape[1]} levels"
        return tokens, facts if heard is None else f"{facts}, text recognised: {heard}"

    manifests = [Path(entry) for entry in inputs if Path(entry).suffix == _MANIFEST]
    others = [entry for entry in inputs if Path(entry).suffix != _MANIFEST]
    said = _said(manifests)
    texts = dict(said)
    sources = [*(find_audio(others) if others else ()), *(source for source, _ in said)]
    if text is not None and (manifests or len(sources) != 1):
        raise ConfigError(
            f"there is one text for {len(sources)} recordings or a manifest; write the texts into a manifest"
        )
    roots = [*others, *(Path(os.path.normpath(manifest.parent.absolute())) for manifest in manifests)]
    return write_each(sources, _targets(sources, roots, out, _SUFFIX), make, say)


def decode_files(
    tokenizer: Tokenizer, inputs: Sequence[str | os.PathLike[str]], out: Path, *,
    levels: int | None = None, voice: Audio | None = None, say: Callable[[str], None] = print,
) -> Outcome:  # fmt: skip
    """Decode token files into audio files (WAV in a folder; the suffix decides for a single file).

    Args:
        tokenizer: The one that made the tokens.
        inputs: Files, folders, glob patterns.
        out: An audio file if there is one input, else a folder.
        levels: Use only the first levels.
        voice: Whose voice it shall be, where the tokenizer keeps the voice beside its tokens.
        say: Gets a line for each file.

    Raises:
        InputError: A folder or pattern holds no token file.
        OutputError: Two inputs would become one file, or the folder cannot be made.
    """

    def make(source: Path) -> tuple[Audio, str]:
        tokens = Tokens.read(source)
        if levels is not None:
            tokens = tokens.keep_levels(levels)
        made = [tokenizer.decode(tokens.clip(place), voice) for place in range(len(tokens))]
        joined = Audio(np.concatenate([clip.samples for clip in made]), made[0].sample_rate)
        return joined, f"{joined.duration:.2f} s at {joined.sample_rate} Hz"

    sources = find_files(inputs, {_SUFFIX}, "token file")
    return write_each(sources, _targets(sources, inputs, out, ".wav"), make, say)


def mirrored(sources: Sequence[Path], inputs: Sequence[str | os.PathLike[str]], out: Path, suffix: str) -> list[Path]:
    """Where each source goes in a folder that mirrors the folders among the inputs.

    Raises:
        OutputError: Two sources would become one file.

    Example:
        >>> [path.as_posix() for path in mirrored([Path("in/a.flac")], ["in/a.flac"], Path("out"), ".wav")]
        ['out/a.wav']
    """
    roots = [Path(entry) for entry in inputs if Path(entry).is_dir()]
    targets = [out / _relative(source, roots).with_suffix(suffix) for source in sources]
    double = next((target for target in targets if targets.count(target) > 1), None)
    if double is not None:
        raise OutputError(f"{double}: two inputs would be written here; rename one, or write them to different folders")
    return targets


def write_each(
    items: Sequence[_Item], targets: Sequence[Path], make: Callable[[_Item], tuple[Writable, str]],
    say: Callable[[str], None],
) -> Outcome:  # fmt: skip
    """Make something of each item and write it; one that fails is reported, the rest go on.

    Args:
        items: What ``make`` takes; as text, what a line calls it.
        targets: A file for each; its folder is made when there is something to put into it.
        make: What is written, and what a line says of it.
        say: Gets a line for each item.
    """

    def done(item: _Item, target: Path) -> str:
        made, facts = make(item)
        make_folder(target.parent)
        made.write(target)
        return f"{item} → {target}: {facts}"

    outcome = Outcome()
    for item, target in zip(items, targets, strict=True):
        try:
            say(printable(done(item, target)))
            outcome.done.append(target)
        except VocableError as error:
            outcome.failed.append(error)
            if len(items) > 1:
                say(printable(f"failed: {error}"))
    return outcome


def printable(text: str) -> str:
    """A line for a terminal: a file's name need not be text.

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
    try:
        return tokenizer.encode(audio, text)
    except (AudioError, TextError) as error:  # a clip or text that it refuses, which does not know its file
        raise type(error)(f"{source}: {error}") from error


def _said(manifests: Sequence[Path]) -> list[tuple[Path, str | None]]:
    """The recordings of manifests and what is said in them. Without ``..``: outputs stay in their folder."""
    lines = [line for manifest in manifests for line in read_manifest(manifest)]
    return [(Path(os.path.normpath(line.audio_path)), line.text) for line in lines]


def _targets(sources: Sequence[Path], inputs: Sequence[str | os.PathLike[str]], out: Path, suffix: str) -> list[Path]:
    if len(sources) == 1 and not out.is_dir() and not any(Path(entry).is_dir() for entry in inputs):
        return [out]
    return mirrored(sources, inputs, out, suffix)


def _relative(source: Path, roots: list[Path]) -> Path:
    root = next((root for root in roots if source.is_relative_to(root)), source.parent)
    return source.relative_to(root)
