"""Tokens agree with their spec; their first levels and single clips are tokens again."""

from typing import Any

import pytest
import torch

from tests.tokens.small import SMALL, SPEC, same
from vocable.errors import SpecError
from vocable.tokens import Tokens


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": torch.zeros(2, 2, 3, dtype=torch.int32)}, "int64"),
        ({"ids": torch.zeros(2, 3, 3, dtype=torch.int64)}, "ids have 3 levels but the spec says 2"),
        ({"ids": torch.full((2, 2, 3), 5)}, r"ids lie in \[5, 5\] but the codebook has entries 0 to 4"),
        ({"ids": torch.full((2, 2, 3), -1)}, r"ids lie in \[-1, -1\]"),
        ({"lengths": torch.tensor([4, 1])}, r"lengths \[4, 1\] do not fit the 3 frames"),
        ({"lengths": torch.tensor([3, -1])}, r"lengths \[3, -1\]"),
        ({"samples": torch.tensor([900, -1])}, "cannot be negative"),
        ({"text": ("one",)}, "1 texts for 2 clips"),
    ],
)
def test_tokens_that_contradict_themselves_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Tokens(**{name: getattr(SMALL, name) for name in SMALL.__dataclass_fields__} | changes)


def test_the_first_levels_are_tokens_of_a_smaller_rate() -> None:
    assert SMALL.keep_levels(1).ids.tolist() == [[[0, 1, 2]], [[4, 0, 0]]]
    assert SMALL.keep_levels(1).spec.bit_rate == SPEC.bit_rate / 2
    assert same(SMALL.keep_levels(2), SMALL)
    for count in (0, 3, -1):
        with pytest.raises(SpecError, match=f"{count} levels were asked of tokens that have 2"):
            SMALL.keep_levels(count)


def test_a_clip_is_a_batch_of_one_without_padding() -> None:
    assert len(SMALL) == 2
    clip = SMALL.clip(1)
    assert clip.ids.tolist() == [[[4], [1]]]
    assert (clip.lengths.tolist(), clip.samples.tolist(), clip.text) == ([1], [1], (None,))
    assert clip.voice is not None
    assert clip.voice.tolist() == [[2.0, 3.0]]
    assert same(SMALL.clip(-1), clip)
    with pytest.raises(IndexError):
        SMALL.clip(2)
