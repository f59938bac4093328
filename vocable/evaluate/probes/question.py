"""What is asked of the tokens, and how an answer becomes a row of the card."""

import importlib
import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vocable.errors import MissingDependencyError
from vocable.evaluate.card import Better, ProbeRow
from vocable.evaluate.judges.base import PitchTracker
from vocable.evaluate.probes.views import Material
from vocable.metrics.score import Figure, Score, summarise


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which probe, of whose tokens, with which settings.

    Attributes:
        entry: The tokenizer's name.
        probe: The probe's name.
        seed: The first of the seeds, and the bootstrap's.
        seeds: How often a probe of clips is fitted anew, where its folds are drawn by chance.
        epochs: Most passes of a sequence probe over its training clips; it stops before where dev no longer gains.
        tracker: Who hears the pitch; the default one where None.
    """

    entry: str
    probe: str
    seed: int = 0
    seeds: int = 3
    epochs: int = 30
    tracker: PitchTracker | None = None

    def row(
        self, material: Material, metric: str, better: Better, scores: Sequence[Score], *,
        groups: Sequence[Hashable] | None = None, chance: float = math.nan, majority: float = math.nan, note: str = "",
    ) -> ProbeRow:  # fmt: skip
        """The row of these scores, one of each clip, with its interval over clips or groups of them."""
        figure = summarise(scores, seed=self.seed, groups=groups)
        over = "clips" if groups is None else "speakers"
        return ProbeRow(
            entry=self.entry, probe=self.probe, view=material.view, metric=metric, better=better, figure=figure,
            chance=chance, majority=majority,
            note="; ".join(part for part in (note, material.shown, f"interval over {over}") if part),
        )  # fmt: skip

    def undefined(self, material: Material, metric: str, better: Better, reason: str) -> ProbeRow:
        """The row of a figure that cannot be, with its reason."""
        clips = len(material.utterances)
        figure = Figure(mean=math.nan, low=math.nan, high=math.nan, n=0, excluded=clips, reasons={reason: clips})
        return ProbeRow(
            entry=self.entry, probe=self.probe, view=material.view, metric=metric, better=better, figure=figure,
            chance=math.nan, majority=math.nan, note=f"undefined: {reason}",
        )  # fmt: skip

    def root(self, row: ProbeRow, unit: float = 1.0) -> ProbeRow:
        """The row of a mean square as that of its root; a percentile of the root is the root of the percentile."""
        figure = row.figure
        low, mean, high = (unit * math.sqrt(value) for value in (figure.low, figure.mean, figure.high))
        return replace(row, figure=replace(figure, low=low, mean=mean, high=high))


def library(module: str) -> Any:
    """A module of scikit-learn.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise MissingDependencyError("probes need scikit-learn; run pip install 'vocable[evaluate]'") from error


def shares(labels: Sequence[str]) -> tuple[float, float]:
    """What guessing gives, and what always saying the commonest gives: 1 / classes and its share.

    Example:
        >>> shares(["a", "a", "a", "b"])
        (0.5, 0.75)
    """
    counts = Counter(labels)
    return 1 / len(counts), max(counts.values()) / len(labels)


def spread(values: Sequence[float]) -> str:
    """Values of several seeds, for a note."""
    return " ".join(f"{value:.3f}" for value in np.asarray(values))
