"""What sequences tell: phones and letters."""

import math

import numpy as np
import pytest
import torch

from tests.evaluate.probes.drawn import Embedder, spelt
from vocable.evaluate.card import ProbeRow
from vocable.evaluate.probes.run import run_probe
from vocable.evaluate.probes.sequence import CtcClips, CtcNetwork, decode_greedy, positions_per_frame, train

CLIPS = [*spelt(60, "train", seed=1), *spelt(12, "dev", seed=2), *spelt(15, "test", seed=3)]


def by_view(rows: list[ProbeRow]) -> dict[tuple[str, str], ProbeRow]:
    return {(row.view, row.metric): row for row in rows}


@pytest.mark.slow
def test_letters_that_level_one_says_are_read_there_and_not_in_the_rest() -> None:
    rows = by_view(run_probe("characters", Embedder(), "drawn", CLIPS, views=["level 1", "level 2"], epochs=10))
    assert rows["level 1", "CER"].figure.mean < 0.3 < 0.5 < rows["level 2", "CER"].figure.mean
    assert rows["level 1", "WER"].figure.mean < rows["level 2", "WER"].figure.mean
    assert rows["level 1", "CER"].chance == 1.0
    assert 0.5 < rows["level 1", "CER"].majority < 0.67


@pytest.mark.slow
def test_ids_are_read_with_tables_of_their_own_and_twice_the_same() -> None:
    one, two = (run_probe("phoneme", object(), "drawn", CLIPS, views=["level 1"], epochs=6) for _ in range(2))
    assert one == two
    assert one[0].metric == "PER"
    assert one[0].figure.mean < 0.2


@pytest.mark.parametrize("pace", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("entries", [None, 16])
def test_a_clip_is_read_the_same_alone_and_in_any_batch(pace: float, entries: int | None) -> None:
    torch.manual_seed(0)
    reader = CtcNetwork(width=3, classes=5, entries=entries, rate=pace).eval()
    clips = [torch.randint(16, (frames, 3)) for frames in (9, 4, 1)]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=7)
    together, places = reader(batch, torch.tensor([9, 4, 1]))
    for row, clip in enumerate(clips):
        alone, count = reader(clip[None], torch.tensor([len(clip)]))
        assert count[0] == places[row]
        torch.testing.assert_close(together[row, : count[0]], alone[0])


def test_texts_longer_than_their_frames_get_places_enough() -> None:
    frames = [np.zeros((3, 2), dtype=np.float32)] * 4
    clips = CtcClips(frames=frames, targets=[[1, 1, 2, 3, 4]] * 4)
    assert positions_per_frame(clips) == 2.0
    reader, passes = train(
        clips, lambda reader: 0.5 / (1 + len(decode_greedy(reader, frames)[0])),
        classes=5, entries=None, seed=0, epochs=2,
    )  # fmt: skip
    assert passes in (0, 1, 2)
    assert all(len(said) <= 6 for said in decode_greedy(reader, frames))


@pytest.mark.parametrize(
    ("clips", "reason"),
    [
        (CLIPS[60:], "no clip of split 'train'"),
        (CLIPS[:60], "no clip of split 'test'"),
        ([(utterance.model_copy(update={"text": None}), made) for utterance, made in CLIPS], "'train' with what it"),
    ],
)
def test_what_cannot_be_read_is_undefined_with_its_reason(clips, reason: str) -> None:
    rows = run_probe("characters", Embedder(), "drawn", clips, views=["level 1"])
    assert [row.metric for row in rows] == ["CER", "WER"]
    assert all(math.isnan(row.figure.mean) and reason in row.note for row in rows)


def test_a_tenth_of_train_stands_in_for_dev() -> None:
    clips = [clip for clip in CLIPS if clip[0].split != "dev"]
    (row,) = run_probe("phoneme", Embedder(), "drawn", clips, views=["level 1"], epochs=1)
    assert "(54 clips" in row.note
    assert "6 clips" in row.note
