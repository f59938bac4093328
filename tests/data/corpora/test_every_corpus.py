"""What holds for every corpus: what is not there is named, and nothing is left half done."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.corpora.conftest import silent, sound
from vocable.data.corpora import CORPORA, audiomnist, find_corpus, fsdd
from vocable.data.corpora.recordings import known_age, known_text
from vocable.errors import ConfigError, InputError, ManifestError, OutputError, VocableError


def test_what_is_told_of_a_speaker_is_kept_only_where_it_can_be() -> None:
    ages = [7, "61", " 30 ", 0, -4, 121, "1234", "1" * 5000, "x", "", 2.5, True, None, [30]]
    assert [known_age(age) for age in ages] == [7, 61, 30, *[None] * 11]
    assert [known_text(text) for text in (" male ", "", "  ", None, 7, ["male"])] == ["male", *[None] * 5]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("audiomnist", r"holds no AudioMNIST \(looked for 01/0_01_0\.wav and data/01"),
        ("fsdd", r"holds no Free Spoken Digit Dataset \(looked for recordings/"),
        ("digit_strings", "cannot be read"),
        ("librispeech", r"holds no LibriSpeech \(looked for dev-clean/84/121123/84-121123\.trans\.txt"),
    ],
)
@pytest.mark.parametrize("kind", ["missing", "empty", "a file"])
def test_a_folder_that_is_not_the_corpus_says_what_was_looked_for(
    name: str, message: str, kind: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    if kind == "empty":
        source.mkdir()
    elif kind == "a file":
        source.write_bytes(b"\xff")
    with pytest.raises((InputError, ManifestError), match=rf"source.*: {message}"):
        find_corpus(name)(source, tmp_path / "out", say=silent)
    assert not (tmp_path / "out").exists()


def test_splits_and_places_that_cannot_be_leave_nothing(digits: Path, mnist: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    two = tmp_path / "two"
    for speaker in ("ann", "bob"):
        sound(two / "recordings" / f"1_{speaker}_0.wav")
    cases: list[tuple[Callable[[], object], type[VocableError], str]] = [
        (
            lambda: find_corpus("mnist"),
            ConfigError,
            "no corpus 'mnist'; there are audiomnist, fsdd, digit_strings, librispeech",
        ),
        (lambda: audiomnist.prepare(mnist, tmp_path / "out", split="official"), ConfigError, "speaker, random$"),
        (lambda: fsdd.prepare(digits, tmp_path / "out", split="x"), ConfigError, "split is 'x'.*random, official$"),
        (lambda: fsdd.prepare(digits, tmp_path / "out", seed=-1), ConfigError, "seed is -1"),
        (lambda: fsdd.prepare(two, tmp_path / "out"), ConfigError, "2 speakers .*at random instead"),
        (lambda: fsdd.prepare(two, tmp_path / "out", split="random"), ConfigError, "2 recordings"),
        (lambda: fsdd.prepare(digits, tmp_path / "file"), OutputError, "file: this folder cannot be created"),
    ]
    for call, kind, message in cases:
        with pytest.raises(kind, match=message):
            call()
    assert not (tmp_path / "out").exists()


def test_every_corpus_is_known_by_its_name() -> None:
    assert [prepare.__module__.rsplit(".", 1)[1] for prepare in CORPORA.values()] == list(CORPORA)
