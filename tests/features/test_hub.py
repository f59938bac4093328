import os
import time
from pathlib import Path

import huggingface_hub as hub
import pytest

from vocable.errors import CheckpointError
from vocable.features.hub import fetch, located


def _absent(name: str, local: bool) -> str:
    if local:
        raise OSError("not in the cache")
    return "from the hub"


def test_an_unreachable_hub_is_said_at_once(monkeypatch) -> None:
    def unreachable(self: object, name: str, timeout: float) -> None:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(hub.HfApi, "model_info", unreachable)
    start = time.monotonic()
    with pytest.raises(CheckpointError, match=r"owner/model: .*Name or service not known.*give its folder") as caught:
        fetch("owner/model", _absent)
    assert time.monotonic() - start < 2
    assert "\n" not in str(caught.value)


def test_the_cache_comes_before_the_hub_and_the_hub_is_asked_only_if_it_answers(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(hub.HfApi, "model_info", lambda self, name, timeout: asked.append(name))
    assert fetch("owner/model", lambda name, local: local) is True
    assert asked == []
    assert fetch("owner/model", _absent) == "from the hub"
    assert asked == ["owner/model"]


def test_a_name_that_is_no_name_is_an_error_of_ours() -> None:
    with pytest.raises(CheckpointError, match="no folder, not in the local cache"):
        fetch("not a name/at/all", _absent)


def test_a_name_is_looked_for_in_the_folders_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("one/other", "two/tiny", "three/tiny"):
        (tmp_path / place).mkdir(parents=True)
    folders = [str(tmp_path / name) for name in ("missing", "one", "two", "three")]
    monkeypatch.setenv("VOCABLE_WEIGHTS", os.pathsep.join(["", *folders]))
    assert located("owner/tiny") == located("tiny") == str(tmp_path / "two" / "tiny")
    assert located(str(tmp_path / "three" / "tiny")) == str(tmp_path / "three" / "tiny"), "a folder is one already"
    for name in ("owner/huge", "..", "", "/"):
        assert located(name) == name
    monkeypatch.delenv("VOCABLE_WEIGHTS")
    assert located("owner/tiny") == "owner/tiny"
