"""What pictures of sounds, tokens, codebooks and attention show, and what they refuse."""

import numpy as np
import pytest
import torch

from tests.evaluate.drawn import drawn, titles
from tests.models import ready
from vocable.audio import Audio
from vocable.errors import ShapeError
from vocable.evaluate.canvas import clean_label, group_rows
from vocable.evaluate.pictures import (
    count_ids,
    plot_codebooks,
    plot_log_mel,
    plot_tokens,
)
from vocable.metrics.codebook import codebook_usage
from vocable.testing import speechlike
from vocable.tokens import Tokens, TokenSpec


def _tone(hertz: float, rate: int, seconds: float = 0.5) -> Audio:
    return Audio(np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate).astype(np.float32) * 0.5, rate)


def _tokens(ids: torch.Tensor, lengths: list[int], codebook_size: int, hop: int | None = 320) -> Tokens:
    spec = TokenSpec(sample_rate=16_000, hop=hop, codebook_size=codebook_size, num_codebooks=ids.shape[1])
    sizes = torch.tensor(lengths)
    return Tokens(ids=ids, lengths=sizes, samples=sizes * 320, spec=spec, tokenizer="sha256:0", text=None)


def test_a_tone_lies_where_the_axis_says_whatever_its_rate() -> None:
    sounds = [("low", _tone(1000, 16_000)), ("of another rate", _tone(4000, 24_000, 0.3))]
    picture, figure = drawn(lambda: plot_log_mel(sounds))
    assert titles(figure) == ["low", "of another rate"]
    assert "12 kHz" in picture.caption
    for axes, hertz in zip(figure.axes, (1000, 4000), strict=False):
        (image,) = axes.get_images()
        band = int(np.asarray(image.get_array()).mean(1).argmax())
        place = dict(zip([t.get_text() for t in axes.get_yticklabels()], axes.get_yticks(), strict=True))
        assert abs(band - place[f"{hertz / 1000:g}"]) <= 1
        assert axes.get_xlim() == (0.0, 0.5)


def test_silence_is_dark_and_a_long_clip_is_cut_with_notice() -> None:
    silent = Audio(np.zeros(1600, dtype=np.float32), 16_000)
    _, figure = drawn(lambda: plot_log_mel([("nothing", silent)]))
    assert np.allclose(figure.axes[0].get_images()[0].get_array(), -80)
    picture, figure = drawn(lambda: plot_log_mel([("long", speechlike(31 * 8000, 8000)), ("one", speechlike(1))]))
    assert picture.caption.endswith("The first 30 s.")
    assert figure.axes[0].get_xlim() == (0.0, 30.0)
    with pytest.raises(ShapeError, match="at least one sound"):
        plot_log_mel([])


def test_equal_pictures_have_equal_bytes_and_leave_no_settings_behind() -> None:
    import matplotlib

    sounds = [("a_$x$_b", speechlike(1600)), ("日本", speechlike(1600))]  # mathematics and a script without glyphs
    before = dict(matplotlib.rcParams)
    first = plot_log_mel(sounds).png
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert plot_log_mel(sounds).png == first
    assert dict(matplotlib.rcParams) == before


def test_names_are_drawn_as_they_are() -> None:
    assert clean_label("_hidden") == " _hidden"
    assert clean_label("x" * 60) == "x" * 47 + "…"
    assert clean_label("two\nlines") == "two lines"
    assert clean_label("\udce9") == "?"
    found = group_rows([f"s{number}" for number in (10, 2, 2, 10, 1)])
    assert [name for name, _ in found] == ["s1", "s2", "s10"]
    many = group_rows([str(number // 2) for number in range(40)] + ["19"])
    assert [name for name, _ in many] == [*map(str, range(10)), "19", "others"]
    assert sorted(np.concatenate([rows for _, rows in many])) == list(range(41))


def test_a_codebook_picture_says_what_the_metric_says() -> None:
    ids = torch.randint(0, 40, (3, 5, 50), generator=torch.Generator().manual_seed(0)).square() // 40
    tokens = _tokens(ids, [50, 20, 7], 64)
    counts = count_ids(tokens)
    assert counts.sum(1).tolist() == [77] * 5
    groups = {"first": count_ids(tokens.clip(0)), "second": count_ids(tokens.clip(1))}
    picture, figure = drawn(lambda: plot_codebooks(counts, groups=groups, title="By clip"))
    usage = codebook_usage(ids, tokens.lengths, 64)
    assert titles(figure) == [
        f"level {level.level}: {level.distinct} of 64\nperplexity {level.perplexity:.0f}" for level in usage
    ]
    assert "77 frames, which can use at most 64 of 64" in picture.caption
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["all entries alike", "first", "second"]
    for axes, level in zip(figure.axes, counts, strict=True):
        bars, *lines = axes.patches
        assert bars.get_data().values.tolist() == pytest.approx(sorted(level[level > 0] / 77, reverse=True))
        assert len(lines) == 2
        assert axes.get_yscale() == "log"


def test_codebooks_without_use_are_refused() -> None:
    drawn(lambda: plot_codebooks(np.array([[7]])))
    with pytest.raises(ShapeError, match="level 2 has no frame"):
        plot_codebooks(np.array([[1, 2], [0, 0]]))
    with pytest.raises(ShapeError, match=r"counts of 'x' have shape \(1, 3\)"):
        plot_codebooks(np.array([[1, 2]]), groups={"x": np.array([[1, 2, 3]])})
    with pytest.raises(ShapeError, match="negative"):
        plot_codebooks(np.array([[1, -2]]))
    with pytest.raises(ShapeError, match=r"shape \(0, 4\)"):
        plot_codebooks(np.zeros((0, 4), dtype=int))


def test_tokens_are_coloured_by_their_surprisal() -> None:
    ids = torch.tensor([[[0, 0, 1, 2]], [[0, 3, 3, 3]]])
    picture, figure = drawn(lambda: plot_tokens(_tokens(ids, [4, 1], 4)))  # shares: 3/5, 1/5, 1/5; padding is none
    bits = np.asarray(figure.axes[0].get_images()[0].get_array())
    assert bits[0].tolist() == pytest.approx([-np.log2(0.6)] * 2 + [-np.log2(0.2)] * 2)
    assert picture.caption.endswith("Clip 1 of 2.")
    assert figure.axes[0].get_xlim() == (0.0, pytest.approx(0.08))
    text = _tokens(ids[:1], [4], 4, hop=None)
    assert drawn(lambda: plot_tokens(text))[1].axes[0].get_xlabel() == "text position"
    long = _tokens(torch.zeros(1, 1, 600, dtype=torch.int64), [600], 4)
    assert "The first 500 of 600 frames" in drawn(lambda: plot_tokens(long))[0].caption
    with pytest.raises(ShapeError, match="no frame"):
        plot_tokens(_tokens(ids[:1, :, :0], [0], 4))


def test_tokens_of_a_real_codec_count_as_many_as_there_are_frames() -> None:
    tokens = ready("spectral").encode_batch([speechlike(5000), speechlike(9000, seed=1)])
    assert (count_ids(tokens).sum(1) == int(tokens.lengths.sum())).all()
