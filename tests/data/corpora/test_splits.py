"""Splits share no speaker, have their shares, and are functions of the seed."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vocable.data.corpora.recordings import SHARES, split_at_random, split_by_speaker
from vocable.errors import ConfigError


@pytest.mark.slow
@given(
    speakers=st.lists(st.sampled_from("abcdefghijkl"), min_size=3, max_size=60).filter(lambda row: len(set(row)) > 2),
    seed=st.integers(0, 2**32),
    women=st.sets(st.sampled_from("abcdefghijkl")),
)
@settings(deadline=None, max_examples=200)
def test_no_speaker_is_in_two_splits_and_no_split_is_empty(speakers: list[str], seed: int, women: set[str]) -> None:
    genders = {name: "female" if name in women else "male" for name in speakers}
    splits = split_by_speaker(speakers, genders=genders, seed=seed)
    assert len(splits) == len(speakers)
    assert len(set(zip(speakers, splits, strict=True))) == len(set(speakers))
    assert set(splits) == set(SHARES)
    assert splits == split_by_speaker(speakers, genders=genders, seed=seed)
    again = dict(zip(speakers[::-1], split_by_speaker(speakers[::-1], genders=genders, seed=seed), strict=True))
    assert [again[name] for name in speakers] == splits  # the order of the recordings does not matter


@given(count=st.integers(3, 300), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=100)
def test_random_splits_have_their_shares(count: int, seed: int) -> None:
    splits = split_at_random(count, seed=seed)
    assert splits == split_at_random(count, seed=seed)
    seen = Counter(splits)
    assert set(seen) == set(SHARES)
    assert sum(seen.values()) == count
    assert all(abs(seen[split] - share * count) < 1 for split, share in SHARES.items()) or count < 10


def test_genders_are_spread_over_the_splits() -> None:
    women = {f"s{at:02d}" for at in range(12)}  # of 60, as in AudioMNIST
    speakers = [f"s{at:02d}" for at in range(60)]
    genders = {name: "female" if name in women else "male" for name in speakers}
    for seed in range(20):
        splits = split_by_speaker(speakers, genders=genders, seed=seed)
        assert Counter(splits) == {"train": 48, "dev": 6, "test": 6}
        seen = Counter(split for name, split in zip(speakers, splits, strict=True) if name in women)
        assert seen["train"] in (9, 10)
        assert 1 <= seen["dev"] <= 2
        assert 1 <= seen["test"] <= 2


def test_another_seed_is_another_split() -> None:
    speakers = [f"s{at}" for at in range(20)]
    assert split_by_speaker(speakers, seed=0) != split_by_speaker(speakers, seed=1)
    assert split_at_random(50, seed=0) != split_at_random(50, seed=1)


def test_splits_that_cannot_be_say_why() -> None:
    with pytest.raises(ConfigError, match=r"2 speakers cannot be shared by 3 splits .*; split at random instead"):
        split_by_speaker(["a", "b", "a", "b"])
    with pytest.raises(ConfigError, match=r"2 recordings cannot be shared by 3 splits \(train, dev, test\)"):
        split_at_random(2)
    with pytest.raises(ConfigError, match="seed is -1: it must be at least 0"):
        split_at_random(9, seed=-1)
