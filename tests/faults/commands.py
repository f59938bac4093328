"""Commands that write, each small enough to be disturbed a hundred times: what they start from and what they leave."""

import contextlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from tests.models import ready, ready_speaker
from tests.runs import COSTS
from vocable.testing import speechlike


@dataclass(frozen=True)
class Work:
    """A command over a folder of inputs.

    Attributes:
        arguments: Function from the inputs and the output to the command line.
        grows: Names of files that grow line by line; others are whole or absent.
        again: Further arguments of every run after the first.
    """

    arguments: Callable[[Path, Path], Sequence[str]]
    grows: tuple[str, ...] = ()
    again: tuple[str, ...] = ()


def make_inputs(folder: Path) -> Path:
    """Write clips, a manifest with texts, alignments, and two small models."""
    (folder / "clips").mkdir(parents=True)
    lines, ctm = [], []
    for clip in range(3):
        speechlike(6_000 + 800 * clip, 16_000, seed=clip).write(folder / f"clips/{clip}.wav")
        lines.append({"audio_path": f"clips/{clip}.wav", "text": "aye", "split": "train", "speaker": f"s{clip}"})
        ctm.append(f"{clip} 1 0.05 0.25 AY")
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "all.ctm").write_text("".join(f"{line}\n" for line in ctm))
    ready("spectral").save(folder / "codec")
    ready_speaker().save(folder / "speaker")
    return folder


WORKS: dict[str, Work] = {
    "encode": Work(
        lambda inputs, out: ["encode", f"{inputs}/clips", "--out", f"{out}/", "--model", f"{inputs}/codec"]
    ),
    "tokenize": Work(
        lambda inputs, out: ["tokenize", f"{inputs}/codec", f"{inputs}/manifest.jsonl", "--out", str(out),
                             "--shard-hours", "0.001"],
    ),
    "train": Work(
        lambda inputs, out: ["train", "guided-tiny", "--data", f"{inputs}/manifest.jsonl", "--out", str(out),
                             "--steps", "20", "--batch-size", "2"],
        grows=("log.jsonl",), again=("--resume",),
    ),
    "evaluate": Work(
        lambda inputs, out: ["evaluate", f"{inputs}/codec", "--data", f"{inputs}/manifest.jsonl", "--out", str(out),
                             "--metrics", "si_sdr,mcd", "--probes", "none", "--codecs", "none", "--jobs", "1"],
        grows=("results.jsonl",),
    ),
    "align": Work(
        lambda inputs, out: ["data", "align", f"{inputs}/manifest.jsonl", "--out", f"{out}/aligned.jsonl",
                             "--from", f"{inputs}/all.ctm"],
    ),
    "generate": Work(
        lambda inputs, out: ["generate", "--digit", "7", "--n", "3", "--out", f"{out}/",
                             "--model", f"{inputs}/speaker"],
    ),
}  # fmt: skip
"""Commands by name."""


def run(arguments: Sequence[str]) -> tuple[int, str]:
    """Run a command in this process; return its exit code and what it printed. A traceback is exit code 70."""
    from vocable.cli.main import main

    output = io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["vocable", *arguments]),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0) if isinstance(stop.code, int | None) else 1, output.getvalue()
        except BaseException as error:
            return 70, f"{output.getvalue()}\n{type(error).__name__}: {error}"
    return 0, output.getvalue()


_COST_ROWS = (b"tokens a second", b"hours of audio a day", b"peak memory", b"| seconds")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the visible files of a folder, without what differs between two equal runs: times, and TensorBoard."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(part.startswith(".") for part in name.split("/")) and "tensorboard/" not in name:
            if "teachers/audio/" in name:  # a cache: it holds what was looked at so far, whoever looked
                continue
            data = path.read_bytes()
            if path.name == "README.md":  # of a checkpoint, with the times of its run
                data = b"".join(line for line in data.splitlines() if not any(cost in line for cost in _COST_ROWS))
            if path.name == "training.json":  # it has the digest of the card, too
                data = b"\n".join(line for line in data.splitlines() if b'"README.md"' not in line)
            if path.name == "log.jsonl":
                data = b"".join(_without_seconds(line) for line in data.splitlines())
            if name == "run.json":
                values = json.loads(data)
                values.pop("cache", None)  # lies in the folder of the run, which has another path
                data = json.dumps(values).encode()
            found[name] = data
    return found


def hidden(folder: Path) -> list[str]:
    """Return the hidden files and folders, which a killed process may leave."""
    return sorted(path.name for path in folder.rglob(".*")) if folder.exists() else []


def wrong_files(folder: Path, whole: dict[str, bytes], work: Work) -> list[str]:
    """Return the visible files that are neither absent nor what an undisturbed run leaves, or the beginning of it."""
    wrong = []
    for name, data in contents(folder).items() if folder.exists() else ():
        expected = whole.get(name)
        if Path(name).name in work.grows and expected is not None:
            lines = set(expected.splitlines())
            wrong += [name] if not all(line in lines for line in data.splitlines()[:-1]) else []
        elif data != expected and not _is_earlier(name):
            wrong.append(name)
    return wrong


def fresh(folder: Path) -> Path:
    """Return an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _is_earlier(name: str) -> bool:
    """Whether a file belongs to a checkpoint, of which only the last are kept; they carry digests of their own."""
    return "checkpoints/step-" in name


def _without_seconds(line: bytes) -> bytes:
    try:
        values = json.loads(line)
    except ValueError:
        return line + b"\n"
    for name in COSTS:
        values.pop(name, None)
    return json.dumps(values).encode() + b"\n"


def silence() -> None:
    """Send standard output and error of this process to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
