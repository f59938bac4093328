"""VQalAttent in use: pictures, ids and their order, the prior's laws, and what it refuses."""

from collections.abc import Mapping
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.digits import digit
from tests.models import ready, ready_speaker
from vocable import check_tokenizer
from vocable.audio import Audio
from vocable.errors import AudioError, CheckpointError, ConfigError, ShapeError, SpecError
from vocable.features.image import ImageSpec
from vocable.interfaces import Embedding, Generator, Tokenizer
from vocable.quantizers import EmaCodebook, GradientCodebook, StochasticVectorQuantizer
from vocable.recipes import find
from vocable.systems.hub import load
from vocable.systems.vqalattent import tokenizer as module
from vocable.systems.vqalattent.config import (
    PriorConfig,
    VqalattentConfig,
    VqvaeConfig,
    config_from_json,
    config_to_json,
)
from vocable.systems.vqalattent.model import VqalattentModel
from vocable.systems.vqalattent.prior import Prior, _draw
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.testing import speechlike
from vocable.tokens import Tokens
from vocable.vocoders import GriffinLim

IDS, SIZE = 88, 32  # of an utterance of the tiny model, and its codebook
DIGITS = tuple("0123456789")
ASKED = {"digit": 3, "speaker": "bob"}


@pytest.fixture(scope="module")
def speaker() -> VqalattentTokenizer:
    """Knows digits and two voices, and was trained with neither hidden."""
    return ready_speaker()


@pytest.fixture(scope="module")
def open_minded() -> VqalattentTokenizer:
    """Whose training hid some labels."""
    return ready_speaker(prior={"unknown": 0.2})


@pytest.fixture
def untyped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a value of the wrong type come as far as it does for a user."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


# ---- sizes -----------------------------------------------------------------------------------------------------------


def vqvae_parameters(sizes: VqvaeConfig) -> int:
    """By a formula of its own; the entries of an EMA codebook are no parameters."""

    def convolution(before: int, behind: int, kernel: int) -> int:
        return before * behind * kernel**2 + behind

    first, second = ({1: 3, 2: 4}[stride] for stride in sizes.strides)
    width, residual = sizes.width, 2 * convolution(sizes.width, sizes.width, 3) * sizes.residual_blocks
    strided = convolution(1, width, first) + 2 * convolution(width, width, second) + convolution(width, 1, first)
    return strided + 2 * residual + convolution(width, sizes.code_width, 3) + convolution(sizes.code_width, width, 3)


def prior_parameters(sizes: PriorConfig, ids: int, entries: int, labels: int) -> int:
    """Blocks of two layer norms, attention without bias in queries, keys and values, and a network of four widths."""
    width = sizes.width
    block = 4 * width + 3 * width**2 + width * (width + 1) + width * 4 * (width + 1) + 4 * width * width + width
    rows = entries + 1 + len(sizes.conditions) + labels  # codes, BOS, and for each condition "not said" and its labels
    places = 1 + len(sizes.conditions) + ids
    return sizes.blocks * block + (rows + places) * width + 2 * width + (width + 1) * entries


@pytest.mark.parametrize(("recipe", "grid"), [("vqalattent-paper", (16, 22)), ("vqalattent-paper-cr4", (32, 44))])
def test_the_papers_sizes(recipe: str, grid: tuple[int, int]) -> None:
    config = replace(find(recipe).model, labels={"digit": DIGITS})
    ids = grid[0] * grid[1]
    assert (config.grid, config.frames) == (grid, ids)
    assert config.frames == {"vqalattent-paper": 352, "vqalattent-paper-cr4": 1_408}[recipe]
    with torch.device("meta"):
        model = VqalattentModel(config).eval()
        images, asked = torch.zeros(2, 64, 88), torch.zeros(2, 1, dtype=torch.int64)
    assert model.vqvae.quantizer.books[0].entries.shape == (256, 64)
    assert model.vqvae.latents(images).shape == (2, ids, 64)
    tokens = torch.zeros(2, ids, dtype=torch.int64, device="meta")
    assert model.vqvae.decode(tokens).shape == (2, 64, 88)
    assert model.prior(tokens, asked).shape == (2, ids, 256)
    assert (len(model.prior.blocks), model.prior.blocks[0].heads) == (12, 8)
    counts = [sum(value.numel() for value in part.parameters()) for part in (model.vqvae, model.prior)]
    assert counts[0] == vqvae_parameters(config.vqvae)
    assert counts[1] == prior_parameters(config.prior, ids, 256, 10)
    assert counts[1] == {"vqalattent-paper": 9_693_440, "vqalattent-paper-cr4": 9_963_776}[recipe]


@pytest.mark.parametrize(
    ("recipe", "said"), [("vqalattent-paper", ("352 (16 × 22), 2816 bit", "16")),
                         ("vqalattent-paper-cr4", ("1408 (32 × 44), 11264 bit", "4"))],
)  # fmt: skip
def test_a_recipe_tells_its_ids_and_compression(recipe: str, said: tuple[str, str]) -> None:
    rows = dict(find(recipe).model.facts()[0].rows)
    assert (rows["ids of an utterance"], rows["picture values to an id"]) == said
    assert "1.02 s" in rows["picture"]


def test_the_model_in_the_box_begins_from_a_vqvae_of_its_own_shape() -> None:
    """One recipe trains the VQ-VAE on more speakers, the other its prior."""
    both, first, finer = (find(f"vqalattent-{name}") for name in ("fsdd", "fsdd-vqvae", "fsdd-cr4"))
    assert first.model == both.model
    assert first.losses.prior_from(first.train.steps) == first.train.steps
    assert 0 < both.losses.prior_from(both.train.steps) < both.train.steps
    assert (both.model.frames, finer.model.frames) == (352, 1_408)
    assert both.model.image.sample_rate == 8_000
    assert both.model.prior.conditions == ("digit", "speaker")


@pytest.mark.parametrize("strides", [(2, 2), (2, 1), (1, 2), (1, 1)])
def test_any_strides_give_their_grid_and_the_picture_back(strides: tuple[int, int]) -> None:
    tokenizer = ready_speaker({"strides": strides})
    reduction = strides[0] * strides[1]
    assert tokenizer.config.grid == (32 // reduction, 44 // reduction)
    tokens = tokenizer.encode(digit(0, 1, 1.0))
    assert tokens.ids.shape == (1, 1, 32 * 44 // reduction**2)
    assert tokenizer.pictures(tokens).shape == (1, 32, 44)
    assert tokenizer.model.vqvae.cells == tokenizer.config.frames


@pytest.mark.parametrize("begin", ["kmeans", "data", "normal", "uniform"])
@pytest.mark.parametrize("codebook", ["ema", "gradient", "stochastic"])
def test_a_codebook_is_the_one_that_was_asked_for(codebook: str, begin: str) -> None:
    quantizer = ready_speaker({"codebook": codebook, "begin": begin, "temperature": 0.7}).model.vqvae.quantizer
    (book,) = quantizer.books
    assert type(book) is (EmaCodebook if codebook == "ema" else GradientCodebook)
    assert isinstance(quantizer, StochasticVectorQuantizer) == (codebook == "stochastic")
    assert getattr(quantizer, "temperature", 0.7) == 0.7
    assert (book.begin, book.size, book.dim) == (begin, SIZE, 8)


# ---- speech to ids and back ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("codebook", "order"), [("ema", "time_major"), ("stochastic", "row_major")])
def test_every_law(codebook: str, order: str) -> None:
    tokenizer = ready_speaker({"codebook": codebook, "order": order})
    check_tokenizer(tokenizer)
    for protocol in (Tokenizer, Embedding, Generator):
        assert isinstance(tokenizer, protocol)


def test_either_order_of_ids_is_the_other_transposed() -> None:
    """With the same weights: mel row by mel row, or column by column, of one grid."""
    by_row, by_time = (ready_speaker({"order": order}).model.eval() for order in ("row_major", "time_major"))
    by_row.load_state_dict(by_time.state_dict())
    rows, columns = by_row.config.grid
    images = torch.rand(3, 32, 44, generator=torch.Generator().manual_seed(0))
    one, two = by_row.vqvae.encode(images), by_time.vqvae.encode(images)
    assert torch.equal(one.unflatten(1, (rows, columns)).transpose(1, 2), two.unflatten(1, (columns, rows)))
    assert not torch.equal(one, two)
    assert torch.allclose(by_row.vqvae.decode(one), by_time.vqvae.decode(two), atol=1e-6)


@pytest.mark.parametrize("order", ["row_major", "time_major"])
def test_an_id_is_seen_at_its_own_place(order: str) -> None:
    """Another id in one cell changes the decoded picture around that cell's row and column, and nothing far from it."""
    vqvae = ready_speaker({"order": order}).model.vqvae.eval()
    rows, columns = vqvae.grid
    ids = torch.zeros(1, rows, columns, dtype=torch.int64)
    other = ids.clone()
    other[0, 1, 8] = 9
    pictures = []
    for grid in (ids, other):
        flat = grid if order == "row_major" else grid.transpose(1, 2)
        pictures.append(vqvae.decode(flat.flatten(1))[0])
    moved = (pictures[0] - pictures[1]).abs() > 1e-6
    rows_moved, columns_moved = (moved.any(axis).nonzero().flatten() for axis in (1, 0))
    assert float(rows_moved.float().mean()) == pytest.approx(4 * 1.5, abs=6)
    assert float(columns_moved.float().mean()) == pytest.approx(4 * 8.5, abs=6)
    assert not moved[24:].any()
    assert not moved[:, :16].any()


def test_a_length_does_not_change_the_number_of_ids(speaker: VqalattentTokenizer) -> None:
    for samples in (600, 4_000, 30_000):
        tokens = speaker.encode(speechlike(samples, 8_000))
        assert tokens.ids.shape == (1, 1, IDS)
        assert tokens.samples.tolist() == [samples]


def test_silence_around_speech_moves_its_onset_and_no_id(speaker: VqalattentTokenizer) -> None:
    clip = digit(4, 1, 1.0).samples
    alone = speaker.encode(Audio(clip, 8_000))
    moved = speaker.encode(Audio(np.pad(clip, (1_280, 3_000)), 8_000))
    assert torch.equal(moved.ids, alone.ids)
    assert torch.allclose(moved.voice - alone.voice, torch.tensor([[1_280 / 8_000, 0.0, 0.0]]))
    assert int(moved.samples[0]) == clip.size + 4_280


def test_decoded_speech_lies_where_it_was_in_a_clip_of_the_same_length(speaker: VqalattentTokenizer) -> None:
    sound = digit(4, 1, 1.0).samples[400:-300]
    clip = Audio(np.concatenate([np.zeros(2_000), sound, np.zeros(5_000)]).astype(np.float32), 8_000)
    tokens = speaker.encode(clip)
    onset, seconds, _ = tokens.voice[0].tolist()
    assert 0 <= 2_000 / 8_000 - onset <= 320 / 8_000
    assert 0 <= seconds - sound.size / 8_000 <= 640 / 8_000
    made = speaker.decode(tokens).samples
    first, end = round(onset * 8_000), round((onset + seconds) * 8_000)
    assert made.size == clip.samples.size
    assert not made[:first].any()
    assert not made[end:].any()
    assert np.abs(made[first:end]).max() > 1e-3


def test_decoding_goes_by_the_timing_beside_the_ids(speaker: VqalattentTokenizer) -> None:
    tokens = replace(speaker.encode(digit(4, 1, 1.0)), samples=torch.tensor([8_000]))
    early, late = (
        speaker.decode(replace(tokens, voice=torch.tensor([[onset, 0.4, 0.0]]))).samples for onset in (0.0, 0.25)
    )
    assert np.array_equal(early[:3_200], late[2_000:5_200])
    assert not early[3_200:].any()
    assert not late[:2_000].any()


@pytest.mark.parametrize("voice", [[0.0, 9.0], [9.0, 0.2], [-1.0, 0.2], [0.9, 0.9], [0.0, 0.0]])
def test_a_timing_out_of_the_clip_is_cut(speaker: VqalattentTokenizer, voice: list[float]) -> None:
    tokens = replace(
        speaker.encode(digit(4, 1, 1.0)), samples=torch.tensor([8_000]), voice=torch.tensor([[*voice, 0.0]])
    )
    assert speaker.decode(tokens).samples.size == 8_000


def test_a_picture_is_what_is_encoded(speaker: VqalattentTokenizer) -> None:
    clip = digit(4, 1, 1.0)
    image = speaker.image(clip)
    assert image.shape == (32, 44)
    assert torch.equal(speaker.model.eval().vqvae.encode(image[None])[0], speaker.encode(clip).ids[0, 0])


def test_pictures_of_a_batch_are_those_of_its_clips(speaker: VqalattentTokenizer) -> None:
    tokens = speaker.encode_batch([digit(which, 1, 1.0) for which in range(3)])
    pictures = speaker.pictures(tokens)
    assert pictures.shape == (3, 32, 44)
    assert float(pictures.min()) >= 0
    assert float(pictures.max()) <= 1
    for row in range(3):
        assert torch.equal(speaker.pictures(tokens.clip(row))[0], pictures[row])


def test_embedded_ids_are_their_entries(speaker: VqalattentTokenizer) -> None:
    tokens = speaker.encode_batch([digit(which, 1, 1.0) for which in range(2)])
    entries = speaker.model.vqvae.quantizer.books[0].entries
    assert torch.equal(speaker.embed(tokens), entries[tokens.ids[:, 0]])
    assert torch.equal(speaker.embed(tokens, [1]), speaker.embed(tokens))


def test_a_text_is_carried_along(speaker: VqalattentTokenizer) -> None:
    clip = digit(4, 1, 1.0)
    tokens = speaker.encode(clip, "four")
    assert tokens.text == ("four",)
    assert torch.equal(tokens.ids, speaker.encode(clip).ids)
    assert module.joined([tokens, speaker.encode(clip)]).text == ("four", None)
    assert module.joined([speaker.encode(clip)] * 2).text is None


def test_clips_without_speech_are_refused(speaker: VqalattentTokenizer) -> None:
    for clip in (Audio(np.zeros(4_000, dtype=np.float32), 8_000), speechlike(50, 8_000)):
        for use in (speaker.encode, speaker.image, lambda clip: speaker.encode_batch([digit(1, 0, 1.0), clip])):
            with pytest.raises(AudioError, match="silent or shorter than 64 samples at 8000 Hz"):
                use(clip)
    with pytest.raises(ShapeError, match="at least one clip"):
        speaker.encode_batch([])


def test_what_decode_refuses(speaker: VqalattentTokenizer) -> None:
    tokens = speaker.encode_batch([digit(1, 1, 1.0), digit(2, 1, 1.0)])
    with pytest.raises(SpecError, match="one clip, these tokens hold 2; use decode_batch"):
        speaker.decode(tokens)
    with pytest.raises(SpecError, match="takes no other; decode without `voice`"):
        speaker.decode(tokens.clip(0), voice=digit(1, 1, 1.0))
    with pytest.raises(SpecError, match=r"lack what stands beside the ids \(`voice`\)"):
        speaker.decode(replace(tokens.clip(0), voice=None))


@pytest.mark.parametrize("use", ["decode", "pictures", "embed", "score"])
def test_tokens_that_are_not_its_own_are_refused(open_minded: VqalattentTokenizer, use: str) -> None:
    tokens = open_minded.encode(digit(1, 1, 1.0))
    take = getattr(open_minded, use)
    with pytest.raises(SpecError, match="load the one that made them"):
        take(ready("spectral").encode(speechlike(4_000)))
    with pytest.raises(SpecError, match=r"with 87 frames, this tokenizer makes .* with 88"):
        take(replace(tokens, ids=tokens.ids[..., :-1], lengths=tokens.lengths - 1))
    with pytest.raises(SpecError, match="this tokenizer makes"):
        take(replace(tokens, spec=replace(tokens.spec, codebook_size=64)))


@pytest.mark.parametrize("levels", [[], [2], [1, 1], [0]])
def test_there_is_one_level(speaker: VqalattentTokenizer, levels: list[int]) -> None:
    with pytest.raises(SpecError, match="were asked of tokens that have level 1 alone"):
        speaker.embed(speaker.encode(digit(1, 1, 1.0)), levels)


# ---- the prior -------------------------------------------------------------------------------------------------------


def ids_of(speaker: VqalattentTokenizer, rows: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Any ids with any labels."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(SIZE, (rows, IDS), generator=generator)
    return ids, torch.stack([torch.randint(count, (rows,), generator=generator) for count in (10, 2)], dim=1)


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
    assert torch.equal(plain._positions(), plain.places.weight)
    added = (prior._positions() - prior.places.weight).detach()
    assert not added[:3].any()
    rows, columns = (line.weight.detach() for line in prior.lines)
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
    monkeypatch.setattr(module, "_ROWS", 3)  # drawn in portions
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
    drawn = _draw(row, torch.tensor([chance], dtype=torch.float64), temperature, min(top_k, len(logits)), top_p)
    assert drawn.shape == (1, 1)
    place = int(drawn)
    assert 0 <= place < len(logits)
    assert sum(value > logits[place] for value in row[0].tolist()) < top_k


def drawn_shares(chances: Tensor, **settings: Any) -> Tensor:
    """How often each id is drawn where numbers lie evenly between 0 and 1."""
    count = 4_000
    even = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    known: dict[str, Any] = {"temperature": 1.0, "top_k": None, "top_p": 1.0}
    ids = _draw(chances.log().expand(count, -1).float(), even, **(known | settings))
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


@pytest.mark.parametrize("label_ids", ["own", "shared"])
def test_drawn_ids_are_entries_of_the_codebook(label_ids: str) -> None:
    """Even where a label or BOS is as likely as can be: the head has no output for it."""
    tokenizer = ready_speaker(prior={"label_ids": label_ids})
    prior = tokenizer.model.prior
    with torch.no_grad():
        prior.head.bias.copy_(torch.linspace(-20, 20, SIZE))
        prior.tokens.weight[SIZE:] = 50.0
    assert prior.head.out_features == SIZE
    assert prior.tokens.num_embeddings == (SIZE + 1 + 11 + 3 if label_ids == "own" else SIZE + 1)
    ids = VqalattentTokenizer(tokenizer.model).sample([ASKED] * 4, temperature=5.0).ids
    assert int(ids.min()) >= 0
    assert int(ids.max()) < SIZE


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
    assert {value for _, value in seen} == set(range(SIZE, prior.tokens.num_embeddings))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1: 0 or more is wanted"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"top_k": 0}, "top_k is 0: 1 to 32 is wanted"),
        ({"top_k": 33}, "top_k is 33"),
        ({"top_p": 0.0}, "top_p is 0.0: over 0 and at most 1 is wanted"),
        ({"top_p": 1.01}, "top_p is 1.01"),
        ({"top_p": float("nan")}, "top_p is nan"),
    ],
)
def test_settings_out_of_range_are_refused(speaker: VqalattentTokenizer, wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        speaker.sample([ASKED], **wrong)


def test_attention_is_causal_and_sums_to_one(speaker: VqalattentTokenizer) -> None:
    maps = speaker.model.prior.eval().attention(*ids_of(speaker))
    assert len(maps) == 2
    for weights in maps:
        assert weights.shape == (2, 2, 2 + IDS, 2 + IDS)
        assert torch.allclose(weights.sum(-1), torch.ones(2, 2, 2 + IDS), atol=1e-5)
        assert not weights.triu(1).any()


def test_attention_to_tokens_is_that_to_their_ids(speaker: VqalattentTokenizer) -> None:
    tokens = speaker.sample([ASKED] * 2)
    prior = speaker.model.prior.eval()
    wanted = prior.attention(tokens.ids[:, 0], torch.tensor([[3, 1], [3, 1]]))
    assert all(torch.equal(*maps) for maps in zip(speaker.attention(tokens, [ASKED] * 2), wanted, strict=True))
    with pytest.raises(ConfigError, match="digit 'x' is not known"):
        speaker.attention(tokens, [ASKED, {"digit": "x"}])


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
    prior = ready_speaker(prior={"unknown": 0.4}).model.prior
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


# ---- what may be asked for -------------------------------------------------------------------------------------------


def test_labels_are_those_of_the_conditions(speaker: VqalattentTokenizer) -> None:
    assert speaker.labels == {"digit": DIGITS, "speaker": ("ann", "bob")}


@pytest.mark.parametrize("use", ["sample", "score"])
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"digit": 10, "speaker": "ann"}, "digit '10' is not known; there are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ({"digit": 1, "speaker": "eve"}, "speaker 'eve' is not known; there are ann, bob"),
        ({"accent": "x"}, "this model cannot be asked for a accent; it takes digit, speaker"),
        ({"digit": None, "speaker": "ann"}, "this prior always knew digit, speaker: say the digit too"),
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
    assert [table.title for table in tokenizer.facts()] == ["Model", "Codebooks in training"]
    with pytest.raises(ConfigError, match="cannot be asked for a digit; it takes nothing"):
        tokenizer.sample([{"digit": 1}])


def test_nothing_asked_is_nothing_drawn(speaker: VqalattentTokenizer) -> None:
    with pytest.raises(ShapeError, match="ask for at least one utterance"):
        speaker.sample([])


# ---- how likely ------------------------------------------------------------------------------------------------------


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
    tokens = module.joined([one] * SIZE)
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
    with pytest.raises(ConfigError, match="this prior always knew digit, speaker: say the digit too"):
        speaker.score(speaker.encode(digit(1, 1, 1.0)))


def test_scores_need_labels_for_every_clip(speaker: VqalattentTokenizer) -> None:
    with pytest.raises(ShapeError, match="labels for 1 utterances and tokens of 2"):
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
        model.vqvae.quantizer.books[0].entries[5, 2] += 0.01
    with pytest.raises(CheckpointError, match="prior learnt the ids of another codebook; train it on this one"):
        ask(VqalattentTokenizer(model))
    model.prior_of.zero_()
    with pytest.raises(CheckpointError, match="prior is not trained: it encodes and decodes, but cannot speak yet"):
        ask(VqalattentTokenizer(model))
    assert dict(VqalattentTokenizer(model).facts()[0].rows)["prior"] == "not trained yet"


# ---- files and facts -------------------------------------------------------------------------------------------------


def test_a_saved_prior_draws_what_it_drew(speaker: VqalattentTokenizer, tmp_path: Path) -> None:
    speaker.save(tmp_path)
    again = load(tmp_path)
    assert isinstance(again, VqalattentTokenizer)
    assert again.digest == speaker.digest
    assert again.config == speaker.config
    one, two = (each.sample([ASKED, {}], seed=3) for each in (speaker, again))
    assert torch.equal(one.ids, two.ids)
    assert torch.equal(one.voice, two.voice)


def test_half_the_bits_are_another_tokenizer_whose_prior_still_speaks(
    speaker: VqalattentTokenizer, tmp_path: Path
) -> None:
    speaker.save(tmp_path / "half", half=True)
    half = load(tmp_path / "half")
    assert half.digest != speaker.digest
    assert half.sample([ASKED]).ids.shape == (1, 1, IDS)
    half.save(tmp_path / "again", half=True)
    again = load(tmp_path / "again")
    assert again.digest == half.digest
    assert torch.equal(again.sample([ASKED]).ids, half.sample([ASKED]).ids)


@pytest.mark.parametrize("at", [0.3, 0.6, 0.99])
def test_altered_weights_are_refused(speaker: VqalattentTokenizer, tmp_path: Path, at: float) -> None:
    speaker.save(tmp_path)
    file = tmp_path / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[int(at * len(data))] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match="the weights are altered"):
        load(tmp_path)


def test_the_vocoder_is_the_one_that_was_named(speaker: VqalattentTokenizer, tmp_path: Path) -> None:
    speaker.save(tmp_path)
    again = VqalattentTokenizer.load(tmp_path, vocoder="griffin-lim")
    assert isinstance(again.vocoder, GriffinLim)
    tokens = speaker.encode(digit(1, 1, 1.0))
    assert np.array_equal(again.decode(tokens).samples, speaker.decode(tokens).samples)
    with pytest.raises(ConfigError, match="there is no vocoder 'nobody'"):
        VqalattentTokenizer.load(tmp_path, vocoder="nobody")


def test_facts_tell_what_may_be_asked_for(speaker: VqalattentTokenizer) -> None:
    model, _, asked = speaker.facts()
    rows = dict(model.rows)
    assert rows["digest"] == speaker.digest
    assert rows["prior"] == "trained"
    assert rows["vocoder"] == "griffin-lim"
    assert rows["ids of an utterance"] == "88 (8 × 11), 440 bit"
    assert dict(asked.rows) == {"digit": "0, 1, 2, 3, 4, 5, 6, 7, 8, 9", "speaker": "ann, bob"}


def test_tokens_come_back_from_a_file_and_decode_as_before(speaker: VqalattentTokenizer, tmp_path: Path) -> None:
    tokens = speaker.sample([ASKED] * 2)
    tokens.write(tmp_path / "a.tokens")
    again = Tokens.read(tmp_path / "a.tokens")
    for one, two in zip(speaker.decode_batch(tokens), speaker.decode_batch(again), strict=True):
        assert np.array_equal(one.samples, two.samples)


# ---- settings --------------------------------------------------------------------------------------------------------

OTHER = VqalattentConfig(
    image=ImageSpec(sample_rate=16_000, n_fft=512, bins=40, frames=60, trim_db=20.0, range_db=70.0),
    vqvae=VqvaeConfig(strides=(2, 1), width=8, residual_blocks=2, code_width=4, codebook_size=16, codebook="gradient",
                      begin="data", temperature=0.5, order="time_major"),
    prior=PriorConfig(blocks=3, heads=2, width=16, dropout=0.2, conditions=("speaker", "digit"), unknown=0.3),
    labels={"speaker": ("ann",), "digit": ("0", "1")},
)  # fmt: skip


@pytest.mark.parametrize("config", [OTHER, find("vqalattent-paper").model, find("vqalattent-tiny").model])
def test_a_config_comes_back_from_json(config: VqalattentConfig) -> None:
    assert config_from_json(config_to_json(config)) == config


@pytest.mark.parametrize(
    "broken",
    [
        {},
        config_to_json(OTHER) | {"vqvae": {}},
        config_to_json(OTHER) | {"labels": None},
        config_to_json(OTHER) | {"image": {"size": 3}},
        config_to_json(OTHER) | {"prior": {**config_to_json(OTHER)["prior"], "colour": "red"}},
        config_to_json(OTHER) | {"vqvae": {**config_to_json(OTHER)["vqvae"], "strides": 2}},
        config_to_json(OTHER) | {"vqvae": {**config_to_json(OTHER)["vqvae"], "width": "wide"}},
    ],
)
@pytest.mark.usefixtures("untyped")
def test_a_config_that_is_none_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="was it written by another version"):
        config_from_json(broken)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"codebook": "none"}, "codebook is 'none'; choose ema or gradient or stochastic"),
        ({"begin": "zeros"}, "begin is 'zeros'; choose kmeans or data or normal or uniform"),
        ({"order": "random"}, "order is 'random'; choose row_major or time_major"),
        ({"width": 0}, "width is 0: it must be at least 1"),
        ({"residual_blocks": 0}, "residual_blocks is 0"),
        ({"code_width": 0}, "code_width is 0"),
        ({"codebook_size": 0}, "codebook_size is 0"),
        ({"strides": (2, 3)}, r"strides \(2, 3\) must be two of 1 and 2"),
        ({"strides": (2, 2, 2)}, r"strides \(2, 2, 2\) must be two of 1 and 2"),
        ({"temperature": 0.0}, "temperature 0.0 over 0"),
    ],
)
def test_vqvae_sizes_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        VqvaeConfig(**values)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label_ids": "none"}, "label_ids is 'none'; choose own or shared"),
        ({"positions": "none"}, "positions is 'none'; choose absolute or grid"),
        ({"width": 30}, "width 30 must be a multiple of heads 8, and blocks at least 1"),
        ({"blocks": 0}, "blocks at least 1"),
        ({"unknown": 1.0}, "unknown 1.0, dropout 0.1: shares"),
        ({"dropout": -0.1}, "dropout -0.1: shares"),
        ({"conditions": ("digit", "digit")}, "conditions: each named once"),
        ({"label_ids": "shared", "unknown": 0.1}, "cannot be left open: set unknown to 0"),
    ],
)
def test_prior_sizes_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PriorConfig(**values)


def test_heads_are_at_least_one() -> None:
    with pytest.raises(ConfigError, match="must be a multiple of heads 0"):
        PriorConfig(heads=0)


def test_a_picture_must_fit_the_strides_and_labels_the_ids_they_share() -> None:
    with pytest.raises(ConfigError, match="a picture of 64 × 90 is no multiple of 4 along both axes"):
        VqalattentConfig(image=ImageSpec(frames=90))
    with pytest.raises(ConfigError, match="10 labels cannot share 8 ids; use own ids"):
        VqalattentConfig(
            vqvae=VqvaeConfig(codebook_size=8), prior=PriorConfig(label_ids="shared"), labels={"digit": DIGITS}
        )


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
    with pytest.raises(
        ConfigError, match=r"guidance is 1.0: 0 or more is wanted, and a prior trained with labels hidden"
    ):
        speaker.sample([{"digit": 1}], guidance=1.0)
    with pytest.raises(ConfigError, match=r"guidance 2.0 compares with labels left open"):
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
