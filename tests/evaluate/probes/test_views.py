"""What a probe is shown."""

import pytest
import torch

from tests.evaluate.probes.drawn import Embedder, emotional, tokens
from tests.models import ready
from vocable.errors import ConfigError, SpecError
from vocable.evaluate.probes.views import default_views, levels_of, make_input
from vocable.interfaces import Embedding
from vocable.testing import speechlike


@pytest.mark.parametrize("name", ["spectral", "seanet"])
def test_levels_of_a_guided_tokenizer_add_up_to_what_its_decoder_is_given(name: str) -> None:
    codec = ready(name)
    made = codec.encode_batch([speechlike(6_000), speechlike(3_000, seed=1)])
    count = made.spec.num_codebooks
    whole = codec.embed(made)
    real = int(made.lengths[1])
    assert isinstance(codec, Embedding)
    torch.testing.assert_close(whole[0], codec.model.quantizer.decode(made.ids)[0])
    torch.testing.assert_close(codec.embed(made, [1]) + codec.embed(made, range(2, count + 1)), whole)
    torch.testing.assert_close(whole[1, :real], codec.embed(made.clip(1))[0])
    assert not whole[1, real:].any()


def test_a_guided_tokenizer_embeds_its_own_levels_only() -> None:
    codec = ready("spectral")
    made = codec.encode(speechlike(3_000)).keep_levels(2)
    with pytest.raises(SpecError, match=r"levels \[3\] were asked of tokens that have levels 1 to 2"):
        codec.embed(made, [3])
    with pytest.raises(SpecError, match="load the one that made them"):
        codec.embed(tokens(torch.zeros(1, 3, dtype=torch.int64)))


def test_views_show_vectors_where_there_are_some_and_ids_else() -> None:
    clips, embedder = emotional(), Embedder()
    made = clips[0][1]
    vectors = make_input("levels 2 to 3", embedder, clips)
    ids = make_input("levels 2 to 3", object(), clips)
    assert (vectors.frames(0) == embedder.embed(made, [2, 3])[0].numpy()).all()
    assert (ids.frames(0) == made.ids[0, 1:].T.numpy()).all()
    assert (vectors.codebook_size, ids.codebook_size) == (None, made.spec.codebook_size)


def test_one_level_has_one_view_and_the_rest_is_refused() -> None:
    clips = emotional(levels=1)
    assert default_views(1, voice=False) == ["level 1"]
    assert make_input("levels 2 and up", object(), clips).refused == "this tokenizer has 1 level"
    assert make_input("voice vector", object(), clips).refused == "this tokenizer makes no voice vector"
    assert default_views(2, voice=True) == ["level 1", "level 2", "all levels", "voice vector"]


@pytest.mark.parametrize("view", ["level", "levels 3 to 2", "level 0", "everything"])
def test_a_view_that_is_none_is_named(view: str) -> None:
    with pytest.raises(ConfigError, match=f"view '{view}'"):
        levels_of(view, 8)


def test_tokens_that_do_not_belong_together_are_refused() -> None:
    clips = emotional()
    with pytest.raises(ConfigError, match="tokens of one kind"):
        make_input("level 1", object(), [*clips, *emotional(levels=2)])
    utterance, made = clips[0]
    pair = type(made)(
        ids=made.ids.repeat(2, 1, 1), lengths=made.lengths.repeat(2), samples=made.samples.repeat(2), spec=made.spec,
        tokenizer="drawn",
    )  # fmt: skip
    with pytest.raises(ConfigError, match="2 clips together"):
        make_input("level 1", object(), [(utterance, pair)])
