"""Two real gloo processes hold the codebooks that one process holds with the same global batch."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.runs import COSTS
from tests.torchrun import LIMIT, torchrun
from vocable import recipes
from vocable.collective import all_finite, gather_rows, global_mean, global_rows, global_sum, row_offsets, world
from vocable.quantizers import EmaCodebook, FiniteScalarQuantizer, GradientCodebook, ResidualVectorQuantizer
from vocable.testing import speechlike
from vocable.train.exchange import GradientExchange

pytestmark = pytest.mark.slow  # trains

KINDS = {"ema": EmaCodebook, "gradient": GradientCodebook}
CLIPS, FRAMES, DIM, LEVELS = 6, 12, 4, 3
PARTS = torch.multiprocessing.get_context("forkserver")


def codebooks_after_training(kind: str) -> dict[str, Tensor]:
    """30 steps on this rank's share of the global batch; what this rank then holds.

    The second half of the batch is nearly all padding, on some steps wholly. Half-way the latents shrink, so that
    entries grow cold. One step has a NaN in the last clip.
    """
    rank, size = world()
    mine = slice(rank * CLIPS // size, (rank + 1) * CLIPS // size)
    rvq = ResidualVectorQuantizer(
        num_codebooks=LEVELS, codebook_size=16, dim=DIM, codebook=KINDS[kind], decay=0.8, restart_below=0.2
    )
    losses, gradients = [], []
    for step in range(30):
        lengths = torch.tensor([12, 11, 12, 0, 0, 0] if step % 5 == 4 else [12, 9, 12, 1, 0, 2])
        mask = torch.arange(FRAMES)[None] < lengths[:, None]
        latents = torch.randn(CLIPS, FRAMES, DIM, generator=torch.Generator().manual_seed(step))
        latents = latents * (3.0 if step < 12 else 0.5) + (step > 20)
        if step == 17:
            latents[5, 0, 0] = float("nan")
        levels = 1 + (torch.arange(CLIPS) + step) % LEVELS
        leaf = latents[mine].clone().requires_grad_()
        loss = torch.stack(list(rvq(leaf, mask[mine], levels[mine]).losses.values())).sum()
        rvq.zero_grad()
        if loss.requires_grad:  # not on a rank of padding alone
            loss.backward()
        losses.append(global_sum(loss.detach()) / size)
        if not all_finite(loss):
            continue
        gradients.append(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad / size)
        with GradientExchange(list(rvq.parameters())).average():
            pass
        for parameter in rvq.parameters():
            parameter.data -= 2.0 * parameter.grad
    state = {name: value.clone() for name, value in rvq.state_dict().items()}
    return {**state, "losses": torch.stack(losses), "gradients": torch.stack(gradients)}


def fsq_after_training() -> dict[str, Tensor]:
    """Ten steps on this rank's share; one has a NaN in the last clip, so that no rank counts it."""
    rank, size = world()
    mine = slice(rank * CLIPS // size, (rank + 1) * CLIPS // size)
    torch.manual_seed(0)
    fsq = FiniteScalarQuantizer(levels=(4, 4), dim=DIM)
    mask = torch.arange(FRAMES)[None] < torch.tensor([12, 9, 12, 1, 0, 2])[:, None]
    for step in range(10):
        latents = torch.randn(CLIPS, FRAMES, DIM, generator=torch.Generator().manual_seed(step))
        if step == 7:
            latents[5, 0, 0] = float("nan")
        fsq(latents[mine], mask[mine])
    return {"counts": fsq.counts}


def collectives() -> dict[str, Tensor]:
    """What the functions of ``collective`` say to ranks with 2 and 3 rows."""
    rank, _ = world()
    rows = torch.arange(2.0) if rank == 0 else torch.arange(2.0, 5.0)
    offset, total = row_offsets(len(rows), rows.device)
    found = global_rows(rows[:, None], torch.tensor([4, 0, 2, 2]), offset)
    parameters = [nn.Parameter(torch.zeros(2)) for _ in range(3)]
    parameters[0].grad = torch.full((2,), 2.0 + 2 * rank)
    if rank == 1:
        parameters[1].grad = torch.ones(2)
    for exchanged in (parameters, []):
        with GradientExchange(exchanged).average():
            pass
    gathered = gather_rows(rows[:, None])
    return {
        "gathered": gathered,
        "mean": global_mean(rows, rows < 3.5),
        "offset": torch.tensor([offset, total]),
        "found": found,
        "finite": torch.tensor([all_finite(rows), all_finite(rows / rank)]),  # 0 / 0 on rank 0 alone
        "gradients": torch.stack([torch.full((2,), -1.0) if p.grad is None else p.grad for p in parameters]),
    }


def rank_main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2, timeout=timedelta(seconds=LIMIT)
    )
    for kind in KINDS:
        save_file(codebooks_after_training(kind), folder / f"{kind}-{rank}.safetensors")
    save_file(fsq_after_training(), folder / f"fsq-{rank}.safetensors")
    save_file(collectives(), folder / f"collectives-{rank}.safetensors")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what each of two processes ended with."""
    folder = tmp_path_factory.mktemp("ranks")
    PARTS.set_forkserver_preload(["vocable.systems.registry", "torch._dynamo", "torch.utils.tensorboard"])
    ranks = [PARTS.Process(target=rank_main, args=(rank, folder), daemon=True) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(LIMIT)
    assert [process.exitcode for process in ranks] == [0, 0], "a rank failed or did not end"
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_hold_the_codebooks_of_one(two: Path, kind: str) -> None:
    alone = codebooks_after_training(kind)
    ranks = [load_file(two / f"{kind}-{rank}.safetensors") for rank in range(2)]
    for level in range(LEVELS):
        assert int(alone[f"codebooks.{level}.restarts"]) > 5, "the test provokes no restarts"
        assert int(alone[f"codebooks.{level}.updates"]) == 29, "the step with a NaN taught something"
        for held in ranks:
            for name in ("counts", "updates", "restarts"):
                key = f"codebooks.{level}.{name}"
                assert torch.equal(held[key], alone[key]), key
            key = f"codebooks.{level}.entries"
            assert (held[key] - alone[key]).abs().max() <= 1e-6
            assert torch.equal(held[key], ranks[0][key]), "the ranks drifted apart"


@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_are_those_of_the_global_batch(two: Path, kind: str) -> None:
    """A mean over ranks of means over their frames would weigh the frames of a short clip more."""
    alone = codebooks_after_training(kind)
    ranks = [load_file(two / f"{kind}-{rank}.safetensors") for rank in range(2)]
    for held in ranks:
        assert torch.allclose(held["losses"], alone["losses"], rtol=1e-5, equal_nan=True)
    gradients = torch.cat([held["gradients"] for held in ranks], dim=1)
    assert torch.allclose(gradients, alone["gradients"], rtol=1e-4, atol=1e-7)


def test_two_processes_count_the_use_of_combinations_as_one(two: Path) -> None:
    alone = fsq_after_training()["counts"]
    assert float(alone.sum()) == pytest.approx(36 * (1 - 0.99**9), rel=1e-4), "the step with a NaN was counted"
    for rank in range(2):
        assert torch.equal(load_file(two / f"fsq-{rank}.safetensors")["counts"], alone)


def test_collectives_see_the_global_batch(two: Path) -> None:
    for rank, (offset, held) in enumerate(
        zip((0, 2), (load_file(two / f"collectives-{rank}.safetensors") for rank in range(2)), strict=True)
    ):
        assert held["offset"].tolist() == [offset, 5], rank
        assert held["found"].flatten().tolist() == [4, 0, 2, 2]
        assert held["finite"].tolist() == [True, False]
        assert held["gathered"].flatten().tolist() == [0, 1, 2, 3, 4]
        assert float(held["mean"]) == pytest.approx([0.5, 2.5][rank])  # 1.5 over 0, 1, 2, 3 on average
        # Known to both, to one (the other's is zero), and to neither: the last stays without, as in one process.
        assert held["gradients"].tolist() == [[3, 3], [0.5, 0.5], [-1, -1]]


def test_collectives_alone() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    with GradientExchange([parameter]).average():
        pass
    assert parameter.grad is None
    assert world() == (0, 1)
    assert global_rows(torch.arange(3.0)[:, None], torch.tensor([2, 0]), 0).flatten().tolist() == [2, 0]
    assert all_finite(torch.zeros(0))
    assert not all_finite(torch.tensor([1.0, float("inf")]))


def few_entries() -> recipes.Run:
    """With many frames an entry: k-means over two or three rows an entry is full of ties, which one bit decides."""
    run = recipes.find("guided-tiny")
    return replace(
        run,
        model=replace(run.model, codebook_size=4, num_codebooks=2),
        batches=replace(run.batches, frames=24),
        train=replace(run.train, steps=6, log_every=1, save_every=3),
    )


SCRIPT = """
import os, sys
import torch
from tests.quantizers.test_distributed import few_entries
from vocable import recipes
from vocable.train.run import AUDIO
torch.set_num_threads(1)
folder, rank, writes = sys.argv[2], os.environ["RANK"], []
def note(event, args):
    if event == "open" and str(args[0]).startswith(folder) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        if os.sep + AUDIO + os.sep not in str(args[0]):  # which every rank fills for its share of the recordings
            writes.append(args[0])
sys.addaudithook(note)
recipes.fit(few_entries(), [sys.argv[1]], folder, quiet=True, say=lambda line: print(f"rank {rank} says {line}"))
print(f"rank {rank} wrote {len(writes)} files")
"""


def test_fit_on_two_processes(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.jsonl"
    with manifest.open("w") as lines:
        for clip in range(3):
            speechlike(2_000 + 1_500 * clip, seed=clip).write(tmp_path / f"{clip}.wav")
            lines.write(json.dumps({"audio_path": f"{clip}.wav", "split": "train"}) + "\n")
    (tmp_path / "train.py").write_text(SCRIPT)
    script = str(tmp_path / "train.py")
    said = torchrun(script, str(manifest), str(tmp_path / "two"), beside=Path(__file__).parents[2])
    assert "rank 0 says 0.00 hours of speech; 2 process(es) on cpu" in said
    assert "rank 1 says" not in said
    assert "rank 1 wrote 0 files" in said
    assert "rank 0 wrote 0 files" not in said

    recipes.fit(few_entries(), [manifest], tmp_path / "one", quiet=True, say=lambda line: None)
    logs = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert [line["step"] for line in logs[1]] == [1, 2, 3, 4, 5, 6]
    for one, both in zip(*logs, strict=True):
        assert one.keys() == both.keys()
        for name in set(one).difference(COSTS):
            assert both[name] == pytest.approx(one[name], rel=1e-3, abs=1e-5), (one["step"], name)
    newest = [load_file(tmp_path / name / "checkpoints/step-00000006/training.safetensors") for name in ("one", "two")]
    for key in newest[0]:
        if ".codebooks." in key:
            # Not bit for bit: gradients and codebook sums are added in another order, and the quantizer's matrix
            # products have other shapes; AdamW's division by a small moment then magnifies the last bits.
            assert torch.allclose(newest[1][key].float(), newest[0][key].float(), rtol=1e-3, atol=1e-5), key
    assert torch.equal(newest[1]["generator.model.quantizer.codebooks.0.updates"], torch.tensor(4))
