"""What a figure rests on: the machine and versions that made it, and the codecs it stands beside.

Shared by the scripts of this folder. Torch is not imported here: it reads its number of threads when it starts.
"""

import importlib.util
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import typer
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError, MissingDependencyError, VocableError

if TYPE_CHECKING:
    from vocable.interfaces import Tokenizer

RESULTS = Path(__file__).resolve().parent / "results"
RATE = 16_000  # Hz, at which all is scored
_PACKAGES = (
    "ai-edge-litert", "hypothesis", "jaxtyping", "numpy", "pesq", "pystoi", "scipy", "soundfile", "soxr", "torch",
    "transformers", "visqol-python",
)  # fmt: skip


def main(script: Callable[..., None]) -> None:
    """Run a script with its command line; what is wrong becomes one line and exit code 1."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch starts, here and in the processes started from here
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(script)
    try:
        app()
    except VocableError as error:
        typer.echo(f"{Path(sys.argv[0]).name}: {' '.join(str(error).split())}", err=True)
        sys.exit(1)


def need(package: str, module: str, install: str | None = None) -> None:
    """Stop with a remedy where a package that is asked for is missing; ``install`` says more for pip than its name.

    Raises:
        MissingDependencyError: It is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingDependencyError(f"this benchmark needs {package}: pip install '{install or package}'")


def verdict(short: float) -> str:
    """Whether a target is met; ``short`` is how far the figure stays from it, negative where it is met."""
    return "met" if short <= 0 else f"missed by {short:.3g}"


def record(name: str, model: str, tokenizer: "Tokenizer", folder: Path = RESULTS, **parts: Any) -> Path:
    """Write ``folder/name.json``: what was measured, and everything needed to measure it again.

    Args:
        name: Of the benchmark.
        model: The name or folder that the tokenizer was loaded from.
        tokenizer: What was measured.
        folder: Created if missing.
        parts: Corpus, seed, values: whatever the benchmark has.
    """
    arguments = [_portable(argument) for argument in sys.argv[1:]]
    written = {
        "benchmark": name,
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments]),
        "date": datetime.now(UTC).date().isoformat(),
        "vocable": version("vocable"),
        "tokenizer": {"name": _portable(model), "digest": tokenizer.digest, "spec": asdict(tokenizer.spec)},
        **parts,
        "hardware": {"cpu": _cpu(), "cores": os.cpu_count(), "threads": 1, "system": platform.platform()},
        "versions": {"python": platform.python_version(), **_versions()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.json"
    target.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


def interval(
    values: Sequence[float | None], *, seed: int, middle: Literal["mean", "median"] = "mean", rounds: int = 2_000
) -> dict[str, Any]:
    """Mean or median of the values there are, with the 95 % bootstrap interval; None is counted as excluded.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3, percentile interval.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    counts = {"n": int(known.size), "excluded": len(values) - int(known.size)}
    if known.size == 0:
        return {middle: None, "low": None, "high": None, **counts}
    rows = known[np.random.default_rng(seed).integers(known.size, size=(rounds, known.size))]
    centres = [np.median(part, axis=-1) if middle == "median" else np.mean(part, axis=-1) for part in (known, rows)]
    low, high = np.percentile(centres[1], [2.5, 97.5])
    return {middle: float(centres[0]), "low": float(low), "high": float(high), **counts}


def memory() -> tuple[float, float]:
    """Resident memory of this process now and at its highest, in MB (10^6 bytes).

    ``getrusage`` is not used: its peak is inherited from the process that started this one.

    Raises:
        ConfigError: This system has no ``/proc``.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        raise ConfigError("memory is read from /proc/self/status, which this system lacks: run this on Linux")
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
    return int(lines["VmRSS"].split()[0]) * 1.024e-3, int(lines["VmHWM"].split()[0]) * 1.024e-3


# ---- codecs to stand beside -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Codec:
    """Something that takes a clip at 16 kHz and gives it back, as long as it was.

    Attributes:
        name: For the table.
        bit_rate: Bit/s; None where there is none.
        note: What a reader must know to judge its figures.
        code: The clip made again.
    """

    name: str
    bit_rate: float | None
    note: str
    code: Callable[[Audio], Audio]


def own_codecs(tokenizer: "Tokenizer", levels: Sequence[int]) -> list[Codec]:
    """The tokenizer with the first so many levels of its tokens."""

    def code(count: int, clip: Audio) -> Audio:
        return tokenizer.decode(tokenizer.encode(clip).keep_levels(count)).resample(RATE)

    rate = tokenizer.spec.bit_rate / tokenizer.spec.num_codebooks
    names = {count: f"vocable, {count} level{'s' if count > 1 else ''}" for count in levels}
    return [Codec(name, count * rate, "", partial(code, count)) for count, name in names.items()]


def limits(seed: int) -> list[Codec]:
    """The ceiling and the floor: the clip itself, and white noise at its level."""

    def noise(clip: Audio) -> Audio:
        draw = np.random.default_rng([seed, clip.samples.size]).standard_normal(clip.samples.size)
        level = np.sqrt(np.mean(clip.samples.astype(np.float64) ** 2))
        return Audio((draw * level).astype(np.float32), clip.sample_rate)

    return [
        Codec("identity", None, "ceiling: 16-bit samples, untouched", lambda clip: clip),
        Codec("noise", None, "floor: white noise at the level of the clip", noise),
    ]


def outside_codecs(lyra: Path | None) -> tuple[list[Codec], list[str]]:
    """The codecs of others that this machine has, and a line on each that it has not.

    Args:
        lyra: Folder with Lyra v2's ``soundstream_encoder.tflite``, ``quantizer.tflite`` and ``lyragan.tflite``.
    """
    codecs, missing = [], []
    if shutil.which("opusenc") and shutil.which("opusdec"):
        codecs.append(Codec("Opus 6k", 6_000, f"constant bit rate, {_first_line('opusenc', '--version')}", _opus))
    else:
        missing.append("Opus left out: needs opusenc and opusdec on the PATH (Debian: apt install opus-tools)")
    if shutil.which("c2enc") and shutil.which("c2dec"):
        codecs.append(Codec("Codec2 3200", 3_200, "works at 8 kHz: resampled to 16 kHz, then scored", _codec2))
    else:
        missing.append("Codec2 left out: needs c2enc and c2dec on the PATH (Debian: apt install codec2)")
    if lyra is None:
        missing.append("Lyra left out: needs --lyra, the folder of its three TFLite models (google/lyra, model_coeffs)")
    elif importlib.util.find_spec("ai_edge_litert") is None:
        missing.append("Lyra left out: needs ai-edge-litert: pip install ai-edge-litert")
    else:
        network = _Lyra(lyra)
        for rate, stages in ((3_200, 16), (6_000, 30)):
            codecs.append(Codec(f"Lyra v2 {rate / 1000:g}k", rate, f"{stages} stages", partial(network.code, stages)))
    return codecs, missing


def _opus(clip: Audio) -> Audio:
    with tempfile.TemporaryDirectory() as folder:
        before, coded, after = (str(Path(folder) / name) for name in ("before.wav", "coded.opus", "after.wav"))
        clip.write(before)
        _run("opusenc", "--quiet", "--hard-cbr", "--bitrate", "6", before, coded)
        _run("opusdec", "--quiet", "--rate", str(RATE), "--force-wav", coded, after)
        return _fit(Audio.read(after, RATE).samples, clip)


def _codec2(clip: Audio) -> Audio:
    frame = 160  # samples at 8 kHz; the decoder is one frame late, so one more is coded and the first dropped
    with tempfile.TemporaryDirectory() as folder:
        before, coded, after = (Path(folder) / name for name in ("before.raw", "coded.bit", "after.raw"))
        samples = clip.resample(8_000).samples
        samples = np.pad(samples, (0, -samples.size % frame + frame))
        before.write_bytes((samples.clip(-1, 1) * 32_767).astype("<i2").tobytes())
        _run("c2enc", "3200", str(before), str(coded))
        _run("c2dec", "3200", str(coded), str(after))
        made = np.frombuffer(after.read_bytes(), dtype="<i2")[frame:].astype(np.float32) / 32_768
    return _fit(Audio(made, 8_000).resample(RATE).samples, clip)


class _Lyra:
    """Lyra v2 through TFLite: 64 values a frame, residual quantizer of 46 stages of 16 entries, generative decoder."""

    def __init__(self, folder: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        def network(name: str) -> Any:
            if not (folder / name).is_file():
                raise ConfigError(f"{folder / name}: no such file; --lyra takes the folder of Lyra's TFLite models")
            interpreter = Interpreter(str(folder / name), num_threads=1)
            interpreter.allocate_tensors()
            return interpreter

        self.encoder, self.decoder = network("soundstream_encoder.tflite"), network("lyragan.tflite")
        quantizer = network("quantizer.tflite")
        self.to_ids = quantizer.get_signature_runner("encode")
        self.to_latents = quantizer.get_signature_runner("decode")

    def code(self, stages: int, clip: Audio) -> Audio:
        hop = 320
        self.encoder.reset_all_variables()  # both are stateful: a clip must not hear the one before
        self.decoder.reset_all_variables()
        encode, decode = self.encoder.get_signature_runner(), self.decoder.get_signature_runner()
        made = []
        for frame in np.pad(clip.samples, (0, -clip.samples.size % hop)).reshape(-1, 1, hop):
            latents = encode(input_audio=frame)["output_0"]
            answer = self.to_ids(input_frames=latents, num_quantizers=np.array(stages, dtype=np.int32))
            ids = next(value for value in answer.values() if value.dtype == np.int32 and value.size > 1)
            latents = self.to_latents(encoding_indices=ids)["output_0"]
            made.append(decode(input_audio=latents)["output_0"].reshape(-1))
        return _fit(np.concatenate(made), clip)


def _fit(samples: Float[ndarray, " T"], clip: Audio) -> Audio:
    """As long as the clip: a codec's last frame may reach past it or be missing."""
    wanted = clip.samples.size
    return Audio(np.pad(samples[:wanted], (0, max(0, wanted - samples.size))), RATE)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise AudioError(f"{command[0]} failed: {done.stderr.strip() or f'exit code {done.returncode}'}")


def _first_line(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]


def _portable(argument: str) -> str:
    """A path as seen from here, so that a result names no machine's folders."""
    return os.path.relpath(argument) if Path(argument).is_absolute() else argument


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
