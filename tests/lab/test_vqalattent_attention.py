"""Attention maps show the weights of a layer, head by head."""

import numpy as np
import pytest
import torch

from tests.evaluate.drawn import drawn, titles
from vocable.errors import ShapeError
from vocable_lab.vqalattent.attention import mean_entropy, plot_attention


def test_attention_of_a_real_layer_head_by_head_and_averaged() -> None:
    torch.manual_seed(0)
    layer = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    text, speech = torch.randn(1, 5, 16), torch.randn(1, 30, 16)
    with torch.no_grad():
        heads = layer(text, speech, speech, average_attn_weights=False)[1][0].numpy()
        mean = layer(text, speech, speech)[1].numpy()
    names = ["the", "cat", "$at", "_on", "mats"]
    picture, figure = drawn(lambda: plot_attention(heads, queries=names, names=("text", "speech (frame)")))
    assert [title.split(":")[0] for title in titles(figure)] == [f"head {head}" for head in (1, 2, 3, 4)]
    assert "4 heads, 5 queries, 30 keys" in picture.caption
    shown = [np.asarray(axes.get_images()[0].get_array()) for axes in figure.axes[:4]]
    assert np.allclose(np.mean(shown, axis=0), mean[0], atol=1e-6)
    wanted = float(torch.distributions.Categorical(torch.from_numpy(heads[0])).entropy().mean() / np.log(2))
    assert titles(figure)[0] == f"head 1: {wanted:.2f} bit"
    assert mean_entropy(heads[0]) == pytest.approx(wanted, abs=1e-5)
    _, figure = drawn(lambda: plot_attention(mean))
    assert len(titles(figure)) == 1


def test_attention_that_is_none() -> None:
    masked = np.zeros((1, 2, 3))
    assert titles(drawn(lambda: plot_attention(masked))[1]) == ["head 1: no query"]
    with pytest.raises(ShapeError, match="after softmax"):
        plot_attention(np.full((1, 2, 3), -0.1))
    with pytest.raises(ShapeError, match="after softmax"):
        plot_attention(np.full((1, 2, 3), np.nan))
    with pytest.raises(ShapeError, match="after softmax"):
        plot_attention(np.zeros((1, 0, 3)))
    with pytest.raises(ShapeError, match="1 names for 2 queries"):
        plot_attention(masked, queries=["one"])
