"""AudioMNIST becomes a manifest, with what its table tells of speakers."""

from pathlib import Path

import pytest

from tests.data.corpora.conftest import lines, no_manifest, silent, sound
from vocable.data.corpora import audiomnist
from vocable.data.corpora.recordings import SHARES
from vocable.errors import InputError


@pytest.mark.parametrize("inside", ["", "data"])
def test_audiomnist_is_found_at_its_root_and_in_data(inside: str, mnist: Path, tmp_path: Path) -> None:
    rows = lines(audiomnist.prepare(mnist / inside, tmp_path / "out", say=silent))
    assert len(rows) == 8
    assert len({(row["speaker"], row["split"]) for row in rows}) == 4
    assert {row["split"] for row in rows} == set(SHARES)
    about = {row["speaker"]: (row.get("gender"), row.get("age"), row.get("accent")) for row in rows}
    assert about == {
        "audiomnist-01": ("male", 30, "german"), "audiomnist-02": ("female", 25, "German"),
        "audiomnist-03": (None, None, None), "audiomnist-04": (None, None, None),
    }  # fmt: skip
    assert [row["text"] for row in rows[:2]] == ["zero", "nine"]


def test_audiomnist_without_its_table_and_with_files_in_the_wrong_folder(mnist: Path, tmp_path: Path) -> None:
    (mnist / "data" / "audioMNIST_meta.txt").unlink()
    sound(mnist / "data" / "02" / "5_01_0.wav")
    said: list[str] = []
    rows = lines(audiomnist.prepare(mnist, tmp_path / "out", split="random", say=said.append))
    assert len(rows) == 8
    assert not any({"gender", "accent", "age"} & set(row) for row in rows)
    assert "1 files left out: their names do not follow the corpus, such as 02/5_01_0.wav" in said


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[" * 100_000, "[]", '{"01": 7}', '{"01": {"age": ' + "1" * 5000 + "}}"]
)
def test_a_damaged_table_is_named(text: str, mnist: Path, tmp_path: Path) -> None:
    (mnist / "data" / "audioMNIST_meta.txt").write_text(text)
    with pytest.raises(InputError, match=r"audioMNIST_meta\.txt: .*copy it again, or remove it"):
        audiomnist.prepare(mnist, tmp_path / "out", say=silent)
    assert no_manifest(tmp_path / "out")
