"""Made-up speech whose phones are known: a phone is two tones of its own, a speaker a throat's length and a tilt."""

import json
from pathlib import Path

import numpy as np

from vocable.audio import Audio

RATE = 8_000
TONES = {
    "AA": (750, 1_150), "IY": (280, 2_350), "UW": (320, 820), "EH": (560, 1_800),
    "S": (2_700, 3_300), "M": (230, 1_350), "R": (430, 1_550), "SH": (1_900, 2_500),
}  # fmt: skip
SPEAKERS = {"ann": (1.06, 1.6), "bob": (0.94, 0.5), "cat": (1.0, 0.9)}  # factor of the tones, of the upper one's level
Segments = list[list[str | float]]  # of a manifest's key ``alignment``


def spoken(seconds: float, speaker: str, seed: int) -> tuple[Audio, Segments]:
    """Phones in random order, each 60 to 180 ms long, now and then a pause; about so long, and what is where."""
    random = np.random.default_rng((seed, len(speaker), ord(speaker[0])))
    factor, tilt = SPEAKERS[speaker]
    segments: Segments = []
    parts, at, last = [], 0, ""
    while at < seconds * RATE:
        symbol = str(random.choice([one for one in ("SIL", *TONES) if one != last]))
        size = int(RATE * random.uniform(0.06, 0.18))
        segments.append([symbol, at / RATE, (at + size) / RATE])
        low, high = TONES.get(symbol, (0.0, 0.0))
        parts.append(np.stack([np.full(size, low), np.full(size, high), np.full(size, float(symbol != "SIL"))]))
        at, last = at + size, symbol
    low, high, loud = np.concatenate(parts, axis=1)
    sound = sum(
        level * np.sin(2 * np.pi * np.cumsum(factor * tone) / RATE) for tone, level in ((low, 1.0), (high, tilt))
    )
    samples = random.uniform(0.15, 0.3) * loud * sound + 0.002 * random.standard_normal(at)
    return Audio(samples.astype(np.float32), RATE), segments


def write_phones(folder: Path, clips: int = 4, seconds: float = 4.0, unlabelled: int = 1) -> Path:
    """A corpus with a manifest: of each speaker so many aligned clips, the last of them the test split, and others."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for speaker in SPEAKERS:
        for take in range(clips + unlabelled):
            clip, segments = spoken(seconds, speaker, take)
            name = f"{speaker}_{take}.wav"
            clip.write(folder / name)
            line = {"audio_path": name, "speaker": speaker, "split": "test" if take == clips - 1 else "train"}
            lines.append(line | ({"alignment": segments} if take < clips else {}))
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return manifest
