import time

import huggingface_hub as hub
import pytest

from vocable.errors import CheckpointError
from vocable.features.hub import fetch


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
