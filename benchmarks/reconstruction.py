"""How much of the speech comes back: PESQ-WB, PESQ-NB, STOI and log-mel distance at every rate, beside anchors.

Every codec, the ceiling (the clip itself) and the floor (noise at its level) are scored on the same clips in the same
run, as they would sit in a 16-bit file.
"""

import math
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from anchors import RATE, RESULTS, codecs, interval, main, need, outside_codecs, record, verdict
from jaxtyping import Float
from numpy import ndarray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from vocable.audio import Audio
from vocable.errors import ConfigError, VocableError
from vocable.metrics.quality import pesq, stoi
from vocable.metrics.score import Score
from vocable.metrics.spectral import log_mel_distance

if TYPE_CHECKING:
    from vocable.evaluate.codecs.base import Codec

Metric = Callable[[Float[ndarray, " T"], Float[ndarray, " T"]], Score]


@dataclass(frozen=True)
class Scored:
    """What one codec reached on one clip.

    Attributes:
        metrics: By name.
        seconds: Of the clip.
        bits: Of the payload; None where nothing is coded or could be.
    """

    metrics: dict[str, Score]
    seconds: float
    bits: int | None = None


_TARGETS = {("vocable, 8 levels", "STOI"): 0.88, ("vocable, 8 levels", "PESQ-WB"): 2.0}
_state: dict[str, Any] = {}  # what a worker process holds: codecs and metrics


def reconstruction(
    manifests: Annotated[list[Path], typer.Argument(help="JSONL manifests.")],
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "guided-small",
    split: Annotated[str, typer.Option(help="The split of the manifests to score.")] = "test",
    levels: Annotated[str, typer.Option(help="Numbers of levels to decode from.")] = "1,2,4,8",
    limit: Annotated[int | None, typer.Option(min=1, help="Score so many utterances, spread over the split.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; each works on one thread.")] = 2,
    visqol: Annotated[bool, typer.Option(help="Add ViSQOL: seconds to minutes a clip and codec.")] = False,
    lyra: Annotated[Path | None, typer.Option(help="Folder of Lyra v2's three TFLite models.")] = None,
    seed: Annotated[int, typer.Option(help="Of the noise and the intervals.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Score a tokenizer's speech at several rates beside a ceiling, a floor and other codecs."""
    if visqol:
        need("visqol-python", "visqol", "visqol-python[lattice,accel]")
    import vocable
    from vocable.data.manifest import read_manifests

    console = Console()
    tokenizer = vocable.load(model)
    counts = _level_counts(levels, tokenizer.spec.num_codebooks)
    missing = outside_codecs(lyra)[1]
    for line in missing:
        console.print(line, markup=False)
    paths = [utterance.audio_path for utterance in read_manifests(manifests, split)]
    if limit is not None:
        paths = [paths[at] for at in np.linspace(0, len(paths) - 1, min(limit, len(paths))).round().astype(int)]
    spawn = multiprocessing.get_context("spawn")  # a forked torch may hang
    with ProcessPoolExecutor(jobs, spawn, _start, (model, counts, lyra, visqol, seed)) as pool:
        answers = list(track(pool.map(_score, paths), "scoring", len(paths), console=console, transient=True))
    scores = [answer for answer in answers if isinstance(answer, dict)]
    excluded = {path.name: answer for path, answer in zip(paths, answers, strict=True) if isinstance(answer, str)}
    for name, reason in excluded.items():
        console.print(f"left out: {name}: {reason}", markup=False)
    if not scores:
        raise ConfigError("no utterance could be scored; the reasons are above")
    values = [_row(name, codec, scores, seed) for name, codec in codecs(tokenizer, counts, lyra, seed).items()]
    title = f"{len(scores)} utterances of split '{split}': mean and 95 % interval over utterances"
    console.print(_table(values, title))
    data = {
        "manifests": [path.parent.name for path in manifests], "split": split, "limit": limit,
        "n": len(scores), "excluded": len(excluded), "reasons": excluded, "left_out": missing,
    }  # fmt: skip
    target = record("reconstruction", model, tokenizer, out, data=data, seed=seed, values=values)
    console.print(f"written: {target}", markup=False)


def _level_counts(text: str, most: int) -> list[int]:
    """The numbers of levels asked for."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and 1 <= int(part) <= most for part in parts):
        raise ConfigError(f"--levels is '{text}': give numbers from 1 to {most}, such as 1,{most}")
    return [int(part) for part in parts]


# ---- in a worker process --------------------------------------------------------------------------------------------


def _start(model: str, levels: list[int], lyra: Path | None, visqol: bool, seed: int) -> None:
    """Load once what every utterance needs."""
    import torch

    import vocable

    torch.set_num_threads(1)
    _state["codecs"] = codecs(vocable.load(model), levels, lyra, seed)
    _state["metrics"] = _metrics(visqol)


def _metrics(visqol: bool) -> dict[str, Metric]:
    """The metrics asked for, by the name they have in the table."""
    metrics: dict[str, Metric] = {
        "PESQ-WB": lambda clip, made: pesq(clip, made, RATE, "wb"),
        "PESQ-NB": lambda clip, made: pesq(clip, made, RATE, "nb"),
        "STOI": lambda clip, made: stoi(clip, made, RATE),
        "log-mel dB": lambda clip, made: log_mel_distance(clip, made, RATE),
    }
    return {**metrics, "ViSQOL": _visqol()} if visqol else metrics


def _visqol() -> Metric:
    """ViSQOL's speech mode (Chinen et al., arXiv:2004.09584), by visqol-python."""
    from visqol import VisqolApi

    judge = VisqolApi()
    judge.create(mode="speech")

    def measure(clip: Float[ndarray, " T"], made: Float[ndarray, " T"]) -> Score:
        try:
            return Score(float(judge.measure_from_arrays(clip, made, sample_rate=RATE).moslqo))
        except ValueError as error:
            return Score(math.nan, str(error))

    return measure


def _score(path: Path) -> dict[str, Scored] | str:
    """All metrics of all codecs on one utterance, or why it cannot be used."""
    try:
        clip = _as_filed(Audio.read(path, RATE))
    except VocableError as error:
        return str(error).removeprefix(f"{path}: ")  # a result names no machine's folders
    return {name: _score_codec(codec, clip, path.name) for name, codec in _state["codecs"].items()}


def _score_codec(codec: "Codec", clip: Audio, key: str) -> Scored:
    """All metrics of one codec on one clip; undefined where the codec refuses it."""
    try:
        coded = codec.code(clip, key)
    except VocableError as error:
        return Scored(dict.fromkeys(_state["metrics"], Score(math.nan, str(error))), clip.duration)
    made = _as_filed(coded.audio).samples
    metrics = {name: metric(clip.samples, made) for name, metric in _state["metrics"].items()}
    return Scored(metrics, clip.duration, coded.payload_bits)


def _as_filed(clip: Audio) -> Audio:
    """The clip after 16-bit storage, so that no codec gains from samples that no file would hold."""
    steps = np.round(clip.samples.clip(-1, 1) * 32_767)
    return Audio((steps / 32_767).astype(np.float32), clip.sample_rate)


# ---- the table ------------------------------------------------------------------------------------------------------


def _row(name: str, codec: "Codec", scores: list[dict[str, Scored]], seed: int) -> dict[str, Any]:
    """A codec's figures over all utterances."""
    figures = {}
    for metric in scores[0][name].metrics:
        cells = [score[name].metrics[metric] for score in scores]
        figures[metric] = interval([cell.value if cell.defined else None for cell in cells], seed=seed)
        figures[metric]["reasons"] = sorted({cell.reason for cell in cells if not cell.defined})
    for (target, metric), wanted in _TARGETS.items():
        if target == name and figures[metric]["mean"] is not None:
            figures[metric] |= {"target": wanted, "met": figures[metric]["mean"] >= wanted}
    coded = [(score[name].bits, score[name].seconds) for score in scores if score[name].bits is not None]
    rate = sum(bits for bits, _ in coded) / sum(seconds for _, seconds in coded) if coded else None
    return {"codec": name, "bit_rate": rate, "note": codec.note, "metrics": figures}


def _table(rows: list[dict[str, Any]], title: str) -> Table:
    notes = "; ".join(f"{row['codec']}: {row['note']}" for row in rows if row["note"])
    table = Table("codec", "kbit/s", *rows[0]["metrics"], title=title, caption=notes, show_lines=True)
    for row in rows:
        rate = "" if row["bit_rate"] is None else f"{row['bit_rate'] / 1000:.3g}"
        table.add_row(row["codec"], rate, *(_cell(figure) for figure in row["metrics"].values()))
    return table


def _cell(figure: dict[str, Any]) -> str:
    if figure["mean"] is None:
        return "none"
    text = f"{figure['mean']:.3f}\n{figure['low']:.2f}–{figure['high']:.2f}"
    if figure["excluded"]:
        text += f"\n{figure['excluded']} excluded"
    if "target" in figure:
        text += f"\n≥ {figure['target']:g} " + verdict(figure["target"] - figure["mean"])
    return text


if __name__ == "__main__":
    main(reconstruction)
