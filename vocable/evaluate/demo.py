"""The main job: a recording to tokens and back, with figures that say what was kept and a page to listen to."""

import platform
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio, read_blocks
from vocable.errors import AudioError
from vocable.evaluate.page import Rows
from vocable.evaluate.report import Report, Sound, Table, write_report
from vocable.files import make_folder
from vocable.metrics import quality, spectral
from vocable.metrics.codebook import LevelUsage, bit_rates, codebook_usage
from vocable.metrics.score import Score
from vocable.systems.registry import load
from vocable.tokens import Tokens, TokenSpec

LONGEST = 30.0  # seconds of a recording that the demo looks at
_SENTENCE = "auditok/data/was_der_mensch_saet_das_wird_er_vielfach_ernten_44100Hz_mono_lead_trail_silence.wav"
_SENTENCE_SECONDS = (7.2, 12.6)  # where it is spoken: STOI would measure the noise around it
_SPOKEN = "Speech becomes tokens, and the tokens become speech again. How much of it do you still hear?"


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What the demo works on: ``stem`` names the files made from it, ``title`` and ``origin`` are for people."""

    audio: Audio
    stem: str
    title: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is left of the recording.

    Attributes:
        stoi: 0 to 1.
        log_mel_distance: dB.
        pesq_wb: 1 to 4.6; None where the pesq package is not installed.
    """

    stoi: Score
    log_mel_distance: Score
    pesq_wb: Score | None

    def texts(self) -> tuple[str, str, str]:
        """STOI, log-mel distance (without its dB) and PESQ-WB for people."""
        quality = "not installed" if self.pesq_wb is None else self.pesq_wb.text(".2f")
        return self.stoi.text(".3f"), self.log_mel_distance.text(".2f"), quality


@dataclass(frozen=True, kw_only=True)
class LevelFigures:
    """Speech made again from the first so many levels.

    Attributes:
        levels: Decoded.
        token_rate: Tokens per second.
        bit_rate: Bits per second at most.
        entropy_bit_rate: Bits per second after ideal entropy coding of this clip.
        kept: What is left of the recording.
    """

    levels: int
    token_rate: float
    bit_rate: float
    entropy_bit_rate: float
    kept: Kept

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.levels} level{'s' if self.levels > 1 else ''}"

    @property
    def rates(self) -> tuple[float, float, float]:
        """Tokens/s, bit/s, and bit/s after entropy coding."""
        return self.token_rate, self.bit_rate, self.entropy_bit_rate


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What the demo found out and where it put things.

    Attributes:
        clip, origin, seconds, frames: Title of the recording, where it is from, its length, and that in tokens.
        model, digest: The tokenizer as it was asked for, and what names its weights.
        spec: What a token covers and carries.
        versions: Figures by number of levels, the most first.
        ceiling: Of the recording compared with itself.
        floor: Of white noise as loud as the recording.
        usage: Of each level's codebook.
        encode_seconds, decode_seconds: Wall clock of one run, the first of the process, with all levels.
        threads: Of torch.
        token_file, speech_file, report_file: Written; the speech is from all levels.
    """

    clip: str
    origin: str
    seconds: float
    model: str
    digest: str
    spec: TokenSpec
    frames: int
    versions: tuple[LevelFigures, ...]
    ceiling: Kept
    floor: Kept
    usage: tuple[LevelUsage, ...]
    encode_seconds: float
    decode_seconds: float
    threads: int
    token_file: Path
    speech_file: Path
    report_file: Path

    @property
    def pcm_ratio(self) -> float:
        """Bits of 16-bit samples at the tokenizer's rate for each bit of the tokens."""
        return 16 * self.spec.sample_rate / self.spec.bit_rate

    @property
    def speed(self) -> float:
        """Seconds of speech encoded and decoded in one second."""
        return self.seconds / (self.encode_seconds + self.decode_seconds)

    def rows(self) -> Rows:
        """Pairs of label and value, for people."""
        best = self.versions[0]
        return (
            ("Recording", f"{self.clip} ({self.origin})"),
            ("Duration", f"{self.seconds:.2f} s"),
            ("Tokenizer", f"{self.model} ({self.digest[:19]})"),
            ("Tokens", _tokens_text(self.spec, self.frames)),
            ("Token rate", f"{self.spec.token_rate:,.0f} tokens/s"),
            ("Bit rate", f"{self.spec.bit_rate:,.0f} bit/s, {best.entropy_bit_rate:,.0f} after ideal entropy coding"),
            ("16-bit PCM", f"{self.pcm_ratio:.0f} × the bits of the tokens"),
            *((f"Kept by {row.name}", f"{row.bit_rate:,.0f} bit/s: {_kept_text(row.kept)}") for row in self.versions),
            ("Ceiling: the recording itself", _kept_text(self.ceiling)),
            ("Floor: noise as loud", _kept_text(self.floor)),
            *((f"Codebook {level.level}", _usage_text(level)) for level in self.usage),
            *self.timing(),
            ("Tokens in", str(self.token_file)),
            ("Speech in", str(self.speech_file)),
            ("Page", str(self.report_file)),
        )

    def timing(self) -> Rows:
        """Pairs of label and value: what encoding and decoding took."""
        return (
            ("Encode", _time_text(self.encode_seconds, self.seconds)),
            ("Decode", _time_text(self.decode_seconds, self.seconds)),
            ("Threads", str(self.threads)),
        )


def demo(path: Path | None, out: Path, model: str = "guided-small") -> Figures:
    """Encode a recording, decode it from all, half, a quarter … of the levels, measure, and write a page.

    Args:
        path: A recording, of which the first 30 s are used. Without it: the recorded sentence that the package
            auditok 0.2.0 carries, else one spoken by espeak-ng.
        out: Folder, created if missing, for ``<stem>.tokens``, ``<stem>.decoded.wav`` and ``report.html``.
        model: As :func:`vocable.load` takes it.

    Raises:
        AudioError: The recording cannot be used, or none was given and the machine has none.
        CheckpointError: There is no such model.
        MissingDependencyError: pystoi or matplotlib is not installed.
        OutputError: The folder cannot be written.
    """
    tokenizer = load(model)
    spec = tokenizer.spec
    clip = find_clip(path, spec.sample_rate)
    make_folder(out)
    started = perf_counter()
    tokens = tokenizer.encode(clip.audio)
    encoded = perf_counter()
    sounds = {spec.num_codebooks: tokenizer.decode(tokens)}
    decoded = perf_counter()
    for levels in _level_counts(spec.num_codebooks)[1:]:
        sounds[levels] = tokenizer.decode(tokens.keep_levels(levels))

    usage = codebook_usage(tokens.ids, tokens.lengths, spec.codebook_size)
    noise = np.random.default_rng(0).standard_normal(clip.audio.samples.size).astype(np.float32)
    figures = Figures(
        clip=clip.title,
        origin=clip.origin,
        seconds=clip.audio.duration,
        model=model,
        digest=tokenizer.digest,
        spec=spec,
        frames=int(tokens.lengths[0]),
        versions=tuple(
            _level_figures(tokens.keep_levels(levels).spec, usage, _kept(clip.audio, sound.samples))
            for levels, sound in sounds.items()
        ),
        ceiling=_kept(clip.audio, clip.audio.samples),
        floor=_kept(clip.audio, noise * np.sqrt(np.square(clip.audio.samples).mean())),
        usage=usage,
        encode_seconds=encoded - started,
        decode_seconds=decoded - encoded,
        threads=torch.get_num_threads(),
        token_file=out / f"{clip.stem}.tokens",
        speech_file=out / f"{clip.stem}.decoded.wav",
        report_file=out / "report.html",
    )
    command = shlex.join(["vocable", "demo", *([str(path)] if path else []), "--out", str(out), "--model", model])
    write_report(figures.report_file, _report(figures, clip.audio, tokens, sounds, command))
    tokens.write(figures.token_file)
    sounds[spec.num_codebooks].write(figures.speech_file)
    return figures


def find_clip(path: Path | None, sample_rate: int) -> Clip:
    """The recording asked for, or one that is on the machine.

    Args:
        path: A recording; without it one is looked for.
        sample_rate: Rate wanted in Hz.

    Raises:
        AudioError: The recording cannot be used, or none was given and the machine has none.
    """
    if path is not None:
        audio, cut = _beginning(path, sample_rate)
        origin = f"the first {LONGEST:g} s of a longer recording" if cut else "your recording"
        return Clip(audio=audio, stem=path.stem, title=path.name, origin=origin)
    sentence = _recorded_sentence()
    if sentence is not None:
        start, end = (int(at * sample_rate) for at in _SENTENCE_SECONDS)
        return Clip(
            audio=Audio(Audio.read(sentence, sample_rate).samples[start:end], sample_rate),
            stem="was_der_mensch_saet",
            title="Was der Mensch sät, das wird er vielfach ernten",
            origin="recorded speech from auditok 0.2.0 (MIT licence), without the silence around it",
        )
    program = shutil.which("espeak-ng")
    if program is None:
        raise AudioError("no recording is on this machine; pass the path of one, or pip install auditok==0.2.0")
    return Clip(audio=_speak(program, sample_rate), stem="spoken", title=_SPOKEN, origin="synthesised by espeak-ng")


def _beginning(path: Path, sample_rate: int) -> tuple[Audio, bool]:
    """At most so many seconds of a file, and whether it goes on."""
    wanted, held, blocks = int(LONGEST * sample_rate), 0, []
    for block in read_blocks(path, sample_rate):
        blocks.append(block)
        held += block.size
        if held > wanted:
            break
    return Audio(np.concatenate(blocks)[:wanted], sample_rate), held > wanted


def _recorded_sentence() -> Path | None:
    """In the installed package, found without importing it: it warns of things removed from Python."""
    try:
        found = Path(str(distribution("auditok").locate_file(_SENTENCE)))
    except PackageNotFoundError:
        return None
    return found if found.is_file() else None


def _speak(program: str, sample_rate: int) -> Audio:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spoken.wav"
        try:
            subprocess.run([program, "-w", str(file), _SPOKEN], check=True, capture_output=True, timeout=30)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            raise AudioError(f"{program} could not speak ({error}); pass the path of a recording") from error
        return Audio.read(file, sample_rate)


def _level_counts(levels: int) -> list[int]:
    """All levels, then the powers of two below, downwards.

    Example:
        >>> _level_counts(8), _level_counts(3)
        ([8, 4, 2, 1], [3, 2, 1])
    """
    return [levels, *(1 << power for power in reversed(range((levels - 1).bit_length())))]


def _kept(recording: Audio, made: Float[ndarray, " T"]) -> Kept:
    real, rate = recording.samples, recording.sample_rate
    return Kept(
        stoi=quality.stoi(real, made, rate),
        log_mel_distance=spectral.log_mel_distance(real, made, rate),
        pesq_wb=quality.pesq(real, made, rate, "wb") if find_spec("pesq") else None,
    )


def _level_figures(spec: TokenSpec, usage: tuple[LevelUsage, ...], kept: Kept) -> LevelFigures:
    return LevelFigures(
        levels=spec.num_codebooks,
        token_rate=spec.token_rate,
        bit_rate=spec.bit_rate,
        entropy_bit_rate=bit_rates(usage[: spec.num_codebooks], spec.frame_rate).entropy_coded,
        kept=kept,
    )


def _report(figures: Figures, recording: Audio, tokens: Tokens, sounds: dict[int, Audio], command: str) -> Report:
    spec, best = figures.spec, figures.versions[0]
    return Report(
        title=figures.clip,
        lead=f"{figures.origin[:1].upper()}{figures.origin[1:]}: {figures.seconds:.2f} s became "
        f"{figures.frames * spec.num_codebooks:,} tokens of {figures.model} and speech again.",
        tiles=(
            ("Bit rate", f"{spec.bit_rate:,.0f} bit/s"),
            ("Token rate", f"{spec.token_rate:,.0f} tokens/s"),
            ("16-bit PCM takes", f"{figures.pcm_ratio:.0f} × the bits"),
            ("STOI", best.kept.texts()[0]),
            ("Log-mel distance", best.kept.log_mel_distance.text(".2f", " dB")),
            ("Encode and decode", f"{figures.speed:.{int(figures.speed < 10)}f} × real time"),
        ),
        recording=Sound(
            title="Recording", caption=f"at {spec.sample_rate:,} Hz, as the tokenizer hears it", audio=recording
        ),
        tokens=tokens,
        versions=tuple(
            Sound(
                title=f"Made again from {row.name}",
                caption=f"{row.bit_rate:,.0f} bit/s, STOI {row.kept.texts()[0]}",
                audio=sounds[row.levels],
            )
            for row in figures.versions
        ),
        table=_figure_table(figures),
        usage=figures.usage,
        facts=(
            ("Tokens and timing", (
                ("Tokens", _tokens_text(spec, figures.frames)),
                ("Frame rate", f"{spec.frame_rate:g} Hz, {spec.hop} samples a frame"),
                ("Bits", f"{spec.bits_per_frame:g} a frame at most"),
                *figures.timing(),
            )),
            ("How this was made", (
                ("Command", command),
                ("vocable", version("vocable")),
                ("Tokenizer", f"{figures.model}, {figures.digest}"),
                ("torch", torch.__version__),
                ("Machine", f"{platform.system()} {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"),
                ("Date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
            )),
        ),
    )  # fmt: skip


def _figure_table(figures: Figures) -> Table:
    nothing = ("–",) * 3
    return Table(
        head=("", "Tokens/s", "bit/s", "Entropy-coded", "STOI ↑", "Log-mel distance, dB ↓", "PESQ-WB ↑"),
        rows=(
            ("Recording", *nothing, *figures.ceiling.texts()),
            *((row.name, *(f"{rate:,.0f}" for rate in row.rates), *row.kept.texts()) for row in figures.versions),
            ("Noise", *nothing, *figures.floor.texts()),
        ),
        notes=(
            ("The first and last row", "are anchors: the ceiling, and the floor of white noise as loud."),
            ("STOI", "estimates intelligibility; 1 is identity (Taal et al., 2011)."),
            ("Log-mel distance", "is the mean difference of mel spectra in dB; 0 is identity."),
            ("PESQ-WB", "estimates a listener's opinion of wide-band speech, from 1 to 4.6 (ITU-T P.862.2)."),
            ("Entropy-coded", "is the bit rate left by an ideal coder that knows how often this clip uses each id."),
        ),
    )


def _tokens_text(spec: TokenSpec, frames: int) -> str:
    return f"{frames:,} frames × {spec.num_codebooks} levels, {spec.codebook_size:,} ids each"


def _kept_text(kept: Kept) -> str:
    intelligible, _, quality = kept.texts()
    return f"STOI {intelligible}, log-mel distance {kept.log_mel_distance.text('.2f', ' dB')}, PESQ-WB {quality}"


def _usage_text(level: LevelUsage) -> str:
    return (
        f"{level.distinct:,} of {level.codebook_size:,} ids occur (at most {level.reachable:,} could), "
        f"perplexity {level.perplexity:.1f}, {level.entropy:.2f} bits"
    )


def _time_text(taken: float, seconds: float) -> str:
    return f"{taken:.2f} s, real-time factor {taken / seconds:.3f} ({seconds / taken:.1f} × real time)"
