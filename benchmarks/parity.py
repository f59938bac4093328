"""Our PESQ, STOI, ESTOI, MCD and WER beside the packages they follow, on real clips: the largest difference of each.

Every clip is compared twice: with what a codec makes of it (the number of levels changes from clip to clip) and with
itself in white noise (so does the level of the noise). Upstream's exact warping takes half a second for 1.5 s of
speech, so the two meet there on the beginning of each clip. Words are compared on the clips' texts after random edits.
"""

import itertools
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from anchors import RATE, RESULTS, main, need, record, verdict
from jaxtyping import Float
from numpy import ndarray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from vocable.audio import Audio
from vocable.data.manifest import Utterance, read_manifests
from vocable.errors import ConfigError
from vocable.metrics.quality import pesq, stoi
from vocable.metrics.score import Score
from vocable.metrics.spectral import mel_cepstral_distance
from vocable.metrics.text import normalize, wer

Clip = Float[ndarray, " T"]
Pair = tuple[Clip, Clip]
Row = dict[str, Any]  # of a pair and a metric: both values, both times, why there is none

_TARGET = 1e-4
_WARPED_SECONDS = 1.5
_LEVELS = (1, 2, 4, 8)
_NOISES = (30, 20, 10, 5, 0, -5)  # dB of signal over noise
_EDITS = (0.0, 0.1, 0.3, 0.9)  # share of the words
_PACKAGES = {
    "PESQ-WB": "pesq", "PESQ-NB": "pesq", "STOI": "pystoi", "ESTOI": "pystoi", "MCD": "mel-cepstral-distance",
    "MCD, warped": "mel-cepstral-distance", "WER": "jiwer", "WER of all": "jiwer",
}  # fmt: skip
_state: dict[str, Any] = {}  # what a worker process holds


def parity(
    manifests: Annotated[list[Path], typer.Argument(help="JSONL manifests.")],
    model: Annotated[str, typer.Option(help="A model's name or folder, whose speech is scored.")] = "guided-small",
    splits: Annotated[str, typer.Option(help="The splits of the manifests to take clips from.")] = "test,dev",
    limit: Annotated[int, typer.Option(min=1, help="So many clips, spread over the splits.")] = 100,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; each works on one thread.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the noise and the edits.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Compare our metrics with upstream's; exit code 1 if any differs by more than 0.0001.

    Needs pip install 'vocable[metrics,pesq]' jiwer 'mel-cepstral-distance==0.0.4'.
    """
    for package, module in (("pystoi", "pystoi"), ("pesq", "pesq"), ("jiwer", "jiwer")):
        need(package, module)
    need("mel-cepstral-distance", "mel_cepstral_distance", "mel-cepstral-distance==0.0.4")
    import vocable

    console = Console()
    found = [line for split in splits.split(",") for line in read_manifests(manifests, split.strip())]
    chosen = [found[at] for at in np.linspace(0, len(found) - 1, min(limit, len(found))).round().astype(int)]
    spawn = multiprocessing.get_context("spawn")  # a forked torch may hang
    with ProcessPoolExecutor(jobs, spawn, _start, (model, seed)) as pool:
        parts = list(track(pool.map(_compare, range(len(chosen)), chosen), "comparing", len(chosen), console=console))
    rows = [row for part in parts for row in part] + _words([line.text or "" for line in chosen], seed)
    values = [_summary(name, [row for row in rows if row["metric"] == name]) for name in _PACKAGES]
    console.print(_table(values, f"{len(chosen)} clips of splits {splits}"))
    data = {
        "manifests": [path.parent.name for path in manifests], "splits": splits, "n": len(chosen),
        "made": {"levels": _LEVELS, "noise_db": _NOISES, "word_edits": _EDITS}, "warped_s": _WARPED_SECONDS,
    }  # fmt: skip
    target = record("parity", model, vocable.load(model), out, data=data, seed=seed, target=_TARGET, values=values)
    console.print(f"written: {target}", markup=False)
    if not all(value["met"] for value in values):
        sys.exit(1)


# ---- in a worker process --------------------------------------------------------------------------------------------


def _start(model: str, seed: int) -> None:
    """Load once what every clip needs, so that no import is timed."""
    import mel_cepstral_distance  # noqa: F401
    import pesq  # noqa: F401
    import pystoi  # noqa: F401
    import scipy.io.wavfile  # noqa: F401
    import torch

    import vocable
    from vocable.evaluate.codecs.tokenizer import TokenizerCodec

    torch.set_num_threads(1)
    tokenizer = vocable.load(model)
    _state["codecs"] = [TokenizerCodec(model, tokenizer, levels) for levels in _LEVELS]
    _state["seed"] = seed


def _compare(number: int, line: Utterance) -> list[Row]:
    """All metrics of sound, ours and upstream's, on one clip."""
    clip = Audio.read(line.audio_path, RATE)
    coded = _state["codecs"][number % len(_LEVELS)].code(clip, str(number)).audio.samples
    noise = np.random.default_rng((_state["seed"], number)).standard_normal(clip.samples.size)
    noise *= np.linalg.norm(clip.samples) / np.linalg.norm(noise) * 10 ** (-_NOISES[number % len(_NOISES)] / 20)
    rows = []
    for made in (coded, clip.samples + noise.astype(np.float32)):
        pair = clip.samples, made
        for name, (ours, upstream) in _METRICS.items():
            rows.append(_row(name, partial(ours, pair), partial(upstream, pair)))
    return rows


def _row(name: str, ours: Callable[[], Score], upstream: Callable[[], float]) -> Row:
    began = time.process_time()
    score = ours()
    between = time.process_time()
    value = float(upstream())
    times = {"ours_s": between - began, "upstream_s": time.process_time() - between}
    return {"metric": name, "ours": score.value, "upstream": value, "reason": score.reason, **times}


def _upstream_pesq(mode: str, pair: Pair) -> float:
    import pesq as package

    rate = RATE if mode == "wb" else RATE // 2
    return package.pesq(rate, *(Audio(samples, RATE).resample(rate).samples for samples in pair), mode)


def _upstream_stoi(extended: bool, pair: Pair) -> float:
    import pystoi

    return pystoi.stoi(*(samples.astype(np.float64) for samples in pair), RATE, extended)


def _upstream_mcd(aligning: str, pair: Pair) -> float:
    from mel_cepstral_distance import compare_audio_files
    from scipy.io import wavfile

    settings: dict[str, Any] = {"s": 0, "D": 13, "align_target": "mfcc", "dtw_radius": None, "aligning": aligning}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("reference.wav", "made.wav")]
        for path, samples in zip(paths, pair, strict=True):
            wavfile.write(path, RATE, samples.astype(np.float64))
        return compare_audio_files(*paths, **settings)[0] * 10 * 2**0.5 / 20  # the constant that upstream leaves out


def _beginning(pair: Pair) -> Pair:
    """The first seconds, the second clip starting later, so that the path has something to do."""
    real, made = (samples[: int(_WARPED_SECONDS * RATE)] for samples in pair)
    return real, made[RATE // 10 :]


_METRICS: dict[str, tuple[Callable[[Pair], Score], Callable[[Pair], float]]] = {
    "PESQ-WB": (lambda pair: pesq(*pair, RATE, "wb"), partial(_upstream_pesq, "wb")),
    "PESQ-NB": (lambda pair: pesq(*pair, RATE, "nb"), partial(_upstream_pesq, "nb")),
    "STOI": (lambda pair: stoi(*pair, RATE), partial(_upstream_stoi, False)),
    "ESTOI": (lambda pair: stoi(*pair, RATE, extended=True), partial(_upstream_stoi, True)),
    "MCD": (lambda pair: mel_cepstral_distance(*pair, RATE), partial(_upstream_mcd, "pad")),
    "MCD, warped": (
        lambda pair: mel_cepstral_distance(*_beginning(pair), RATE, "dtw"),
        lambda pair: _upstream_mcd("dtw", _beginning(pair)),
    ),
}


# ---- words ----------------------------------------------------------------------------------------------------------


def _words(texts: Sequence[str], seed: int) -> list[Row]:
    """Word error rates of each text after random edits, and of all texts together."""
    import jiwer

    random = np.random.default_rng(seed)
    words = sorted({word for text in texts for word in text.split()})
    if not words:
        raise ConfigError("the manifests have no 'text': WER needs what was said")
    rows, references, hypotheses = [], [], []
    for text, share in itertools.product(filter(normalize, texts), _EDITS):
        heard = _edited(text.split(), words, share, random)
        references.append(normalize(text))
        hypotheses.append(normalize(heard))
        ours = partial(lambda reference, made: wer(reference, made).score(), text, heard)
        rows.append(_row("WER", ours, partial(jiwer.wer, references[-1], hypotheses[-1])))
    total = partial(_rate_of_all, references, hypotheses)
    return [*rows, _row("WER of all", total, partial(jiwer.wer, references, hypotheses))]


def _rate_of_all(references: Sequence[str], hypotheses: Sequence[str]) -> Score:
    counts = [wer(reference, heard) for reference, heard in zip(references, hypotheses, strict=True)]
    return sum(counts[1:], counts[0]).score()


def _edited(said: Sequence[str], words: Sequence[str], share: float, random: np.random.Generator) -> str:
    """Each word left alone, or with this probability deleted, replaced, or followed by another."""
    heard = []
    for word in said:
        other = words[random.integers(len(words))]
        edits = ([], [other], [word, other])
        heard += edits[random.integers(3)] if random.random() < share else [word]
    return " ".join(heard)


# ---- the table ------------------------------------------------------------------------------------------------------


def _summary(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """The largest difference of a metric; a pair that has no figure of ours misses the target."""
    package = _PACKAGES[name]
    missing = [row["reason"] for row in rows if np.isnan(row["ours"])]
    differences = np.array([abs(row["ours"] - row["upstream"]) for row in rows if not np.isnan(row["ours"])])
    largest = float(differences.max()) if differences.size else float("nan")
    return {
        "metric": name, "upstream": f"{package} {version(package)}", "n": len(rows), "undefined": missing,
        "least": min(row["upstream"] for row in rows), "most": max(row["upstream"] for row in rows),
        "largest_difference": largest, "met": largest <= _TARGET and not missing,
        "cpu_ms": {side: 1e3 * float(np.mean([row[f"{side}_s"] for row in rows])) for side in ("ours", "upstream")},
    }  # fmt: skip


def _table(values: Sequence[dict[str, Any]], title: str) -> Table:
    table = Table(
        "metric", "upstream", "pairs", "from, to", "largest difference", "ms ours", "ms upstream", title=title
    )
    for value in values:
        largest = f"{value['largest_difference']:.1e} {verdict(value['largest_difference'] - _TARGET)}"
        if value["undefined"]:
            largest += f", {len(value['undefined'])} undefined: {value['undefined'][0]}"
        times = (f"{value['cpu_ms'][side]:.1f}" for side in ("ours", "upstream"))
        spread = f"{value['least']:.3f}, {value['most']:.3f}"
        table.add_row(value["metric"], value["upstream"], str(value["n"]), spread, largest, *times)
    return table


if __name__ == "__main__":
    main(parity)
