"""Codecs of others by name, and those that this machine does not have."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError, MissingDependencyError
from vocable.evaluate.codecs.amr import AmrWb
from vocable.evaluate.codecs.base import Codec, Identity, Noise
from vocable.evaluate.codecs.classical import Codec2, Opus, Speex
from vocable.evaluate.codecs.decoded import DecodedFolder
from vocable.evaluate.codecs.neural import NETWORKS, Lyra, TransformersCodec

ALL = "all"
DEFAULT = ("opus:6", "codec2:3200", "speex:1", "amr-wb:6.6", "lyra:3.2", "lyra:6")  # the meaning of ``all``
NAMES = {
    "opus": "opus:KBITS", "codec2": "codec2:3200|2400|1300|700C", "speex": "speex:QUALITY (0 to 10)",
    "amr-wb": "amr-wb:6.6|8.85|12.65|…|23.85", "lyra": "lyra:3.2|6|9.2",
    **{system: f"{system}:KBITS" for system in NETWORKS},
}  # fmt: skip


def find_codecs(
    names: Sequence[str], *, lyra: Path | None = None, models: Mapping[str, str] | None = None,
    decoded: Mapping[str, Path] | None = None, seed: int = 0,
) -> tuple[list[Codec], list[str]]:  # fmt: skip
    """Return codecs of others, folders of decoded audio and the two anchors; the same in every process.

    Args:
        names: Names such as ``opus:6``, ``speex`` (at its usual setting) or ``all``, which is :data:`DEFAULT` and all
            of ``models``. Duplicates are dropped.
        lyra: Folder with the TFLite files of Lyra v2.
        models: Folders or hub names of the codecs of transformers, by ``encodec``, ``dac``, ``mimi`` or ``xcodec``. One
            that is not in ``names`` is added at its usual rate.
        decoded: Folders of audio that was decoded elsewhere, by their names in the results.
        seed: Seed of the noise.

    Returns:
        The codecs, with the anchors ``identity`` and ``noise`` last; and a line on each codec that is left out.

    Raises:
        ConfigError: If there is no such codec or setting, or if a given folder cannot be used.
        InputError: If a folder of decoded audio is missing or empty.

    Example:
        >>> [codec.name for codec in find_codecs([])[0]]
        ['identity', 'noise']
        >>> find_codecs(["mp3:64"])
        Traceback (most recent call last):
        vocable.errors.ConfigError: 'mp3:64' is no codec; there are all, opus:KBITS, codec2:3200|2400|1300|700C, \
speex:QUALITY (0 to 10), amr-wb:6.6|8.85|12.65|…|23.85, lyra:3.2|6|9.2, encodec:KBITS, dac:KBITS, mimi:KBITS, \
xcodec:KBITS
    """
    models = models or {}
    for system in models:
        if system not in NETWORKS:
            raise ConfigError(f"'{system}' is no codec of transformers; there are {', '.join(NETWORKS)}")
    requested = [part for name in names for part in (DEFAULT if name == ALL else (name,))]
    requested += [system for system in models if not any(name.split(":")[0] == system for name in requested)]
    found: dict[str, Codec] = {}
    left_out: dict[str, None] = {}
    for name in requested:
        make = _maker(name, lyra, models)
        try:
            codec = make()
        except MissingDependencyError as error:
            left_out[f"{name.split(':')[0]} left out: {error}"] = None
        else:
            found[codec.name] = codec
    folders = [DecodedFolder(name, folder) for name, folder in (decoded or {}).items()]
    return [*found.values(), *folders, Identity(), Noise(seed)], list(left_out)


def _maker(name: str, lyra: Path | None, models: Mapping[str, str]) -> Callable[[], Codec]:
    """Return a function that makes the codec of this name."""
    kind, _, setting = name.partition(":")
    settings = [setting] if setting else []
    try:
        if kind == "opus":
            return partial(_make_working, Opus, *map(float, settings))
        if kind == "codec2":
            return partial(_make_working, Codec2, *settings)
        if kind == "speex":
            return partial(_make_working, Speex, *map(int, settings))
        if kind == "amr-wb":
            return partial(_make_working, AmrWb, *map(float, settings))
        if kind == "lyra":
            return partial(_make_lyra, lyra, *map(float, settings))
        if kind in NETWORKS:
            return partial(_make_network, kind, models.get(kind), *map(float, settings))
    except ValueError as error:
        raise ConfigError(f"'{name}': '{setting}' is no setting of {kind}; write {NAMES[kind]}") from error
    raise ConfigError(f"'{name}' is no codec; there are {', '.join([ALL, *NAMES.values()])}")


def _make_working(make: Callable[..., Codec], *setting: object) -> Codec:
    """Make a codec and let it code a short silence, so that a damaged tool is left out and does not fail every clip."""
    codec = make(*setting)
    try:
        codec.code(Audio(np.zeros(1_600, dtype=np.float32), 16_000), "silence")
    except AudioError as error:
        raise MissingDependencyError(f"{error}; install it again") from error
    return codec


def _make_lyra(folder: Path | None, *kilobits: float) -> Codec:
    if folder is None:
        raise MissingDependencyError("needs --lyra, the folder of its three TFLite models (google/lyra, model_coeffs)")
    return Lyra(folder, *kilobits)


def _make_network(system: str, source: str | None, *kilobits: float) -> Codec:
    try:
        return TransformersCodec(system, source, *kilobits)
    except ConfigError as error:
        if source is not None:
            raise
        raise MissingDependencyError(f"{error}; name a folder with its weights") from error
