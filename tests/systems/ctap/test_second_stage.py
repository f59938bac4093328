"""The second stage: the connector and the durations learn of labelled windows, and nothing else moves."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.states import same, state
from tests.systems.ctap.conftest import learner, taught
from vocable.systems.ctap.config import CtapLosses
from vocable.systems.ctap.data import AlignedBatch, AlignedWindows
from vocable.systems.ctap.objective import phoneme_runs


def test_the_second_stage_moves_connector_and_durations_alone(material: AlignedWindows, batch: AlignedBatch) -> None:
    objective = learner(material)
    before = state(objective.model.transcoder)
    torch.manual_seed(0)
    found = list(objective.turns(batch, objective.second_stage))
    assert [(one.name, list(one.losses), one.weights) for one in found] == [
        ("connector", ["noise"], {"noise": 1.0}), ("durations", ["noise"], {"noise": 1.0}),
    ]  # fmt: skip
    assert {one.learning_rate for one in found} == {
        objective.losses.second_stage_rate.at(0, objective.steps - objective.second_stage)
    }
    for one in found:
        one.total.backward()
    assert same(before, state(objective.model.transcoder))
    assert all(value.grad is None for value in objective.model.transcoder.parameters())
    assert taught(objective.model.connector)
    assert taught(objective.model.durations)
    assert int(objective.model.trained) == 1
    list(objective.turns(batch, objective.second_stage + 4))
    assert int(objective.model.trained) == 5


def test_the_second_stage_learns_of_labelled_windows_alone(material: AlignedWindows, batch: AlignedBatch) -> None:
    other = replace(
        batch, phonemes=torch.where(batch.has_phonemes[:, None], batch.phonemes, 5),
        samples=torch.where(batch.has_phonemes[:, None], batch.samples, 0.5 * batch.samples),
    )  # fmt: skip
    costs = []
    for one in (batch, other):
        objective = learner(material)
        with torch.no_grad():
            nn.init.normal_(objective.model.connector.out_proj[-1].weight)
        torch.manual_seed(0)
        first, _ = objective.turns(one, 39)
        costs.append(float(first.total.detach()))
    assert costs[0] == costs[1]


def test_runs_by_hand() -> None:
    phonemes = torch.tensor([[0, 0, 4, 4, 4, 2, 2, 9], [1, 1, 1, 1, 1, 1, 1, 1], [3, 6, 6, 3, 0, 0, 0, 0]])
    real = torch.arange(8)[None] < torch.tensor([8, 8, 4])[:, None]
    ids, lasting, there, inside = phoneme_runs(phonemes, real)
    assert ids.tolist() == [[0, 4, 2, 9], [1, 0, 0, 0], [3, 6, 3, 0]]
    assert lasting.tolist() == [[2, 3, 2, 1], [8, 0, 0, 0], [1, 2, 1, 0]]
    assert there.int().tolist() == [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]]
    assert inside.int().tolist() == [[0, 1, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize(("share", "first"), [(0.0, 0), (0.5, 20), (0.8, 32), (1.0, 40)])
def test_the_stages_share_the_steps(share: float, first: int) -> None:
    assert CtapLosses(transcoder_share=share).second_stage_start(40) == first
