"""DistillMOS: the scores of its package, windows, and weights that are missing or changed."""

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.needed import lacking
from vocable.errors import CheckpointError, MissingDependencyError, ShapeError
from vocable.features import distillmos
from vocable.features.distillmos import WINDOW, DistillMos
from vocable.testing import speechlike


@pytest.fixture(scope="module")
def network() -> DistillMos:
    try:
        metadata.distribution("distillmos")
    except metadata.PackageNotFoundError:
        lacking("distillmos")
    return DistillMos.pretrained()


# computed by ConvTransformerSQAModel of distillmos 0.9.1: one sample, around one window, around one hop more, and many
@pytest.mark.slow
@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (1, 1.7997479), (16_000, 2.2331648), (WINDOW - 1, 1.5071218), (WINDOW, 1.5071225), (WINDOW + 1, 1.4828658),
        (138_881, 1.4734235), (300_000, 1.4125981),
    ],
)  # fmt: skip
def test_scores_equal_those_of_the_package(network, samples, expected) -> None:
    assert network.rate(torch.from_numpy(speechlike(samples).samples)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_the_level_is_not_judged_and_a_window_is_scored_alone_as_in_a_batch(network) -> None:
    clip = torch.from_numpy(speechlike(2 * WINDOW).samples)
    assert network.rate(0.01 * clip[:WINDOW]) == pytest.approx(network.rate(clip[:WINDOW]), abs=1e-3)
    with torch.inference_mode():
        together = network(clip.reshape(2, WINDOW))
    assert together.tolist() == pytest.approx([network.rate(part) for part in clip.split(WINDOW)], abs=1e-5)
    assert not any(value.requires_grad for value in network.parameters())


def test_no_samples_have_no_score() -> None:
    with pytest.raises(ShapeError, match="no samples"):
        DistillMos().rate(torch.zeros(0))


def test_missing_and_changed_weights_name_the_remedy(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(distillmos, "PACKAGE", "nobody-has-this")
    with pytest.raises(MissingDependencyError, match="run pip install --no-deps"):
        DistillMos.pretrained()
    monkeypatch.undo()

    class Elsewhere:
        def locate_file(self, path: str) -> Path:
            return tmp_path / Path(path).name

    monkeypatch.setattr(distillmos.metadata, "distribution", lambda name: Elsewhere())
    with pytest.raises(CheckpointError, match="cannot be read"):
        DistillMos.pretrained()
    (tmp_path / "distill_mos_v7.pt").write_bytes(np.zeros(8).tobytes())
    with pytest.raises(CheckpointError, match="not the weights known here"):
        DistillMos.pretrained()
