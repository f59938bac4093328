"""Each network of TASTE against its formula; and a clip has the same vectors alone and in any batch."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.systems.taste.made import (
    ENCODER,
    SIZE,
    VOCABULARY,
    batch_of,
    clock,
    durations,
    model_of,
    relative,
    repadded,
    row,
)  # fmt: skip
from vocable.systems.taste.config import AggregatorConfig, QuantizerConfig, TasteConfig, TextConfig
from vocable.systems.taste.data import TasteBatch
from vocable.systems.taste.model import DurationPredictor, Fusion, SpeechQuantizer, TasteModel, find_letter_positions
from vocable.systems.taste.networks import (
    Aggregator,
    CrossAttention,
    RelativeBlock,
    RelativeStack,
    distance_encodings,
    pool_words,
)
from vocable.systems.taste.unit_lm import TextEncoder

SIZES = ((5, 30, 14), (2, 11, 9), (3, 40, 20), (1, 1, 1))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def full(**changes: Any) -> TasteConfig:
    return relative(aggregator=AggregatorConfig(layout="full", width=16, heads=4, value_layer=2, **changes))


def decoder(**changes: Any) -> TasteConfig:
    return clock(aggregator=replace(clock().aggregator, **changes))


SYSTEMS = {
    "seed": relative(), "full": full(pool_words=True), "clock": clock(), "gated": relative(fusion="gated"),
    "causal": decoder(causal=True), "pooled": decoder(pool_words=True, position_bias=False),
    "placed": full(position_bias=True), "ahead": relative(text=replace(relative().text, causal=False)),
}  # fmt: skip


@torch.no_grad()
def everything(model: TasteModel, batch: TasteBatch) -> dict[str, Tensor]:
    """All that the model makes of a batch; what lies on padding is cut off."""
    said = model.text(batch.subword_ids, batch.subword_mask)
    heard = model.embed_speech(said, batch)
    made = {"said": said, "heard": heard[0]}
    vectors = heard[0]
    if model.quantizer is not None:
        found = model.quantizer(vectors, batch.subword_mask)
        vectors = found.latents
        made["ids"] = found.ids.transpose(1, 2)
    joint, lasting = model.fuse(said, vectors)
    if lasting is not None:
        made["lasting"] = lasting
    told = None if lasting is None else durations(batch)
    logits = model.lm(joint, batch.subword_mask, batch.units, batch.unit_mask, batch.voices, told)
    ends = F.pad(batch.unit_mask, (1, 0), value=True)
    return {name: value[batch.subword_mask] for name, value in made.items()} | {"logits": logits[ends]}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_clip_is_the_same_alone_and_in_any_batch(name: str) -> None:
    model, batch = model_of(SYSTEMS[name]), batch_of(*SIZES)
    together = everything(model, batch)
    alone = [everything(model, row(batch, index)) for index in range(len(SIZES))]
    for part, value in together.items():
        assert torch.allclose(value, torch.cat([one[part] for one in alone]), atol=2e-5), part


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_lies_on_padding_changes_nothing(name: str) -> None:
    model, batch = model_of(SYSTEMS[name]), batch_of(*SIZES)
    one, two = everything(model, batch), everything(model, repadded(batch))
    for part, value in one.items():
        assert torch.equal(value, two[part]), part


@torch.no_grad()
def test_without_the_mask_padding_is_heard() -> None:
    model, batch = model_of(decoder(mask_padding=False)), batch_of(*SIZES)
    assert not torch.allclose(everything(model, batch)["heard"], everything(model, repadded(batch))["heard"])
    heard = model.embed_speech(model.text(batch.subword_ids, batch.subword_mask), batch)
    assert bool((heard[1][1, :, 0, 11:] > 0).all())


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_parameter_learns_but_those_that_are_frozen(name: str) -> None:
    config = replace(SYSTEMS[name], freeze_lm=True)
    model, batch = model_of(config).train(), batch_of((5, 30, 14), (4, 20, 9))
    said = model.text(batch.subword_ids, batch.subword_mask)
    heard, _ = model.embed_speech(said, batch)
    if model.quantizer is not None:
        found = model.quantizer(heard, batch.subword_mask)
        heard = found.latents
    joint, lasting = model.fuse(said, heard)
    logits = model.lm(
        joint,
        batch.subword_mask,
        batch.units,
        batch.unit_mask,
        batch.voices,
        None if lasting is None else lasting.exp(),
    )
    loss = logits.square().sum() + (0.0 if lasting is None else lasting.square().sum())
    loss.backward()
    frozen = ("lm.decoder.", "lm.head.", "lm.embedding.")
    for key, value in model.named_parameters():
        if key.startswith(frozen):
            assert not value.requires_grad, key
            assert value.grad is None
        else:
            assert value.grad is not None, key
            assert bool(value.grad.isfinite().all()), key
            if not key.endswith("key.bias"):  # the same for every key: a softmax does not see it
                assert bool((value.grad != 0).any()), key


@torch.no_grad()
@pytest.mark.parametrize("ahead", [0, 6])
def test_relative_attention_by_the_book(ahead: int) -> None:
    width, heads, length = 8, 2, 7
    torch.manual_seed(0)
    block, hidden = RelativeBlock(width, heads, 16, F.silu).eval(), noise(1, length, width)
    seen = torch.ones(1, length, length, dtype=torch.bool)
    seen = seen if ahead else seen.tril()
    made = block(hidden, distance_encodings(length, ahead, width), seen)
    normed = block.before(hidden)[0]
    query, key, value = (part(normed).view(length, heads, -1) for part in (block.query, block.key, block.value))
    found = torch.zeros(length, heads, width // heads)
    for head in range(heads):
        for here in range(length):
            others = range(length if ahead else here + 1)
            scores = []
            for there in others:
                apart = torch.tensor(float(here - there))
                waves = [apart * 10_000 ** (-2 * (one // 2) / width) for one in range(width)]
                far = torch.stack([wave.cos() if one % 2 else wave.sin() for one, wave in enumerate(waves)])
                told = block.distance(far).view(heads, -1)[head]
                content = (query[here, head] + block.content_bias[head]) @ key[there, head]
                score = content + (query[here, head] + block.distance_bias[head]) @ told
                scores.append(score / math.sqrt(width // heads))
            found[here, head] = torch.stack(scores).softmax(0) @ value[list(others), head]
    wanted = hidden + block.out(found.flatten(1))
    wanted = wanted + block.contract(F.silu(block.expand(block.between(wanted))))
    assert torch.allclose(made, wanted, atol=1e-5)


@torch.no_grad()
def test_a_causal_stack_looks_at_nothing_later() -> None:
    torch.manual_seed(0)
    one, two = noise(1, 6, 4), noise(1, 6, 4)
    two[:, 4:] += 1.0
    for causal in (True, False):
        stack = RelativeStack(4, 8, blocks=2, heads=2, hidden=16, activation=F.relu, causal=causal).eval()
        same = torch.isclose(stack(one), stack(two), atol=1e-6).all(2)[0]
        assert same.tolist() == [causal] * 4 + [False] * 2 if causal else not same.any()


@torch.no_grad()
@pytest.mark.parametrize("positions", ["relative", "sinusoid"])
def test_a_text_is_read_in_its_order(positions: Any) -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(
        TextConfig(vocabulary_size=9, embedding=4, width=8, blocks=1, heads=2, hidden=8, positions=positions), 6
    )
    subwords, mask = torch.tensor([[1, 2, 3, 4]]), torch.ones(1, 4, dtype=torch.bool)
    there, back = encoder.eval()(subwords, mask), encoder(subwords.flip(1), mask).flip(1)
    assert not torch.isclose(there, back, atol=1e-4).all(2).any()


@torch.no_grad()
def test_attention_is_torchs() -> None:
    torch.manual_seed(0)
    attention = CrossAttention(5, 7, 8, 2, 6).eval()
    query, keys, values = noise(2, 3, 5), noise(2, 9, 7), noise(2, 9, 7, seed=1)
    made, weights = attention(query, keys, values, None)
    asked, key, value = (
        part(given).unflatten(2, (2, 4)).transpose(1, 2)
        for part, given in ((attention.query, query), (attention.key, keys), (attention.value, values))
    )
    wanted = F.scaled_dot_product_attention(asked, key, value).transpose(1, 2).flatten(2)
    assert torch.allclose(made, attention.out(wanted), atol=1e-5)
    assert torch.allclose(weights.sum(3), torch.ones(2, 2, 3))


@torch.no_grad()
def test_each_subword_weighs_the_layers_of_values_by_its_query() -> None:
    """Shares begin equal; a query's shares weigh what the same attention finds in each layer."""
    torch.manual_seed(0)
    attention = CrossAttention(6, 5, 8, 2, 8, layers=3).eval()
    query, keys, values = noise(2, 3, 6), noise(2, 4, 5), noise(2, 4, 15, seed=1)
    alone = []
    for number, projection in enumerate([attention.value, *attention.more_values]):
        single = CrossAttention(6, 5, 8, 2, 8).eval()
        single.load_state_dict({name: part for name, part in attention.state_dict().items() if "m" not in name[:2]})
        single.value = projection
        alone.append(single(query, keys, values.chunk(3, dim=2)[number], None)[0])
    assert torch.allclose(attention(query, keys, values, None)[0], torch.stack(alone).mean(0), atol=1e-5)
    attention.mix.weight.normal_(std=3.0)
    shares = attention.mix(query).softmax(2)
    wanted = sum(shares[..., number, None] * one for number, one in enumerate(alone))
    assert torch.allclose(attention(query, keys, values, None)[0], wanted, atol=1e-5)


@torch.no_grad()
def test_pieces_are_expected_where_their_letters_are() -> None:
    sizes = AggregatorConfig(layout="full", width=8, heads=2, position_bias=True)
    torch.manual_seed(0)
    aggregator = Aggregator(sizes, query_dim=4, frame_dim=6, out_dim=8).eval()
    aggregator.layers[0].query.weight.zero_()  # whatever they ask
    aggregator.layers[0].query.bias.zero_()
    aggregator.sharpness[0, 1] = 2000.0
    places = torch.tensor([[0.1, 0.5, 0.9]])
    frames, subwords = torch.ones(1, 40, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)
    frames[:, 20:] = False
    given = noise(1, 3, 4), noise(1, 40, 6), noise(1, 40, 6), subwords, frames, torch.tensor([[0, 1, 2]]), places
    weights = aggregator(*given)[1][0]
    where = (torch.arange(40) + 0.5) / 20
    for head, sharpness in enumerate((20.0, 2000.0)):
        scores = -sharpness * (where[None] - places[0][:, None]).square()
        wanted = scores.masked_fill(where > 1, -math.inf).softmax(1)
        assert torch.allclose(weights[head], wanted, atol=1e-5)
    assert torch.allclose(weights[1] @ where, places[0], atol=0.01)


@torch.no_grad()
def test_values_pass_as_they_are_to_begin_with() -> None:
    torch.manual_seed(0)
    config = AggregatorConfig(
        layout="decoder", width=20, heads=2, depth=2, hidden=8, value_layer=2, value_identity=True
    )
    model = TasteModel(clock(aggregator=config))
    for layer in model.aggregator.layers:
        assert torch.equal(layer.cross_attn.value.weight, torch.eye(20))
        assert not layer.cross_attn.value.bias.any()
        assert not torch.equal(layer.self_attn.value.weight, torch.eye(20))


def test_words_share_the_mean_of_their_pieces() -> None:
    vectors, mask = noise(2, 5, 3), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    words = torch.tensor([[0, 0, 1, 2, 2], [0, 1, 1, 0, 0]])
    made = pool_words(vectors, mask, words)
    for place in (0, 1):
        assert torch.allclose(made[0, place], vectors[0, :2].mean(0))
    assert torch.allclose(made[0, 2], vectors[0, 2])
    assert torch.allclose(made[1, 0], vectors[1, 0])
    assert torch.allclose(made[1, 2], vectors[1, 1:3].mean(0))
    assert not made[1, 3:].any()


def test_letters_say_where_a_piece_is() -> None:
    model = model_of(clock())
    assert model.letters.tolist() == [float(len(subword)) for subword in VOCABULARY]
    assert TasteModel(clock(subwords={"kind": "hub"})).letters.tolist() == [1.0] * SIZE
    inside = TasteModel(clock(subwords={"vocabulary": ["##ab", "", *"c" * (SIZE - 2)]}))
    assert inside.letters[:3].tolist() == [2.0, 1.0, 1.0]
    mask = torch.tensor([[True, True, False]])
    assert find_letter_positions(torch.tensor([[1.0, 3.0, 9.0]]), mask)[0, :2].tolist() == [0.125, 0.625]


def test_joined_ways() -> None:
    said, heard = noise(2, 3, 4), noise(2, 3, 4, seed=1)
    assert torch.equal(Fusion("add", 4)(said, heard), said + heard)
    gated = Fusion("gated", 4)
    gate = gated.gate(torch.cat([said, heard], dim=2)).sigmoid()
    assert torch.allclose(gated(said, heard), said + gate * heard)
    assert torch.equal(gated(said, None), said)
    weighted = Fusion("weighted", 4)
    with torch.no_grad():
        weighted.weights.copy_(torch.tensor([math.log(3.0), 0.0]))
    wanted = 0.75 * F.layer_norm(said, (4,)) + 0.25 * F.layer_norm(heard, (4,))
    assert torch.allclose(weighted(said, heard), wanted, atol=1e-6)
    assert torch.allclose(weighted(said, None), 0.75 * F.layer_norm(said, (4,)), atol=1e-6)


def test_text_alone_is_what_nothing_heard_is() -> None:
    for config in (clock(), relative(), relative(fusion="gated")):
        model, batch = model_of(config), batch_of((4, 9, 9))
        said = model.text(batch.subword_ids, batch.subword_mask)
        assert torch.equal(model.fuse(said, None)[0], model.fuse(said, torch.zeros_like(said))[0])


@torch.no_grad()
def test_quantizing_is_ids_and_back() -> None:
    torch.manual_seed(0)
    quantizer = SpeechQuantizer(QuantizerConfig(num_codebooks=3, codebook_size=16, dim=4), width=6).train()
    vectors, mask = noise(4, 30, 6), torch.ones(4, 30, dtype=torch.bool)
    for _ in range(3):
        quantizer(vectors, mask)
    quantizer.eval()
    found = quantizer(vectors, mask)
    ids = quantizer.encode(vectors)
    assert torch.equal(ids, found.ids)
    assert torch.allclose(quantizer.decode(ids), found.latents, atol=1e-5)
    assert torch.allclose(found.levels.sum(0), found.latents, atol=1e-5)
    assert torch.allclose(quantizer.decode(ids[:, :1]), found.levels[0], atol=1e-5)
    flat = vectors @ quantizer.in_proj.weight.T @ quantizer.in_proj.weight  # what 4 of 6 dimensions can keep
    errors = [float((flat - quantizer.decode(ids[:, :count])).square().mean()) for count in (1, 2, 3)]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.2 * float(flat.square().mean())


def test_durations_stay_within_reason() -> None:
    lasting = DurationPredictor(4)
    with torch.no_grad():
        lasting.out_proj.weight.fill_(1e6)
    found = lasting(noise(3, 50, 4)).exp().detach()
    assert 0.049 < float(found.min()) < float(found.max()) < 501


def test_in_bfloat16_it_stays_near() -> None:
    for config in (clock(quantizer=None), relative()):
        model, batch = model_of(config), batch_of(*SIZES)
        wanted = everything(model, batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            made = everything(model, batch)
        assert torch.allclose(made["logits"].float(), wanted["logits"], atol=0.3)


@pytest.mark.slow
def test_what_is_heard_is_learnt() -> None:
    """Units that only the values tell: text alone must stay at chance, and with what is heard it must not."""
    losses = {}
    for hears in (False, True):
        torch.manual_seed(0)
        model = TasteModel(clock(quantizer=None)).train()
        steps = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for step in range(150):
            batch = told_by_values(step)
            said = model.text(batch.subword_ids, batch.subword_mask)
            joint, _ = model.fuse(said, model.embed_speech(said, batch)[0] if hears else None)
            logits = model.lm(
                joint, batch.subword_mask, batch.units, batch.unit_mask, batch.voices, torch.full((16, 4), 2.0)
            )
            loss = F.cross_entropy(logits[:, 0:8:2].flatten(0, 1), batch.units[:, ::2].flatten())  # new subwords' first
            steps.zero_grad()
            loss.backward()
            steps.step()
            losses[hears] = float(loss.detach())
    assert losses[False] > 0.9 * math.log(4)
    assert losses[True] < 0.6 * math.log(4)


def told_by_values(seed: int) -> TasteBatch:
    """Four subwords of two units and five frames each; of a subword's four units its frames say which it is."""
    batch = batch_of(*[(4, 20, 8)] * 16, seed=seed)
    which = torch.randint(4, (16, 4), generator=torch.Generator().manual_seed(seed))
    values = 3.0 * F.one_hot(which, ENCODER.width).float().repeat_interleave(5, dim=1)
    return replace(batch, values=values, units=which.repeat_interleave(2, dim=1))
