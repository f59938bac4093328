"""Tones, noise, a FLAC of unknown length, and a recording read block by block."""

from pathlib import Path

import numpy as np

from vocable.audio import read_blocks


def tone(frequency: float, rate: int, seconds: float = 0.5, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def noise(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, size).astype(np.float32)


def forget_length(path: Path) -> None:
    """Make a FLAC one whose writer did not know how long it would become."""
    flac = bytearray(path.read_bytes())
    flac[21] &= 0xF0  # the 36 bits of STREAMINFO that count the samples
    flac[22:26] = bytes(4)
    path.write_bytes(flac)


def joined(path: Path, rate: int, seconds: float) -> np.ndarray:
    return np.concatenate(list(read_blocks(path, rate, seconds=seconds)))
