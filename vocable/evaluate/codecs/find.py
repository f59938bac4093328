"""Codecs of others by name, and what this machine lacks of them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError, MissingDependencyError
from vocable.evaluate.codecs.amr import AmrWb
from vocable.evaluate.codecs.anchors import Identity, Noise
from vocable.evaluate.codecs.base import Codec
from vocable.evaluate.codecs.classical import Codec2, Opus, Speex
from vocable.evaluate.codecs.decoded import DecodedFolder
from vocable.evaluate.codecs.lyra import Lyra
from vocable.evaluate.codecs.transformers import NETWORKS, TransformersCodec

ALL = "all"
DEFAULT = ("opus:6", "codec2:3200", "speex:1", "amr-wb:6.6", "lyra:3.2", "lyra:6")  # what ``all`` stands for
NAMES = {
    "opus": "opus:KBITS", "codec2": "codec2:3200|2400|1300|700C", "speex": "speex:QUALITY (0 to 10)",
    "amr-wb": "amr-wb:6.6|8.85|12.65|…|23.85", "lyra": "lyra:3.2|6|9.2",
    **{system: f"{system}:KBITS" for system in NETWORKS},
}  # fmt: skip


def find_codecs(
    names: Sequence[str], *, lyra: Path | None = None, models: Mapping[str, str] | None = None,
    decoded: Mapping[str, Path] | None = None, seed: int = 0,
) -> tuple[list[Codec], list[str]]:  # fmt: skip
    """Codecs of others, folders of decoded audio and the two anchors; called again in another process, the same.

    Args:
        names: Such as ``opus:6``, ``speex`` (at its usual setting) or ``all``, which is :data:`DEFAULT` and whatever
            ``models`` names. Named twice is taken once.
        lyra: Folder of Lyra v2's TFLite files.
        models: Folders or hub names of the codecs that come through transformers, by ``encodec``, ``dac``, ``mimi`` or
            ``xcodec``. One that ``names`` does not ask for is taken at its usual rate.
        decoded: Folders of audio that somebody else decoded, by the name they shall have.
        seed: Of the noise.

    Returns:
        The codecs, with the anchors ``identity`` and ``noise`` last; and a line on each codec that this machine lacks.

    Raises:
        ConfigError: There is no such codec or setting, or a folder that was given cannot be used.
        InputError: A folder of decoded audio is missing or empty.

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
    asked = [part for name in names for part in (DEFAULT if name == ALL else (name,))]
    asked += [system for system in models if not any(name.split(":")[0] == system for name in asked)]
    found: dict[str, Codec] = {}
    left_out: dict[str, None] = {}
    for name in asked:
        maker = _maker(name, lyra, models)
        try:
            codec = maker()
        except MissingDependencyError as error:
            left_out[f"{name.split(':')[0]} left out: {error}"] = None
        else:
            found[codec.name] = codec
    folders = [DecodedFolder(name, folder) for name, folder in (decoded or {}).items()]
    return [*found.values(), *folders, Identity(), Noise(seed)], list(left_out)


def _maker(name: str, lyra: Path | None, models: Mapping[str, str]) -> Callable[[], Codec]:
    """What makes the codec of this name."""
    kind, _, setting = name.partition(":")
    given = [setting] if setting else []
    try:
        if kind == "opus":
            return partial(_tried, Opus, *map(float, given))
        if kind == "codec2":
            return partial(_tried, Codec2, *given)
        if kind == "speex":
            return partial(_tried, Speex, *map(int, given))
        if kind == "amr-wb":
            return partial(_tried, AmrWb, *map(float, given))
        if kind == "lyra":
            return partial(_lyra, lyra, *map(float, given))
        if kind in NETWORKS:
            return partial(_network, kind, models.get(kind), *map(float, given))
    except ValueError as error:
        raise ConfigError(f"'{name}': '{setting}' is no setting of {kind}; write {NAMES[kind]}") from error
    raise ConfigError(f"'{name}' is no codec; there are {', '.join([ALL, *NAMES.values()])}")


def _tried(make: Callable[..., Codec], *setting: object) -> Codec:
    """A codec whose tools have coded a short silence: one that is damaged is missed here, not in every clip."""
    codec = make(*setting)
    try:
        codec.code(Audio(np.zeros(1_600, dtype=np.float32), 16_000), "silence")
    except AudioError as error:
        raise MissingDependencyError(f"{error}; install it again") from error
    return codec


def _lyra(folder: Path | None, *kilobits: float) -> Codec:
    if folder is None:
        raise MissingDependencyError("needs --lyra, the folder of its three TFLite models (google/lyra, model_coeffs)")
    return Lyra(folder, *kilobits)


def _network(system: str, source: str | None, *kilobits: float) -> Codec:
    try:
        return TransformersCodec(system, source, *kilobits)
    except ConfigError as error:
        if source is not None:
            raise
        raise MissingDependencyError(f"{error}; name a folder with its weights") from error
