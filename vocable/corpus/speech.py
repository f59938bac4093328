"""Many texts said, many recordings converted or read: one that fails is reported, the rest go on."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from vocable.apps.asr import Transcript, as_recogniser, transcribe
from vocable.apps.tts import as_speaker, synthesize
from vocable.apps.vc import Mix, as_converter, convert
from vocable.audio import AUDIO_SUFFIXES, Audio, find_audio
from vocable.corpus.files import Outcome, mirrored, printable, write_each
from vocable.errors import AudioError, ConfigError, OutputError, TextError, VocableError
from vocable.interfaces import Voiced

_STDIN = "-"
_LARGEST = 16 * 2**20  # bytes of a file of texts


@dataclass(frozen=True, kw_only=True)
class Line:
    """A text, and where it stands.

    Attributes:
        text: None where phonemes are said instead.
        file: None where the text was given on its own.
        number: Of the line in the file, from 1.
    """

    text: str | None
    file: str | None = None
    number: int = 1

    @property
    def where(self) -> str:
        """File and line; empty where there is no file."""
        return "" if self.file is None else f"{self.file}, line {self.number}"

    def __str__(self) -> str:
        return self.where or ("phonemes" if self.text is None else repr(self.text[:40]))


def speak_texts(
    tokenizer: object, voice: Path, out: Path, *, text: str | None = None, file: Path | None = None,
    phonemes: str | None = None, seed: int = 0, say: Callable[[str], None] = print,
) -> Outcome:  # fmt: skip
    """Say a text, each line of a file, or phonemes.

    Args:
        tokenizer: As :func:`vocable.apps.tts.synthesize` takes it.
        voice: A recording of whoever shall speak.
        out: An audio file for one text, else a folder, where files get the number of their line: ``001.wav``.
        text: One text.
        file: In place of it, a file with a text on each line; empty ones are passed over. ``-``: standard input.
        phonemes: What is said in place of the text; white space between them.
        seed: Of each text alone: it sounds the same, whatever stands around it.
        say: Gets a line for each text.

    Raises:
        ConfigError: There is nothing to say, or too much.
        SpecError: The tokenizer does not speak.
        TextError: The file cannot be read, or there is no text in it.
        AudioError: The voice cannot be read, or is too short.
        OutputError: One file is named for many texts, or the recording of the voice would be overwritten.
    """
    speaker = as_speaker(tokenizer)
    if (file is not None and (text, phonemes) != (None, None)) or (file, text, phonemes) == (None, None, None):
        raise ConfigError("there is one thing to say: a text or its phonemes, or a file with a text on each line")
    lines = [Line(text=text)] if file is None else read_lines(file)
    targets = [out] if _is_one_file(out, len(lines)) else [out / f"{line.number:03d}.wav" for line in lines]
    _spare([voice], targets)
    heard = _read_voice(speaker, voice)
    said = None if phonemes is None else phonemes.split()

    def make(line: Line) -> tuple[Audio, str]:
        with _named(line.where):
            made = synthesize(speaker, line.text, heard, seed=seed, phonemes=said)
        return made, f"{made.duration:.2f} s"

    return write_each(lines, targets, make, say)


def convert_files(
    tokenizer: object, inputs: Sequence[str | os.PathLike[str]], voice: Path, out: Path, *,
    mix: Mix | None = None, say: Callable[[str], None] = print,
) -> Outcome:  # fmt: skip
    """Convert recordings into another voice.

    Args:
        tokenizer: As :func:`vocable.apps.vc.convert` takes it.
        inputs: Files, folders, glob patterns.
        voice: A recording of whoever shall speak.
        out: An audio file for one input, else a folder that mirrors the inputs' folders (WAV).
        mix: As there.
        say: Gets a line for each file.

    Raises:
        SpecError: The tokenizer cannot change the voice, or not in this way.
        InputError: A folder or pattern holds no audio.
        AudioError: The voice cannot be read, or is too short.
        OutputError: Two inputs would become one file, a recording would be overwritten, or one file is named for many.
    """
    converter = as_converter(tokenizer, mix)
    sources = find_audio(inputs)
    targets = [out] if _is_one_file(out, len(sources)) else mirrored(sources, inputs, out, ".wav")
    _spare([*sources, voice], targets)
    heard = _read_voice(converter, voice)

    def make(source: Path) -> tuple[Audio, str]:
        recording = Audio.read(source)
        with _named(str(source)):
            made = convert(converter, recording, heard, mix)
        return made, f"{made.duration:.2f} s"

    return write_each(sources, targets, make, say)


def transcribe_files(
    tokenizer: object, inputs: Sequence[str | os.PathLike[str]], *, as_json: bool = False,
    say: Callable[[str], None] = print, complain: Callable[[str], None] = print,
) -> Outcome:  # fmt: skip
    """Phonemes and words of recordings.

    Args:
        tokenizer: As :func:`vocable.apps.asr.transcribe` takes it.
        inputs: Files, folders, glob patterns.
        as_json: A JSON object a line, with the times of phonemes, in place of file, words and phonemes between tabs.
        say: Gets a line for each file.
        complain: Gets a line for each file that fails, where there are more.

    Raises:
        SpecError: The tokenizer cannot tell phonemes.
        InputError: A folder or pattern holds no audio.
    """
    recogniser = as_recogniser(tokenizer)
    sources = find_audio(inputs)
    line_of = _json if as_json else _plain
    outcome = Outcome()
    for source in sources:
        try:
            recording = Audio.read(source)
            with _named(str(source)):
                heard = transcribe(recogniser, recording)
            say(line_of(source, heard))
            outcome.done.append(source)
        except VocableError as error:
            outcome.failed.append(error)
            if len(sources) > 1:
                complain(printable(f"failed: {error}"))
    return outcome


def read_lines(file: Path) -> list[Line]:
    """The texts of a file, or of standard input where it is called ``-``: each line that is not empty.

    Raises:
        TextError: It cannot be read, is no UTF-8 or too large, or there is no text in it.
    """
    name = "standard input" if str(file) == _STDIN else str(file)
    try:
        with nullcontext(sys.stdin.buffer) if str(file) == _STDIN else file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except OSError as error:
        raise TextError(f"{name}: cannot be read ({error.strerror}); check the path") from error
    if len(content) > _LARGEST:
        raise TextError(f"{name}: has more than {_LARGEST // 2**20} MiB; part it into smaller files")
    try:
        rows = io.StringIO(content.decode("utf-8-sig"), newline=None)
    except UnicodeDecodeError as error:
        raise TextError(f"{name}: byte {error.start} is no UTF-8; save the text as UTF-8") from error
    lines = [Line(text=row.strip(), file=name, number=number) for number, row in enumerate(rows, 1) if row.strip()]
    if not lines:
        raise TextError(f"{name}: there is no text in it; write one on each line")
    return lines


def _plain(source: Path, heard: Transcript) -> str:
    """File, words and phonemes between tabs; a minus where there is no dictionary."""
    words = "-" if heard.words is None else " ".join(heard.words)
    return printable("\t".join([str(source), words, " ".join(heard.phonemes)]))


def _json(source: Path, heard: Transcript) -> str:
    said = [[one.symbol, round(one.start, 4), round(one.end, 4)] for one in heard.said]
    return json.dumps({"audio_path": str(source), "words": heard.words, "phonemes": said})


def _read_voice(tokenizer: object, path: Path) -> Audio:
    """The recording of a voice; where it must have a length, it has."""
    voice = Audio.read(path)
    with _named(str(path)):
        if isinstance(tokenizer, Voiced):
            tokenizer.voice_of(voice)
    return voice


def _is_one_file(out: Path, count: int) -> bool:
    """Whether a file is named to write to, and not a folder."""
    if out.is_dir() or out.suffix.lower() not in AUDIO_SUFFIXES:
        return False
    if count > 1:
        raise OutputError(f"{out} is one file and {count} are to be written; name a folder")
    return True


def _spare(read: Sequence[Path], targets: Sequence[Path]) -> None:
    """Refuse to write over what is read."""
    kept = {path.resolve() for path in read}
    lost = next((target for target in targets if target.resolve() in kept), None)
    if lost is not None:
        raise OutputError(f"{lost}: this recording is read and would be overwritten; write to another place")


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Put the place before what goes wrong with a clip or a text, which does not know its file."""
    try:
        yield
    except (AudioError, TextError) as error:
        raise type(error)(f"{where}: {error}" if where else str(error)) from error
