"""Long recordings take the memory of short ones; `benchmarks/long_audio.py` does the same with three hours."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_six_minutes_take_the_memory_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    import long_audio

    values = long_audio.measure(tmp_path, "guided-small", 60, 360, 16_000)
    assert values["differences"] == []
    assert set(values["over_mb"]) == {"encode_blocks", "decode_blocks", "vocable encode", "vocable decode"}
    assert max(values["over_mb"].values()) < 15  # the audio alone has 19 MB more, and the whole clip takes far more
    assert values["whole_clip_mb"] > max(peaks[1] for peaks in values["peak_mb"].values()) + 19
