"""Settings, listeners and files that cannot be used are refused."""

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.systems.taste.spoken import Frames, Units, Voice, spoken
from vocable.data.manifest import Utterance
from vocable.errors import CheckpointError, ConfigError, ManifestError
from vocable.systems.taste.data import TasteBatch, TasteBatchConfig


def test_nothing_to_learn_from_and_listeners_in_the_wrong_place(lines: list[Utterance], tmp_path: Path) -> None:
    mute = [Utterance(audio_path=lines[0].audio_path)]
    with pytest.raises(ManifestError, match=r"none of 1 recordings can be used; the first: .*no 'text'"):
        spoken(mute, tmp_path)
    for parts in ({"units": Voice()}, {"frames": Voice()}, {"voice": Units()}):
        with pytest.raises(ConfigError, match="exchange them"):
            spoken(lines, tmp_path, **parts)
    with pytest.raises(CheckpointError, match=r"cannot be read|holds"):
        spoken(lines, tmp_path / "two", units=Frames()).row(0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_seconds": 0.0}, "max_seconds is 0.0"),
        ({"max_seconds": float("nan")}, "max_seconds is nan"),
        ({"voice_width": 0}, "voice_width is 0"),
        ({"gain_db": (-3.0, 0.0)}, r"gain_db is \(-3.0, 0.0\); it must be \(0, 0\), as features are kept"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"speeds": ()}, r"speeds is \(\); give one or more"),
        ({"speeds": (1.0, 0.4)}, "speeds.1 is 0.4: .* greater than or equal to 0.5"),
        ({"speeds": (1.0, float("nan"))}, "speeds.1 is nan"),
        ({"speeds": (1.0, 0.9, 1.0)}, "speeds is .*each once"),
        ({"share": 0.0}, "share is 0.0: .* greater than 0"),
        ({"share": 1.5}, "share is 1.5"),
        ({"share": float("nan")}, "share is nan"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"(utterances|TasteBatchConfig): {message}"):
        TasteBatchConfig(**values)


def test_a_file_that_was_altered_is_refused(lines: list[Utterance], tmp_path: Path) -> None:
    drawn = spoken(lines[:1], tmp_path)
    drawn.row(0)
    (file,) = (tmp_path / "cache" / "frames").glob("*.safetensors")
    save_file({"target": load_file(file)["target"][:, :4].contiguous()}, file, metadata={"digest": "frames"})
    with pytest.raises(CheckpointError, match=r"holds \[50, 4\] of F16"):
        drawn.batch(0)
    assert isinstance(spoken(lines[1:], tmp_path).batch(0), TasteBatch)
