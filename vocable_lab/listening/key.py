"""The key of a listening test: which code of the page is which system. Raters must not see it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from vocable.errors import InputError

Kind = Literal["mushra", "mos"]
Scale = Literal["quality", "prosody", "speaker"]
RANGES: Mapping[str, tuple[int, int]] = {"mushra": (0, 100), "mos": (1, 5)}
REFERENCE = "reference"  # the name of the recording itself among the systems
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Stimulus:
    """What a code of the page stands for.

    Attributes:
        trial: The screen it is on.
        scale: What is asked there.
        clip: Stem of the recording.
        system: Name of the system, ``reference``, or an anchor.
    """

    trial: str
    scale: Scale
    clip: str
    system: str


@dataclass(frozen=True, kw_only=True)
class Key:
    """All codes of a test.

    Attributes:
        test: Its id; the ratings files name it.
        kind: ``mushra`` or ``mos``.
        scales: In the order asked.
        seed: Of the codes.
        stimuli: By code.
    """

    test: str
    kind: Kind
    scales: tuple[Scale, ...]
    seed: int
    stimuli: dict[str, Stimulus]

    def to_json(self) -> dict[str, Any]:
        """As written beside the page."""
        return {"listening_test": _VERSION, **asdict(self)}


def read_key(path: Path) -> Key:
    """Read a key.

    Raises:
        InputError: The file is missing or no key of a listening test.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values.pop("listening_test")
        if version != _VERSION:
            raise InputError(f"{path}: a key of version {version}; this vocable reads version {_VERSION}")
        return TypeAdapter(Key).validate_python(values)
    except OSError as error:
        raise InputError(f"{path}: the key cannot be read ({error.strerror}); it lies beside the page") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: this is no key of a listening test; take the .key.json beside the page") from error
