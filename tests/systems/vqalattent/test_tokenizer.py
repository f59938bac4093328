"""VQalAttent as a tokenizer: pictures, ids and their order, when speech begins, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.digits import digit
from tests.models import ready, ready_speaker
from tests.systems.vqalattent.conftest import IDS
from vocable import check_tokenizer
from vocable.audio import Audio
from vocable.errors import AudioError, ShapeError, SpecError
from vocable.interfaces import Embedding, TokenGenerator, Tokenizer
from vocable.systems.base import collate_tokens
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.testing import speechlike


@pytest.mark.slow
@pytest.mark.parametrize(("codebook", "order"), [("ema", "time_major"), ("stochastic", "row_major")])
def test_every_law(codebook: str, order: str) -> None:
    tokenizer = ready_speaker({"codebook": codebook, "order": order})
    check_tokenizer(tokenizer)
    for protocol in (Tokenizer, Embedding, TokenGenerator):
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
    pictures = speaker.decode_images(tokens)
    assert pictures.shape == (3, 32, 44)
    assert float(pictures.min()) >= 0
    assert float(pictures.max()) <= 1
    for row in range(3):
        assert torch.equal(speaker.decode_images(tokens.clip(row))[0], pictures[row])


def test_embedded_ids_are_their_entries(speaker: VqalattentTokenizer) -> None:
    tokens = speaker.encode_batch([digit(which, 1, 1.0) for which in range(2)])
    entries = speaker.model.vqvae.quantizer.codebooks[0].entries
    assert torch.equal(speaker.embed(tokens), entries[tokens.ids[:, 0]])
    assert torch.equal(speaker.embed(tokens, [1]), speaker.embed(tokens))


def test_a_text_is_carried_along(speaker: VqalattentTokenizer) -> None:
    clip = digit(4, 1, 1.0)
    tokens = speaker.encode(clip, "four")
    assert tokens.text == ("four",)
    assert torch.equal(tokens.ids, speaker.encode(clip).ids)
    assert collate_tokens([tokens, speaker.encode(clip)]).text == ("four", None)
    assert collate_tokens([speaker.encode(clip)] * 2).text is None


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
    with pytest.raises(SpecError, match=r"lack onset, duration and level of the speech \(`voice`\)"):
        speaker.decode(replace(tokens.clip(0), voice=None))


@pytest.mark.parametrize("use", ["decode", "decode_images", "embed", "score"])
def test_tokens_that_are_not_its_own_are_refused(open_minded: VqalattentTokenizer, use: str) -> None:
    tokens = open_minded.encode(digit(1, 1, 1.0))
    take = getattr(open_minded, use)
    with pytest.raises(SpecError, match="load the one that made them"):
        take(ready("spectral").encode(speechlike(4_000)))
    with pytest.raises(SpecError, match=r"have 87 frames a clip, this tokenizer 88"):
        take(replace(tokens, ids=tokens.ids[..., :-1], lengths=tokens.lengths - 1))
    with pytest.raises(SpecError, match="this tokenizer makes"):
        take(replace(tokens, spec=replace(tokens.spec, codebook_size=64)))


@pytest.mark.parametrize("levels", [[], [2], [1, 1], [0]])
def test_there_is_one_level(speaker: VqalattentTokenizer, levels: list[int]) -> None:
    with pytest.raises(SpecError, match="were asked of tokens that have level 1 alone"):
        speaker.embed(speaker.encode(digit(1, 1, 1.0)), levels)
