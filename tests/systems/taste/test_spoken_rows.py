"""A row is an utterance as it is heard, with where its subwords lie."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.systems.taste.spoken import PIECES, Frames, Units, Voice, spoken
from vocable.audio import Audio
from vocable.data.alignment.words import words_of
from vocable.data.manifest import Utterance, read_manifest
from vocable.data.targets import FeatureExtractor
from vocable.systems.taste.data import TasteBatchConfig, TasteData
from vocable.text.subword_tokenizers import BytePairTokenizer


def test_the_listeners_are_what_the_protocol_says() -> None:
    assert all(isinstance(one(), FeatureExtractor) for one in (Units, Frames, Voice))


def test_a_row_is_what_was_heard_of_the_utterance(lines: list[Utterance], tmp_path: Path) -> None:
    drawn = spoken(lines, tmp_path)
    assert (len(drawn), drawn.problems, drawn._mismatches.total()) == (3, [], 0)
    assert drawn.hours == pytest.approx(3.7 / 3600)
    row, clip = drawn.row(1), Audio.read(lines[1].audio_path)
    assert row.names == (str(lines[1].audio_path),)
    assert torch.equal(row.units[0], Units().extract(clip))
    heard = Frames().extract(clip.resample(16_000))
    assert torch.allclose(row.keys[0], heard[:, :3], atol=1e-3)
    assert torch.allclose(row.values[0], heard[:, 3:], atol=1e-3)
    assert row.subword_mask.all()
    assert row.frame_mask.all()
    assert row.unit_mask.all()
    assert row.voices.tolist() == [[0.0]]
    subwords = PIECES.tokenize("A good one")
    assert row.subword_ids[0].tolist() == list(subwords.ids)
    assert row.word_ids[0].tolist() == list(subwords.word_ids)


def test_aligned_pieces_lie_where_they_are_said_and_others_where_letters_would(
    lines: list[Utterance], tmp_path: Path
) -> None:
    drawn = spoken(lines, tmp_path)
    row = drawn.row(0)
    second = int(row.word_ids[0].tolist().index(1))
    assert bool(row.aligned)
    assert float(row.spans[0, second, 0]) == pytest.approx(0.6 * 25)
    assert float(row.spans[0, 0, 0]) == 0
    assert float(row.spans[0, -1, 1]) == row.units.shape[1] == 25
    other = drawn.row(2)
    assert not bool(other.aligned)
    second = int(other.word_ids[0].tolist().index(1))
    assert float(other.spans[0, second, 0]) == pytest.approx(18 * 3 / 8)


def test_what_was_heard_is_not_heard_again_and_each_at_its_own_rate(lines: list[Utterance], tmp_path: Path) -> None:
    first = {"units": Units(), "frames": Frames(), "voice": Voice()}
    row = [*spoken(lines, tmp_path, **first).rows(range(3))][1]
    assert row.voices.tolist() == [[2.0, 1.0]]
    assert [one.heard for one in first.values()] == [[8_000] * 3, [16_000] * 3, [16_000] * 3]
    again = {"units": Units(), "frames": Frames(), "voice": Voice()}
    same = spoken(lines, tmp_path, **again).row(1)
    assert not any(one.heard for one in again.values())
    assert torch.equal(same.keys, row.keys)
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["frames", "units", "voices"]


def test_an_alignment_with_other_words_than_the_text_leaves_a_guess_that_is_counted(
    lines: list[Utterance], tmp_path: Path
) -> None:
    other = {"text": "good-day day"}, {"text": "good day", "phones": [["G", "UH1"], ["D", "EY1"]]}
    changed = [
        lines[0].model_copy(update={"text": one.pop("text"), "extra": {**lines[0].extra, **one}}) for one in other
    ]  # fmt: skip
    drawn = spoken([*changed, lines[0]], tmp_path)
    assert (len(drawn), drawn._mismatches.total()) == (3, 2)
    assert [bool(drawn.row(at).aligned) for at in range(3)] == [False, False, True]


@pytest.mark.slow
def test_phones_of_a_text_are_found_where_the_line_has_none(lines: list[Utterance], tmp_path: Path) -> None:
    extra = {key: value for key, value in lines[0].extra.items() if key != "phones"}
    drawn = spoken([lines[0].model_copy(update={"extra": extra})], tmp_path)
    assert bool(drawn.row(0).aligned)


def test_real_digit_strings_with_their_phones(speech_data: Path, tmp_path: Path) -> None:
    rows = [one for one in read_manifest(speech_data / "read_speechocean762" / "manifest.jsonl") if one.text][:4]
    even = []
    for one in rows:  # phones laid evenly over the recording: an alignment of the right words at the wrong times
        phones = [phone for word in words_of(one) for phone in word]
        ends = np.linspace(0, Audio.read(one.audio_path).duration, len(phones) + 1)
        alignment = [[phone, *map(float, ends[at : at + 2])] for at, phone in enumerate(phones)]
        even.append(one.model_copy(update={"extra": {**one.extra, "alignment": alignment}}))
    subword_tokenizer = BytePairTokenizer.train([str(one.text) for one in rows], 60)
    drawn = TasteData(
        even,
        TasteBatchConfig(batch_size=4),
        subword_tokenizer=subword_tokenizer,
        units=Units(),
        frames=Frames(),
        cache=tmp_path / "cache",
    )
    assert (len(drawn), drawn._mismatches.total(), drawn.problems) == (4, 0, [])
    for at in range(4):
        row = drawn.row(at)
        assert float(row.spans[0, -1, 1]) == row.units.shape[1]
        assert torch.equal(row.spans[0, 1:, 0], row.spans[0, :-1, 1])
