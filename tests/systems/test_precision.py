"""Networks in bfloat16: losses, spectra, quantizers and gradients are float32, and near those of a float32 step."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.systems.test_paper_presets import BENCHMARKS, PRESETS
from vocable.systems.registry import find_recipe
from vocable.train.gradients import StepGradients
from vocable.train.objective import Turn
from vocable.train.overrides import override

pytestmark = pytest.mark.slow
DISTINCT = [name for name in PRESETS if name not in ("guided-paper-speechtokenizer", "taste-full-mha")]
NEAR = 0.05


@pytest.fixture(scope="module")
def synthetic() -> Any:
    sys.path.insert(0, str(BENCHMARKS))
    import synthetic_batches

    yield synthetic_batches
    sys.path.remove(str(BENCHMARKS))


def step(synthetic: Any, preset: str, precision: torch.dtype | None) -> tuple[list[Turn], list[Tensor], Any]:
    """Return the turns of the first step of a run at tiny size, and the gradients that they leave."""
    run = synthetic.shrink(find_recipe(preset), find_recipe(f"{preset.partition('-')[0]}-tiny"))
    run = override(run, steps=2)
    torch.manual_seed(0)
    objective, batches = synthetic.synthesize(run)
    parts = objective.parts()
    for part in parts.values():
        part.train()
    gradients = StepGradients(objective, parts, torch.device("cpu"), seed=0, precision=precision)
    turns = list(gradients.turns([batches.batch(0)], lambda: batches.batch(0), 0))
    found = [p.grad for part in parts.values() for p in part.parameters() if p.grad is not None]
    return turns, found, objective


@pytest.mark.parametrize("preset", DISTINCT)
def test_losses_and_gradients_are_float32_and_near(preset: str, synthetic: Any) -> None:
    exact, _, _ = step(synthetic, preset, None)
    turns, gradients, objective = step(synthetic, preset, torch.bfloat16)
    assert [turn.name for turn in turns] == [turn.name for turn in exact]
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    for turn, expected in zip(turns, exact, strict=True):
        for name, loss in turn.losses.items():
            assert loss.dtype == torch.float32, (turn.name, name)
            near = pytest.approx(float(expected.losses[name].detach()), rel=NEAR, abs=0.02)
            assert float(loss.detach()) == near, (turn.name, name)
    for part in objective.parts().values():
        assert {value.dtype for value in part.state_dict().values() if value.is_floating_point()} <= {
            torch.float32, torch.float64,
        }  # fmt: skip


def test_layers_compute_in_bfloat16(synthetic: Any) -> None:
    """So that the test above compares two precisions."""
    seen: set[torch.dtype] = set()
    handle = nn.modules.module.register_module_forward_hook(
        lambda module, _, output: seen.add(output.dtype) if isinstance(module, nn.Conv1d | nn.Linear) else None
    )
    try:
        step(synthetic, "guided-paper", torch.bfloat16)
    finally:
        handle.remove()
    assert torch.bfloat16 in seen


def test_the_reconstruction_losses_of_a_step_are_exact(synthetic: Any) -> None:
    """The same audio has the same log-mel loss under autocast and without, to the last bit."""
    run = override(find_recipe("guided-tiny"), steps=2)
    objective, batches = synthetic.synthesize(run)
    real = batches.batch(0).samples
    decoded = 0.9 * real + 0.001
    with torch.autocast("cpu", torch.bfloat16):
        losses, _ = objective._reconstruction(real, decoded, 0)
    exact, _ = objective._reconstruction(real, decoded, 0)
    assert all(torch.equal(losses[name], exact[name]) for name in exact)
