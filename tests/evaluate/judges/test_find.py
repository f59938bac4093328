import pytest

from vocable.errors import CheckpointError, ConfigError
from vocable.evaluate.judges.base import OpinionPredictor, PitchTracker, Recogniser, SpeakerEncoder
from vocable.evaluate.judges.find import find_judge, judge_names


@pytest.mark.parametrize(
    ("kind", "protocol", "name"),
    [
        ("pitch", PitchTracker, "swift-f0-"),
        ("speaker", SpeakerEncoder, "resemblyzer-"),
        ("recogniser", Recogniser, "pocketsphinx-"),
        ("opinion", OpinionPredictor, "speechmos-"),
    ],
)
def test_each_kind_has_an_offline_judge(kind, protocol, name) -> None:
    judge = find_judge(kind)
    assert isinstance(judge, protocol)
    assert judge.name.startswith(name)
    assert find_judge(kind, judge_names(kind)[0]).name == judge.name


def test_an_unknown_name_lists_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"'best' is no speaker judge; there are resemblyzer, ecapa, a model's name"):
        find_judge("speaker", "best")
    with pytest.raises(ConfigError, match=r"'a/b' is no opinion judge; there are dnsmos-p808, dnsmos$"):
        find_judge("opinion", "a/b")


@pytest.mark.parametrize("kind", ["speaker", "recogniser"])
def test_a_folder_is_read_as_a_model(kind, tmp_path) -> None:
    with pytest.raises(CheckpointError, match="holds no model of this kind"):
        find_judge(kind, str(tmp_path))
