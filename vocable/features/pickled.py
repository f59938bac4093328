"""Weights that others publish as pickles and as nothing else: the one place that reads such a file.

Nothing of ours is a pickle. Where the authors of a pretrained network offer no safetensors (the wheel of Resemblyzer,
ECAPA-TDNN of SpeechBrain), the restricted reader of torch takes tensors and plain containers from the file and refuses
all that could run.
"""

from pathlib import Path
from typing import Any

import torch

from vocable.errors import CheckpointError


def read_pickled(path: Path) -> Any:
    """Tensors of a ``.pt`` or ``.ckpt`` file, in the containers they lie in.

    Raises:
        CheckpointError: The file is missing, no such file, or holds anything but tensors, numbers and texts.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"weight": torch.ones(2)}, Path(folder) / "model.ckpt")
        ...     read_pickled(Path(folder) / "model.ckpt")
        {'weight': tensor([1., 1.])}
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(f"{path}: cannot be read as tensors ({reason}); copy the model again") from error
