"""Reading block by block gives the samples of the whole, in constant memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tests.audio.sounds import joined, noise
from vocable.audio import Audio, read_blocks


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_the_samples_do_not_depend_on_the_blocks(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    Audio(noise(12_001), 16_000).write(path)  # noise: an MP3 frame of it leans on the frames before
    for rate in (16_000, 11_025, 48_000):
        whole = Audio.read(path, rate).samples
        assert whole.size == -(-12_001 * rate // 16_000)
        for seconds in (0.007, 0.0371, 0.5, 60.0):
            assert np.array_equal(joined(path, rate, seconds), whole)


def test_the_shortest_block_is_one_sample(tmp_path: Path) -> None:
    Audio(noise(50), 16_000).write(tmp_path / "a.wav")
    blocks = list(read_blocks(tmp_path / "a.wav", 16_000, seconds=0.0))
    assert [block.size for block in blocks] == [1] * 50
    assert np.array_equal(joined(tmp_path / "a.wav", 44_100, 0.0), Audio.read(tmp_path / "a.wav", 44_100).samples)


def test_blocks_are_never_empty_and_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for minutes in (1, 8):
        Audio(np.zeros(minutes * 60 * 8_000), 8_000).write(tmp_path / "long.wav")
        tracemalloc.start()
        assert all(block.size for block in read_blocks(tmp_path / "long.wav", 16_000, seconds=1.0))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 2e6
