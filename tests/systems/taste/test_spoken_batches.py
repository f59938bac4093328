"""Rows become batches: what is drawn, how often, and of which part of the utterances."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from tests.systems.taste.spoken import Units, spoken
from vocable.data.manifest import Utterance, select_share
from vocable.systems.taste.data import TasteBatchConfig


def test_a_batch_is_rows_side_by_side_with_nothing_behind_their_ends(lines: list[Utterance], tmp_path: Path) -> None:
    drawn = spoken(lines, tmp_path)
    alone = {one.names[0]: one for one in map(drawn.row, range(3))}
    batch = drawn.batch(0)
    assert set(batch.names) == set(alone), "eight draws of three"
    groups = {
        "subword_mask": ("subword_ids", "word_ids", "spans"), "frame_mask": ("keys", "values"), "unit_mask": ("units",)
    }  # fmt: skip
    for at, name in enumerate(batch.names):
        for mask, fields in groups.items():
            inside = getattr(batch, mask)[at]
            for field in fields:
                padded = getattr(batch, field)[at]
                assert torch.equal(padded[inside], getattr(alone[name], field)[0])
                assert not padded[~inside].any()
    moved = batch.to(torch.device("meta"))
    assert {value.device.type for name, value in vars(moved).items() if name != "names"} == {"meta"}


def test_batches_are_of_seed_and_step_alone_and_every_utterance_is_as_likely(
    lines: list[Utterance], tmp_path: Path
) -> None:
    config = TasteBatchConfig(batch_size=8, seed=3)
    one, two = spoken(lines, tmp_path, config), spoken(lines, tmp_path, config)
    first, again = one.batch(5), two.batch(5)
    assert first.names == again.names
    assert torch.equal(first.keys, again.keys)
    halves = [one.batch(5, rank, 2).names for rank in (0, 1)]
    assert (*halves[0], *halves[1]) == first.names
    assert one.batch(6).names != first.names
    counts = Counter(name for step in range(100) for name in one.batch(step).names)
    assert min(counts.values()) > 800 / 3 * 0.8


def test_a_smaller_part_lies_inside_a_larger_one_and_parts_no_speaker() -> None:
    said = [
        Utterance(audio_path=f"/{number}.flac", speaker=f"s{number % 40}" if number < 300 else None)
        for number in range(320)
    ]
    parts = {share: select_share(said, share) for share in (0.01, 0.25, 0.5, 1.0)}
    paths = [{one.audio_path for one in part} for part in parts.values()]
    assert all(smaller < larger for smaller, larger in pairwise(paths))
    for share, part in parts.items():
        assert share * 320 <= len(part) < share * 320 + 8  # of a speaker there are 8 at most
        inside = {one.speaker for one in part if one.speaker}
        assert not inside & {one.speaker for one in said if one not in part}
        assert part == [one for one in said if one in part]
    assert parts[1.0] == said
    shuffled = [said[at] for at in np.random.default_rng(0).permutation(320)]
    assert {one.audio_path for one in select_share(shuffled, 0.25)} == paths[1]
    assert select_share([Utterance(audio_path="a.wav", speaker="\ud800")], 0.5)


def test_a_share_is_all_that_is_learnt_from(lines: list[Utterance], tmp_path: Path) -> None:
    units = Units()
    drawn = spoken(lines, tmp_path, TasteBatchConfig(share=0.3), units=units)
    assert drawn.utterances == select_share(lines, 0.3)
    drawn.batch(0)
    assert len(drawn) == len(units.heard) == 1
