"""Sentences that name the teachers of a guided codec, so that no report passes stand-ins for the paper's teachers."""

import os
from collections.abc import Mapping
from typing import Any

from vocable.errors import CheckpointError
from vocable.files import exists
from vocable.schema import read_json
from vocable.systems import registry as hub


def describe_teachers(sources: Mapping[str, str | os.PathLike[str]]) -> str:
    """Return a sentence for each tokenizer, from the ``teachers.json`` that training wrote beside it.

    Args:
        sources: Names or folders of models, by the name they have in the report.

    Raises:
        CheckpointError: If there is no such model.

    Example:
        >>> describe_teachers({"guided-small": "guided-small"})
        'No teacher took part in the training of guided-small.'
    """
    return " ".join(_sentence(name, source) for name, source in sources.items())


def _sentence(name: str, source: str | os.PathLike[str]) -> str:
    file = hub.folder_of(source) / "teachers.json"
    if not exists(file):
        return f"No teacher took part in the training of {name}."
    try:
        records: dict[str, Any] = read_json(file, dict)
    except CheckpointError:
        records = {}
    teachers = [
        f"{record['name']} ({part})" for part, record in records.items()
        if isinstance(record, dict) and "name" in record
    ]  # fmt: skip
    return f"Teachers of {name}: {', '.join(teachers) or 'not named in its teachers.json'}."
