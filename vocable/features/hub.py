"""Pretrained models by hub name or from a folder, without half a minute of retries where there is no network."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from vocable.errors import CheckpointError, MissingDependencyError

WEIGHTS = "VOCABLE_WEIGHTS"
"""Environment variable: folders of pretrained models, with the separator of the system's paths between them."""

_PATIENCE = 5.0  # seconds for the hub's first answer
T = TypeVar("T")


def fetch(name: str, load: Callable[[str, bool], T]) -> T:
    """Load from a folder, else from the local cache, else from the hub if it answers.

    Args:
        name: A folder, or a name on the hub such as ``microsoft/wavlm-base-plus-sv``.
        load: Takes the name and whether only local files may be used.

    Raises:
        MissingDependencyError: transformers is not installed.
        CheckpointError: The folder does not hold such a model, or the model is neither in the cache nor to be had.

    Example:
        >>> import os
        >>> os.environ["HF_HUB_OFFLINE"] = "1"
        >>> fetch("nobody/nothing", lambda name, local: [][0] if not local else open("/nonexistent"))
        Traceback (most recent call last):
        ...
        vocable.errors.CheckpointError: nobody/nothing: ...
    """
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingDependencyError(f"{name}: needs transformers; run pip install 'vocable[hf]'") from error
    if Path(name).is_dir():
        try:
            return load(name, True)
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"{name}: holds no model of this kind ({_first_line(error)})") from error
    try:
        return load(name, True)
    except (OSError, ValueError):
        pass  # not in the cache
    try:
        HfApi().model_info(name, timeout=_PATIENCE)
    except Exception as error:  # of whichever HTTP library huggingface_hub uses
        raise CheckpointError(
            f"{name}: no folder, not in the local cache, and the hub does not give it ({_first_line(error)}); "
            "download it where there is a network and give its folder"
        ) from error
    return load(name, False)


def located(name: str) -> str:
    """Where a model lies on this machine: a folder of its name in one of those that ``VOCABLE_WEIGHTS`` lists.

    Args:
        name: A folder, which is returned as it is, or a name; of ``openai/whisper-tiny.en`` the last part counts.

    Returns:
        The first folder that there is, or the name as it is.

    Example:
        >>> located("nobody/nothing")
        'nobody/nothing'
    """
    last = Path(name).name
    if Path(name).is_dir() or last in ("", ".."):
        return name
    places = [Path(folder) / last for folder in os.environ.get(WEIGHTS, "").split(os.pathsep) if folder]
    return next((str(place) for place in places if place.is_dir()), name)


def short_name(name: str) -> str:
    """A model as it is called in a report: its hub name, or the last part of its folder's path.

    Example:
        >>> short_name("openai/whisper-tiny")
        'openai/whisper-tiny'
    """
    return Path(name).resolve().name if Path(name).is_dir() else name


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
