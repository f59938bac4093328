"""Pretrained models from a folder, the local cache or the Hugging Face hub, without long retries when offline."""

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import torch

from vocable.errors import CheckpointError, MissingDependencyError
from vocable.files import check_regular, folder_exists
from vocable.folder import read_tensors as read_safetensors

WEIGHTS = "VOCABLE_WEIGHTS"
"""Name of the environment variable that lists folders of pretrained models, separated as in ``PATH``."""

_TIMEOUT = 5.0  # seconds until the first answer of the hub
T = TypeVar("T")


def load_feature_extractor(name: str, sample_rate: int) -> Any:
    """Load the feature extractor of a model of transformers.

    Raises:
        MissingDependencyError: If transformers is not installed.
        CheckpointError: If it cannot be found, or takes another sample rate.
    """
    extract = from_transformers(name, "AutoFeatureExtractor")
    if extract.sampling_rate != sample_rate:
        raise CheckpointError(f"{name}: takes {extract.sampling_rate} Hz, not {sample_rate}; use another model")
    return extract


def load_network(
    name: str, kind: str, *, unused: Collection[str] = (), advice: str = "copy it again", **options: Any
) -> Any:
    """Load a network of transformers with all of its weights.

    Args:
        name: Folder or hub name.
        kind: Class of transformers.
        unused: Names of parameters that may be missing.
        advice: What the reader of the message can do if parameters are missing.
        options: More arguments of ``from_pretrained``.

    Raises:
        MissingDependencyError: If transformers is not installed.
        CheckpointError: If the model cannot be found, or lacks parameters.
    """
    network, info = from_transformers(name, kind, output_loading_info=True, **options)
    if missing := sorted(set(info["missing_keys"]).difference(unused)):
        raise CheckpointError(f"{name}: lacks {len(missing)} parameters, such as {missing[0]}; {advice}")
    return network


def from_transformers(name: str, kind: str, **options: Any) -> Any:
    """Load an object of a class of transformers, such as ``AutoConfig``; see :func:`fetch`."""
    try:
        import transformers
    except ImportError as error:
        raise MissingDependencyError(f"{name}: needs transformers; run pip install 'vocable[hf]'") from error
    load = getattr(transformers, kind).from_pretrained
    return fetch(name, lambda place, local: load(place, local_files_only=local, **options))


def fetch(name: str, load: Callable[[str, bool], T]) -> T:
    """Load a model from a folder, else from the local cache, else from the hub if it answers.

    Args:
        name: Folder, or name on the hub such as ``microsoft/wavlm-base-plus-sv``.
        load: Function that loads the model, given the name and whether only local files may be used.

    Raises:
        MissingDependencyError: If transformers is not installed.
        CheckpointError: If the folder holds no such model, or the model is neither in the cache nor on the hub.

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
    if folder_exists(Path(name)):
        try:
            for file in Path(name).iterdir():
                if not folder_exists(file):
                    check_regular(file)
            return load(name, True)
        except Exception as error:  # transformers checks the configuration of a stranger with errors of many types
            raise CheckpointError(
                f"{name}: holds no model of this kind ({_first_line(error)}); give another folder"
            ) from error
    try:
        return load(name, True)
    except (OSError, ValueError):
        pass  # not in the cache
    try:
        HfApi().model_info(name, timeout=_TIMEOUT)
    except Exception as error:  # the HTTP library under huggingface_hub, and so its errors, depends on the version
        raise CheckpointError(
            f"{name}: no folder, not in the local cache, and the hub does not give it ({_first_line(error)}); "
            "download it on a machine with a network and give its folder"
        ) from error
    return load(name, False)


def located(name: str) -> str:
    """Return the folder of a model among those that the environment variable ``VOCABLE_WEIGHTS`` lists.

    Args:
        name: Folder, which is returned unchanged, or a name. Only the last part of ``openai/whisper-tiny.en`` is looked
            for.

    Returns:
        The first folder that exists, or the name unchanged.

    Example:
        >>> located("nobody/nothing")
        'nobody/nothing'
    """
    last = Path(name).name
    if folder_exists(Path(name)) or last in ("", ".."):
        return name
    candidates = [Path(folder) / last for folder in os.environ.get(WEIGHTS, "").split(os.pathsep) if folder]
    return next((str(folder) for folder in candidates if folder_exists(folder)), name)


def read_tensors(path: Path) -> Any:
    """Read the tensors of a safetensors file, or of a ``.pt`` or ``.ckpt`` file if the authors publish no other.

    This is the only place that reads pickled files, with the restricted reader of torch: it takes tensors and plain
    containers and refuses everything that could run code.

    Raises:
        CheckpointError: If the file is missing, or holds anything but tensors, numbers and texts.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"weight": torch.ones(2)}, Path(folder) / "model.ckpt")
        ...     read_tensors(Path(folder) / "model.ckpt")
        {'weight': tensor([1., 1.])}
    """
    if path.suffix == ".safetensors":
        return read_safetensors(path, advice="copy the model again")
    try:
        check_regular(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many types
        reason = " ".join(str(error).split())[:120]
        raise CheckpointError(f"{path}: cannot be read as tensors ({reason}); copy the model again") from error


def short_name(name: str) -> str:
    """Return the name of a model in reports: its hub name, or the last part of its folder's path.

    Example:
        >>> short_name("openai/whisper-tiny")
        'openai/whisper-tiny'
    """
    return Path(name).resolve().name if folder_exists(Path(name)) else name


def keep_hub_name(name: str, hub_name: str) -> str:
    """Return the hub name of a model that a folder's name stands for, if both end alike, or else the folder's name.

    Example:
        >>> keep_hub_name("whisper-tiny", "openai/whisper-tiny"), keep_hub_name("mine", "openai/whisper-tiny")
        ('openai/whisper-tiny', 'mine')
    """
    return hub_name if Path(name).name == Path(hub_name).name else name


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:300]
