"""Plans of jobs: outputs mirror their inputs, names that clash are found, and the cost grows with the files alone."""

import cProfile
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vocable.corpus.files import find_recordings
from vocable.corpus.plan import Recording, choose_targets, find_clashes, mirror_names, read_recordings
from vocable.errors import OutputError
from vocable.file_search import find_rooted
from vocable.write_rules import write_rules


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names_of(manifest: Path) -> list[str]:
    found = [(recording.path, root) for recording, root in read_recordings(manifest)]
    return [path.as_posix() for path in mirror_names(found, ".tokens")]


def write(manifest: Path, *paths: str | Path) -> Path:
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text("".join(json.dumps({"audio_path": str(path)}) + "\n" for path in paths))
    return manifest


def test_outputs_of_a_manifest_mirror_the_folder_that_holds_its_recordings(tmp_path: Path) -> None:
    one, two = tmp_path / "audio/s1/001.wav", tmp_path / "audio/s2/001.wav"
    assert names_of(write(tmp_path / "lists/m.jsonl", one, two)) == ["s1/001.tokens", "s2/001.tokens"]
    assert names_of(write(tmp_path / "lists/n.jsonl", "../audio/s1/001.wav", two)) == ["s1/001.tokens", "s2/001.tokens"]
    assert names_of(write(tmp_path / "lists/o.jsonl", one)) == ["001.tokens"]
    assert names_of(write(tmp_path / "m.jsonl", one, "audio/s2/001.wav")) == [
        "audio/s1/001.tokens", "audio/s2/001.tokens",
    ]  # fmt: skip
    inside_and_outside = write(tmp_path / "audio/m.jsonl", "s1/001.wav", tmp_path / "other/002.wav")
    assert names_of(inside_and_outside) == ["audio/s1/001.tokens", "other/002.tokens"]


def test_outputs_of_a_pattern_mirror_its_fixed_part(tmp_path: Path) -> None:
    touch(tmp_path / "in/s1/001.wav", tmp_path / "in/s2/001.wav", tmp_path / "in/002.wav")
    for pattern, names in (
        ("in/**/*.wav", ["002.wav", "s1/001.wav", "s2/001.wav"]),
        ("in/*/*.wav", ["s1/001.wav", "s2/001.wav"]),
        ("in/s?/001.*", ["s1/001.wav", "s2/001.wav"]),
        ("in/s1/*.wav", ["001.wav"]),
        ("*/s[12]/*", ["in/s1/001.wav", "in/s2/001.wav"]),
    ):
        found = find_rooted([tmp_path / pattern], {".wav"}, "audio")
        assert [path.as_posix() for path in mirror_names(found, ".wav")] == names


def test_a_folder_is_named_by_a_slash_or_because_it_exists(tmp_path: Path) -> None:
    (tmp_path / "old.wav").mkdir()
    name = [Path("a.wav")]
    assert choose_targets(name, f"{tmp_path}/ee/", (), is_file=True) == [tmp_path / "ee/a.wav"]
    assert choose_targets(name, tmp_path / "old.wav", {".wav"}) == [tmp_path / "old.wav/a.wav"]
    assert choose_targets(name, tmp_path / "ee", (), is_file=True) == [tmp_path / "ee"]
    assert choose_targets(name, tmp_path / "ee", {".wav"}) == [tmp_path / "ee/a.wav"]
    assert choose_targets(name, tmp_path / "new.WAV", {".wav"}) == [tmp_path / "new.WAV"]
    with pytest.raises(OutputError, match=r"new\.wav is one file and there are 2 results; pass a folder"):
        choose_targets(name * 2, tmp_path / "new.wav", {".wav"})


def test_a_clash_names_all_of_its_inputs_and_no_other(tmp_path: Path) -> None:
    items = [Path(name) for name in ("x/a.wav", "y/b.wav", "y/a.wav", "z/a.flac", "w/b.wav", "c.wav")]
    clashes = find_clashes(items, [Path(f"out/{item.stem}.tokens") for item in items])
    assert sorted(clashes.errors) == [0, 1, 2, 3, 4]
    assert clashes.errors[0] is clashes.errors[2] is clashes.errors[3]
    assert all(name in str(clashes.errors[0]) for name in ("out/a.tokens", "x/a.wav", "y/a.wav", "z/a.flac"))
    assert str(clashes.errors[1]).endswith("y/b.wav, w/b.wav")
    assert not clashes.repeated


def test_two_spellings_of_one_output_clash_and_two_of_one_input_do_not(tmp_path: Path) -> None:
    touch(tmp_path / "a.wav", tmp_path / "b.wav")
    (tmp_path / "out").mkdir()
    (tmp_path / "alias").symlink_to("out")
    (tmp_path / "link.wav").symlink_to("a.wav")
    os.link(tmp_path / "a.wav", tmp_path / "hard.wav")
    targets = [tmp_path / "out/x.tokens", tmp_path / "alias/x.tokens"]
    assert len(find_clashes([tmp_path / "a.wav", tmp_path / "b.wav"], targets).errors) == 2
    assert len(find_clashes([tmp_path / "a.wav", tmp_path / "hard.wav"], targets).errors) == 2
    same = find_clashes([tmp_path / "a.wav", tmp_path / "link.wav"], targets)
    assert (same.errors, same.repeated) == ({}, {1})
    texts = [Recording(tmp_path / "a.wav", text) for text in ("one", "one", "two")]
    assert find_clashes(texts[:2], targets).repeated == {1}
    assert set(find_clashes(texts, [targets[0]] * 3).errors) == {0, 2}


def calls_of(work: Callable[[], object]) -> int:
    """Return the number of calls of functions, which neither the load nor the speed of a machine changes."""
    profile = cProfile.Profile()
    profile.runcall(work)
    return sum(entry.callcount for entry in profile.getstats())


@pytest.mark.parametrize("kind", ["folder", "manifest", "pattern", "names", "clashing", "repeated", "unreadable"])
def test_the_cost_of_a_plan_grows_with_the_number_of_files_and_no_faster(tmp_path: Path, kind: str) -> None:
    def plan(count: int) -> Callable[[], object]:
        place = tmp_path / str(count)
        paths = [place / f"s{index // 20}" / f"{index % 20}.wav" for index in range(count)]
        if kind == "unreadable":
            paths = [path.with_suffix((".wav", ".m4a", ".webm")[index % 3]) for index, path in enumerate(paths)]
        touch(*paths)
        listed = {"clashing": paths, "repeated": paths[:2] * (count // 2)}.get(kind, paths)
        manifest = write(tmp_path / f"{count}.jsonl", *listed)
        inputs: dict[str, list[Path]] = {"pattern": [place / "**/*.wav"], "names": paths}
        source = inputs.get(kind, [place] if kind in ("folder", "unreadable") else [manifest])

        def work() -> None:
            with write_rules():
                found = find_recordings(source, [manifest] if source == [manifest] else [], None)
                names = mirror_names([(one.path, root) for one, root in found], ".tokens")
                names = [Path(name.name) for name in names] if kind == "clashing" else names
                find_clashes([one for one, _ in found], choose_targets(names, tmp_path / "out", {".tokens"}))

        return work

    small, large = (calls_of(plan(count)) for count in (80, 640))
    assert large < 8 * small * 1.25
