"""Figures of speed and memory, a device without memory, and a GPU without bfloat16."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.runs import COSTS, fit, saved, three_clips
from tests.train.objectives import CONFIG, Line, Numbers, Source, lines
from vocable import recipes
from vocable.device import check_precision
from vocable.errors import ConfigError, TrainingError
from vocable.train.throughput import Amount
from vocable.train.trainer import Trainer

OUT_OF_MEMORY = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory: 8 TB."),
    "python": MemoryError("Unable to allocate 8 TiB"),
}


class Measured(Line):
    """A line whose batches have two seconds and eight tokens."""

    def amount(self, batch: Numbers) -> Amount:
        return Amount(seconds=2.0, tokens=8)


def test_every_line_of_the_log_has_speed_and_memory(tmp_path: Path) -> None:
    Trainer(Measured(), Source(), CONFIG, tmp_path, quiet=True).run()
    for line in lines(tmp_path):
        assert line["audio_hours_per_day"] > 0
        assert line["tokens_per_second"] == pytest.approx(line["audio_hours_per_day"] / 24 * 4, rel=0.01, abs=0.1)
        assert 0.05 < line["peak_memory_gb"] < 1_000


def test_an_objective_without_amounts_has_its_memory_logged(tmp_path: Path) -> None:
    Trainer(Line(), Source(), CONFIG, tmp_path, quiet=True).run()
    assert all("peak_memory_gb" in line and "tokens_per_second" not in line for line in lines(tmp_path))


@pytest.mark.slow
def test_a_checkpoint_has_a_card(tmp_path: Path) -> None:
    """Data, seed, costs and losses, as the log has them."""
    manifest = three_clips(tmp_path, 4_000)
    fit(recipes.find("guided-tiny"), manifest, tmp_path / "run")
    last = json.loads((tmp_path / "run/log.jsonl").read_text().splitlines()[-1])
    card = (saved(tmp_path / "run", 20) / "README.md").read_text()
    assert card.startswith("# guided-tiny, step 20 of 20\n")
    assert str(manifest) in card
    assert f"| generator/log_mel | {last['generator/log_mel']:.5g} |" in card
    assert set(COSTS) - {"seconds"} < set(last)
    assert f"| hours of audio a day | {last['audio_hours_per_day']:.5g} |" in card
    assert f"| peak memory of a process, GB | {last['peak_memory_gb']:.5g} |" in card


@pytest.mark.parametrize("device", OUT_OF_MEMORY)
def test_without_memory_the_error_says_what_to_lower_and_the_last_step_is_saved(device: str, tmp_path: Path) -> None:
    def loss(made: Tensor, _: Tensor) -> Tensor:
        if len(line.seen) == 4:
            raise OUT_OF_MEMORY[device]
        return made.square().mean()

    line = Line(loss)
    trainer = Trainer(line, Source(), CONFIG, tmp_path, quiet=True)
    with pytest.raises(TrainingError) as caught:
        trainer.run()
    message = str(caught.value)
    assert message.startswith("step 3: cpu is out of memory (")
    for remedy in ("--batch-size", "train.accumulate=2", "train.activation_checkpointing=true", "--resume"):
        assert remedy in message
    assert "\n" not in message
    again = Trainer(Line(), Source(), CONFIG, tmp_path, quiet=True)
    assert again.resume()
    assert again.step == 3
    for name, value in line.layer.state_dict().items():
        assert torch.equal(value, again.parts["line"].state_dict()[name])


def test_other_errors_of_torch_are_not_called_a_lack_of_memory(tmp_path: Path) -> None:
    def loss(made: Tensor, _: Tensor) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        Trainer(Line(loss), Source(), CONFIG, tmp_path, quiet=True).run()


def test_a_gpu_without_bfloat16_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As such a GPU answers; there is none here."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    device = torch.device("cuda:0")
    check_precision("float32", device)
    with pytest.raises(ConfigError, match=r"bfloat16, which cuda:0 \(Tesla T4\) cannot compute in; pass --precision f"):
        check_precision("bfloat16", device)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    check_precision("bfloat16", device)


def test_float16_is_not_offered() -> None:
    with pytest.raises(ConfigError, match="'float32' or 'bfloat16'"):
        replace(CONFIG, precision="float16")  # type: ignore[arg-type]


@pytest.mark.parametrize(("parts", "said"), [(3, "train.accumulate is 3: 4 clips of a process"), (2, None)])
def test_micro_batches_divide_a_batch(parts: int, said: str | None, tmp_path: Path) -> None:
    run: Any = recipes.find("guided-tiny")
    run = replace(run, train=replace(run.train, steps=2, accumulate=parts), losses=replace(run.losses, quantize_from=0))
    manifest = three_clips(tmp_path, 2_000)
    if said is None:
        fit(run, manifest, tmp_path / "run")
        return
    with pytest.raises(ConfigError, match=said):
        fit(run, manifest, tmp_path / "run")
    assert not (tmp_path / "run").exists()
