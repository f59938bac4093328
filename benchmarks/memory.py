"""Memory that encoding an hour of speech takes over an idle process, and whether its tokens are those of the whole.

A fresh process loads the tokenizer, encodes two seconds (the idle level), then the hour block by block.
"""

import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import soundfile
import typer
from anchors import RATE, RESULTS, main, memory, record, verdict
from rich.console import Console
from rich.table import Table

from vocable.audio import read_blocks
from vocable.errors import ConfigError

_TARGET = 300.0  # MB over idle
_PREFIX, _COMPARED = 60, 59  # seconds encoded as a file of their own; and compared, free of the shorter file's end


def memory_of_an_hour(
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "guided-small",
    seconds: Annotated[int, typer.Option(min=_PREFIX, help="Length of the file.")] = 3_600,
    block: Annotated[float, typer.Option(min=0.01, help="Seconds read at a time.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Of the synthetic speech.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Encode a long synthetic file in pieces and report what memory that takes."""
    import vocable

    console = Console()
    tokenizer = vocable.load(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.wav"
        _write(path, seconds, seed)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            values = pool.submit(_measure, model, path, block).result()
    values |= {"target_mb": _TARGET, "met": values["over_idle_mb"] <= _TARGET and values["mismatches"] == 0}
    console.print(_table(values, seconds))
    data = {"audio": "vocable.testing.speechlike, 60 clips in turn", "seconds": seconds, "n": 1, "excluded": 0}
    target = record("memory", model, tokenizer, out, data=data, block_seconds=block, seed=seed, values=values)
    console.print(f"written: {target}", markup=False)


def _write(path: Path, seconds: int, seed: int) -> None:
    """A WAV of so many seconds, from 60 synthetic clips of 10 s in turn."""
    from vocable.testing import speechlike

    clips = [speechlike(10 * RATE, RATE, seed + number).samples for number in range(60)]
    with soundfile.SoundFile(path, "w", samplerate=RATE, channels=1, subtype="PCM_16") as file:
        for number in range(-(-seconds // 10)):
            file.write(np.clip(clips[number % 60], -1, 1)[: (seconds - 10 * number) * RATE])


def _measure(model: str, path: Path, block: float) -> dict[str, Any]:
    """In a fresh process: the idle level, the hour, and its first minute against a file of that minute."""
    import torch

    import vocable
    from vocable.interfaces import Streaming

    torch.set_num_threads(1)
    tokenizer = vocable.load(model)
    if not isinstance(tokenizer, Streaming):
        raise ConfigError(f"{model}: this tokenizer has no encode_blocks: it cannot take a long file in pieces")
    rate = tokenizer.spec.sample_rate
    minute = np.concatenate(list(_first(path, rate, _PREFIX)))
    tokenizer.encode(vocable.Audio(minute[: 2 * rate], rate))
    idle, before = memory()
    begun = time.perf_counter()
    tokens = tokenizer.encode_blocks(read_blocks(path, rate, seconds=block))
    spent = time.perf_counter() - begun
    _, peak = memory()
    frames = int(_COMPARED * tokenizer.spec.frame_rate)
    wanted = tokenizer.encode(vocable.Audio(minute, rate)).ids[:, :, :frames]
    return {
        "idle_mb": idle, "idle_peak_mb": before, "peak_mb": peak, "over_idle_mb": peak - idle, "encode_s": spent,
        "frames": int(tokens.lengths[0]), "tokens_compared": wanted.numel(),
        "mismatches": int((tokens.ids[:, :, :frames] != wanted).sum()),
    }  # fmt: skip


def _first(path: Path, rate: int, seconds: int) -> Any:
    """Blocks of the file's beginning."""
    for number, piece in enumerate(read_blocks(path, rate, seconds=1.0)):
        if number == seconds:
            return
        yield piece


def _table(values: dict[str, Any], seconds: int) -> Table:
    table = Table("", "value", title=f"Encoding {seconds:,} s in one process")
    table.add_row("idle (loaded, 2 s encoded), MB", f"{values['idle_mb']:.0f}")
    table.add_row("highest, MB", f"{values['peak_mb']:.0f}")
    over = values["over_idle_mb"]
    table.add_row("over idle, MB", f"{over:.0f}, ≤ {_TARGET:g} {verdict(over - _TARGET)}")
    table.add_row("time, s", f"{values['encode_s']:.1f} ({seconds / values['encode_s']:.0f} × real time)")
    compared = f"{values['mismatches']} of {values['tokens_compared']:,}, 0 {verdict(values['mismatches'])}"
    table.add_row(f"tokens that differ from a {_PREFIX}-s file's", compared)
    return table


if __name__ == "__main__":
    main(memory_of_an_hour)
