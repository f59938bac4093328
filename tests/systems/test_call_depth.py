"""From ``encode`` to the quantizer few calls are nested, and functions of few files run on the way.

Each encode runs in a process of its own, without the checkers of types that the tests load, as these add calls.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DEPTH, FILES = 4, 16

TRACE = """
import json, sys
from pathlib import Path

import torch

import vocable
from vocable.audio import Audio

torch.set_num_threads(1)
name, recording, text = sys.argv[1:]
tokenizer = vocable.load(name)
tokenizer.encode(Audio.read(recording), text)  # what is loaded once is loaded now
clip = Audio.read(recording)
root, trace = str(Path(vocable.__file__).parent) + "/", {"files": [], "depth": None}
GATE = ("numerics.py", "arguments.py", "systems/weights.py")  # where every public method begins, before the clip's way


def is_own(frame):
    return frame.f_code.co_filename.startswith(root)


def profile(frame, event, argument):
    if event != "call" or not is_own(frame) or trace["depth"] is not None:
        return
    file = frame.f_code.co_filename.removeprefix(root)
    if file.startswith("quantizers/") and frame.f_code.co_name in ("encode", "forward"):
        depth, caller = 0, frame
        while caller is not None:
            depth, caller = depth + is_own(caller), caller.f_back
        trace["depth"] = depth
    elif file not in trace["files"] and file not in GATE:
        trace["files"].append(file)


sys.setprofile(profile)
tokenizer.encode(clip, text)
sys.setprofile(None)
print(json.dumps(trace))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "recording", "text"),
    [
        ("guided-small", "read_speechocean762", ""),
        ("vqalattent-fsdd", "digits_fsdd", ""),
        ("ctap-small", "read_speechocean762", ""),
        ("taste-small", "read_speechocean762", "and the text"),
        ("supervised-small", "read_speechocean762", ""),
    ],
)
def test_the_way_to_the_quantizer_is_short(
    name: str, recording: str, text: str, speech_data: Path, weights: Path
) -> None:
    manifest = speech_data / recording / "manifest.jsonl"
    line = json.loads(manifest.read_text().splitlines()[0])
    command = [sys.executable, "-c", TRACE, name, str(manifest.parent / line["audio_path"]), text]
    environment = {**os.environ, "VOCABLE_WEIGHTS": str(weights)}
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    trace = json.loads(ran.stdout.splitlines()[-1])
    assert trace["depth"] is not None, "no quantizer was reached"
    assert trace["depth"] <= DEPTH
    assert len(trace["files"]) <= FILES, trace["files"]
