"""Our ECAPA-TDNN: SpeechBrain's names and sizes, by its own description of itself; and its checkpoint's file.

That its voices are SpeechBrain's to the last bit was measured once, with speechbrain 1.1.2 and random weights.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vocable.errors import CheckpointError, ShapeError
from vocable.features.ecapa import EcapaTdnn, log_mel

NOISE = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0)) * 0.1


def tdnn(name: str, inputs: int, outputs: int, kernel: int) -> dict[str, tuple[int, ...]]:
    """As speechbrain.lobes.models.ECAPA_TDNN names them."""
    norms = {f"{name}.norm.norm.{one}": (outputs,) for one in ("weight", "bias", "running_mean", "running_var")}
    conv = {f"{name}.conv.conv.weight": (outputs, inputs, kernel), f"{name}.conv.conv.bias": (outputs,)}
    return conv | norms | {f"{name}.norm.norm.num_batches_tracked": ()}


def conv(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.conv.weight": (outputs, inputs, 1), f"{name}.conv.bias": (outputs,)}


def test_names_and_shapes_are_those_of_spkrec_ecapa_voxceleb() -> None:
    wanted = tdnn("blocks.0", 80, 1024, 5)
    for block in ("blocks.1", "blocks.2", "blocks.3"):
        wanted |= tdnn(f"{block}.tdnn1", 1024, 1024, 1) | tdnn(f"{block}.tdnn2", 1024, 1024, 1)
        for part in range(7):
            wanted |= tdnn(f"{block}.res2net_block.blocks.{part}", 128, 128, 3)
        wanted |= conv(f"{block}.se_block.conv1", 1024, 128) | conv(f"{block}.se_block.conv2", 128, 1024)
    wanted |= tdnn("mfa", 3072, 3072, 1) | tdnn("asp.tdnn", 9216, 128, 1) | conv("asp.conv", 128, 3072)
    wanted |= {f"asp_bn.norm.{one}": (6144,) for one in ("weight", "bias", "running_mean", "running_var")}
    wanted |= {"asp_bn.norm.num_batches_tracked": ()} | conv("fc", 6144, 192)
    with torch.device("meta"):
        encoder = EcapaTdnn()
    assert {name: tuple(value.shape) for name, value in encoder.state_dict().items()} == wanted
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 20_767_552


def test_spectra_are_eighty_bands_every_ten_milliseconds_of_mean_zero() -> None:
    mel = log_mel(NOISE)
    assert mel.shape == (2, 101, 80)
    assert mel.mean(1).abs().max() < 1e-4
    assert torch.allclose(log_mel(NOISE * 0.5), mel, atol=1e-3), "the level of a clip is not heard"
    tone = log_mel(torch.sin(2 * torch.pi * 1_000 * torch.arange(16_000) / 16_000)[None] * torch.linspace(0, 1, 16_000))
    assert abs(int(tone[0].std(0).argmax()) - 28) < 3  # 1 kHz is 1000 of 2840 mels


def test_a_voice_depends_on_its_own_clip_and_has_a_gradient() -> None:
    torch.manual_seed(0)
    encoder = EcapaTdnn(width=16)
    samples = NOISE.clone().requires_grad_()
    voices = encoder(samples)
    assert torch.allclose(voices[:1], encoder(NOISE[:1]), atol=1e-5)
    voices[0].sum().backward()
    assert samples.grad is not None
    assert samples.grad[0].abs().sum() > 0
    assert not samples.grad[1].any()
    assert all(parameter.grad is None for parameter in encoder.parameters())


@pytest.mark.parametrize("file", ["embedding_model.safetensors", "embedding_model.ckpt"])
def test_a_checkpoint_loads_by_its_names(tmp_path: Path, file: str) -> None:
    torch.manual_seed(0)
    encoder = EcapaTdnn(width=16, outputs=24)
    write = save_file if file.endswith("safetensors") else torch.save
    write(encoder.state_dict(), tmp_path / file)
    again = EcapaTdnn.load(str(tmp_path))
    assert (again.width, again.name, again.digest) == (24, tmp_path.name, encoder.digest)
    assert torch.equal(again(NOISE), encoder(NOISE))


class _Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return (np.save, ("owned.npy", np.zeros(1)))


def test_other_files_are_refused_and_none_can_run_code(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"holds no embedding_model.safetensors and no embedding_model.ckpt"):
        EcapaTdnn.load(str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="nowhere: no folder, not in the local cache"):
        EcapaTdnn.load("nowhere")
    torch.save({"weight": _Trap()}, tmp_path / "embedding_model.ckpt")
    with pytest.raises(CheckpointError, match=r"embedding_model.ckpt: cannot be read as tensors"):
        EcapaTdnn.load(str(tmp_path))
    assert not (tmp_path / "owned.npy").exists()
    for tensors in (
        {"other": torch.zeros(1)},
        {**EcapaTdnn(width=16).state_dict(), "fc.conv.weight": torch.zeros(192, 9, 1)},
    ):
        torch.save(tensors, tmp_path / "embedding_model.ckpt")
        with pytest.raises(CheckpointError, match="holds no ECAPA-TDNN of SpeechBrain"):
            EcapaTdnn.load(str(tmp_path))


def test_clips_of_less_than_a_fifth_of_a_second_are_refused() -> None:
    with pytest.raises(ShapeError, match="ECAPA-TDNN needs 3200 samples or more, not 3199"):
        EcapaTdnn(width=16)(NOISE[:, :3199])
