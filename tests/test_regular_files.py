"""What is no regular file is refused at once, by every reader: a pipe or a device may never end."""

import ast
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import vocable
from vocable.audio import Audio, header_seconds
from vocable.corpus.speech import read_lines
from vocable.data.alignment.files import read_csv, read_ctm, read_textgrid
from vocable.data.manifest import read_manifest
from vocable.errors import InputError, VocableError
from vocable.evaluate.describe import kind_of
from vocable.features.hub import fetch, read_tensors
from vocable.files import MAX_TEXT_BYTES, check_regular, open_regular, read_file, sha256
from vocable.folder import system_of
from vocable.schema import read_object
from vocable.text.lexicon import Lexicon
from vocable.text.subword_tokenizers import HubTokenizer
from vocable.tokens import Tokens
from vocable.train.record import read_record
from vocable_lab.listening.analysis import _read_rows
from vocable_lab.listening.key import read_key

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="has no /proc, and other devices")

READERS: dict[str, Callable[[Path], object]] = {
    "audio": Audio.read,
    "audio header": header_seconds,
    "tokens": Tokens.read,
    "manifest": read_manifest,
    "json": read_object,
    "textgrid": read_textgrid,
    "ctm": read_ctm,
    "csv": read_csv,
    "lexicon": Lexicon.read,
    "texts": read_lines,
    "weights": read_tensors,
    "ratings": lambda path: list(_read_rows(path)),
    "key": read_key,
    "inspect": lambda path: kind_of(str(path)),
    "bytes": lambda path: read_file(path, InputError, "give another"),
}
KINDS = (
    "pipe",
    "socket",
    "folder",
    "/dev/zero",
    "/dev/tty",
    "/proc/cpuinfo",
    "/proc/self/mem",
    "/sys/kernel/profiling",
)


@pytest.fixture
def special(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    opened: list[socket.socket] = []

    def make(kind: str) -> Path:
        path = tmp_path / kind
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            opened.append(socket.socket(socket.AF_UNIX))
            opened[0].bind(str(path))
        elif kind == "folder":
            path.mkdir()
        else:
            path = Path(kind)
            if not path.exists():
                pytest.skip(f"this machine has no {kind}")
        return path

    yield make
    for one in opened:
        one.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_refuses_what_is_no_regular_file(reader: str, kind: str, special: Callable[[str], Path]) -> None:
    path = special(kind)
    if (reader, kind) == ("inspect", "folder"):
        assert kind_of(str(path)) == "model"
        return
    with pytest.raises(VocableError) as caught:
        READERS[reader](path)
    assert str(path) in str(caught.value)
    assert ("Is a directory" if kind == "folder" else "not a regular file") in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_to_it_is_refused_too(kind: str, special: Callable[[str], Path], tmp_path: Path) -> None:
    link = tmp_path / "link.wav"
    link.symlink_to(special(kind))
    for read in (check_regular, open_regular, sha256):
        with pytest.raises(OSError, match="Is a directory" if kind == "folder" else "not a regular file"):
            read(link)


def test_weights_and_models_in_pipes_are_refused(tmp_path: Path) -> None:
    for name in ("model.json", "model.safetensors", "tokenizer.json", "config.json"):
        os.mkfifo(tmp_path / name)
    assert system_of(tmp_path) is None
    for load in (
        lambda: vocable.load(str(tmp_path)),
        lambda: read_tensors(tmp_path / "model.safetensors"),
        lambda: HubTokenizer.load(str(tmp_path), "lower", located=str),
        lambda: fetch(str(tmp_path), lambda name, local: open(name + "/config.json").read()),  # noqa: PTH123, SIM115
        lambda: read_record(tmp_path / "model.json"),
    ):
        with pytest.raises(VocableError):
            load()


def test_a_pipe_put_in_place_of_a_file_is_refused_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "a.json")
    monkeypatch.setattr("vocable.files.check_regular", lambda path: None)  # as if it had been a file until now
    with pytest.raises(OSError, match="it is a pipe"):
        open_regular(tmp_path / "a.json")


def test_the_limit_counts_the_bytes_that_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(3_000_000))
    assert len(read_file(path, InputError, "split it", limit=3_000_000)) == 3_000_000
    with pytest.raises(InputError, match=r"a\.txt: is larger than 2 MiB; split it"):
        read_file(path, InputError, "split it", limit=2_999_999)
    real = os.fstat

    def grows(descriptor: int) -> os.stat_result:  # a file that another program is writing
        return os.stat_result([0 if index == 6 else value for index, value in enumerate(real(descriptor))])

    monkeypatch.setattr(os, "fstat", grows)
    with pytest.raises(InputError, match="is larger than"):
        read_file(path, InputError, "split it", limit=2_999_999)
    assert MAX_TEXT_BYTES > 1_000_000


def test_a_huge_file_without_contents_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    for read in (READERS["json"], READERS["manifest"], READERS["tokens"], READERS["lexicon"]):
        with pytest.raises(VocableError, match="is larger than"):
            read(tmp_path / "a.json")


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "\udcff\udcfe"])
def test_a_name_that_no_system_call_takes_is_a_named_error(name: str) -> None:
    for read in READERS.values():
        with pytest.raises(VocableError):
            read(Path(name))


_OPENERS = {"open", "read_text", "read_bytes"}
_LIBRARIES = {"load_file", "safe_open", "InferenceSession", "Interpreter", "from_file", "SoundFile", "_Forward"}
_NO_FILES = {  # they get a file that is open, or a buffer, or give a descriptor, or open it by vocable.files
    "av.open", "wave.open", "os.open", "tarfile.open", "TokenShard.open", "TokenCorpus.open", "read_text",
}  # fmt: skip
_OWN = {  # files that are vocable's own and lie in its package, or were just written by the caller
    "evaluate/page/__init__.py", "evaluate/canvas.py", "cli/evaluate.py", "evaluate/runner.py", "train/log.py",
    "evaluate/judges/quality.py", "audio_files/writer.py", "corpus/memory.py",
}  # fmt: skip


def test_files_are_opened_in_one_place() -> None:
    root = Path(vocable.__file__).parent
    places = []
    for path in sorted([*root.rglob("*.py"), *(root.parent / "vocable_lab").rglob("*.py")]):
        name = path.relative_to(root if path.is_relative_to(root) else root.parent).as_posix()
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)) if name != "files.py" and name not in _OWN else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) not in _NO_FILES:
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if called in _OPENERS or (called in _LIBRARIES and "check_regular" not in source):
                    places.append(f"{name}:{node.lineno}: {called}")
    assert not places, "open files through vocable.files, or check_regular them before a library opens them"


def test_whether_a_file_exists_is_asked_in_one_place() -> None:
    """The methods of pathlib raise an error where a name is too long, or a folder may not be searched."""
    root = Path(vocable.__file__).parent
    places = [
        f"{path.name}:{node.lineno}: {node.func.attr}"
        for path in sorted([*root.rglob("*.py"), *(root.parent / "vocable_lab").rglob("*.py")])
        if path.name not in ("files.py", "file_search.py")  # the second one reads the entries of folders
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args
        and node.func.attr in ("exists", "is_dir", "is_file")
    ]  # fmt: skip
    assert not places, "ask exists, folder_exists and is_file of vocable.files"
