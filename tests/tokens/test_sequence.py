"""Tokens as a value and a sequence of clips: equality, hash, indexing, and how they show themselves."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.tokens.small import SMALL, SPEC
from vocable.errors import ArgumentError, ClipIndexError, ConfigError, SpecError
from vocable.tokens import Provenance, Tokens, pack, unpack


def test_equal_contents_are_equal_whatever_is_known_of_them() -> None:
    same = unpack(pack(SMALL))
    padded = replace(SMALL, ids=torch.nn.functional.pad(SMALL.ids, (0, 4), value=1))
    named = replace(SMALL, provenance=Provenance(model="tiny", source="0" * 64))
    for other in (same, padded, named):
        assert other == SMALL
        assert hash(other) == hash(SMALL)
    assert len({SMALL, same, padded, named}) == 1
    no_text = replace(SMALL, text=None)
    assert no_text == replace(SMALL, text=(None, None))
    assert hash(no_text) == hash(replace(SMALL, text=(None, None)))


@pytest.mark.parametrize(
    "changes",
    [
        {"ids": SMALL.ids * torch.tensor([1, 0, 1])},
        {"lengths": torch.tensor([2, 1])},
        {"samples": torch.tensor([901, 1])},
        {"tokenizer": "sha256:other"},
        {"text": None},
        {"voice": None},
        {"voice": SMALL.voice * 2 if SMALL.voice is not None else None},
        {"spec": replace(SPEC, hop=160)},
    ],
    ids=str,
)
def test_other_contents_are_not_equal(changes: dict[str, Any]) -> None:
    assert replace(SMALL, **changes) != SMALL


def test_tokens_are_not_equal_to_anything_else() -> None:
    assert SMALL != "tokens"
    assert SMALL.ids.tolist() != SMALL
    assert None is not SMALL
    assert SMALL in ["tokens", None, SMALL]


def test_a_batch_is_a_sequence_of_its_clips() -> None:
    assert [clip.lengths.tolist() for clip in SMALL] == [[3], [1]]
    assert SMALL[0] == SMALL.clip(0) == next(iter(SMALL))
    assert SMALL[-1] == SMALL.clip(1) == SMALL[np.int64(1)]
    assert SMALL[:] == SMALL
    assert SMALL[::-1][0] == SMALL[1]
    assert SMALL[1:].ids.shape == (1, 2, 1)
    assert SMALL[1:].text == (None,)
    assert len(SMALL[5:]) == 0
    for index in (2, -3, 1 << 70):
        with pytest.raises(IndexError):
            SMALL[index]
        with pytest.raises(ClipIndexError, match=f"clip {index} was asked of tokens that hold 2 clips"):
            SMALL.clip(index)
    for wrong in ("0", 0.0, None, True, [0], slice("a", None), slice(None, None, 0)):
        with pytest.raises(ArgumentError):
            SMALL[wrong]  # type: ignore[index]


def test_ids_go_to_numpy_and_to_devices() -> None:
    assert SMALL.numpy().dtype == np.int64
    assert SMALL.numpy().tolist() == SMALL.ids.tolist()
    assert SMALL.to("cpu") == SMALL
    assert SMALL.to(torch.device("cpu")) == SMALL
    for device in ("foo", "cuda:99"):
        with pytest.raises(ConfigError, match=f"device is '{device}'"):
            SMALL.to(device)
    with pytest.raises(ArgumentError, match="device is 3"):
        SMALL.to(3)  # type: ignore[arg-type]


def test_repr_is_a_line() -> None:
    assert repr(SMALL) == "Tokens(2 clips, 4 frames × 2 levels of 5, 0.06 s, by 'sha256:abc')"
    assert "by 'tiny'" in repr(replace(SMALL[0], provenance=Provenance(model="tiny")))
    assert repr(SMALL[0]).startswith("Tokens(1 clip, 3 frames")


def test_a_notebook_shows_a_table_of_bounded_size_that_runs_nothing() -> None:
    hostile = replace(SMALL, text=("<script>alert(1)</script>", "x" * 100_000))
    page = hostile._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert len(page) < 5_000
    many = Tokens(
        ids=torch.zeros(500, 2, 20_000, dtype=torch.int64), lengths=torch.full((500,), 20_000),
        samples=torch.full((500,), 20_000), spec=SPEC, tokenizer="</table>",
    )  # fmt: skip
    assert len(many._repr_html_()) < 10_000
    assert "</table>" not in many._repr_html_().removesuffix("</table>")
    assert SMALL[5:]._repr_html_().startswith("<table>")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ids": np.zeros((2, 2, 3), dtype=np.int64)},
            r"ids is .*\(ndarray\); pass a torch.Tensor, such as torch.from",
        ),
        ({"ids": [[[0, 1, 2]]]}, r"ids is .*\(list\)"),
        ({"lengths": [3, 1]}, "lengths is"),
        ({"samples": (900, 1)}, "samples is"),
        ({"spec": None}, "spec is None"),
        ({"spec": {"sample_rate": 16_000}}, "spec is"),
        ({"tokenizer": None}, "tokenizer is None"),
        ({"text": "ab"}, "text is 'ab'"),
        ({"text": ["a", "b"]}, "text is"),
        ({"text": (1, 2)}, "text is"),
        ({"voice": np.zeros((2, 2))}, "voice is"),
        ({"provenance": {}}, "provenance is"),
    ],
)
@pytest.mark.usefixtures("untyped")
def test_a_field_of_another_type_says_what_to_pass(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        replace(SMALL, **changes)
    assert isinstance(caught.value, TypeError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"ids": torch.zeros(2, 2, 3, dtype=torch.int64, device="meta")},
        {"ids": torch.zeros(2, 2, 3, dtype=torch.int64).to_sparse()},
        {"lengths": torch.tensor([3.0, 1.0])},
        {"samples": torch.tensor([True, False])},
        {"voice": torch.ones(2, 2, dtype=torch.int64)},
        {"text": ("\ud800", None)},
        {"tokenizer": "\udfff"},
    ],
    ids=["meta", "sparse", "lengths as floats", "samples as truths", "voice of integers", "surrogate", "digest"],
)
@pytest.mark.usefixtures("untyped")
def test_tensors_without_values_and_texts_that_no_file_holds_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        replace(SMALL, **changes)
