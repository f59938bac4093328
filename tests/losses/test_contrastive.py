"""The contrastive loss in blocks is the loss at once: value, gradients, masks, and memory."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.needed import lacking
from vocable.errors import ShapeError
from vocable.losses import contrastive as module
from vocable.losses.contrastive import frame_contrastive_loss

Parts = tuple[Tensor, Tensor, Tensor]  # left (B, N, D), right, scale


def dense(left: Tensor, right: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
    """As in the paper, with the whole matrix and torch's own cross-entropy."""
    logits = scale * left[mask] @ right[mask].T
    own = torch.arange(len(logits))
    return 0.5 * (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own))


def drawn(batch: int, frames: int, width: int = 8, scale: float = 0.7) -> Parts:
    generator = torch.Generator().manual_seed(batch * 1_000 + frames)
    left = torch.randn(batch, frames, width, generator=generator)
    right = 0.5 * left + torch.randn(batch, frames, width, generator=generator)
    return left, right, torch.tensor(scale)


def with_gradients(loss: object, parts: Parts, mask: Tensor) -> list[Tensor]:
    leaves = [part.clone().requires_grad_() for part in parts]
    value = loss(leaves[0], leaves[1], mask, leaves[2])  # type: ignore[operator]
    (3.0 * value).backward()
    return [value.detach(), *(leaf.grad for leaf in leaves)]


def assert_dense(parts: Parts, mask: Tensor) -> None:
    for made, wanted in zip(with_gradients(frame_contrastive_loss, parts, mask),
                            with_gradients(dense, parts, mask), strict=True):  # fmt: skip
        assert torch.allclose(made, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 1_023, 1_024, 1_025, 2_048, 2_049, 3_000])
def test_at_the_borders_of_blocks_it_is_the_dense_loss(frames: int) -> None:
    assert_dense(drawn(1, frames), torch.ones(1, frames, dtype=torch.bool))


def test_the_borders_are_where_they_are_looked_for() -> None:
    heights = {frames: len(module._buffers(torch.zeros(frames, 1))[0]) for frames in (2_048, 2_049, 32_000)}
    assert heights == {2_048: 2_048, 2_049: 2_047, 32_000: 131}
    assert len(module._buffers(torch.zeros(1 << 24, 1))[0]) == 1


@pytest.mark.parametrize("cells", [1, 16, 33, 64, 110, 10_000])
def test_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    monkeypatch.setattr(module, "_MAX_CELLS", cells)
    assert_dense(drawn(3, 7), torch.rand(3, 7, generator=torch.Generator().manual_seed(1)) < 0.7)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 40.0, 1_000.0])
def test_at_any_scale(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """With sharp logits an exponent that is not taken under the largest one would overflow."""
    monkeypatch.setattr(module, "_MAX_CELLS", 5 * 22)
    left, right, _ = drawn(2, 11)
    parts = (left, right, torch.tensor(scale))
    mask = torch.ones(2, 11, dtype=torch.bool)
    made, wanted = (with_gradients(loss, parts, mask) for loss in (frame_contrastive_loss, dense))
    for one, two in zip(made, wanted, strict=True):
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-5 * max(1.0, scale))


def test_gradients_are_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_CELLS", 2 * 5)
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(5, 3, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module._Contrast.apply, (left, right, scale))


def test_masked_frames_are_neither_rows_nor_columns() -> None:
    left, right, scale = drawn(2, 6)
    mask = torch.tensor([[True] * 6, [True, True, False, True, False, False]])
    value, to_left, to_right, _ = with_gradients(frame_contrastive_loss, (left, right, scale), mask)
    away = ~mask[..., None]
    other = with_gradients(
        frame_contrastive_loss, (left.masked_fill(away, 1e4), right.masked_fill(away, -1e4), scale), mask
    )
    assert torch.equal(value, other[0])
    alone = frame_contrastive_loss(left[mask][None], right[mask][None], torch.ones(1, 9, dtype=torch.bool), scale)
    assert torch.equal(value, alone)
    for gradient in (to_left, to_right):
        assert not gradient[~mask].any()
        assert bool(gradient[mask].any(1).all())


def test_chance_is_the_logarithm_of_the_frames_and_a_match_costs_nothing() -> None:
    flat = torch.ones(1, 50, 4)
    mask = torch.ones(1, 50, dtype=torch.bool)
    assert float(frame_contrastive_loss(flat, flat, mask, torch.ones(()))) == pytest.approx(math.log(50))
    single = frame_contrastive_loss(flat[:, :1], flat[:, :1], mask[:, :1], torch.ones(()))
    assert float(single) == 0.0
    apart = torch.eye(50)[None]
    shifted = frame_contrastive_loss(apart, apart.roll(1, 1), mask, torch.tensor(30.0))
    assert float(shifted) == pytest.approx(30.0, rel=0.01), "the neighbour's frame is as wrong as any other"
    assert float(frame_contrastive_loss(apart, apart, mask, torch.tensor(30.0))) < 1e-6


def test_in_bfloat16_the_matrix_is_float32() -> None:
    left, right, scale = drawn(2, 40)
    mask = torch.ones(2, 40, dtype=torch.bool)
    halves = (left.bfloat16(), right.bfloat16())
    leaves = [part.clone().requires_grad_() for part in (*halves, scale)]
    with torch.autocast("cpu", dtype=torch.bfloat16):  # the backward pass is outside, as in training
        value = frame_contrastive_loss(leaves[0], leaves[1], mask, leaves[2])
    (3.0 * value).backward()
    made = [value.detach(), *(leaf.grad for leaf in leaves)]
    wanted = with_gradients(dense, (halves[0].float(), halves[1].float(), scale), mask)
    assert made[0].dtype == torch.float32
    assert torch.allclose(made[0], wanted[0], atol=1e-5)
    assert [part.dtype for part in made[1:]] == [torch.bfloat16, torch.bfloat16, torch.float32]
    for one, two in zip(made[1:], wanted[1:], strict=True):
        assert torch.allclose(one.float(), two, rtol=1e-2, atol=1e-5)


def test_no_frame_at_all() -> None:
    parts = drawn(2, 3)
    with pytest.raises(ShapeError, match="needs at least one frame, but the mask is False everywhere"):
        frame_contrastive_loss(parts[0], parts[1], torch.zeros(2, 3, dtype=torch.bool), parts[2])


MEMORY = """
import json, sys
import torch
from tests.losses.test_contrastive import dense, drawn
from vocable.losses.contrastive import frame_contrastive_loss

def peak():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return [int(lines[name].split()[0]) * 1.024e-3 for name in ("VmRSS", "VmHWM")]

torch.set_num_threads(1)
loss = {"dense": dense, "blocks": frame_contrastive_loss}[sys.argv[1]]
parts = [part.requires_grad_() for part in drawn(1, int(sys.argv[2]))]
warm = torch.ones(1, 8, dtype=torch.bool)
loss(parts[0][:, :8], parts[1][:, :8], warm, parts[2]).backward()
idle = peak()[0]
loss(parts[0], parts[1], torch.ones(parts[0].shape[:2], dtype=torch.bool), parts[2]).backward()
print(json.dumps(peak()[1] - idle))
"""


@pytest.mark.slow
def test_memory_grows_with_the_frames_and_not_with_their_square() -> None:
    """Megabytes over the idle process for 9,000 frames, whose matrix has 324 MB; 32,000: benchmarks/contrastive.py."""
    if not Path("/proc/self/status").exists():
        lacking("/proc, which peaks are read from,")

    def megabytes(how: str, apart: int) -> float:
        command = [sys.executable, "-c", MEMORY, how, "9000"]
        kept = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(apart)}  # bytes from which memory goes back when freed
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=kept)
        return float(json.loads(done.stdout))

    assert megabytes("blocks", 1_000_000) < 130
    assert megabytes("blocks", 1 << 30) < 130, "blocks leave holes behind"
    assert megabytes("dense", 1_000_000) > 648, "the whole matrix and its gradient no longer show: nothing is measured"
