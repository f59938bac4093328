"""Time and memory of encoding and decoding one clip on one CPU thread, beside transformers' EnCodec.

EnCodec has its 24 kHz configuration and random weights (speed does not depend on them) and works at 6 kbit/s on the
same clip at its own rate. Repetitions alternate in one process, so that both meet the same load of the machine; memory
is measured in a fresh process for each.
"""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from anchors import RESULTS, interval, main, memory, need, record, verdict
from rich.console import Console
from rich.table import Table

from vocable.audio import Audio

Step = Callable[[], object]
_FASTER, _SMALLER = 3.0, 0.5  # targets: at least so many times as fast, peak memory under this share
_PEER_RATE = 24_000  # Hz
_PEER_BANDWIDTH = 6.0  # kbit/s


def speed(
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "guided-small",
    audio: Annotated[Path | None, typer.Option(help="A recording; a synthetic clip by default.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of the clip.")] = 10.0,
    repetitions: Annotated[int, typer.Option(min=1, help="Timed repetitions, after one that is not.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the clip, the peer's weights and the intervals.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Compare a tokenizer's speed and peak memory with EnCodec's in the same run."""
    need("transformers", "transformers")
    import torch

    import vocable

    torch.set_num_threads(1)
    console = Console()
    clip = _clip(audio, seconds, seed)
    tokenizer = vocable.load(model)
    times = _times({"vocable": _own_steps(model, clip), "EnCodec": _peer_steps(clip, seed)}, repetitions)
    steps = {step: _ratios(times, step, seed) for step in ("encode", "decode", "encode + decode")}
    console.print(_time_table(steps, clip.duration))
    sizes = {"vocable": _apart(_own_memory, model, clip), "EnCodec": _apart(_peer_memory, clip, seed)}
    share = sizes["vocable"]["peak"] / sizes["EnCodec"]["peak"]
    console.print(_memory_table(sizes, share))
    values = {
        "seconds": steps, "memory_mb": sizes, "memory_share": share,
        "targets": {"times_as_fast": _FASTER, "memory_share": _SMALLER},
        "met": {"speed": steps["encode + decode"]["ratio"]["median"] >= _FASTER, "memory": share < _SMALLER},
    }  # fmt: skip
    peer = {"name": "EncodecModel(EncodecConfig())", "sample_rate": _PEER_RATE, "kbit_per_s": _PEER_BANDWIDTH}
    data = {"audio": audio.name if audio else "vocable.testing.speechlike", "seconds": clip.duration, "n": 1}
    target = record(
        "speed", model, tokenizer, out, data=data, repetitions=repetitions, seed=seed, peer=peer, values=values
    )
    console.print(f"written: {target}", markup=False)


def _clip(audio: Path | None, seconds: float, seed: int) -> Audio:
    from vocable.testing import speechlike

    if audio is None:
        return speechlike(int(seconds * 16_000), 16_000, seed)
    clip = Audio.read(audio)
    wanted = int(seconds * clip.sample_rate)
    return Audio(np.resize(clip.samples, wanted), clip.sample_rate)


# ---- the two systems: encode, then decode what was encoded ----------------------------------------------------------


def _own_steps(model: str, clip: Audio) -> tuple[Step, Step]:
    import vocable

    tokenizer = vocable.load(model)
    clip = clip.resample(tokenizer.spec.sample_rate)
    made: dict[str, Any] = {}

    def encode() -> None:
        made["tokens"] = tokenizer.encode(clip)

    def decode() -> None:
        tokenizer.decode(made["tokens"])

    return encode, decode


def _peer_steps(clip: Audio, seed: int) -> tuple[Step, Step]:
    import torch
    from transformers import EncodecConfig, EncodecModel

    torch.manual_seed(seed)
    network = EncodecModel(EncodecConfig()).eval()
    samples = torch.from_numpy(clip.resample(_PEER_RATE).samples)[None, None]
    made: dict[str, Any] = {}

    @torch.inference_mode()
    def encode() -> None:
        made["tokens"] = network.encode(samples, bandwidth=_PEER_BANDWIDTH)

    @torch.inference_mode()
    def decode() -> None:
        network.decode(made["tokens"].audio_codes, made["tokens"].audio_scales)

    return encode, decode


# ---- time -----------------------------------------------------------------------------------------------------------


def _times(systems: dict[str, tuple[Step, Step]], repetitions: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each step of each system, one entry a repetition; the systems take turns."""
    times: dict[str, dict[str, list[float]]] = {name: {"encode": [], "decode": []} for name in systems}
    for repetition in range(repetitions + 1):
        for name, (encode, decode) in systems.items():
            spent = {"encode": _seconds(encode), "decode": _seconds(decode)}
            if repetition:  # the first warms caches up
                for step, value in spent.items():
                    times[name][step].append(value)
    for spans in times.values():
        spans["encode + decode"] = [sum(pair) for pair in zip(spans["encode"], spans["decode"], strict=True)]
    return times


def _seconds(step: Step) -> float:
    begun = time.perf_counter()
    step()
    return time.perf_counter() - begun


def _ratios(times: dict[str, dict[str, list[float]]], step: str, seed: int) -> dict[str, Any]:
    """Median seconds of both systems and the median of the ratios within a repetition."""
    own, peer = times["vocable"][step], times["EnCodec"][step]
    median = partial(interval, seed=seed, middle="median")
    ratio = [theirs / ours for ours, theirs in zip(own, peer, strict=True)]
    return {"vocable": median(own), "EnCodec": median(peer), "ratio": median(ratio)}


def _time_table(steps: dict[str, dict[str, Any]], duration: float) -> Table:
    title = f"{duration:g} s of speech on one CPU thread: medians, 95 % interval over repetitions"
    table = Table("step", "vocable, s", "EnCodec, s", "times as fast", title=title)
    for name, figures in steps.items():
        ratio = figures["ratio"]
        text = f"{ratio['median']:.1f} ({ratio['low']:.1f}–{ratio['high']:.1f})"
        if name == "encode + decode":
            text += f", ≥ {_FASTER:g} {verdict(_FASTER - ratio['median'])}"
        table.add_row(name, *(f"{figures[system]['median']:.3f}" for system in ("vocable", "EnCodec")), text)
    return table


# ---- memory ---------------------------------------------------------------------------------------------------------


def _apart(measure: Callable[..., dict[str, float]], *arguments: object) -> dict[str, float]:
    """What a function measures of a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def _own_memory(model: str, clip: Audio) -> dict[str, float]:
    import torch

    import vocable.systems.registry  # what vocable.load imports  # noqa: F401

    return _memory_of(torch, partial(_own_steps, model, clip))


def _peer_memory(clip: Audio, seed: int) -> dict[str, float]:
    import torch
    from transformers import EncodecConfig, EncodecModel  # noqa: F401

    return _memory_of(torch, partial(_peer_steps, clip, seed))


def _memory_of(torch: Any, load: Callable[[], tuple[Step, Step]]) -> dict[str, float]:
    """MB of this process after the imports, after loading, and at the most while encoding and decoding."""
    torch.set_num_threads(1)
    imported, _ = memory()
    encode, decode = load()
    loaded, _ = memory()
    encode()
    decode()
    return {"imported": imported, "loaded": loaded, "peak": memory()[1]}


def _memory_table(sizes: dict[str, dict[str, float]], share: float) -> Table:
    table = Table("resident memory, MB", *sizes, "share", title="A fresh process for each: load, encode, decode")
    for row in ("imported", "loaded", "peak"):
        ratio = sizes["vocable"][row] / sizes["EnCodec"][row]
        text = f"{ratio:.2f}"
        if row == "peak":
            text += f", < {_SMALLER:g} {verdict(share - _SMALLER)}"
        table.add_row(row, *(f"{size[row]:.0f}" for size in sizes.values()), text)
    above = [size["peak"] - size["imported"] for size in sizes.values()]
    table.add_row("peak over imported", *(f"{value:.0f}" for value in above), f"{above[0] / above[1]:.2f}")
    return table


if __name__ == "__main__":
    main(speed)
