"""Key of a listening test: the system behind each code of the page. Raters must not see it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from vocable.errors import InputError
from vocable.files import MAX_TEXT_BYTES, open_regular

Kind = Literal["mushra", "mos"]
Scale = Literal["quality", "prosody", "speaker"]
RANGES: Mapping[str, tuple[int, int]] = {"mushra": (0, 100), "mos": (1, 5)}
REFERENCE = "reference"  # name of the recording among the systems
_VERSION = 1


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
    try:
        with open_regular(path) as file:
            values = json.loads(file.read(MAX_TEXT_BYTES))
        version = values.pop("listening_test")
        if version != _VERSION:
            raise InputError(f"{path}: the key has version {version}; this vocable reads version {_VERSION}")
        return TypeAdapter(Key).validate_python(values)
    except OSError as error:
        raise InputError(f"{path}: the key cannot be read ({error.strerror}); it lies beside the page") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: is not the key of a listening test; take the .key.json beside the page") from error
