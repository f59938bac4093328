"""VQalAttent's prior as a network: what it sees, what it hides, and how likely it holds ids."""

from math import log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.digits import digit
from tests.models import ready_speaker
from tests.systems.vqalattent.conftest import ASKED, DIGITS, IDS, SIZE, ids_of
from vocable.errors import CheckpointError, ConfigError, ShapeError
from vocable.systems.base import collate_tokens
from vocable.systems.vqalattent.networks import Prior
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer


@settings(deadline=None, max_examples=25)
@given(at=st.integers(0, IDS - 1), by=st.integers(1, SIZE - 1))
def test_an_id_changes_nothing_at_or_before_its_place(speaker: VqalattentTokenizer, at: int, by: int) -> None:
    prior = speaker.model.prior.eval()
    ids, labels = ids_of(speaker, rows=1)
    other = ids.clone()
    other[:, at] = (other[:, at] + by) % SIZE
    with torch.no_grad():
        one, two = prior(ids, labels)[0], prior(other, labels)[0]
    assert torch.allclose(one[: at + 1], two[: at + 1], atol=1e-5)
    if at < IDS - 1:
        assert torch.all((one[at + 1 :] - two[at + 1 :]).abs().amax(1) > 1e-4), "a later place has not seen it"


@pytest.mark.parametrize("order", ["row_major", "time_major"])
def test_a_position_may_know_its_row_and_its_column(order: str) -> None:
    """Beside a vector of its own; the places before the ids have none of these."""
    prior = ready_speaker({"order": order}, {"positions": "grid"}).model.prior
    plain = ready_speaker({"order": order}).model.prior
    sizes = [sum(value.numel() for value in each.parameters()) for each in (prior, plain)]
    assert sizes[0] - sizes[1] == (8 + 11) * 32
    assert torch.equal(plain._positions(), plain.position_embedding.weight)
    added = (prior._positions() - prior.position_embedding.weight).detach()
    assert not added[:3].any()
    rows, columns = (line.weight.detach() for line in prior.axis_embeddings)
    for place in range(IDS):
        row, column = divmod(place, 11) if order == "row_major" else divmod(place, 8)[::-1]
        assert torch.allclose(added[3 + place], rows[row] + columns[column], atol=1e-5)


def test_every_label_is_seen_from_the_first_id_on(speaker: VqalattentTokenizer) -> None:
    prior = speaker.model.prior.eval()
    ids, _ = ids_of(speaker, rows=20)
    asked = torch.tensor([[which, voice] for which in range(10) for voice in range(2)])
    with torch.no_grad():
        first = prior(ids[:1].expand(20, -1), asked)[:, 0]
    assert torch.all(torch.pdist(first) > 1e-3)


def test_labels_that_share_ids_are_the_codebooks_own() -> None:
    """The label 4 is written as id 4: the sequence is that of [BOS, 4, …]."""
    prior = ready_speaker(prior={"label_ids": "shared", "conditions": ("digit",)}).model.prior
    assert prior._prefix(torch.tensor([[4], [0]])).tolist() == [[SIZE, 4], [SIZE, 0]]
    with pytest.raises(ConfigError, match="share the codebook's ids: none of them can be left open"):
        prior(torch.zeros(1, IDS, dtype=torch.int64), torch.tensor([[-1]]))


def test_no_two_labels_share_a_row_of_their_own(open_minded: VqalattentTokenizer) -> None:
    prior = open_minded.model.prior
    rows = [
        prior._prefix(torch.tensor([[which, voice]]))[0].tolist() for which in range(-1, 10) for voice in range(-1, 2)
    ]
    seen = {(column, row[column]) for row in rows for column in range(3)}
    assert len(seen) == 1 + 11 + 3
    assert {value for _, value in seen} == set(range(SIZE, prior.token_embedding.num_embeddings))


def test_attention_is_causal_and_sums_to_one(speaker: VqalattentTokenizer) -> None:
    maps = speaker.model.prior.eval().attention(*ids_of(speaker))
    assert len(maps) == 2
    for weights in maps:
        assert weights.shape == (2, 2, 2 + IDS, 2 + IDS)
        assert torch.allclose(weights.sum(-1), torch.ones(2, 2, 2 + IDS), atol=1e-5)
        assert not weights.triu(1).any()


def test_attention_is_what_a_block_weighs_values_with(speaker: VqalattentTokenizer) -> None:
    block = speaker.model.prior.eval().blocks[0]
    hidden = torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        seen = block.weights(hidden) @ block._split(hidden)[2]
        mixed = hidden + block.out(seen.transpose(1, 2).flatten(2))
        wanted = mixed + block.contract(nn.functional.gelu(block.expand(block.between(mixed))))
        assert torch.allclose(block(hidden), wanted, atol=1e-5)


def test_training_hides_labels_and_use_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each label with half the share, and all of a row with the other half."""
    prior = ready_speaker(prior={"label_dropout": 0.4}).model.prior
    seen: list[Tensor] = []

    def flat(self: Prior, ids: Tensor, labels: Tensor) -> Tensor:
        seen.append(labels)
        return torch.zeros(*ids.shape, SIZE)

    monkeypatch.setattr(Prior, "forward", flat)
    ids, labels = ids_of(ready_speaker(), rows=4_000)
    torch.manual_seed(0)
    assert float(prior.train().loss(ids, labels)) == pytest.approx(log(SIZE), rel=1e-5)
    hidden = seen[0] < 0
    assert torch.all((seen[0] == labels) | hidden)
    assert torch.allclose(hidden.float().mean(0), torch.full((2,), 1 - 0.8**2), atol=0.03)
    assert float(hidden.all(1).float().mean()) == pytest.approx(0.2 + 0.8 * 0.2**2, abs=0.03)
    prior.eval().loss(ids, labels)
    assert torch.equal(seen[1], labels)


def test_dropout_is_of_training_alone() -> None:
    prior = ready_speaker(prior={"dropout": 0.5}).model.prior
    ids, labels = ids_of(ready_speaker())
    with torch.no_grad():
        one, two = (prior.train()(ids, labels) for _ in range(2))
        assert not torch.equal(one, two)
        one, two = (prior.eval()(ids, labels) for _ in range(2))
        assert torch.equal(one, two)


def test_labels_are_those_of_the_conditions(speaker: VqalattentTokenizer) -> None:
    assert speaker.labels == {"digit": DIGITS, "speaker": ("ann", "bob")}


def test_a_score_is_the_log_likelihood_id_by_id(speaker: VqalattentTokenizer) -> None:
    """Against one pass for each id, over the ids before it and nothing else."""
    tokens = speaker.sample([ASKED, {"digit": 0, "speaker": "ann"}], seed=2)
    labels = torch.tensor([[3, 1], [0, 0]])
    ids, prior = tokens.ids[:, 0], speaker.model.prior.eval()
    wanted = torch.zeros(2)
    with torch.no_grad():
        for place in range(IDS):
            chances = prior(ids[:, : place + 1], labels)[:, place].double().softmax(1)
            wanted += chances.gather(1, ids[:, place, None])[:, 0].log().float()
    score = speaker.score(tokens, [ASKED, {"digit": 0, "speaker": "ann"}])
    assert score.shape == (2, IDS)
    assert torch.all(score <= 0)
    assert torch.allclose(score.sum(1), wanted, rtol=1e-4)


@pytest.mark.parametrize("place", [0, 1, 40, IDS - 1])
def test_all_ids_at_a_place_have_probability_one_together(speaker: VqalattentTokenizer, place: int) -> None:
    one = speaker.encode(digit(1, 1, 1.0))
    tokens = collate_tokens([one] * SIZE)
    tokens.ids[:, 0, place] = torch.arange(SIZE)
    score = speaker.score(tokens, [ASKED] * SIZE)
    assert float(score[:, place].exp().sum()) == pytest.approx(1, rel=1e-4)
    assert torch.allclose(score[:, :place], score[:1, :place].expand(SIZE, -1), atol=1e-4)


def test_what_was_drawn_for_a_label_is_likelier_with_it(speaker: VqalattentTokenizer) -> None:
    asked = [{"digit": which, "speaker": "ann"} for which in range(10)]
    tokens = speaker.sample(asked, seed=1)
    totals = torch.stack([
        speaker.score(tokens, [{"digit": which, "speaker": "ann"}] * 10).sum(1) for which in range(10)
    ], dim=1)  # fmt: skip
    others = (totals.sum(1) - totals.diagonal()) / 9
    assert torch.all(totals.diagonal() > others)


def test_what_is_left_open_must_have_been_hidden(speaker: VqalattentTokenizer) -> None:
    with pytest.raises(ConfigError, match="this prior was trained with all labels shown; give the digit, too"):
        speaker.score(speaker.encode(digit(1, 1, 1.0)))


def test_scores_need_labels_for_every_clip(speaker: VqalattentTokenizer) -> None:
    with pytest.raises(ShapeError, match="labels of 1 utterances for tokens of 2"):
        speaker.score(speaker.encode_batch([digit(1, 1, 1.0)] * 2), [ASKED])


@pytest.mark.parametrize("use", ["sample", "score"])
def test_a_prior_that_cannot_be_used_is_refused(use: str) -> None:
    def ask(tokenizer: VqalattentTokenizer) -> object:
        if use == "sample":
            return tokenizer.sample([ASKED])
        return tokenizer.score(tokenizer.encode(digit(1, 1, 1.0)), [ASKED])

    model = ready_speaker().model
    ask(VqalattentTokenizer(model))
    with torch.no_grad():
        model.vqvae.quantizer.codebooks[0].entries[5, 2] += 0.01
    with pytest.raises(CheckpointError, match="prior was trained on the ids of another codebook; train it on this one"):
        ask(VqalattentTokenizer(model))
    model.prior_codebook.zero_()
    with pytest.raises(CheckpointError, match="prior is not trained: the model encodes and decodes, but cannot sample"):
        ask(VqalattentTokenizer(model))
    assert dict(VqalattentTokenizer(model).describe()[0].rows)["prior"] == "not trained yet"
