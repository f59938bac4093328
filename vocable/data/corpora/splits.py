"""Which recording goes to which split: a function of the recordings and the seed, and of nothing else."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from vocable.errors import ConfigError

SHARES: Mapping[str, float] = MappingProxyType({"train": 0.8, "dev": 0.1, "test": 0.1})


def split_by_speaker(
    speakers: Sequence[str], *, genders: Mapping[str, str] | None = None, shares: Mapping[str, float] = SHARES,
    seed: int = 0,
) -> list[str]:  # fmt: skip
    """Splits that no speaker is in two of.

    Every split has a speaker at least, and of each gender about its share.

    Args:
        speakers: Of each recording.
        genders: Of the speakers; those not in it count as a gender of their own.
        shares: Of the speakers, not of the recordings; above 0, 1 together.
        seed: Of the draw.

    Returns:
        The split of each recording.

    Raises:
        ConfigError: There are fewer speakers than splits, or shares or seed are out of range.

    Example:
        >>> split_by_speaker(["ann", "bob", "ann", "eve"], seed=1)
        ['train', 'dev', 'train', 'test']
        >>> split_by_speaker(["ann", "bob", "ann"])
        Traceback (most recent call last):
        vocable.errors.ConfigError: 2 speakers cannot be shared by 3 splits (train, dev, test); split at random instead
    """
    _check(shares, seed)
    names = sorted(set(speakers))
    if len(names) < len(shares):
        raise ConfigError(
            f"{len(names)} speakers cannot be shared by {len(shares)} splits ({', '.join(shares)}); "
            "split at random instead"
        )
    random = np.random.default_rng(seed)
    groups: dict[str, list[str]] = {}
    for at in random.permutation(len(names)):
        groups.setdefault((genders or {}).get(names[at], ""), []).append(names[at])
    # each group laid evenly along one line: any stretch of it has about the same share of each
    places = {name: (at + 0.5) / len(group) for group in groups.values() for at, name in enumerate(group)}
    row = sorted(places, key=places.__getitem__)
    split = dict(zip(row, _row(len(row), shares), strict=True))
    return [split[speaker] for speaker in speakers]


def split_at_random(count: int, *, shares: Mapping[str, float] = SHARES, seed: int = 0) -> list[str]:
    """Splits of recordings drawn one by one: a speaker is in several.

    Args:
        count: Of recordings.
        shares: Of the recordings; above 0, 1 together.
        seed: Of the draw.

    Returns:
        The split of each recording.

    Raises:
        ConfigError: There are fewer recordings than splits, or shares or seed are out of range.

    Example:
        >>> split_at_random(5)
        ['train', 'train', 'train', 'dev', 'test']
    """
    _check(shares, seed)
    if count < len(shares):
        raise ConfigError(f"{count} recordings cannot be shared by {len(shares)} splits ({', '.join(shares)})")
    row = _row(count, shares)
    return [row[at] for at in np.random.default_rng(seed).permutation(count)]


def _row(count: int, shares: Mapping[str, float]) -> list[str]:
    """Every split once, then each time the one that lacks most; the smallest first, so that they mix genders best."""
    counts = dict.fromkeys(shares, 1)
    for _ in range(count - len(shares)):
        counts[max(shares, key=lambda split: shares[split] * count - counts[split])] += 1
    return [split for split in sorted(counts, key=counts.__getitem__) for _ in range(counts[split])]


def _check(shares: Mapping[str, float], seed: int) -> None:
    if not (shares and min(shares.values()) > 0 and abs(sum(shares.values()) - 1) < 1e-6):
        raise ConfigError(f"shares are {dict(shares)}: each must be above 0, and together they must be 1")
    if seed < 0:
        raise ConfigError(f"seed is {seed}: it must be at least 0")
