"""VQalAttent speaks: how ids are drawn, what may be asked for, and how long it lasts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.digits import digit
from tests.models import ready_speaker
from tests.systems.vqalattent.conftest import ASKED, IDS, SIZE, ids_of
from vocable.errors import ConfigError, ShapeError
from vocable.systems.vqalattent import tokenizer as module
from vocable.systems.vqalattent.config import PriorConfig
from vocable.systems.vqalattent.model import VqalattentModel
from vocable.systems.vqalattent.networks import _sample_ids
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer


@pytest.mark.parametrize("positions", ["absolute", "grid"])
@pytest.mark.parametrize("order", ["row_major", "time_major"])
def test_keys_that_are_kept_draw_the_ids_that_a_fresh_pass_draws(order: str, positions: str) -> None:
    tokenizer = ready_speaker({"order": order}, {"positions": positions})
    asked = [{"digit": row, "speaker": "ann"} for row in range(4)]
    kept, fresh = (tokenizer.sample(asked, seed=5, cache=cache) for cache in (True, False))
    assert torch.equal(kept.ids, fresh.ids)
    assert len(kept.ids.unique()) > 10


def test_a_draw_depends_on_its_own_seed_and_on_no_other_row(speaker: VqalattentTokenizer) -> None:
    prior = speaker.model.prior.eval()
    labels = torch.tensor([[3, 1]]).expand(3, -1)
    rows = prior.sample(labels, [4, 7, 4])
    assert torch.equal(rows[0], rows[2])
    assert not torch.equal(rows[0], rows[1])
    assert torch.equal(prior.sample(labels[:1], [7])[0], rows[1])


def test_five_are_the_first_of_twenty(speaker: VqalattentTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    many = speaker.sample([ASKED] * 20, seed=1)
    few = speaker.sample([ASKED] * 5, seed=1)
    assert torch.equal(few.ids, many.ids[:5])
    assert len({tuple(row) for row in many.ids[:, 0].tolist()}) == 20
    monkeypatch.setattr(module, "_SAMPLE_ROWS", 3)  # drawn in portions
    assert torch.equal(speaker.sample([ASKED] * 20, seed=1).ids, many.ids)


def test_equal_seeds_equal_tokens_whatever_torchs_random_state(speaker: VqalattentTokenizer) -> None:
    torch.manual_seed(1)
    one = speaker.sample([{}, {"digit": 7}], seed=3)
    torch.manual_seed(2)
    two = speaker.sample([{}, {"digit": "7"}], seed=3)
    assert torch.equal(one.ids, two.ids)
    assert torch.equal(one.voice, two.voice)
    assert not torch.equal(speaker.sample([{}, {"digit": 7}], seed=4).ids, one.ids)


def test_temperature_zero_takes_the_likeliest_id_each_time(speaker: VqalattentTokenizer) -> None:
    prior = speaker.model.prior.eval()
    _, labels = ids_of(speaker)
    greedy = prior.sample(labels, [1, 2], temperature=0.0)
    with torch.no_grad():
        assert torch.equal(prior(greedy, labels).argmax(-1), greedy)
    assert torch.equal(prior.sample(labels, [8, 9], temperature=0.0), greedy)
    assert torch.equal(prior.sample(labels, [8, 9], top_k=1), greedy)
    assert torch.equal(prior.sample(labels, [8, 9], top_p=1e-6), greedy)
    assert torch.equal(prior.sample(labels, [8, 9], temperature=1e-4), greedy)
    assert not torch.equal(prior.sample(labels, [8, 9]), greedy)


extreme = st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=12)


@given(extreme, st.floats(0, 1, exclude_max=True), st.floats(0, 5), st.integers(1, 12), st.floats(1e-6, 1))
@settings(deadline=None)
def test_an_id_is_drawn_whatever_the_logits(
    logits: list[float], chance: float, temperature: float, top_k: int, top_p: float
) -> None:
    """However wild, however narrow the choice: one of the ids there are, among the likeliest ``top_k``."""
    row = torch.tensor([logits], dtype=torch.float32)
    drawn = _sample_ids(row, torch.tensor([chance], dtype=torch.float64), temperature, min(top_k, len(logits)), top_p)
    assert drawn.shape == (1, 1)
    place = int(drawn)
    assert 0 <= place < len(logits)
    assert sum(value > logits[place] for value in row[0].tolist()) < top_k


def drawn_shares(chances: Tensor, **settings: Any) -> Tensor:
    """How often each id is drawn where numbers lie evenly between 0 and 1."""
    count = 4_000
    even = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    known: dict[str, Any] = {"temperature": 1.0, "top_k": None, "top_p": 1.0}
    ids = _sample_ids(chances.log().expand(count, -1).float(), even, **(known | settings))
    return ids.flatten().bincount(minlength=len(chances)) / count


CHANCES = torch.tensor([0.05, 0.4, 0.1, 0.25, 0.2])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_ids_are_drawn_as_often_as_they_are_likely(temperature: float) -> None:
    wanted = CHANCES ** (1 / temperature)
    assert torch.allclose(drawn_shares(CHANCES, temperature=temperature), wanted / wanted.sum(), atol=1e-3)


@pytest.mark.parametrize("top_k", [1, 2, 3, 5])
def test_top_k_draws_among_the_likeliest_as_before(top_k: int) -> None:
    wanted = torch.zeros(5).index_copy(0, CHANCES.topk(top_k).indices, CHANCES.topk(top_k).values)
    assert torch.allclose(drawn_shares(CHANCES, top_k=top_k), wanted / wanted.sum(), atol=1e-3)


@pytest.mark.parametrize(("top_p", "kept"), [(0.39, [1]), (0.41, [1, 3]), (0.64, [1, 3]), (0.8, [1, 3, 4]),
                                             (1.0, [0, 1, 2, 3, 4])])  # fmt: skip
def test_top_p_draws_among_the_fewest_that_have_it_together(top_p: float, kept: list[int]) -> None:
    wanted = torch.zeros(5)
    wanted[kept] = CHANCES[kept]
    assert torch.allclose(drawn_shares(CHANCES, top_p=top_p), wanted / wanted.sum(), atol=1e-3)


def test_an_id_that_cannot_come_never_comes() -> None:
    assert drawn_shares(torch.tensor([0.0, 0.5, 0.0, 0.5])).tolist() == [0.0, 0.5, 0.0, 0.5]


@pytest.mark.parametrize("label_ids", ["separate", "shared"])
def test_drawn_ids_are_entries_of_the_codebook(label_ids: str) -> None:
    """Even where a label or BOS is as likely as can be: the head has no output for it."""
    tokenizer = ready_speaker(prior={"label_ids": label_ids})
    prior = tokenizer.model.prior
    with torch.no_grad():
        prior.head.bias.copy_(torch.linspace(-20, 20, SIZE))
        prior.token_embedding.weight[SIZE:] = 50.0
    assert prior.head.out_features == SIZE
    assert prior.token_embedding.num_embeddings == (SIZE + 1 + 11 + 3 if label_ids == "separate" else SIZE + 1)
    ids = VqalattentTokenizer(tokenizer.model).sample([ASKED] * 4, temperature=5.0).ids
    assert int(ids.min()) >= 0
    assert int(ids.max()) < SIZE


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1: give 0 or more"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"top_k": 0}, "top_k is 0: give 1 to 32"),
        ({"top_k": 33}, "top_k is 33"),
        ({"top_p": 0.0}, "top_p is 0.0: give more than 0 and at most 1"),
        ({"top_p": 1.01}, "top_p is 1.01"),
        ({"top_p": float("nan")}, "top_p is nan"),
    ],
)
def test_settings_out_of_range_are_refused(speaker: VqalattentTokenizer, wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        speaker.sample([ASKED], **wrong)


@pytest.mark.parametrize("use", ["sample", "score"])
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"digit": 10, "speaker": "ann"}, "digit '10' is unknown; choose one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ({"digit": 1, "speaker": "eve"}, "speaker 'eve' is unknown; choose one of ann, bob"),
        ({"accent": "x"}, "this model has no condition 'accent'; its conditions: digit, speaker"),
        ({"digit": None, "speaker": "ann"}, "this prior was trained with all labels shown; give the digit, too"),
    ],
)
def test_what_is_not_known_lists_what_is(
    speaker: VqalattentTokenizer, use: str, asked: Mapping[str, object], message: str
) -> None:
    tokens = speaker.encode_batch([digit(1, 1, 1.0)] * 2)
    ask = speaker.sample if use == "sample" else lambda wanted: speaker.score(tokens, wanted)
    with pytest.raises(ConfigError, match=message):
        ask([ASKED, asked])


def test_a_label_may_be_left_open_where_training_hid_some(open_minded: VqalattentTokenizer) -> None:
    left, named = (open_minded.sample([{"digit": value, "speaker": "ann"}], seed=2) for value in (None, 3))
    assert not torch.equal(left.ids, named.ids)
    assert open_minded.score(left).shape == (1, IDS)


def test_what_is_not_named_is_drawn_with_equal_chance(speaker: VqalattentTokenizer) -> None:
    """Durations tell which: each digit and each speaker has its own."""
    tokens = speaker.sample([{"speaker": "ann"}] * 60, seed=0)
    digits = [round((seconds - 0.2) * 50) for seconds in tokens.voice[:, 1].tolist()]
    assert set(digits) == set(range(10))
    tokens = speaker.sample([{"digit": 0}] * 60, seed=0)
    assert 15 < sum(seconds > 0.25 for seconds in tokens.voice[:, 1].tolist()) < 45


def test_durations_are_those_of_the_labels(speaker: VqalattentTokenizer) -> None:
    """Of each label over that of all speech; the speech begins at once."""
    tokens = speaker.sample([{"digit": 5, "speaker": "ann"}, {"digit": 5, "speaker": "bob"}])
    assert torch.allclose(tokens.voice, torch.tensor([[0.0, 0.3, 0.0], [0.0, 0.45, 0.0]]))
    assert tokens.samples.tolist() == [2_400, 3_600]
    assert [clip.samples.size for clip in speaker.decode_batch(tokens)] == [2_400, 3_600]


def test_a_duration_that_nobody_measured_is_the_typical_one(open_minded: VqalattentTokenizer) -> None:
    tokens = open_minded.sample([{"digit": None, "speaker": None}])
    assert tokens.voice.tolist() == [[0.0, 0.25, 0.0]]


def test_a_prior_without_conditions_speaks_without_being_asked() -> None:
    tokenizer = ready_speaker(prior={"conditions": ()})
    assert tokenizer.labels == {}
    tokens = tokenizer.sample([{}] * 2)
    assert tokens.ids.shape == (2, 1, IDS)
    assert tokenizer.score(tokens).shape == (2, IDS)
    assert [table.title for table in tokenizer.describe()] == ["Model", "Codebooks in training"]
    with pytest.raises(ConfigError, match="has no condition 'digit'; its conditions: none"):
        tokenizer.sample([{"digit": 1}])


def test_nothing_asked_is_nothing_drawn(speaker: VqalattentTokenizer) -> None:
    with pytest.raises(ShapeError, match="give a mapping for at least one utterance"):
        speaker.sample([])


def test_guidance_of_zero_is_no_guidance_and_more_of_it_leans_on_what_is_asked(
    open_minded: VqalattentTokenizer,
) -> None:
    """With guidance g the logits are asked + g · (asked − open): by hand on the first id."""
    prior = open_minded.model.eval().prior
    asked = torch.tensor([[3, 1]] * 12)
    plain = prior.sample(asked, list(range(12)))
    assert torch.equal(prior.sample(asked, list(range(12)), guidance=0.0), plain)
    guided = prior.sample(asked, list(range(12)), guidance=4.0)
    assert not torch.equal(guided, plain)
    assert torch.equal(prior.sample(asked, list(range(12)), guidance=4.0, cache=False), guided)
    assert torch.equal(prior.sample(asked[:5], list(range(5)), guidance=4.0), guided[:5])
    with torch.no_grad():
        first = [prior(plain[:1], labels)[0, 0] for labels in (asked[:1], torch.full((1, 2), -1))]
    wanted = int((first[0] + 4.0 * (first[0] - first[1])).argmax())
    assert int(prior.sample(asked[:1], [0], guidance=4.0, temperature=0.0)[0, 0]) == wanted


def test_guidance_needs_a_prior_that_had_labels_hidden(speaker: VqalattentTokenizer) -> None:
    with pytest.raises(ConfigError, match=r"guidance is 1.0: give 0, or more to a prior trained with hidden labels"):
        speaker.sample([{"digit": 1}], guidance=1.0)
    with pytest.raises(ConfigError, match=r"guidance 2.0 needs a prior trained with hidden labels"):
        PriorConfig(guidance=2.0)


def test_a_model_draws_with_its_own_settings_unless_told_otherwise(speaker: VqalattentTokenizer) -> None:
    own = replace(speaker.config.prior, temperature=0.0, top_p=0.5)
    model = VqalattentModel(replace(speaker.config, prior=own))
    model.load_state_dict(speaker.model.state_dict())
    settled = VqalattentTokenizer(model)
    asked = [{"digit": 1, "speaker": speaker.labels["speaker"][0]}]
    drawn = [settled.sample(asked, seed=seed).ids for seed in (1, 2)]
    assert torch.equal(*drawn)
    assert torch.equal(speaker.sample(asked, seed=1, temperature=0.0).ids, drawn[0])
    assert not torch.equal(settled.sample(asked, seed=1, temperature=1.0, top_p=1.0).ids, drawn[0])
