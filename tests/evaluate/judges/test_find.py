import pytest

from vocable.errors import CheckpointError, ConfigError
from vocable.evaluate.judges.base import OpinionPredictor, PitchTracker, SpeakerEncoder
from vocable.evaluate.judges.find import find_scorer
from vocable.interfaces import SpeechRecognizer


@pytest.mark.parametrize(
    ("kind", "protocol", "name", "offline"),
    [
        ("pitch", PitchTracker, "swift-f0-", "swift-f0"),
        ("speaker", SpeakerEncoder, "resemblyzer-", "resemblyzer"),
        ("recognizer", SpeechRecognizer, "moonshine-tiny.en-", "moonshine"),
        ("opinion", OpinionPredictor, "speechmos-", "dnsmos-p808"),
    ],
)
def test_each_kind_has_an_offline_judge(kind, protocol, name, offline) -> None:
    judge = find_scorer(kind)
    assert isinstance(judge, protocol)
    assert judge.name.startswith(name)
    assert find_scorer(kind, offline).name == judge.name


def test_an_unknown_name_lists_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"'best' is no speaker scorer; there are resemblyzer, ecapa, a model's name"):
        find_scorer("speaker", "best")
    with pytest.raises(ConfigError, match=r"'a/b' is no opinion scorer; there are dnsmos-p808, dnsmos, distillmos$"):
        find_scorer("opinion", "a/b")


@pytest.mark.parametrize("kind", ["speaker", "recognizer"])
def test_a_folder_is_read_as_a_model(kind, tmp_path) -> None:
    with pytest.raises(CheckpointError, match="holds no model of this kind"):
        find_scorer(kind, str(tmp_path))
