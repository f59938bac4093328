"""Memory of encoding and decoding hours of speech, beside that of minutes: in Python and by the commands.

Each measurement is the peak of a fresh process, imports included. The long file is the short one again and again, and
its tokens and samples are compared with those of the whole clip, which is encoded and decoded at once.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import soundfile
import typer
from anchors import RESULTS, main, memory, record, verdict
from rich.console import Console
from rich.table import Table

_TARGET = 100.0  # MB that the long file may take over the short one
_STEPS = ("encode_blocks", "decode_blocks", "vocable encode", "vocable decode")


def memory_of_long_audio(
    model: Annotated[str, typer.Option(help="Name or folder of a model that streams.")] = "guided-small",
    short: Annotated[int, typer.Option(min=10, help="Length of the short file in seconds.")] = 180,
    long: Annotated[int, typer.Option(min=20, help="Length of the long file in seconds.")] = 10_800,
    rate: Annotated[int, typer.Option(min=1_000, help="Sample rate of the files in Hz.")] = 44_100,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic speech.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Encode and decode a short and a long file in fresh processes, and compare their peaks of memory."""
    import vocable

    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        values = measure(folder, model, short, long, rate, seed)
    values |= {"target_mb": _TARGET, "met": max(values["over_mb"].values()) <= _TARGET and not values["differences"]}
    console.print(_table(values))
    data = {"audio": f"vocable.testing.speechlike, 18 clips of 10 s in turn, FLAC at {rate} Hz", "n": 2, "excluded": 0}
    target = record("long_audio", model, vocable.load(model), out, data=data, seed=seed, values=values)
    console.print(f"written: {target}", markup=False)


def measure(folder: Path, model: str, short: int, long: int, rate: int, seed: int = 0) -> dict[str, Any]:
    """Return the peaks of every step in MB (10^6 bytes), and where pieces and the whole clip differ."""
    values: dict[str, Any] = {"short_s": short, "long_s": long, "peak_mb": {}, "seconds": {}}
    for seconds in (short, long):
        path = folder / f"{seconds}.flac"
        _write(path, seconds, rate, seed)
        for step in _STEPS:
            started = time.perf_counter()
            values["peak_mb"].setdefault(step, []).append(_fresh(_run_step, step, model, path))
            values["seconds"].setdefault(step, []).append(round(time.perf_counter() - started, 1))
            typer.echo(f"{step}, {seconds} s: {values['peak_mb'][step][-1]:.0f} MB, {values['seconds'][step][-1]} s")
    values["over_mb"] = {step: peaks[1] - peaks[0] for step, peaks in values["peak_mb"].items()}
    values["whole_clip_mb"], values["differences"] = _fresh(_compare_with_whole, model, folder / f"{long}.flac")
    return values


def _fresh(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _write(path: Path, seconds: int, rate: int, seed: int) -> None:
    """Write a FLAC of so many seconds, from 18 synthetic clips of 10 s in turn."""
    from vocable.testing import speechlike

    clips = [speechlike(10 * rate, rate, seed + number).samples for number in range(18)]
    with soundfile.SoundFile(path, "w", samplerate=rate, channels=1, subtype="PCM_16", format="FLAC") as file:
        for number in range(-(-seconds // 10)):
            file.write(np.clip(clips[number % 18], -1, 1)[: (seconds - 10 * number) * rate])


def _run_step(step: str, model: str, path: Path) -> float:
    """Run one step, and return the peak of this process in MB."""
    if step.startswith("vocable "):
        from vocable.cli.main import app

        tokens, decoded = path.with_suffix(".cli.tokens"), path.with_suffix(".cli.wav")
        command = step.removeprefix("vocable ")
        source, target = (path, tokens) if command == "encode" else (tokens, decoded)
        app([command, str(source), "-o", str(target), "--model", model], standalone_mode=False)
        return memory()[1]
    import torch

    import vocable
    from vocable.audio import read_blocks, write_blocks

    torch.set_num_threads(1)
    tokenizer: Any = vocable.load(model)
    if step == "encode_blocks":
        tokenizer.encode_blocks(read_blocks(path, tokenizer.spec.sample_rate)).write(path.with_suffix(".tokens"))
    else:
        tokens = vocable.Tokens.read(path.with_suffix(".tokens"))
        write_blocks(path.with_suffix(".wav"), tokenizer.decode_blocks(tokens), tokenizer.spec.sample_rate)
    return memory()[1]


def _compare_with_whole(model: str, path: Path) -> tuple[float, list[str]]:
    """Encode and decode the whole clip at once; return the peak in MB, and which results of the steps differ."""
    import torch

    import vocable

    torch.set_num_threads(1)
    tokenizer = vocable.load(model)
    whole = tokenizer.encode(vocable.Audio.read(path))
    differences = [
        name.name for name in (path.with_suffix(".tokens"), path.with_suffix(".cli.tokens"))
        if not torch.equal(vocable.Tokens.read(name).ids, whole.ids)
    ]  # fmt: skip
    decoded = tokenizer.decode(whole)
    decoded.write(path.with_suffix(".whole.wav"))
    expected = path.with_suffix(".whole.wav").read_bytes()
    for name in (path.with_suffix(".wav"), path.with_suffix(".cli.wav")):
        differences += [name.name] if name.read_bytes() != expected else []
    return memory()[1], differences


def _table(values: dict[str, Any]) -> Table:
    table = Table(
        "peak of a fresh process, MB", f"{values['short_s']} s", f"{values['long_s']:,} s", "difference",
        title="Encoding and decoding in pieces",
    )  # fmt: skip
    for step, (short, long) in values["peak_mb"].items():
        over = values["over_mb"][step]
        table.add_row(step, f"{short:.0f}", f"{long:.0f}", f"{over:.0f}, ≤ {_TARGET:g} {verdict(over - _TARGET)}")
    table.add_row("whole clip at once", "", f"{values['whole_clip_mb']:.0f}", "")
    table.add_row("files that differ from the whole clip's", "", ", ".join(values["differences"]) or "none", "")
    return table


if __name__ == "__main__":
    main(memory_of_long_audio)
