"""Texts for recordings: a manifest with what a recognizer returned, where it is trusted, and the times of words.

```text
{"audio_path": "a.flac", "text": "Good morning.", "text_by": "moonshine-tiny.en-0.0.59", "text_log_probability": -0.08,
 "word_times": [["good", 0.21, 0.44], ["morning", 0.44, 0.87]]}
```
"""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from vocable.apps.asr import Transcript, transcribe
from vocable.audio import Audio, find_audio
from vocable.corpus.jobs import Outcome, Report, Watch, process_each
from vocable.data.alignment.record import PhoneAligner
from vocable.data.alignment.words import arpabet_words, word_spans
from vocable.data.manifest import Utterance, manifest_line, read_manifest
from vocable.errors import AlignmentError, OutputError, TextError
from vocable.files import make_folder, write_text
from vocable.text.pronounce import ArpabetPronouncer
from vocable.write_rules import check_target, write_rules

LEAST = -0.3
"""Default of the lowest mean log-probability of a token at which a text is kept."""

_MANIFEST = ".jsonl"
_Say = Callable[[str], None]
_Values = dict[str, Any]  # keys and values to add to a manifest's line


def find_utterances(inputs: Sequence[str | os.PathLike[str]]) -> list[Utterance]:
    """Return the lines of manifests among the inputs, and the recordings that the others stand for.

    Raises:
        VocableError: If the inputs cannot be used.
    """
    listed = [line for entry in inputs if Path(entry).suffix == _MANIFEST for line in read_manifest(entry)]
    others = [entry for entry in inputs if Path(entry).suffix != _MANIFEST]
    found = find_audio(others) if others else []
    return [*listed, *(Utterance(audio_path=path) for path in found)]


def write_transcripts(
    model: object, name: str, inputs: Sequence[str | os.PathLike[str]], out: Path, *,
    least: float = LEAST, aligner: PhoneAligner | None = None, overwrite: bool = False,
    say: _Say = print, complain: _Say | None = None, watch: Watch | None = None,
) -> Outcome:  # fmt: skip
    """Write a manifest of recordings, with a text for each that has none.

    Every key of a manifest's line is kept, and so is its text if it has one. A text that is not trusted (see
    :func:`why_distrusted`) is left out, and a line says so. Recordings of a manifest that fail keep their line. When it
    is stopped by Ctrl-C, it writes what it has; with that manifest as its input, it goes on.

    Args:
        model: Speech recognizer, or tokenizer that recognizes phonemes.
        name: Name of the model, for the key ``text_by``.
        inputs: Audio files, folders, glob patterns, and manifests.
        out: Manifest to write.
        least: Lowest mean log-probability of a token.
        aligner: Aligner that finds the times of words, for the key ``word_times``. Without it there are none.
        overwrite: Whether a file that exists is replaced.
        say: Function that gets a line for each recording, and one for all.
        complain: Function that gets a line for each recording that fails; ``say`` by default.
        watch: Function that is called after each recording.

    Raises:
        VocableError: If the inputs cannot be used.
        OutputError: If ``out`` does not end in ``.jsonl``, exists and is another file, or is one of the inputs.
    """
    if out.suffix != _MANIFEST:
        raise OutputError(f"{out}: texts are written into a manifest; name a file that ends in {_MANIFEST}")
    utterances = find_utterances(inputs)
    manifests = [Path(entry) for entry in inputs if Path(entry).suffix == _MANIFEST]
    writer = _Writer(model, name, least, aligner)
    values: dict[int, _Values] = {}
    manifest_lines = sum(1 for utterance in utterances if utterance.where)

    def process(index: int) -> Report:
        audio = Audio.read(utterances[index].audio_path)
        values[index], line = writer.describe(utterances[index], audio)
        return Report(path=utterances[index].audio_path, line=line, seconds=audio.duration)

    def write(indices: Iterable[int]) -> None:
        make_folder(out.parent)
        lines = (manifest_line(utterances[at], out.parent, values.get(at, {})) for at in indices)
        write_text(out, "".join(f"{line}\n" for line in lines))

    with write_rules([*manifests, *(one.audio_path for one in utterances)], overwrite=overwrite):
        check_target(out)  # before hours of work
        try:
            outcome = process_each(
                range(len(utterances)), process, say, complain or say,
                name=lambda index: str(utterances[index].audio_path), watch=watch,
            )  # fmt: skip
        except KeyboardInterrupt:
            if values:
                write(range(len(utterances)))
                say(
                    f"{out}: stopped after {len(values)} of {len(utterances)} recordings; pass it as the input to go on"
                )
            raise
        if outcome.done:
            write(index for index in range(len(utterances)) if index in values or index < manifest_lines)
            say(f"{out}: {writer.summary}")
    return outcome


def why_distrusted(transcript: Transcript, least: float = LEAST) -> str:
    """Return why a text should not be used as the transcript of its recording; empty if it may be.

    Args:
        transcript: Result of :func:`~vocable.apps.asr.transcribe`.
        least: Lowest mean log-probability; it is not asked of recognizers that give none.

    Example:
        >>> why_distrusted(Transcript(segments=(), words=("hm",), text="Hm", log_probability=-1.2))
        'its mean log-probability is -1.20, under -0.3'
    """
    if not transcript.text.strip():
        return "no words are recognized"
    if transcript.is_loop:
        return "the recognizer repeats itself"
    if not math.isnan(transcript.log_probability) and transcript.log_probability < least:
        return f"its mean log-probability is {transcript.log_probability:.2f}, under {least:g}"
    return ""


class _Writer:
    """Texts and word times of recordings, with the number of those that were kept."""

    def __init__(self, model: object, name: str, least: float, aligner: PhoneAligner | None) -> None:
        self.model, self.name, self.least, self.aligner = model, name, least, aligner
        self.kept = self.distrusted = self.given = 0

    @property
    def summary(self) -> str:
        """Sentence on what became of all recordings."""
        asked = self.kept + self.distrusted
        known = f"; {self.given} had one" if self.given else ""
        return f"{self.kept} of {asked} recordings without a text have one now, {self.distrusted} do not{known}"

    def describe(self, utterance: Utterance, audio: Audio) -> tuple[_Values, str]:
        """Return the keys to add to the line of a recording, and a line about it."""
        path, text = utterance.audio_path, (utterance.text or "").strip()
        values: _Values = {} if utterance.duration else {"duration": round(audio.duration, 4)}
        if text:
            self.given += 1
            note = f"{path}: has its text"
        else:
            language = getattr(self.model, "language", None)  # None: the model knows many
            spoken = (utterance.value("language") or language or "").lower()
            reason = f"it is in '{spoken}', and {self.name} knows '{language}' alone" if language else ""
            if not language or spoken.startswith(language):
                transcript = transcribe(self.model, audio)
                reason, text = why_distrusted(transcript, self.least), transcript.text
            if reason:
                self.distrusted += 1
                return values, f"{path}: left without a text: {reason}"
            self.kept += 1
            values |= {"text": text, "text_by": self.name}
            if not math.isnan(transcript.log_probability):
                values["text_log_probability"] = round(transcript.log_probability, 3)
            note = f"{path}: {text}"
        if self.aligner is not None:
            try:
                values["word_times"] = self._word_times(audio, text)
            except (AlignmentError, TextError) as error:
                note += f" (no word times: {str(error).removeprefix(f'{path}: ')})"
        return values, note

    def _word_times(self, audio: Audio, text: str) -> list[list[str | float]]:
        """Return each word with its start and end in seconds."""
        assert self.aligner is not None
        spoken = [one for one in self._pronouncer.phones(text) if not one.is_pause]
        words = arpabet_words([one.phones for one in spoken])
        spans = word_spans(self.aligner.phones(audio, words).alignment, words)
        return [[one.text, round(start, 3), round(end, 3)] for one, (start, end) in zip(spoken, spans, strict=True)]

    @cached_property
    def _pronouncer(self) -> ArpabetPronouncer:
        return ArpabetPronouncer()
