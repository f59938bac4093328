"""Files are whole or absent, whatever happens while they are written; inputs are found or missed by name."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.disk import disk_with_room_for, listing
from vocable.errors import InputError, OutputError
from vocable.file_search import find_files
from vocable.files import make_folder, sha256, write_json, write_whole


def _lines(path: Path) -> None:
    with path.open("w") as file:
        file.writelines(["0" * 1000] * 100)


WRITERS: dict[str, Callable[[Path], object]] = {
    "bytes": lambda path: path.write_bytes(bytes(100_000)),
    "lines": _lines,
    "safetensors": lambda path: save_file({"weight": torch.zeros(25_000)}, path),
}


@pytest.mark.parametrize("put", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("before", [None, b"what was there"], ids=["new", "old"])
def test_a_full_disk_leaves_nothing_half_written(
    put: Callable[[Path], object], before: bytes | None, tmp_path: Path
) -> None:
    target = tmp_path / "result.bin"
    if before is not None:
        target.write_bytes(before)
    with disk_with_room_for(10_000), pytest.raises(OutputError, match=r"result\.bin: cannot be written .*free space"):
        write_whole(target, put)
    assert listing(tmp_path) == ([] if before is None else ["result.bin"])
    assert before is None or target.read_bytes() == before


def test_a_disk_that_is_full_only_when_synced_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(OutputError, match="No space left on device"):
        write_whole(tmp_path / "result", lambda path: path.write_bytes(b"x"))
    assert listing(tmp_path) == []


@pytest.mark.parametrize("crash", [ValueError("a bug"), KeyboardInterrupt(), MemoryError()], ids=repr)
def test_a_crash_while_writing_keeps_the_old_file(crash: BaseException, tmp_path: Path) -> None:
    target = tmp_path / "result"
    target.write_bytes(b"old")

    def put(path: Path) -> None:
        path.write_bytes(b"half of the ne")
        raise crash

    with pytest.raises(type(crash)):
        write_whole(target, put)
    assert listing(tmp_path) == ["result"]
    assert target.read_bytes() == b"old"


def test_a_killed_writer_keeps_the_old_file_and_its_leftover_is_no_input(tmp_path: Path) -> None:
    target = tmp_path / "clip.wav"
    target.write_bytes(b"old")
    code = (
        "import os, signal, sys; from pathlib import Path; from vocable.files import write_whole\n"
        "def put(path):\n    path.write_bytes(b'half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_whole(Path(sys.argv[1]), put)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    assert len(listing(tmp_path)) == 2
    assert find_files([tmp_path], {".wav"}, "audio") == [target]


def test_the_new_file_replaces_the_old_one_and_has_ordinary_rights(tmp_path: Path) -> None:
    target, ordinary = tmp_path / "result.txt", tmp_path / "ordinary"
    target.write_text("old")
    ordinary.write_text("")
    seen: list[Path] = []
    write_whole(target, lambda path: (seen.append(path), path.write_text("new")))
    assert target.read_text() == "new"
    assert target.stat().st_mode == ordinary.stat().st_mode
    assert seen[0].parent == tmp_path
    assert seen[0].suffix == ".txt"
    assert listing(tmp_path) == ["ordinary", "result.txt"]


def test_any_name_the_system_takes_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("ü" * 125 + ".wav")
    write_whole(target, lambda path: path.write_bytes(b"x"))
    assert target.read_bytes() == b"x"


def _nowhere(root: Path) -> Path:
    return root / "missing" / "result"


def _below_a_file(root: Path) -> Path:
    (root / "file").write_bytes(b"")
    return root / "file" / "result"


def _a_folder(root: Path) -> Path:
    (root / "folder").mkdir()
    return root / "folder"


def _a_pipe(root: Path) -> Path:
    os.mkfifo(root / "pipe")
    return root / "pipe"


@pytest.mark.parametrize("place", [_nowhere, _below_a_file, _a_folder, _a_pipe])
def test_a_place_that_takes_no_file_is_an_output_error(place: Callable[[Path], Path], tmp_path: Path) -> None:
    target = place(tmp_path)
    before, mode = listing(tmp_path), target.exists() and target.stat().st_mode
    with pytest.raises(OutputError, match=rf"{target.name}: (cannot be written|this is a folder or device)"):
        write_whole(target, lambda path: path.write_bytes(b"x"))
    assert listing(tmp_path) == before
    assert mode == (target.exists() and target.stat().st_mode)  # a device stays a device


def test_json_comes_back_and_is_for_people_too(tmp_path: Path) -> None:
    value = {"text": "Grüße", "numbers": [1, 2.5, None, True], "nested": {"b": 1, "a": 2}}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value
    assert "Grüße" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_json_that_others_cannot_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    with disk_with_room_for(100), pytest.raises(OutputError, match=r"a\.json"):
        write_json(tmp_path / "a.json", list(range(1000)))
    assert listing(tmp_path) == []


def test_folders_are_made_with_their_parents_and_only_once(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_bytes(b"")
    for taken in ("file", "file/below"):
        with pytest.raises(OutputError, match=f"{taken}: this folder cannot be created"):
            make_folder(tmp_path / taken)


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.wav", "a.WAV", "deep/er/c.flac", "deep/notes.txt", ".hidden.wav", "take[1].wav", "looks.wav/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


AUDIO = {".wav", ".flac"}


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ([""], ["a.WAV", "b.wav", "deep/er/c.flac", "take[1].wav"]),
        (["deep"], ["deep/er/c.flac"]),
        (["*.wav"], ["b.wav", "take[1].wav"]),
        (["**/*.flac"], ["deep/er/c.flac"]),
        (["deep/*/c.*"], ["deep/er/c.flac"]),
        (["take[1].wav"], ["take[1].wav"]),  # a name that looks like a pattern is a name
        (["b.wav", "", "b.wav"], ["b.wav", "a.WAV", "deep/er/c.flac", "take[1].wav"]),
        (["missing.wav", "b.wav"], ["missing.wav", "b.wav"]),  # reading it will say so
        (["deep/notes.txt"], ["deep/notes.txt"]),  # named by somebody who knows
        ([], []),
    ],
    ids=str,
)
def test_inputs_are_files_folders_and_patterns(inputs: list[str], found: list[str], tree: Path) -> None:
    assert find_files([tree / entry for entry in inputs], AUDIO, "audio") == [tree / entry for entry in found]


def test_inputs_may_be_strings(tree: Path) -> None:
    assert (
        find_files([f"{tree}/b.*"], AUDIO, "audio") == find_files([f"{tree}/b.wav"], AUDIO, "audio") == [tree / "b.wav"]
    )


@pytest.mark.parametrize("entry", ["looks.wav", "*.ogg", "nowhere/*.wav", "looks.*"])
def test_a_folder_or_pattern_without_such_files_is_an_input_error(entry: str, tree: Path) -> None:
    with pytest.raises(InputError, match=r"no audio in here \(looked for \.flac, \.wav\)") as caught:
        find_files([tree / "b.wav", tree / entry], AUDIO, "audio")
    assert str(caught.value).startswith(str(tree / entry))


def test_an_error_about_a_name_that_is_no_text_can_be_printed() -> None:
    from vocable.errors import CheckpointError

    message = str(CheckpointError("caf\udce9.wav: no such model"))
    assert message == "caf\\udce9.wav: no such model"
    assert message.encode("utf-8")
