"""The loop, with objectives that know nothing about speech."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vocable.errors import CheckpointError, ConfigError, OutputError, TrainingError
from vocable.quantizers import VectorQuantizer
from vocable.train import checkpoint
from vocable.train.log import Log
from vocable.train.objective import Turn
from vocable.train.schedule import LearningRate
from vocable.train.trainer import TrainConfig, Trainer

RATE = LearningRate(peak=0.1, warmup=3, decay=0.5)
CONFIG = TrainConfig(steps=6, learning_rate=RATE, weight_decay=0.0, clip=1e9, log_every=2, save_every=6)


@dataclass(frozen=True)
class Numbers:
    values: Tensor
    names: tuple[str, ...]

    def to(self, device: torch.device) -> "Numbers":
        return Numbers(self.values.to(device), self.names)


class Source:
    """Four rows of three numbers, a function of the step; with a NaN in the steps named."""

    def __init__(self, *bad: int) -> None:
        self.bad = bad

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Numbers:
        values = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
        if step in self.bad:
            values[2, 1] = float("nan")
        return Numbers(values, tuple(f"row {row} of step {step}" for row in range(4)))


class Line:
    """One part, one loss: any function of a linear layer and the batch."""

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor] | None = None, **stats: Tensor) -> None:
        torch.manual_seed(0)
        self.layer, self.stats = nn.Linear(3, 2), stats
        self.loss = loss or (lambda made, _: made.square().mean())
        self.seen: list[Any] = []

    def parts(self) -> Mapping[str, nn.Module]:
        return {"line": self.layer}

    def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
        made = self.layer(batch.values)
        self.seen.append((made.dtype, self.layer.weight.detach().clone()))
        yield Turn(name="line", losses={"size": self.loss(made, batch.values)}, weights={"size": 2.0}, stats=self.stats)

    def export(self, folder: Path) -> None:
        (folder / "model.txt").write_text("exported")


class Duel:
    """Two parts, and noise from torch; the generator also has a codebook, which learns in its forward pass."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.generator = nn.ModuleDict({"layer": nn.Linear(3, 2), "book": VectorQuantizer(codebook_size=4, dim=2)})
        self.discriminator = nn.Linear(2, 1)
        self.story: list[tuple[str, Tensor, Tensor]] = []
        self.bad: set[tuple[str, int]] = set()

    def parts(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
        made = self.generator["layer"](batch.values) + 0.1 * torch.randn(4, 2)
        made = self.generator["book"](made[None], torch.ones(1, 4, dtype=torch.bool)).latents[0]
        for name, given in (("discriminator", made.detach()), ("generator", made)):
            self.story.append((name, *(part.weight.detach().clone() for part in self._networks())))
            judged = self.discriminator(given).mean() * (float("nan") if (name, step) in self.bad else 1.0)
            sign = 1.0 if name == "generator" else -1.0
            yield Turn(name=name, losses={"judged": sign * judged}, weights={"judged": 0.5})

    def export(self, folder: Path) -> None:
        """Nothing."""

    def _networks(self) -> tuple[nn.Linear, nn.Linear]:
        return self.generator["layer"], self.discriminator


def state(trainer: Trainer) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name, part in trainer.parts.items()
        for key, value in part.state_dict().items()
    }


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_discriminator_moves_first_and_the_generator_sees_it(tmp_path: Path) -> None:
    duel = Duel()
    Trainer(duel, Source(), replace(CONFIG, steps=2), tmp_path, quiet=True).run()
    assert [name for name, *_ in duel.story] == ["discriminator", "generator"] * 2
    (_, g1, d1), (_, g2, d2), (_, g3, d3), _ = duel.story
    assert torch.equal(g1, g2)
    assert not torch.equal(d1, d2)
    assert not torch.equal(g2, g3)
    assert torch.equal(d2, d3), "the generator's turn moved the discriminator"


def test_a_turn_steps_with_its_own_gradient_alone(tmp_path: Path) -> None:
    """What the generator's turn leaves on the discriminator is cleared before the discriminator's next turn.

    The discriminator maximises its mean: AdamW with no memory moves each weight by the rate, up the mean's sign.
    """
    duel = Duel()
    config = replace(CONFIG, steps=3, betas=(0.0, 0.0))
    Trainer(duel, Source(), config, tmp_path, quiet=True).run()
    for step in range(3):
        before, after = duel.story[2 * step][2], duel.story[2 * step + 1][2]
        moved = (after - before).abs()
        assert torch.allclose(moved, torch.full_like(moved, RATE.at(step, 3)), rtol=1e-3)


def test_the_rate_follows_its_schedule(tmp_path: Path) -> None:
    """Under a constant gradient AdamW moves a weight by exactly the rate."""
    line = Line(lambda made, values: made.sum() - (made - made.detach()).sum() + line.layer.weight.sum())
    Trainer(line, Source(), CONFIG, tmp_path, quiet=True).run()
    weights = [weight for _, weight in line.seen] + [line.layer.weight.detach()]
    for step, (before, after) in enumerate(pairwise(weights)):
        moved = before - after
        assert torch.allclose(moved, torch.full_like(moved, RATE.at(step, 6)), rtol=1e-3)
    assert [entry["learning_rate"] for entry in lines(tmp_path)] == [RATE.at(step, 6) for step in (1, 3, 5)]


@pytest.mark.parametrize(("clip", "left"), [(0.5, 0.5), (1e9, None)])
def test_gradients_are_clipped_to_their_joint_norm(tmp_path: Path, clip: float, left: float | None) -> None:
    line = Line(lambda made, _: 1e3 * made.square().mean())
    Trainer(line, Source(), replace(CONFIG, steps=1, clip=clip, log_every=1), tmp_path, quiet=True).run()
    norm = float(torch.cat([p.grad.flatten() for p in line.layer.parameters()]).norm())
    logged = lines(tmp_path)[0]["line/gradient_norm"]
    assert logged > 100
    assert norm == pytest.approx(logged if left is None else left, rel=1e-4)


def test_matrices_decay_and_vectors_do_not(tmp_path: Path) -> None:
    line = Line(lambda made, _: 0 * made.sum())
    weight, bias = line.layer.weight.detach().clone(), line.layer.bias.detach().clone()
    rate = LearningRate(peak=0.1, warmup=0, decay=0.0)
    config = replace(CONFIG, steps=1, weight_decay=0.5, learning_rate=rate)
    Trainer(line, Source(), config, tmp_path, quiet=True).run()
    assert torch.allclose(line.layer.weight, weight * (1 - 0.1 * 0.5))
    assert torch.equal(line.layer.bias, bias)


def test_log_lines_hold_every_name(tmp_path: Path) -> None:
    line = Line(used=torch.tensor([0.5, 0.25]), depth=torch.tensor(3.0))
    Trainer(line, Source(), CONFIG, tmp_path, quiet=True).run()
    written = lines(tmp_path)
    assert [entry["step"] for entry in written] == [2, 4, 6]
    for entry in written:
        assert set(entry) == {
            "step", "seconds", "learning_rate", "skipped", "used", "depth",
            "line/total", "line/gradient_norm", "line/size", "line/size/weight",
        }  # fmt: skip
        assert entry["line/total"] == pytest.approx(2.0 * entry["line/size"])
        assert (entry["line/size/weight"], entry["used"], entry["depth"]) == (2.0, [0.5, 0.25], 3.0)
    assert len(list((tmp_path / "tensorboard").rglob("events.*"))) == 1, "a writer and a thread a curve"


def test_the_last_step_is_logged_and_saved(tmp_path: Path) -> None:
    Trainer(Line(), Source(), replace(CONFIG, steps=5, log_every=4, save_every=3), tmp_path, quiet=True).run()
    assert [entry["step"] for entry in lines(tmp_path)] == [4, 5]
    assert [path.name for path in checkpoint.steps(tmp_path / "checkpoints")] == ["step-00000003", "step-00000005"]


def test_low_usage_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Trainer(Line(used=torch.tensor([0.5, 0.05])), Source(), CONFIG, tmp_path, quiet=True).run()
    said = capsys.readouterr().out
    assert said.count("warning: step") == 3
    assert "warning: step 4: level 2 uses 5.0% of its codebook" in said
    assert "level 1" not in said


def test_a_collapsed_codebook_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a real quantizer: restarts keep every entry fresh, and still the usage must show."""

    class Collapsed(Line):
        book = VectorQuantizer(codebook_size=32, dim=2, decay=0.9)

        def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
            turn = next(super().turns(batch, step))
            latents = torch.zeros(1, 40, 2) + (torch.randn(1, 40, 2) if step == 0 else 0)
            yield replace(turn, stats=self.book(latents, torch.ones(1, 40, dtype=torch.bool)).stats)

    Trainer(Collapsed(), Source(), replace(CONFIG, steps=60, log_every=20), tmp_path, quiet=True).run()
    assert re.search(r"warning: step 60: level 1 uses [36]\.\d% of its codebook", capsys.readouterr().out)
    assert lines(tmp_path)[-1]["restarts"][0] >= 31


def test_alarms_of_every_turn_are_said_where_a_line_is_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Alarmed(Duel):
        def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
            for turn in super().turns(batch, step):
                yield replace(turn, alarms=(f"{turn.name} is wrong at {step}",) if step >= 3 else ())

    Trainer(Alarmed(), Source(), replace(CONFIG, steps=5), tmp_path, quiet=True).run()
    said = [line for line in capsys.readouterr().out.splitlines() if "wrong" in line]
    assert said == [
        f"warning: step {step}: {name} is wrong at {step - 1}"
        for step in (4, 5)
        for name in ("discriminator", "generator")
    ]
    assert all("alarms" not in entry for entry in lines(tmp_path))


def test_a_bar_shows_loss_and_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = Line(lambda made, _: 0 * made.sum() + 0.125, used=torch.tensor([0.5, 0.3]))
    Trainer(line, Source(), CONFIG, tmp_path).run()
    said = capsys.readouterr().out
    assert "6/6" in said
    assert "loss 0.250 used 40%" in said
    assert "ETA" in said


def infinite_loss(made: Tensor, values: Tensor) -> Tensor:
    return made.nan_to_num().square().sum() / values.isfinite().all()


def infinite_gradient(made: Tensor, values: Tensor) -> Tensor:
    """0 in the bad step, and the slope of a square root there."""
    size = made.nan_to_num().square().sum()
    return size if values.isfinite().all() else (0 * size).sqrt()


@pytest.mark.parametrize("loss", [None, infinite_loss, infinite_gradient])
def test_what_is_not_finite_stops_the_run_and_names_the_batch(
    tmp_path: Path, loss: Callable[[Tensor, Tensor], Tensor] | None
) -> None:
    line = Line(loss)
    trainer = Trainer(line, Source(3), CONFIG, tmp_path, quiet=True)
    with pytest.raises(TrainingError, match=r"step 3, line: not finite \(size .*\); batch: row 0 of step 3, row 1"):
        trainer.run()
    assert trainer.step == 3
    assert torch.equal(line.layer.weight, line.seen[-1][1]), "a weight moved"
    assert checkpoint.steps(tmp_path / "checkpoints") == []


@pytest.mark.parametrize("turn", ["generator", "discriminator"])
def test_a_refused_step_moves_no_codebook(tmp_path: Path, turn: str) -> None:
    """The loss turns NaN after the codebook has learnt from good latents: that is taken back."""
    duel = Duel()
    duel.bad = {(turn, 2)}
    trainer = Trainer(duel, Source(), replace(CONFIG, steps=2), tmp_path, quiet=True)
    trainer.run()
    before = state(trainer)
    trainer.config = CONFIG
    with pytest.raises(TrainingError, match=f"step 2, {turn}: not finite"):
        trainer.run()
    after = state(trainer)
    assert all(torch.equal(before[key], after[key]) for key in before if key.startswith("generator."))
    assert torch.equal(before["discriminator.weight"], after["discriminator.weight"]) == (turn == "discriminator")


def test_skip_goes_on_without_the_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = Line()
    config = replace(CONFIG, not_finite="skip", log_every=1)
    Trainer(line, Source(1, 3, 4), config, tmp_path, quiet=True).run()
    weights = [weight for _, weight in line.seen] + [line.layer.weight.detach()]
    moved = [not torch.equal(before, after) for before, after in pairwise(weights)]
    assert moved == [True, False, True, False, False, True]
    assert [entry["skipped"] for entry in lines(tmp_path)] == [0, 0, 1, 0, 1, 2]
    assert [entry["line/total"] is None for entry in lines(tmp_path)] == [not fine for fine in moved]
    said = capsys.readouterr().out
    assert "skipped step 3, line: not finite (size nan, gradient norm nan); batch: row 0 of step 3" in said
    assert [path.name for path in checkpoint.steps(tmp_path / "checkpoints")] == ["step-00000006"]


@pytest.mark.parametrize("turn", ["generator", "discriminator"])
def test_twenty_skips_in_a_row_stop_the_run(tmp_path: Path, turn: str) -> None:
    """Also where the other turn of each step goes well."""
    duel = Duel()
    duel.bad = {(turn, step) for step in range(1, 100) if step != 15}
    trainer = Trainer(duel, Source(), replace(CONFIG, steps=100, not_finite="skip"), tmp_path, quiet=True)
    with pytest.raises(TrainingError, match=f"step 35, {turn}: not finite"):
        trainer.run()


def test_bfloat16_on_a_cpu(tmp_path: Path) -> None:
    """Layers compute in bfloat16, weights and moments stay in float32, and it learns."""
    line = Line()
    config = replace(CONFIG, steps=40, precision="bfloat16", log_every=1)
    trainer = Trainer(line, Source(), config, tmp_path, quiet=True)
    trainer.run()
    assert {dtype for dtype, _ in line.seen} == {torch.bfloat16}
    assert line.layer.weight.dtype == torch.float32
    moments = [value for entry in trainer.optimizers["line"].state_dict()["state"].values() for value in entry.values()]
    assert {moment.dtype for moment in moments} == {torch.float32}
    totals = [entry["line/total"] for entry in lines(tmp_path)]
    assert sum(totals[-5:]) < 0.5 * sum(totals[:5])


def test_old_checkpoints_are_dropped(tmp_path: Path) -> None:
    Trainer(Line(), Source(), replace(CONFIG, steps=7, save_every=2, keep=2), tmp_path, quiet=True).run()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000006", "step-00000007"]


def test_resume_refuses_a_run_that_is_over(tmp_path: Path) -> None:
    assert not Trainer(Line(), Source(), CONFIG, tmp_path, quiet=True).resume()
    Trainer(Line(), Source(), CONFIG, tmp_path, quiet=True).run()
    with pytest.raises(CheckpointError, match="has made 6 steps, 4 were asked for; raise --steps"):
        Trainer(Line(), Source(), replace(CONFIG, steps=4), tmp_path, quiet=True).resume()


def test_two_parts_resume_bit_for_bit(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=9, save_every=4, log_every=1)
    whole = Trainer(Duel(), Source(), config, tmp_path / "whole", quiet=True)
    whole.run()
    (tmp_path / "whole/checkpoints/step-00000009").rename(tmp_path / "newest")
    again = Trainer(Duel(), Source(), config, tmp_path / "whole", quiet=True)
    assert again.resume()
    assert again.step == 8
    again.run()
    assert same(state(again), state(whole))
    assert [entry["step"] for entry in lines(tmp_path / "whole")] == list(range(1, 10))


def test_a_source_that_fails_is_heard(tmp_path: Path) -> None:
    class Broken(Source):
        def batch(self, step: int, rank: int = 0, world: int = 1) -> Numbers:
            if step == 2:
                raise TrainingError("the disk is gone")
            return super().batch(step, rank, world)

    trainer = Trainer(Line(), Broken(), CONFIG, tmp_path, quiet=True)
    with pytest.raises(TrainingError, match="the disk is gone"):
        trainer.run()
    assert trainer.step == 2


@pytest.mark.parametrize("name", ["steps", "log_every", "save_every", "keep"])
def test_counts_are_at_least_one(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is 0: it must be at least 1"):
        TrainConfig(**{"steps": 1, name: 0})


def test_a_log_is_cut_at_the_step_it_goes_on_from(tmp_path: Path) -> None:
    """Later lines, and half a line that a kill left, go; TensorBoard is not needed."""
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    log = Log(tmp_path, steps=9, start=2, quiet=True)
    log.write(3, {"loss": float("inf"), "used": [0.5, float("nan")]})
    log.close()
    assert [{**line, "seconds": 0} for line in lines(tmp_path)[2:]] == [
        {"step": 3, "seconds": 0, "loss": None, "used": [0.5, None]}
    ]
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3]


def test_without_tensorboard_there_is_the_other_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    Trainer(Line(), Source(), CONFIG, tmp_path, quiet=True).run()
    assert len(lines(tmp_path)) == 3
    assert not (tmp_path / "tensorboard").exists()


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    log = Log(tmp_path, steps=9, quiet=True)
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(
        OutputError, match=r"log.jsonl: cannot be written \(No space left on device\); check the rights"
    ):
        log.write(1, {"loss": 1.0})
    log.close()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"file/log.jsonl: cannot be written"):
        Log(tmp_path / "file", steps=9, quiet=True)
