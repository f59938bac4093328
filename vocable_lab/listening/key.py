"""Key of a listening test: the system behind each code of the page. Raters must not see it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from vocable.errors import InputError
from vocable.schema import config, read_json

Kind = Literal["mushra", "mos"]
Scale = Literal["quality", "prosody", "speaker"]
RANGES: Mapping[str, tuple[int, int]] = {"mushra": (0, 100), "mos": (1, 5)}
REFERENCE = "reference"  # name of the recording among the systems
_VERSION = 1
_ADVICE = "if it is not the key of a listening test, take the .key.json beside the page"


@dataclass(frozen=True, kw_only=True)
class Stimulus:
    """Sound behind one code of the page.

    Attributes:
        trial: Code of the screen that shows it.
        scale: Scale on which it is rated.
        clip: Stem of the recording.
        system: Name of the system, ``reference``, or an anchor.
    """

    trial: str
    scale: Scale
    clip: str
    system: str


@dataclass(frozen=True, kw_only=True)
class Key:
    """Codes of a listening test.

    Attributes:
        test: Id of the test, which ratings files repeat.
        kind: ``mushra`` or ``mos``.
        scales: Scales in the order of the screens.
        seed: Seed of the codes.
        stimuli: Stimuli by code.
    """

    test: str
    kind: Kind
    scales: tuple[Scale, ...]
    seed: int
    stimuli: dict[str, Stimulus]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that is written beside the page."""
        return {"listening_test": _VERSION, **asdict(self)}


def read_key(path: Path) -> Key:
    """Read a key.

    Raises:
        InputError: If the file is missing or is not the key of a listening test.
    """
    stored = read_json(path, _StoredKey, advice=_ADVICE, error=InputError)
    if stored.listening_test != _VERSION:
        raise InputError(f"{path}: the key has version {stored.listening_test}; this vocable reads version {_VERSION}")
    return Key(test=stored.test, kind=stored.kind, scales=stored.scales, seed=stored.seed, stimuli=dict(stored.stimuli))


@config
class _StoredKey:
    """Contents of a key file: the version of the layout, and the attributes of :class:`Key`."""

    listening_test: int
    test: str
    kind: Kind
    scales: tuple[Scale, ...]
    seed: int
    stimuli: dict[str, Stimulus]
