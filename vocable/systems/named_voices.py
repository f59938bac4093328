"""Voices that come with a model: voice vectors by name, in a file of the model's folder.

``voices.safetensors`` holds one float32 vector (V,) for each name. The metadata has one key, ``tokenizer``: the digest
of the model that made the vectors. The digest of the model does not depend on its voices.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from vocable.errors import CheckpointError
from vocable.files import exists, write_whole
from vocable.folder import open_tensors

_FILE = "voices.safetensors"
_KEY = "tokenizer"  # of the metadata
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MAX_VOICES = 10_000
_ADVICE = "remove the file, or copy the model again"


def is_voice_name(name: str) -> bool:
    """Return whether a voice may have a name: lower-case letters, digits, hyphens and underscores, at most 64.

    Example:
        >>> is_voice_name("kathleen"), is_voice_name("../kathleen")
        (True, False)
    """
    return _NAME.fullmatch(name) is not None


def write_voices(folder: Path, voices: Mapping[str, Tensor], digest: str) -> None:
    """Write the voices of a model into its folder, or remove the file if there are none.

    Args:
        folder: Path of the model's folder.
        voices: Voice vectors (V,) by name.
        digest: Digest of the model.

    Raises:
        OutputError: If the folder cannot be written.
    """
    path = folder / _FILE
    if not voices:
        path.unlink(missing_ok=True)
        return
    tensors = {name: vector.detach().cpu().float().contiguous() for name, vector in voices.items()}
    write_whole(path, lambda place: save_file(tensors, place, {_KEY: digest}))


def read_voices(folder: Path, width: int, digests: Collection[str]) -> dict[str, Tensor]:
    """Return the voices of a model's folder, in the order of their names; none if there is no such file.

    Args:
        folder: Path of the model's folder.
        width: Dimension V of the model's voice vectors.
        digests: Digests of the model.

    Raises:
        CheckpointError: If the file is damaged, or of another model.
    """
    path = folder / _FILE
    if not exists(path):
        return {}
    with open_tensors(path, advice=_ADVICE) as stored:
        maker, names = (stored.metadata() or {}).get(_KEY, "no tokenizer"), sorted(stored.keys())
        if maker not in digests:
            raise CheckpointError(f"{path}: the voices are of {maker[:23]}, not of this model; {_ADVICE}")
        if len(names) > _MAX_VOICES or not all(map(is_voice_name, names)):
            raise CheckpointError(f"{path}: holds names that no voice may have; {_ADVICE}")
        voices = {name: stored.get_tensor(name) for name in names}
    for name, vector in voices.items():
        if vector.shape != (width,) or vector.dtype != torch.float32 or not bool(vector.isfinite().all()):
            raise CheckpointError(f"{path}: the voice '{name}' is not {width} finite float32 numbers; {_ADVICE}")
    return {name: vector.clone() for name, vector in voices.items()}
