"""Batches of generated utterances (fakes) that the evaluation samples, and the labels that are asked for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vocable.data.manifest import Utterance
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable_lab.vqalattent.figures import ATTRIBUTES

FAKES = 500
"""Fakes of each label; as many times the number of labels without a label."""

Condition = Literal["default", "label alone", "nothing"]
"""What is asked for: the label, with other conditions drawn and the model's guidance; the label alone, without
guidance, which is the paper's condition; or nothing."""

_SUFFIXES: Mapping[Condition, str] = {"default": "", "label alone": ", label alone", "nothing": ", nothing asked"}
_BATCH_SIZE = 50  # fakes of one item


@dataclass(frozen=True, kw_only=True)
class FakeBatch:
    """Fakes of one tokenizer, condition and label that are sampled together.

    Attributes:
        name: Name of the tokenizer.
        condition: What is asked for.
        label: Label asked for; None where nothing is asked.
        first: Index of the first one among the fakes of its label.
        count: Number of fakes.
    """

    name: str
    condition: Condition
    label: str | None
    first: int
    count: int

    @property
    def item(self) -> str:
        """Key of the item."""
        alone = " alone" if self.condition == "label alone" else ""
        return f"{self.count} fakes of {self.name}, {self.label or 'anything'}{alone}, from {self.first}"

    @property
    def entry(self) -> str:
        """Name of the tokenizer and condition that the batch's row belongs to."""
        return self.name + _SUFFIXES[self.condition]

    def labels(self, tokenizer: VqalattentTokenizer, key: str, drawn: Sequence[str], seed: int) -> list[dict[str, Any]]:
        """Return the labels to sample each fake with.

        Args:
            tokenizer: Tokenizer of the batch.
            key: Condition that ``label`` is a value of.
            drawn: Conditions to draw a value of here, so that it is known; the tokenizer draws the others.
            seed: Seed of the draws.
        """
        if self.condition != "default":
            return [dict.fromkeys(tokenizer.labels) | ({} if self.label is None else {key: self.label})] * self.count
        random = np.random.default_rng((seed, 2))
        values = {one: random.choice(tokenizer.labels[one], self.count).tolist() for one in drawn}
        return [{key: self.label} | {one: values[one][row] for one in drawn} for row in range(self.count)]


def fake_batches(name: str, tokenizer: VqalattentTokenizer, key: str, limit: int | None) -> Iterator[FakeBatch]:
    """Yield the batches of every condition that a tokenizer's prior was trained for.

    Where the label is the only condition and there is no guidance, the first condition is the paper's already.

    Args:
        name: Name of the tokenizer.
        tokenizer: Tokenizer with a trained prior.
        key: Condition whose labels are asked for.
        limit: Fakes of each label, at most; None for 500.
    """
    labels, prior = tokenizer.labels.get(key, ()), tokenizer.config.prior
    conditions: list[tuple[Condition, str | None]] = [("default", label) for label in labels]
    can_be_left_open = bool(prior.label_dropout)
    if (len(tokenizer.labels) > 1 and can_be_left_open) or (len(tokenizer.labels) == 1 and prior.guidance):
        conditions += [("label alone", label) for label in labels]
    if not labels or can_be_left_open:
        conditions.append(("nothing", None))
    for condition, label in conditions:
        count = min(FAKES, limit or FAKES) * (1 if label is not None else max(10, len(labels)))
        for first in range(0, count, _BATCH_SIZE):
            size = min(_BATCH_SIZE, count - first)
            yield FakeBatch(name=name, condition=condition, label=label, first=first, count=size)


def paper_condition(tokenizer: VqalattentTokenizer, key: str) -> Condition:
    """Return the condition of a tokenizer's fakes that is the paper's: its label alone, without guidance."""
    conditions = {batch.condition for batch in fake_batches("", tokenizer, key, 1)}
    return "label alone" if "label alone" in conditions else "default"


def attributes(tokenizer: VqalattentTokenizer, key: str) -> list[str]:
    """Return the conditions beside the label that a classifier of their own scores."""
    return [one for one in ATTRIBUTES if one != key and len(tokenizer.labels.get(one, ())) > 1]


def why_not_told(recordings: Sequence[Utterance], key: str) -> str:
    """Return why recordings cannot tell an attribute of speakers from the speakers themselves; empty if they can.

    At least two values of the key need two speakers or more.

    Example:
        >>> def said(speaker: str, accent: str) -> Utterance:
        ...     return Utterance(audio_path="a.wav", speaker=speaker, extra={"accent": accent})
        >>> print(why_not_told([said("ann", "US"), said("bob", "DE")], "accent"))  # doctest: +ELLIPSIS
        accent (speakers: 1 of DE, 1 of US): it cannot be told from a voice; take recordings ...
    """
    speakers: dict[str, set[str | None]] = {}
    for one in recordings:
        if (value := one.value(key)) is not None:
            speakers.setdefault(value, set()).add(one.speaker)
    if sum(len(names) > 1 for names in speakers.values()) > 1:
        return ""
    counts = [f"{len(names)} of {value}" for value, names in sorted(speakers.items())]
    found = f"speakers: {', '.join(counts)}" if counts else "no recording has it"
    return (
        f"{key} ({found}): it cannot be told from a voice; take recordings with two speakers or more of at least two "
        "of its values, such as AudioMNIST's"
    )
