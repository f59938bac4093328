"""Demo: the evaluation of one clip, with its tokens, its decoded speech and a report to look at and listen to."""

import json
import math
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from vocable.audio import Audio, read_blocks
from vocable.errors import AudioError, OutputError, TokenFileError
from vocable.evaluate.card import Card, Entry
from vocable.evaluate.page.report import write_report
from vocable.evaluate.pictures import plot_tokens
from vocable.evaluate.plan import Plan
from vocable.evaluate.reconstruction import Reconstruction
from vocable.evaluate.runner import Results
from vocable.evaluate.samples import make_sample
from vocable.files import exists, is_file, make_folder
from vocable.plugins import check_installed
from vocable.systems.registry import load
from vocable.tokens import Tokens
from vocable.write_rules import write_rules

MAX_SECONDS = 30.0  # of a recording
_SENTENCE = "auditok/data/was_der_mensch_saet_das_wird_er_vielfach_ernten_44100Hz_mono_lead_trail_silence.wav"
_SENTENCE_SECONDS = (7.2, 12.6)  # STOI would score the noise around the sentence
_SPOKEN = "Speech becomes tokens, and the tokens become speech again. How much of it do you still hear?"
_ANCHORS = {"identity": "Ceiling: the recording itself", "noise": "Floor: the recording under noise"}
_Rows = Iterator[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class DemoRecording:
    """A recording for the demo, at the rate of the tokenizer."""

    audio: Audio
    stem: str  # beginning of the names of output files
    title: str  # of the report
    origin: str  # as part of a sentence


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Results of the demo and the files it wrote."""

    recording: DemoRecording
    model: str  # name or path
    tokens: Tokens  # all levels
    card: Card  # the tokenizer at several numbers of levels, and the anchors
    seconds: Mapping[str, float]  # of encoding, the first run in this process, and of decoding all levels
    token_file: Path
    speech_file: Path
    report_file: Path

    def rows(self) -> _Rows:
        """Yield labels and values to print."""
        spec, best = self.tokens.spec, self.card.entries[0]
        size = f"{int(self.tokens.lengths[0]):,} frames × {spec.num_codebooks} levels, {spec.codebook_size:,} ids each"
        yield "Recording", f"{self.recording.title} ({self.recording.origin})"
        yield "Duration", f"{self.recording.audio.duration:.2f} s"
        yield "Tokenizer", f"{self.model} ({self.tokens.tokenizer[:19]})"
        yield "Tokens", size
        if spec.hop is not None:
            entropy_coded = best.figures["bit_rate_entropy_coded"].mean
            yield "Token rate", f"{spec.token_rate:,.0f} tokens/s"
            yield "Bit rate", f"{spec.bit_rate:,.0f} bit/s, {entropy_coded:,.0f} after ideal entropy coding"
            yield "16-bit PCM", f"{16 * spec.sample_rate / spec.bit_rate:.0f} × the bits of the tokens"
        for entry in self.card.entries:
            count = len(entry.usage) or spec.num_codebooks
            label = _ANCHORS.get(entry.name, f"Kept by {count} level{'s' if count > 1 else ''}")
            yield label, self._describe_entry(entry)
        for level in best.usage:
            used = f"{level.distinct:,} of {level.codebook_size:,} ids occur (at most {level.reachable:,} could)"
            yield f"Codebook {level.level}", f"{used}, perplexity {level.perplexity:.1f}, {level.entropy:.2f} bits"
        yield from self.timing()
        yield "Tokens in", str(self.token_file)
        yield "Speech in", str(self.speech_file)
        yield "Report", str(self.report_file)

    def timing(self) -> _Rows:
        """Yield labels and values of the time that encoding and decoding took."""
        duration = self.recording.audio.duration
        for name, taken in self.seconds.items():
            yield name, f"{taken:.2f} s, real-time factor {taken / duration:.3f} ({duration / taken:.1f} × real time)"
        yield "Threads", str(torch.get_num_threads())

    def _describe_entry(self, entry: Entry) -> str:
        parts = []
        for column in self.card.main_columns:
            figure = entry.figures[column.key]
            unit = f"({', '.join(figure.reasons)})" if figure.reasons else column.unit
            parts.append(f"{column.title} {column.format(figure.mean)} {unit}".rstrip())
        rate = "" if math.isnan(entry.bit_rate) else f"{entry.bit_rate:,.0f} bit/s: "
        return rate + ", ".join([*parts, *self.card.left_out])


def run_demo(
    path: Path | None, out: Path, model: str = "guided-small", *, device: str = "cpu", overwrite: bool = False
) -> Demo:
    """Encode a recording, decode it from all, half, a quarter … of the levels, score it, and write a report.

    Args:
        path: Recording, of which the first 30 s are used. By default the recorded sentence in the package auditok
            0.2.0, or else a sentence spoken by espeak-ng.
        out: Folder, created if missing, for ``<stem>.tokens``, ``<stem>.decoded.wav`` and ``report.html``.
        model: Name of a bundled model or path of a folder, as for :func:`vocable.load`.
        device: Torch device of the model.
        overwrite: Whether files that exist are replaced. Those of a demo of the same recording and model always are.

    Raises:
        AudioError: If the recording cannot be used, or none was given and the machine has none.
        CheckpointError: If there is no such model.
        MissingDependencyError: If pystoi or matplotlib is not installed.
        OutputError: If the folder cannot be written, or holds files of another recording or model.
    """
    check_installed("the figures and pictures of the demo", ("pystoi", "matplotlib"), "demo")
    tokenizer = load(model, device)
    tokenizer.check_encoding()
    tokenizer.check_decoding()
    recording = find_recording(path, tokenizer.spec.sample_rate)
    make_folder(out)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.wav"
        recording.audio.write(file)
        clip = Audio.read(file)  # the samples that are evaluated
        started = perf_counter()
        tokens = tokenizer.encode(clip)
        encoded = perf_counter()
        token_file, report_file = out / f"{recording.stem}.tokens", out / "report.html"
        if exists(report_file) and not overwrite and not _holds(token_file, tokens):
            raise OutputError(
                f"{report_file}: exists already, of another recording or model; pass --overwrite, or another --out"
            )
        speech = tokenizer.decode(tokens)
        decoded = perf_counter()
        card = _evaluate_clip(file, recording.title, model, level_counts(tokens.spec.num_codebooks)[1:], device)
    demo = Demo(
        recording=replace(recording, audio=clip), model=model, tokens=tokens, card=card,
        seconds={"Encode": encoded - started, "Decode": decoded - encoded},
        token_file=token_file, speech_file=out / f"{recording.stem}.decoded.wav", report_file=report_file,
    )  # fmt: skip
    command = shlex.join(["vocable", "demo", *([str(path)] if path else []), "--out", str(out), "--model", model])
    demo = replace(demo, card=_complete_card(demo, command))
    with write_rules([path] if path else [], overwrite=overwrite):
        tokens.write(demo.token_file)
        speech.write(demo.speech_file)
    with write_rules([path] if path else [], overwrite=True):  # the times in a report are never the same
        write_report(demo.report_file, demo.card)
    return demo


def level_counts(levels: int) -> list[int]:
    """Return the numbers of levels to decode from: all of them, then the smaller powers of two."""
    return [levels, *(1 << power for power in reversed(range((levels - 1).bit_length())))]


def find_recording(path: Path | None, sample_rate: int) -> DemoRecording:
    """Read the given recording at a sample rate, or one that is on the machine.

    Raises:
        AudioError: If the recording cannot be used, or none was given and the machine has none.
    """
    if path is not None:
        audio, is_cut = _read_beginning(path, sample_rate)
        origin = f"the first {MAX_SECONDS:g} s of a longer recording" if is_cut else "your recording"
        return DemoRecording(audio=audio, stem=path.stem, title=path.name, origin=origin)
    with suppress(PackageNotFoundError):  # importing the package would print warnings
        sentence = Path(str(distribution("auditok").locate_file(_SENTENCE)))
        if is_file(sentence):
            start, end = (int(at * sample_rate) for at in _SENTENCE_SECONDS)
            return DemoRecording(
                audio=Audio(Audio.read(sentence, sample_rate).samples[start:end], sample_rate),
                stem="was_der_mensch_saet",
                title="Was der Mensch sät, das wird er vielfach ernten",
                origin="recorded speech from auditok 0.2.0 (MIT license), without the silence around it",
            )
    program = shutil.which("espeak-ng")
    if program is None:
        raise AudioError("no recording is on this machine; pass the path of one, or pip install auditok==0.2.0")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spoken.wav"
        try:
            subprocess.run([program, "-w", str(file), _SPOKEN], check=True, capture_output=True, timeout=30)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            raise AudioError(f"{program} could not speak ({error}); pass the path of a recording") from error
        audio = Audio.read(file, sample_rate)
    return DemoRecording(audio=audio, stem="spoken", title=_SPOKEN, origin="synthesized by espeak-ng")


def _holds(file: Path, tokens: Tokens) -> bool:
    """Return whether a file holds the same ids of the same tokenizer."""
    try:
        stored = Tokens.read(file)
    except TokenFileError:
        return False
    return stored.tokenizer == tokens.tokenizer and torch.equal(stored.ids, tokens.ids)


def _evaluate_clip(file: Path, title: str, model: str, levels: list[int], device: str) -> Card:
    """Evaluate a tokenizer on one audio file, with samples of every number of levels."""
    manifest = file.parent / "manifest.jsonl"
    manifest.write_text(json.dumps({"audio_path": file.name}) + "\n", encoding="utf-8")
    left_out = ("PESQ-WB is not installed",) if find_spec("pesq") is None else ()
    metrics = ("stoi", "log_mel_distance", *(() if left_out else ("pesq_wb",)))
    plan = Plan(
        tokenizers=(model,),
        manifests=(manifest,),
        split="all",
        levels=tuple(levels),
        codecs=(),
        metrics=metrics,
        device=device,
    )
    evaluation = Reconstruction(plan, file.parent)
    (item,) = evaluation.items()
    card = evaluation.card(Results(rows=evaluation.work(item), quarantined={}))
    entries = {entry.name: entry for entry in card.entries}

    def caption(name: str, _: str) -> str:
        figures = [(column, entries[name].figures[column.key]) for column in card.main_columns]
        return ", ".join(f"{column.title} {column.format(figure.mean)}" for column, figure in figures)

    codecs = [codec for codec in evaluation.codecs if codec.kind == "tokenizer"]
    sample = make_sample(title, "The recording and its decoded versions", Audio.read(file), codecs, {}, caption)
    return replace(card, samples=[sample], left_out=left_out, main=[column.key for column in card.main_columns])


def _complete_card(demo: Demo, command: str) -> Card:
    """Add the words, the token picture and the settings of the demo to the evaluation."""
    origin, count = demo.recording.origin, demo.tokens.spec.num_codebooks * int(demo.tokens.lengths[0])
    speed = demo.recording.audio.duration / sum(demo.seconds.values())
    lead = (
        f"{origin[:1].upper()}{origin[1:]}: {demo.recording.audio.duration:.2f} s became {count:,} tokens of "
        f"{demo.model} and speech again, at {speed:.{int(speed < 10)}f} × real time."
    )
    settings: Mapping[str, str] = dict(demo.timing()) | {
        "Command": command,
        "vocable": version("vocable"),
        "Tokenizer": f"{demo.model}, {demo.tokens.tokenizer}",
        "torch": torch.__version__,
        "Machine": f"{platform.system()} {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    pictures = [plot_tokens(demo.tokens)]
    return replace(demo.card, title=demo.recording.title, lead=lead, settings=settings, pictures=pictures)


def _read_beginning(path: Path, sample_rate: int) -> tuple[Audio, bool]:
    """Read at most 30 s of a file; also return whether the file is longer."""
    limit, samples = int(MAX_SECONDS * sample_rate), np.zeros(0, np.float32)
    for block in read_blocks(path, sample_rate):
        samples = np.concatenate([samples, block])
        if samples.size > limit:
            break
    return Audio(samples[:limit], sample_rate), samples.size > limit
