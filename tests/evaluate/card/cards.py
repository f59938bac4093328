"""A report card made of figures written by hand."""

import math

from vocable.audio import Audio
from vocable.evaluate.canvas import draw_figure
from vocable.evaluate.card import Card, Column, Entry, Picture, ProbeRow, Sample
from vocable.metrics.codebook import LevelUsage
from vocable.metrics.score import Figure
from vocable.testing import speechlike

# in every text there is; its last letter turns what follows around
BAD = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>|`*\u202e"
COLUMNS = (
    Column(key="pesq_wb", title="PESQ-WB", better="higher", caption="Perceptual quality, ITU-T P.862.2."),
    Column(key="stoi", title="STOI", better="higher", form=".3f", caption="Intelligibility, up to 1."),
    Column(key="wer@ps-5.1.1", title="WER", unit="%", better="lower", form=".1f", caption="Word errors of ps-5.1.1."),
    Column(key="speaker_similarity@r", title="speaker similarity", better="higher", form=".3f", caption="Cosine."),
    Column(key="si_sdr", title="SI-SDR", unit="dB", better="higher", caption="Capped at 100 dB."),
    Column(key="bit_rate", title="bit/s", unit="bit/s", better="lower", form=",.0f", caption="Counted from the bytes."),
)
FIGURES = {  # name: kind, family, bit/s, PESQ-WB, STOI, WER, similarity, SI-SDR
    "guided-small": ("tokenizer", "guided-small", 4000, 2.59, 0.905, 0.31, 0.87, 1.2),
    "guided-small@4": ("tokenizer", "guided-small", 2000, 2.02, 0.86, 0.38, 0.82, -0.8),
    "guided-small@2": ("tokenizer", "guided-small", 1000, 1.55, 0.80, 0.52, 0.74, -3.9),
    "spectral-tiny": ("tokenizer", "spectral-tiny", 800, 1.31, 0.71, 0.66, 0.66, -8.0),
    "spectral-tiny@2": ("tokenizer", "spectral-tiny", 400, 1.18, 0.64, 0.81, 0.58, -11.0),
    "Opus 6k": ("codec", "Opus", 6100, 1.74, 0.83, 0.40, 0.79, 0.4),
    "Opus 12k": ("codec", "Opus", 12_300, 3.1, 0.94, 0.27, 0.93, 6.6),
    "Codec2 3200": ("codec", "Codec2", 3200, 1.33, 0.72, 0.58, 0.61, -20.0),
    "Codec2 700C": ("codec", "Codec2", 700, 1.12, 0.58, 0.93, 0.45, -24.0),
    "Speex 4k": ("codec", "Speex", 3950, 1.6, 0.79, 0.47, 0.7, -6.0),
    "elsewhere": ("decoded", "elsewhere", math.nan, 2.2, 0.88, 0.36, 0.8, 0.1),
    "identity": ("anchor", "identity", math.nan, 4.64, 1.0, 0.22, 1.0, 100.0),
    "noise": ("anchor", "noise", math.nan, 1.03, 0.61, 0.97, 0.53, -5.0),
}
SPREAD = (0.06, 0.008, 0.03, 0.01, 0.4)  # half an interval of each metric


def usage(levels: int) -> tuple[LevelUsage, ...]:
    return tuple(
        LevelUsage(
            level=at, codebook_size=1024, frames=20_000, distinct=1024 - 70 * at, entropy=9.6 - at / 3, top_share=0.1
        ) for at in range(1, levels + 1)
    )  # fmt: skip


def figures(name: str, shift: float = 0.0, n: int = 80) -> dict[str, Figure]:
    _, _, rate, pesq, stoi, wer, similarity, si_sdr = FIGURES[name]
    found = {}
    for column, mean, by in zip(COLUMNS, (pesq, stoi, wer, similarity, si_sdr), SPREAD, strict=False):
        mean += shift * by
        found[column.key] = Figure(mean=mean, low=mean - by, high=mean + by, n=n)
    if not math.isnan(rate):
        found["bit_rate"] = Figure(mean=float(rate), low=float(rate), high=float(rate), n=n)
    return found


def entry(name: str, bad: str) -> Entry:
    kind, family, rate, *_ = FIGURES[name]
    own = figures(name)
    if name == "Codec2 700C":
        own["pesq_wb"] = Figure(mean=1.12, low=1.08, high=1.15, n=77, excluded=3, reasons={f"silent{bad}": 3})
    if name == "elsewhere":
        own["si_sdr"] = Figure(mean=math.nan, low=math.nan, high=math.nan, n=0, excluded=80, reasons={"too short": 80})
    groups = {
        "gender": {f"F{bad}": figures(name, 0.5, 38), "M": figures(name, -0.5, 42)},
        "speaker": {str(at): figures(name, (at * 7 % 5 - 2) / 2, 8) for at in (61, 121, 237, 260, 672)},
    }
    return Entry(
        name=name, kind=kind, family=family, note=f"version 1.0, seed 0{bad}", bit_rate=float(rate), figures=own,
        groups=groups, usage=usage(8 if name == "guided-small" else 4) if kind == "tokenizer" else (),
        reported={"pesq_wb": (2.72, f"table 3{bad}")} if name == "guided-small" else {},
    )  # fmt: skip


def probes(bad: str) -> list[ProbeRow]:
    rows = []
    views = ("level 1", "levels 2 to 8", "all levels", "voice vector")
    for probe, metric, chance, majority, values in (
        ("speaker", "top-1 accuracy", 1 / 40, 0.04, (0.12, 0.55, 0.58, 0.93)),
        ("gender", "top-1 accuracy", 0.5, 0.52, (0.71, 0.93, 0.95, 0.99)),
        ("emotion", "top-1 accuracy", 1 / 7, 0.24, (0.35, 0.46, 0.5, 0.44)),
        ("content", "PER", math.nan, math.nan, (0.31, 0.66, 0.3, 0.98)),
    ):
        for view, value in zip(views, values, strict=True):
            figure = Figure(mean=value, low=value - 0.03, high=min(value + 0.03, 1.0), n=412)
            better = "lower" if metric == "PER" else "higher"
            rows.append(
                ProbeRow(entry="guided-small", probe=probe, view=view, metric=metric, better=better, figure=figure,
                         chance=chance, majority=majority, note=f"5 seeds, other speakers{bad}")
            )  # fmt: skip
    return rows


def samples(sounds: list[Audio], bad: str) -> list[Sample]:
    def sample(at: int, why: str, names: tuple[str, ...]) -> Sample:
        clip = sounds[at % len(sounds)]
        made = {
            name: (Audio(clip.samples * (0.9 - 0.1 * place), clip.sample_rate), f"PESQ-WB 2.{at}, STOI 0.9{at}{bad}")
            for place, name in enumerate(names)
        }
        facts = {"speaker": "61", "gender": f"F{bad}", "text": f"he tells us that at this festive season{bad}"}
        return Sample(utterance=f"61/clip-{at}{bad}.flac", reason=why, labels=facts, recording=clip, versions=made)

    everything = ("guided-small", "spectral-tiny", "Opus 6k", "Codec2 3200", "Speex 4k")
    found = [
        sample(at, f"PESQ-WB of guided-small: {why}", everything) for at, why in enumerate(("middle", "good", "bad"))
    ]
    for name in ("guided-small", "spectral-tiny"):
        for side in ("worst", "best"):
            found += [sample(at, f"{side} PESQ-WB of {name}", (name,)) for at in range(len(sounds))]
    return found


def card(bad: str = "", sounds: list[Audio] | None = None) -> Card:
    """Two tokenizers, three codecs, a folder from elsewhere, anchors, probes, clips; ``bad`` in every free text."""
    clips = sounds or [speechlike(8_000, seed=seed) for seed in range(3)]
    return Card(
        title=f"guided-small, spectral-tiny{bad}", lead=f"80 clips of LibriSpeech test-clean, 2026-11-21{bad}",
        columns=COLUMNS, entries=[entry(name, bad) for name in FIGURES], samples=samples(clips, bad),
        probes=probes(bad), alarms=[f"anchor off: noise has PESQ-WB 2.9{bad}"] if bad else [],
        quarantined={f"61/broken{bad}.flac": f"no sound{bad}"}, left_out=[f"AMR-WB: no encoder here{bad}"],
        settings={"seed": 0, f"manifest{bad}": {"sha256": "0" * 64, "note": bad}},
        pictures=[Picture(title=f"Loss{bad}", caption=f"falls{bad}", png=draw_figure(1.0, 1.0, lambda figure: None))],
    )  # fmt: skip
