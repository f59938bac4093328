"""Synthesize many texts, and convert or transcribe many recordings. One that fails is reported, the others go on."""

import io
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vocable.apps.asr import Transcript, as_recognizer, transcribe
from vocable.apps.tts import as_text_to_speech, synthesize
from vocable.apps.vc import Mix, as_converter, convert
from vocable.audio import AUDIO_SUFFIXES, Audio, find_rooted_audio
from vocable.corpus.jobs import Made, Outcome, Report, Watch, printable, process_each, write_each
from vocable.corpus.plan import choose_targets, mirror_names
from vocable.corpus.transcripts import find_utterances, why_distrusted
from vocable.corpus.voices import find_voice, recordings_of
from vocable.errors import ConfigError, TextError
from vocable.files import open_regular
from vocable.interfaces import NeedsOthers, PhonemeRecognizer, SpeechRecognizer
from vocable.text.espeak import EspeakPronouncer

_StrPath = str | os.PathLike[str]
_STDIN = "-"
_MAX_BYTES = 16 * 2**20  # of a file of texts


@dataclass(frozen=True, kw_only=True)
class Line:
    """A text to synthesize, or None where phonemes are synthesized; its file and line, and its number from 1."""

    text: str | None
    where: str = ""
    number: int = 1

    def __str__(self) -> str:
        return self.where or ("phonemes" if self.text is None else repr(self.text[:40]))


def speak_texts(
    tokenizer: object, voice: _StrPath | None, out: _StrPath, *, text: str | None = None, file: Path | None = None,
    phonemes: str | None = None, language: str | None = None, seed: int = 0, overwrite: bool = False,
    say: Callable[[str], None] = print, complain: Callable[[str], None] | None = None, watch: Watch | None = None,
) -> Outcome:  # fmt: skip
    """Synthesize a text, each line of a file, or a phoneme sequence.

    Args:
        tokenizer: Tokenizer that :func:`vocable.apps.tts.synthesize` accepts.
        voice: Path of a recording of the speaker, or name of a voice of the model; by default its first voice.
        out: Path of an audio file for one text, else of a folder, where files have their line number: ``001.wav``.
        text: Text to synthesize.
        file: Path of a file with one text on each line, in place of ``text``; ``-`` is standard input.
        phonemes: Phonemes to synthesize in place of the text, separated by white space.
        language: Language of eSpeak NG that reads texts to IPA, for a model of such phonemes; English to ARPAbet by
            default.
        seed: Seed of each text: a text sounds the same among any others.
        overwrite: Whether files that exist are replaced. If false, one that holds anything else is an error.
        say: Function that gets a line for each text.
        complain: Function that gets a line for each text that fails, where there are several; ``say`` by default.
        watch: Function that is called after each text.

    Raises:
        ConfigError: If there is nothing to synthesize, or a file together with a text or phonemes.
        VocableError: If the tokenizer does not synthesize from text, or the file or the voice cannot be used.
        OutputError: If ``out`` is one file and there are many texts.
    """
    model = as_text_to_speech(tokenizer)
    if (file is not None and (text, phonemes) != (None, None)) or (file, text, phonemes) == (None, None, None):
        raise ConfigError("nothing to synthesize, or too much: pass a text, its phonemes, or a file of texts")
    lines = [Line(text=text)] if file is None else read_lines(file)
    targets = choose_targets([Path(f"{line.number:03d}.wav") for line in lines], out, AUDIO_SUFFIXES)
    speaker = find_voice(model, voice)
    symbols = None if phonemes is None else phonemes.split()
    pronouncer = None if language is None else EspeakPronouncer(language)

    def make(line: Line) -> Made:
        return _made(synthesize(model, line.text, speaker, seed=seed, phonemes=symbols, pronouncer=pronouncer))

    inputs = [*recordings_of(voice), *([] if file is None else [file])]
    return write_each(lines, targets, make, say=say, complain=complain, inputs=inputs, overwrite=overwrite, watch=watch)


def convert_files(
    tokenizer: object, inputs: Sequence[_StrPath], voice: _StrPath, out: _StrPath, *,
    mix: Mix | None = None, overwrite: bool = False, say: Callable[[str], None] = print,
    complain: Callable[[str], None] | None = None, watch: Watch | None = None,
) -> Outcome:  # fmt: skip
    """Convert recordings into another voice.

    Args:
        tokenizer: Tokenizer that :func:`vocable.apps.vc.convert` accepts.
        inputs: Files, folders, glob patterns.
        voice: Path of a recording of the target speaker, or name of a voice of the model.
        out: Path of an audio file for one input, else of a folder that mirrors the inputs' folders (WAV).
        mix: Mixing of levels, for tokenizers that convert by it.
        overwrite: Whether files that exist are replaced. If false, one that holds anything else is an error.
        say: Function that gets a line for each file.
        complain: Function that gets a line for each file that fails, where there are several; ``say`` by default.
        watch: Function that is called after each file.

    Raises:
        VocableError: If the tokenizer does not convert voices in this way, or the inputs or the voice cannot be used.
        OutputError: If ``out`` is one file and there are many recordings.
    """
    converter = as_converter(tokenizer, mix)
    if isinstance(tokenizer, NeedsOthers):
        tokenizer.check_encoding()
    found = find_rooted_audio(inputs)
    targets = choose_targets(mirror_names(found, ".wav"), out, AUDIO_SUFFIXES)
    target_voice = find_voice(converter, voice)

    def make(source: Path) -> Made:
        return _made(convert(converter, Audio.read(source), target_voice, mix))

    sources = [path for path, _ in found]
    read = [*sources, *recordings_of(voice)]
    return write_each(sources, targets, make, say=say, complain=complain, inputs=read, overwrite=overwrite, watch=watch)


def transcribe_files(
    model: object, inputs: Sequence[str | os.PathLike[str]], *, as_json: bool = False, words_only: bool = False,
    say: Callable[[str], None] = print, complain: Callable[[str], None] = print, watch: Watch | None = None,
) -> Outcome:  # fmt: skip
    """Print the transcripts of recordings: words of a speech recognizer, or phonemes and words of a tokenizer.

    Args:
        model: Recognizer or tokenizer that :func:`vocable.apps.asr.transcribe` accepts.
        inputs: Files, folders, glob patterns, and manifests.
        as_json: Whether a line is a JSON object with the times of phonemes and words, in place of columns.
        words_only: Whether phonemes are left out.
        say: Function that gets a line for each file.
        complain: Function that gets a line for each file that fails, where there are several files, and for each text
            that is not to be trusted.
        watch: Function that is called after each file.

    Raises:
        VocableError: If the model recognizes neither words nor phonemes, or the inputs cannot be used.
    """
    gives_phonemes = isinstance(model, PhonemeRecognizer) or not isinstance(model, SpeechRecognizer)
    recognizer = as_recognizer(model) if gives_phonemes else model
    if isinstance(model, NeedsOthers):
        model.check_encoding()
    line_of = _json_line if as_json else _tab_line if gives_phonemes and not words_only else _text_line

    def process(source: Path) -> Report:
        recording = Audio.read(source)
        transcript = transcribe(recognizer, recording)
        if words_only:
            transcript = replace(transcript, segments=())
        reason = "" if gives_phonemes else why_distrusted(transcript)
        if reason:
            complain(printable(f"uncertain: {source}: {reason}"))
        return Report(path=source, line=line_of(source, transcript), seconds=recording.duration)

    sources = [utterance.audio_path for utterance in find_utterances(inputs)]
    return process_each(sources, process, say, complain, watch=watch)


def read_lines(file: Path) -> list[Line]:
    """Read the lines that are not empty of a UTF-8 file of at most 16 MiB; ``-`` is standard input.

    Raises:
        TextError: If the file cannot be read, is not UTF-8, is too large, or has no text.
    """
    name = "standard input" if str(file) == _STDIN else str(file)
    try:
        with nullcontext(sys.stdin.buffer) if str(file) == _STDIN else open_regular(file) as opened:
            content = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise TextError(f"{name}: cannot be read ({error.strerror}); check the path") from error
    if len(content) > _MAX_BYTES:
        raise TextError(f"{name}: has more than {_MAX_BYTES // 2**20} MiB; split it into smaller files")
    try:
        rows = io.StringIO(content.decode("utf-8-sig"), newline=None)
    except UnicodeDecodeError as error:
        raise TextError(f"{name}: byte {error.start} is not UTF-8; save the text as UTF-8") from error
    lines = [
        Line(text=row.strip(), where=f"{name}, line {number}", number=number)
        for number, row in enumerate(rows, 1)
        if row.strip()
    ]
    if not lines:
        raise TextError(f"{name}: the file has no text; write one on each line")
    return lines


def _tab_line(source: Path, transcript: Transcript) -> str:
    """Return file, words and phonemes, separated by tabs; the words are ``-`` where there is no dictionary."""
    words = "-" if transcript.words is None else " ".join(transcript.words)
    return "\t".join([str(source), words, " ".join(transcript.phonemes)])


def _text_line(source: Path, transcript: Transcript) -> str:
    """Return file and text, separated by a tab."""
    return f"{source}\t{transcript.text}"


def _json_line(source: Path, transcript: Transcript) -> str:
    phonemes = [[segment.symbol, round(segment.start, 4), round(segment.end, 4)] for segment in transcript.segments]
    times = [[word.symbol, round(word.start, 4), round(word.end, 4)] for word in transcript.word_segments]
    values: dict[str, Any] = {"audio_path": str(source), "words": transcript.words, "phonemes": phonemes}
    if times:
        values["word_times"] = times
    if not math.isnan(transcript.log_probability):
        values |= {"text": transcript.text, "text_log_probability": round(transcript.log_probability, 3)}
    return json.dumps(values)


def _made(audio: Audio) -> Made:
    return Made(result=audio, summary=f"{audio.duration:.2f} s", seconds=audio.duration)
