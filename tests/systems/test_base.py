"""Many clips as one batch: shapes, texts and voices are those of the clips alone."""

import pytest
import torch

from tests.models import ready, ready_ctap, ready_speaker
from vocable.errors import ArgumentError, ShapeError
from vocable.interfaces import Tokenizer
from vocable.systems.base import collate_tokens
from vocable.testing import speechlike

CLIPS = [speechlike(9_000, 8_000), speechlike(5_000, 8_000, 1), speechlike(7_000, 8_000, 2)]
TOKENIZERS = {"guided": lambda: ready("spectral"), "ctap": ready_ctap, "vqalattent": ready_speaker}


@pytest.mark.parametrize("system", TOKENIZERS)
def test_texts_go_with_their_clips(system: str) -> None:
    tokenizer: Tokenizer = TOKENIZERS[system]()
    texts = ["one", None, "three"]
    batch = tokenizer.encode_batch(CLIPS, texts)
    assert batch.text == tuple(texts)
    for row, (clip, text) in enumerate(zip(CLIPS, texts, strict=True)):
        alone = tokenizer.encode(clip, text)
        assert torch.equal(batch.clip(row).ids, alone.ids)
        assert batch.clip(row).text == (text,)
    assert tokenizer.encode_batch(CLIPS).text is None
    assert tokenizer.encode_batch(CLIPS, [None] * 3).text is None


@pytest.mark.parametrize("system", TOKENIZERS)
def test_one_text_for_each_clip(system: str) -> None:
    tokenizer: Tokenizer = TOKENIZERS[system]()
    with pytest.raises(ArgumentError, match=r"texts is 'abc' \(str\); pass a list of str or None"):
        tokenizer.encode_batch(CLIPS, "abc")
    for texts, found in ((["one"], "1 texts"), ([], "0 texts")):
        with pytest.raises(ShapeError, match=f"encode_batch got {found} for 3 clips; give one for each"):
            tokenizer.encode_batch(CLIPS, texts)
    with pytest.raises(ShapeError, match="at least one clip"):
        tokenizer.encode_batch([], [])


def test_batches_are_joined_clip_after_clip() -> None:
    tokenizer = ready_ctap()
    whole = tokenizer.encode_batch(CLIPS, ["one", "two", "three"])
    again = collate_tokens(
        [tokenizer.encode_batch(CLIPS[:2], ["one", "two"]), tokenizer.encode_batch(CLIPS[2:], ["three"])]
    )
    assert torch.equal(again.ids, whole.ids)
    assert torch.equal(again.voice, whole.voice)
    assert (again.text, again.lengths.tolist()) == (whole.text, whole.lengths.tolist())
