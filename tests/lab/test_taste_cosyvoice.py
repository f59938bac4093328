"""CosyVoice's names for every tensor of the unit model, and files that are not of it."""

import pytest
import torch
from torch import Tensor

from tests.systems.taste.made import clock, model_of, relative
from vocable.errors import CheckpointError
from vocable.systems.taste.config import seed_exact
from vocable.systems.taste.model import TasteModel
from vocable_lab.taste.cosyvoice import load_cosyvoice


def published(
    text: int, text_blocks: int, blocks: int, table: int, width: int, hidden: int, heads: int, units: int, voice: int
) -> dict[str, tuple[int, ...]]:
    """Names and shapes as the modules of ``cosyvoice/llm/llm.py`` have them."""
    shapes: dict[str, tuple[int, ...]] = {"text_embedding.weight": (text, table), "llm_embedding.weight": (2, width)}

    def linear(name: str, before: int, behind: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = (behind, before)
        if bias:
            shapes[f"{name}.bias"] = (behind,)

    def norm(name: str) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    for stack, count, before, norms in (
        ("text_encoder", text_blocks, table, ("norm_ff", "norm_mha")), ("llm", blocks, width, ("norm1", "norm2")),
    ):  # fmt: skip
        linear(f"{stack}.embed.out.0", before, width)
        norm(f"{stack}.embed.out.1")
        norm(f"{stack}.after_norm")
        for index in range(count):
            block = f"{stack}.encoders.{index}"
            for part in ("q", "k", "v", "out"):
                linear(f"{block}.self_attn.linear_{part}", width, width)
            linear(f"{block}.self_attn.linear_pos", width, width, bias=False)
            for part in ("u", "v"):
                shapes[f"{block}.self_attn.pos_bias_{part}"] = (heads, width // heads)
            linear(f"{block}.feed_forward.w_1", width, hidden)
            linear(f"{block}.feed_forward.w_2", hidden, width)
            for part in norms:
                norm(f"{block}.{part}")
    linear("text_encoder_affine_layer", width, width)
    linear("llm_decoder", width, units + 1)
    linear("spk_embed_affine_layer", voice, width)
    shapes["speech_embedding.weight"] = (units, width)
    return shapes


def small() -> dict[str, Tensor]:
    shapes = published(20, 2, 2, 12, 16, 32, 2, 24, 6)
    return {name: torch.full(shape, float(place)) for place, (name, shape) in enumerate(shapes.items())}


def test_every_tensor_of_cosyvoice_has_its_place() -> None:
    with torch.device("meta"):
        model = TasteModel(seed_exact())
        state = {
            name: torch.empty(shape) for name, shape in published(51_866, 6, 14, 512, 1024, 4096, 16, 4096, 192).items()
        }
    load_cosyvoice(model, state)
    assert sum(value.numel() for value in state.values()) == pytest.approx(310.718e6, abs=1e3)


def test_weights_arrive_where_they_belong() -> None:
    model, state = model_of(relative()), small()
    before = {name: value.clone() for name, value in model.aggregator.state_dict().items()}
    load_cosyvoice(model, state)
    for ours, theirs in (
        ("text.embedding.weight", "text_embedding.weight"),
        ("text.encoder.in_proj.1.bias", "text_encoder.embed.out.1.bias"),
        ("text.encoder.blocks.1.before.weight", "text_encoder.encoders.1.norm_mha.weight"),
        ("text.encoder.blocks.1.between.weight", "text_encoder.encoders.1.norm_ff.weight"),
        ("lm.decoder.blocks.0.between.weight", "llm.encoders.0.norm2.weight"),
        ("lm.decoder.blocks.1.query.weight", "llm.encoders.1.self_attn.linear_q.weight"),
        ("lm.decoder.blocks.0.content_bias", "llm.encoders.0.self_attn.pos_bias_u"),
        ("lm.decoder.blocks.0.contract.bias", "llm.encoders.0.feed_forward.w_2.bias"),
        ("lm.decoder.norm.weight", "llm.after_norm.weight"),
        ("lm.embedding.weight", "speech_embedding.weight"),
        ("lm.voice_proj.bias", "spk_embed_affine_layer.bias"),
    ):
        assert torch.equal(model.state_dict()[ours], state[theirs]), ours
    assert all(torch.equal(value, before[name]) for name, value in model.aggregator.state_dict().items())


def test_files_of_another_model() -> None:
    model = model_of(relative())
    state = small()
    del state["llm_decoder.bias"]
    with pytest.raises(CheckpointError, match=r"llm.pt: has no lm.head.bias"):
        load_cosyvoice(model, state)
    with pytest.raises(CheckpointError, match=r"one.pt: has an unknown extra.weight"):
        load_cosyvoice(model, small() | {"extra.weight": torch.zeros(1)}, "one.pt")
    with pytest.raises(CheckpointError, match=r"lm.embedding.weight is of \(3, 16\), not \(24, 16\)"):
        load_cosyvoice(model, small() | {"speech_embedding.weight": torch.zeros(3, 16)})
    with pytest.raises(CheckpointError, match="has"):
        load_cosyvoice(model_of(clock()), small())
