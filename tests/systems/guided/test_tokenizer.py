"""The tokenizer of the guided codec: format 1 read and format 2 written, and a short way from audio to ids."""

import json
import sys
from pathlib import Path
from types import FrameType

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models import ready
from vocable.folder import bundled, digest_of
from vocable.interfaces import VoiceConverter
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.testing import speechlike

LIBRARY = f"{Path(__file__).parents[3] / 'vocable'}/"
OLD_NAMES = (  # of format 1, by today's
    ("in_proj.", "enter."), ("lstm.layers.", "memory.lstm."), ("downsample.", "coarser."), ("upsample.", "finer."),
    ("residual.", "unit."), ("conv1.", "narrow."), ("conv2.", "widen."), ("shortcut.", "skip."),
)  # fmt: skip


def as_format_1(tokenizer: GuidedTokenizer, folder: Path) -> str:
    """Write a tokenizer as vocable 0.1 did; return its digest in that format."""
    tokenizer.save(folder)
    described = json.loads((folder / "model.json").read_text())
    spectral = described["config"]["backbone"]["kind"] == "spectral"
    tensors = {}
    for name, value in load_file(folder / "model.safetensors").items():
        old = name.replace("out_norm.", "leave.0.").replace("out_proj.", "leave.1." if spectral else "leave.")
        for new, former in OLD_NAMES:
            old = old.replace(new, former)
        tensors[old] = value
    if spectral:
        described["config"]["backbone"]["initial_scale"] = 0.3
    digest = digest_of(described["config"], tensors)
    save_file(tensors, folder / "model.safetensors")
    del described["aliases"]
    (folder / "model.json").write_text(json.dumps({**described, "format": 1, "digest": digest}))
    return digest


def test_the_bundled_folder_of_format_1_is_saved_as_format_2_with_the_same_ids(tmp_path: Path) -> None:
    folder = bundled("guided")["guided-small"]
    old_digest = json.loads((folder / "model.json").read_text())["digest"]
    codec = GuidedTokenizer.load(folder)
    assert old_digest in codec.aliases
    assert codec.digest != old_digest
    codec.save(tmp_path / "new")
    described = json.loads((tmp_path / "new/model.json").read_text())
    assert (described["format"], described["digest"]) == (2, codec.digest)
    again = GuidedTokenizer.load(tmp_path / "new")
    assert (again.digest, again.aliases) == (codec.digest, codec.aliases)
    clip = speechlike(16_000)
    tokens = again.encode(clip)
    assert torch.equal(tokens.ids, codec.encode(clip).ids)
    again.check_tokens(codec.encode(clip))


@pytest.mark.parametrize("name", ["spectral", "seanet"])
def test_users_folders_of_format_1_load_whatever_their_backbone(tmp_path: Path, name: str) -> None:
    codec = ready(name)
    old_digest = as_format_1(codec, tmp_path / "old")
    again = GuidedTokenizer.load(tmp_path / "old")
    assert (again.digest, again.aliases) == (codec.digest, (old_digest,))
    clip = speechlike(8_000)
    assert torch.equal(again.encode(clip).ids, codec.encode(clip).ids)


def test_from_audio_to_ids_there_are_few_calls_and_files() -> None:
    """At most 4 nested calls of the library's functions up to the quantizer, and functions of at most 16 files."""
    codec, clip = ready("spectral"), speechlike(8_000, 24_000)
    files: set[str] = set()
    depths: list[int] = []

    def library_calls(frame: FrameType | None) -> int:
        count = 0
        while frame is not None:
            count += frame.f_code.co_filename.startswith(LIBRARY)
            frame = frame.f_back
        return count

    def trace(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(LIBRARY):
            if not frame.f_code.co_filename.endswith(("numerics.py", "arguments.py", "systems/weights.py")):
                files.add(frame.f_code.co_filename)  # the way of the clip, which begins after the checks of every call
            if frame.f_code.co_qualname == "ResidualVectorQuantizer.encode":
                depths.append(library_calls(frame))

    sys.setprofile(trace)
    try:
        codec.encode(clip)
    finally:
        sys.setprofile(None)
    assert depths
    assert max(depths) <= 4
    assert len(files) <= 16, sorted(files)


def test_a_guided_codec_is_a_voice_converter() -> None:
    assert isinstance(ready("spectral"), VoiceConverter)
