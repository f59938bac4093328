"""Ten made-up digits: each a glide of two tones of its own, by speakers who differ in pitch, tempo and level."""

import json
from pathlib import Path

import numpy as np

from vocable.audio import Audio

RATE = 8_000
SPEAKERS = {"ann": ("female", 1.12), "bob": ("male", 0.9), "cat": ("female", 1.0)}


def digit(which: int, take: int, voice: float) -> Audio:
    """One recording: where the tones begin and end says which digit it is."""
    random = np.random.default_rng((which, take, round(100 * voice)))
    count = int(RATE * random.uniform(0.3, 0.45))
    time = np.linspace(0, 1, count)
    low = 350 + 60 * (which % 5) + 300 * time * (1 if which < 5 else -1)
    high = 1300 + 200 * ((3 * which) % 10) + 500 * time * (-1 if which % 2 else 1)
    sound = sum(np.sin(2 * np.pi * np.cumsum(voice * tone) / RATE + random.uniform(0, 6)) for tone in (low, high))
    sound = sound * np.hanning(count) ** 0.3 + 0.003 * random.standard_normal(count)
    samples = np.concatenate([np.zeros(400), random.uniform(0.1, 0.4) * sound, np.zeros(300)])
    return Audio(samples.astype(np.float32), RATE)


def write_digits(folder: Path, takes: int = 4, digits: int = 10) -> Path:
    """A corpus with a manifest: the last take of each speaker and digit is the test split."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for speaker, (gender, voice) in SPEAKERS.items():
        for which in range(digits):
            for take in range(takes):
                name = f"{which}_{speaker}_{take}.wav"
                digit(which, take, voice).write(folder / name)
                split = "test" if take == takes - 1 else "train"
                lines.append({"audio_path": name, "digit": which, "speaker": speaker, "gender": gender, "split": split})
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return manifest
