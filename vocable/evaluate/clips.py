"""Recordings to look at a tokenizer with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from vocable.data.manifest import Utterance, read_manifest

_Item = TypeVar("_Item")


@dataclass(frozen=True, kw_only=True)
class Clips:
    """Recordings to look at a tokenizer with.

    Attributes:
        manifest: A JSONL file.
        split: Which; None takes ``dev`` if there is one, else every line; ``all`` takes every line.
        limit: So many clips, spread evenly over the split.
        colors: Keys of the manifest that colour the latents, such as ``gender``; by default the speaker, if known.
    """

    manifest: Path
    split: str | None = None
    limit: int = 40
    colors: Sequence[str] = ()

    def utterances(self) -> list[Utterance]:
        """The recordings.

        Raises:
            ManifestError: There is none.
        """
        every = read_manifest(self.manifest)
        if self.split is None:
            every = [item for item in every if item.split == "dev"] or every
        elif self.split != "all":
            every = read_manifest(self.manifest, self.split)
        return spread(every, self.limit)


def spread(items: Sequence[_Item], limit: int) -> list[_Item]:
    """At most so many, evenly over the whole.

    Example:
        >>> spread("abcde", 3)
        ['a', 'c', 'e']
    """
    places = np.unique(np.linspace(0, len(items) - 1, min(limit, len(items))).round().astype(int))
    return [items[place] for place in places]
