"""CosyVoice's names for every tensor of the unit model, and files that are not of it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from tests.s3_graph import SmallS3
from tests.systems.taste.made import clock, model_of, relative
from vocable.cli.main import app
from vocable.errors import CheckpointError
from vocable.systems.cosyvoice import CosyVoiceStart, load_cosyvoice
from vocable.systems.registry import find_recipe
from vocable.systems.taste.config import seed_exact
from vocable.systems.taste.data import TasteData
from vocable.systems.taste.model import TasteModel


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


FLOW = {"input_embedding.weight": (4096, 512), "spk_embed_affine_layer.weight": (80, 192),
        "encoder_proj.weight": (80, 512)}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files and names of CosyVoice-300M; its language model is small."""
    place = tmp_path / "CosyVoice-300M"
    place.mkdir()
    torch.save(small(), place / "llm.pt")
    torch.save({name: torch.zeros(shape) for name, shape in FLOW.items()}, place / "flow.pt")
    torch.save({"generator.f0_predictor.classifier.weight": torch.zeros(1, 512)}, place / "hift.pt")
    for name in ("campplus.onnx", "cosyvoice.yaml"):
        (place / name).write_bytes(b"of another")
    SmallS3().write(place / "speech_tokenizer_v1.onnx")
    return place


def refuse(name: str) -> Any:
    raise AssertionError(f"nothing else is loaded, but {name} was")


def test_training_begins_from_a_published_folder(folder: Path) -> None:
    recipe = find_recipe("taste-seed")
    run, start = recipe.begin_from(f"cosyvoice:{folder}", refuse)
    assert run.units == f"s3:{folder}"
    assert start.digest.startswith("sha256:")
    run.check_start(start)
    model = model_of(relative())
    start.load_into(model)
    assert torch.equal(model.state_dict()["lm.embedding.weight"], small()["speech_embedding.weight"])
    other, _ = recipe.with_teachers({"units": "s3:mine.onnx"}, "kept").begin_from(f"cosyvoice:{folder}", refuse)
    assert other.units == "s3:mine.onnx"


def test_the_objective_has_the_weights(folder: Path) -> None:
    recipe = find_recipe("taste-seed")
    run, start = recipe.begin_from(f"cosyvoice:{folder}", refuse)
    made = relative()

    class Sized:
        size = made.text.vocabulary_size

        def to_json(self) -> dict[str, Any]:
            return made.subwords

    class Material(TasteData):
        def __init__(self) -> None:
            self.subword_tokenizer = Sized()  # type: ignore[assignment]

        def __len__(self) -> int:
            return 1

        def row(self, index: int) -> Any:
            raise AssertionError("the seed's frames are not standardized")

    class Source:
        spec = made.units

    object.__setattr__(run, "model", made)
    run.__dict__["_source"] = Source()
    run.__dict__["_encoder"] = type("Encoder", (), {"spec": made.encoder})()
    objective = run.objective(Material(), start)
    state = objective.model.state_dict()
    assert torch.equal(state["lm.head.weight"], small()["llm_decoder.weight"])
    assert torch.equal(state["text.embedding.weight"], small()["text_embedding.weight"])


@pytest.mark.parametrize("name", ["llm.pt", "flow.pt", "hift.pt", "campplus.onnx", "speech_tokenizer_v1.onnx"])
def test_a_folder_that_lacks_a_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"no CosyVoice: {name} missing; give the folder of CosyVoice-300M"):
        CosyVoiceStart(folder)


class Ran:
    """An object that runs a function when it is unpickled."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("unpickling ran code",))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("flow.pt", {}, r"flow.pt: has no input_embedding.weight"),
        ("flow.pt", dict.fromkeys(FLOW, torch.zeros(2, 2)), r"input_embedding.weight is of \(2, 2\), not \(4096"),
        ("hift.pt", {"classifier.weight": torch.zeros(1, 512)}, r"hift.pt: has no f0_predictor.classifier.weight"),
        ("hift.pt", [torch.zeros(1)], r"hift.pt: holds no table of tensors"),
        ("hift.pt", {"a": Ran()}, r"hift.pt: cannot be read as tensors"),
    ],
)  # fmt: skip
def test_files_with_other_tensors_are_refused(folder: Path, name: str, content: Any, message: str) -> None:
    torch.save(content, folder / name)
    with pytest.raises(CheckpointError, match=message):
        CosyVoiceStart(folder)


def test_the_command_says_what_is_missing_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    arguments = ["train", "taste-seed", "--init", f"cosyvoice:{tmp_path / 'empty'}", "--data", "none.jsonl"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "run")])
    assert result.exit_code
    assert "no CosyVoice: llm.pt, flow.pt, hift.pt, campplus.onnx, cosyvoice.yaml" in str(result.exception)
    assert not (tmp_path / "run").exists()
    result = CliRunner().invoke(app, ["train", "taste-seed", "--data", "none.jsonl", "--out", str(tmp_path / "run")])
    assert "give --init cosyvoice:FOLDER" in str(result.exception)
