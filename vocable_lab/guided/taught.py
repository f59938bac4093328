"""Who taught a guided codec, as its reports say it: stand-ins must not pass for the paper's teachers."""

import json
import os
from collections.abc import Mapping

from vocable.systems import registry as hub


def teachers_of(sources: Mapping[str, str | os.PathLike[str]]) -> str:
    """A sentence for each tokenizer, from the ``teachers.json`` that training wrote beside it.

    Args:
        sources: Names of models or folders, by the name they have in the report.

    Raises:
        CheckpointError: There is no such model.

    Example:
        >>> teachers_of({"guided-small": "guided-small"})
        'No teacher took part in the training of guided-small.'
    """
    return " ".join(_taught(name, source) for name, source in sources.items())


def _taught(name: str, source: str | os.PathLike[str]) -> str:
    try:
        written = json.loads((hub.folder_of(source) / "teachers.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"No teacher took part in the training of {name}."
    except (OSError, ValueError, RecursionError):
        written = None
    parts = written.items() if isinstance(written, dict) else ()
    named = [f"{part} by {one['name']}" for part, one in parts if isinstance(one, dict) and "name" in one]
    return f"{name} was taught: {', '.join(named) or 'its teachers.json does not tell by whom'}."
