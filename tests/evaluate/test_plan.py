"""Keys of clips: no folder of this machine in them, and none of two alike."""

import json
from pathlib import Path

import pytest

from vocable.evaluate.plan import Plan, select_clips
from vocable.testing import speechlike


def write(folder: Path, manifest: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        speechlike(800).write(folder / name)
    manifest.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"audio_path": str(folder / name), "split": ["dev", "test"][at % 2]} for at, name in enumerate(names)]
    manifest.write_text("\n".join(map(json.dumps, lines)))


def keys(*manifests: Path, **more: object) -> list[str]:
    return list(select_clips(Plan(manifests=manifests, **more)))  # type: ignore[arg-type]


def test_keys_are_relative_to_the_manifest(tmp_path: Path) -> None:
    write(tmp_path / "audio", tmp_path / "manifest.jsonl", ["s1/a.wav", "s2/a.wav"])
    assert keys(tmp_path / "manifest.jsonl", split="all") == ["audio/s1/a.wav", "audio/s2/a.wav"]


@pytest.mark.parametrize("place", ["lists/deep/manifest.jsonl", "corpus/s1/manifest.jsonl"])
def test_a_manifest_elsewhere_takes_the_common_folder_of_its_files(tmp_path: Path, place: str) -> None:
    write(tmp_path / "corpus", tmp_path / place, ["s1/a.wav", "s2/a.wav", "s2/b.wav"])
    assert keys(tmp_path / place, split="all") == ["s1/a.wav", "s2/a.wav", "s2/b.wav"]
    assert keys(tmp_path / place) == ["s2/a.wav"]  # of one split, the same as of all


def test_a_lone_file_elsewhere_is_its_name(tmp_path: Path) -> None:
    write(tmp_path / "corpus", tmp_path / "lists/manifest.jsonl", ["s1/a.wav"])
    assert keys(tmp_path / "lists/manifest.jsonl", split="all") == ["a.wav"]


def test_manifests_in_folders_of_one_name_keep_all_their_clips(tmp_path: Path) -> None:
    manifests = [tmp_path / side / "data/manifest.jsonl" for side in ("one", "two")]
    for manifest in manifests:
        write(manifest.parent, manifest, ["a.wav", "b.wav"])
    found = keys(*manifests, split="all")
    assert found == ["data/a.wav", "data/b.wav", "data#2/a.wav", "data#2/b.wav"]
