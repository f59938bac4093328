"""Many files to tokens and back: one that fails is reported, the rest go on, nothing is half-written."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vocable.audio import Audio, find_audio, read_blocks
from vocable.errors import AudioError, OutputError, VocableError
from vocable.files import find_files, make_folder
from vocable.interfaces import Streaming, Tokenizer
from vocable.tokens import Tokens

_SUFFIX = ".tokens"


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
    levels: int | None = None, say: Callable[[str], None] = print,
) -> Outcome:  # fmt: skip
    """Encode files into token files.

    Args:
        tokenizer: Makes the tokens.
        inputs: Files, folders, glob patterns.
        out: A token file if there is one input, else a folder that mirrors the inputs' folders.
        levels: Keep only the first levels.
        say: Gets a line for each file.

    Raises:
        InputError: A folder or pattern holds no audio.
        OutputError: Two inputs would become one file, or the folder cannot be made.
    """

    def work(source: Path, target: Path) -> str:
        tokens = _encode(tokenizer, source)
        if levels is not None:
            tokens = tokens.keep_levels(levels)
        tokens.write(target)
        seconds = int(tokens.samples[0]) / tokens.spec.sample_rate
        return f"{seconds:.2f} s, {tokens.ids.shape[2]} frames × {tokens.ids.shape[1]} levels"

    return _each(find_audio(inputs), _roots(inputs), out, _SUFFIX, work, say)


def decode_files(
    tokenizer: Tokenizer, inputs: Sequence[str | os.PathLike[str]], out: Path, *,
    levels: int | None = None, say: Callable[[str], None] = print,
) -> Outcome:  # fmt: skip
    """Decode token files into audio files (WAV in a folder; the suffix decides for a single file).

    Args:
        tokenizer: The one that made the tokens.
        inputs: Files, folders, glob patterns.
        out: An audio file if there is one input, else a folder.
        levels: Use only the first levels.
        say: Gets a line for each file.

    Raises:
        InputError: A folder or pattern holds no token file.
        OutputError: Two inputs would become one file, or the folder cannot be made.
    """

    def work(source: Path, target: Path) -> str:
        tokens = Tokens.read(source)
        if levels is not None:
            tokens = tokens.keep_levels(levels)
        made = tokenizer.decode_batch(tokens)
        joined = Audio(np.concatenate([clip.samples for clip in made]), made[0].sample_rate)
        joined.write(target)
        return f"{joined.duration:.2f} s at {joined.sample_rate} Hz"

    return _each(find_files(inputs, {_SUFFIX}, "token file"), _roots(inputs), out, ".wav", work, say)


def _encode(tokenizer: Tokenizer, source: Path) -> Tokens:
    if isinstance(tokenizer, Streaming):
        return tokenizer.encode_blocks(read_blocks(source, tokenizer.spec.sample_rate))
    audio = Audio.read(source)
    try:
        return tokenizer.encode(audio)
    except AudioError as error:  # a clip that it refuses, which does not know its file
        raise AudioError(f"{source}: {error}") from error


def _each(sources: list[Path], roots: list[Path], out: Path, suffix: str,
          work: Callable[[Path, Path], str], say: Callable[[str], None]) -> Outcome:  # fmt: skip
    single = len(sources) == 1 and not roots and not out.is_dir()
    targets = [out] if single else [out / _relative(source, roots).with_suffix(suffix) for source in sources]
    double = next((target for target in targets if targets.count(target) > 1), None)
    if double is not None:
        raise OutputError(f"{double}: two inputs would be written here; rename one, or write them to different folders")
    outcome = Outcome()
    for source, target in zip(sources, targets, strict=True):
        try:
            make_folder(target.parent)
            say(_printable(f"{source} → {target}: {work(source, target)}"))
            outcome.done.append(target)
        except VocableError as error:
            outcome.failed.append(error)
            if len(sources) > 1:
                say(_printable(f"failed: {error}"))
    return outcome


def _printable(text: str) -> str:
    return text.encode(errors="replace").decode()  # a file's name need not be text


def _roots(inputs: Iterable[str | os.PathLike[str]]) -> list[Path]:
    return [Path(entry) for entry in inputs if Path(entry).is_dir()]


def _relative(source: Path, roots: list[Path]) -> Path:
    root = next((root for root in roots if source.is_relative_to(root)), source.parent)
    return source.relative_to(root)
