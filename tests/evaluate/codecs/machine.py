"""The codecs of other people that this machine has."""

import shutil
from ctypes.util import find_library

from tests.needed import lacking
from vocable.evaluate.codecs.base import Codec

HERE = {
    "opus": shutil.which("opusenc") and shutil.which("opusdec"),
    "speex": shutil.which("speexenc") and shutil.which("speexdec"),
    "codec2": shutil.which("c2enc") and shutil.which("c2dec"),
    "amr-wb": find_library("vo-amrwbenc") and find_library("opencore-amrwb"),
}


def need(tool: str) -> None:
    if not HERE[tool]:
        lacking(tool)


def ready(tool: str, make: type, *setting: object) -> Codec:
    need(tool)
    return make(*setting)
