"""What VQ-CTAP is asked to learn: terms and their steps, and whom each one teaches."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.systems.ctap.conftest import PARTS, at_once, learner, taught, turn
from vocable.errors import ConfigError
from vocable.systems.ctap.config import CtapCodebookConfig, CtapLosses
from vocable.systems.ctap.data import AlignedBatch, AlignedWindows
from vocable.train.schedule import Weight

TERMS = {"commitment", "phonemes", "spectrum", "contrastive", "kl", "consistency", "phoneme_branch"}


def test_every_term_comes_with_its_weight_at_its_step(material: AlignedWindows, batch: AlignedBatch) -> None:
    objective = learner(material, CtapLosses(
        commitment=Weight(value=0.25), phonemes=Weight(value=2.0), spectrum=Weight(value=1.5, ramp=4),
        contrastive=Weight(value=0.1, start=3), kl=Weight(value=0.5, start=5, ramp=4),
        consistency=Weight(value=0.3, start=7), phoneme_branch=Weight(value=1.0), codebook_start=2,
    ))  # fmt: skip
    wanted: dict[int, dict[str, float]] = {
        0: {"spectrum": 0.0, "kl": 0.0, "phonemes": 2.0, "phoneme_branch": 1.0},
        2: {"spectrum": 0.75, "kl": 0.0, "phonemes": 2.0, "phoneme_branch": 1.0, "commitment": 0.25},
        3: {"spectrum": 1.125, "kl": 0.0, "phonemes": 2.0, "phoneme_branch": 1.0, "commitment": 0.25,
            "contrastive": 0.1},
        8: {"spectrum": 1.5, "kl": 0.375, "phonemes": 2.0, "phoneme_branch": 1.0, "commitment": 0.25,
            "contrastive": 0.1, "consistency": 0.3},
    }  # fmt: skip
    for step, weights in wanted.items():
        found = turn(objective, batch, step)
        assert (found.name, found.weights) == ("transcoder", pytest.approx(weights))
        assert found.losses.keys() == weights.keys()
        total = sum(weights[name] * float(loss.detach()) for name, loss in found.losses.items())
        assert float(found.total.detach()) == pytest.approx(total, rel=1e-5)
        assert found.learning_rate == objective.rate.at(step, objective.second_stage)
    assert {"used", "perplexity", "kl", "logit_scale", "phoneme_top1", "retrieval_top1"} <= found.stats.keys()


def test_the_decoder_may_wait(material: AlignedWindows, batch: AlignedBatch) -> None:
    """Until then neither voices nor spectra cost anything, and what tells phonemes learns all the same."""
    objective = learner(material, at_once(decoder_start=3))
    part = objective.model.transcoder
    early = turn(objective, batch, 2)
    early.total.backward()
    assert early.losses.keys() == {"commitment", "phonemes", "contrastive"}
    assert {name for name in PARTS if taught(getattr(part, name))} == {
        "speech_encoder", "phoneme_encoder", "phoneme_decoder",
    }  # fmt: skip
    assert "kl" not in early.stats
    late = turn(objective, batch, 3)
    assert late.losses.keys() == TERMS
    late.total.backward()
    assert all(taught(getattr(part, name)) for name in PARTS)


def test_without_gradients_of_the_decoder_phonemes_do_not_depend_on_it(
    material: AlignedWindows, batch: AlignedBatch
) -> None:
    """So a run that trains it later learns the same tokens."""
    found = []
    for start in (0, 9):
        objective = learner(material, at_once(decoder_start=start, encoder_gradient=0.0, num_masks=0), dropout=0.0)
        objective.model.eval()  # positions are drawn in training
        turn(objective, batch).total.backward()
        found.append([value.grad for value in objective.model.transcoder.speech_encoder.parameters()])
    assert all(one is not None and torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_a_codebook_that_learns_by_gradient_has_its_own_term(material: AlignedWindows, batch: AlignedBatch) -> None:
    found = turn(learner(material, codebook=CtapCodebookConfig(size=32, kind="gradient")), batch)
    assert found.losses.keys() == TERMS | {"codebook"}
    assert found.weights["codebook"] == 1.0
    assert turn(
        learner(material, codebook=CtapCodebookConfig(size=32, kind="fsq", fsq_levels=(8, 4))), batch
    ).losses.keys() == TERMS - {"commitment"}


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("term", "whom"),
    [
        ("commitment", {"speech_encoder"}),
        ("phonemes", {"speech_encoder", "phoneme_decoder"}),
        ("spectrum", {"speech_encoder", "voice_encoder", "speech_decoder"}),
        ("contrastive", {"speech_encoder", "phoneme_encoder"}),
        ("kl", {"voice_encoder"}),
        ("phoneme_branch", {"phoneme_encoder", "voice_encoder", "speech_decoder"}),
        ("consistency", {"speech_decoder"}),
    ],
)
def test_each_term_teaches_whom_it_should(
    material: AlignedWindows, batch: AlignedBatch, term: str, whom: set[str], precision: torch.dtype
) -> None:
    objective = learner(material, at_once(kl_floor=0.0))
    part = objective.model.transcoder
    with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
        found = turn(objective, batch)
    found.losses[term].backward()
    assert {name for name in PARTS if taught(getattr(part, name))} == whom
    assert (part.logit_scale.grad is not None) == (term == "contrastive")
    assert all(value.requires_grad for value in part.parameters()), "a network stayed frozen"


def relabelled(batch: AlignedBatch, labelled: Tensor) -> AlignedBatch:
    return replace(batch, has_phonemes=labelled)


def test_unlabelled_rows_teach_no_phonemes(material: AlignedWindows, batch: AlignedBatch) -> None:
    """Whatever their phonemes are said to be; and they do teach spectra."""
    other = torch.where(batch.has_phonemes[:, None], batch.phonemes, 7)
    losses = [
        {name: float(loss.detach()) for name, loss in turn(learner(material), one).losses.items()}
        for one in (batch, replace(batch, phonemes=other))
    ]
    assert losses[0] == losses[1]
    known = relabelled(batch, torch.ones_like(batch.has_phonemes))
    found = turn(learner(material), known).losses
    changed = {name for name, loss in found.items() if float(loss.detach()) != losses[0][name]}
    assert changed == {"phonemes", "contrastive", "phoneme_branch", "consistency"}
    louder = replace(batch, samples=torch.where(batch.has_phonemes[:, None], batch.samples, 0.1 * batch.samples))
    assert float(turn(learner(material), louder).losses["spectrum"].detach()) != losses[0]["spectrum"]


@pytest.mark.parametrize("step", [0, 39])
def test_a_batch_without_a_label_is_no_accident(material: AlignedWindows, batch: AlignedBatch, step: int) -> None:
    objective = learner(material)
    torch.manual_seed(0)
    for found in objective.turns(relabelled(batch, torch.zeros_like(batch.has_phonemes)), step):
        assert bool(torch.isfinite(found.total))
        found.total.backward()
        for name in ("phonemes", "contrastive", "phoneme_branch", "noise"):
            assert float(found.losses.get(name, torch.zeros(())).detach()) == 0.0
        assert all(bool(value.grad.isfinite().all()) for value in objective.parts()[found.name].parameters()
                   if value.grad is not None)  # fmt: skip
    if step == 0:
        assert float(found.losses["consistency"].detach()) > 0


def test_padding_costs_nothing(material: AlignedWindows, batch: AlignedBatch) -> None:
    """Spectra behind a clip's end may be anything: no term sees them."""
    mask = torch.arange(batch.mask.shape[1]) < torch.tensor([40, 13, 40, 25, 9, 40, 31, 18])[:, None]
    hop, losses = batch.samples.shape[1] // mask.shape[1], []
    near = mask | torch.nn.functional.pad(mask, (1, 0))[:, :-1]  # a window of the transform reaches into the next token
    away = ~near.repeat_interleave(hop, dim=1)
    assert bool(away.any())
    for loud in (0.0, 0.3):
        samples = torch.where(away, loud * torch.sin(torch.arange(batch.samples.shape[1]) / 3.0), batch.samples)
        found = turn(learner(material), replace(batch, samples=samples, mask=mask))
        losses.append({name: float(loss.detach()) for name, loss in found.losses.items()})
    assert losses[0] == losses[1]


def test_another_voice_is_the_one_of_unlabelled_speech(
    material: AlignedWindows, batch: AlignedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labelled tokens are decoded in voices of unlabelled windows; where all are of one kind, in a neighbour's."""
    objective = learner(material)
    part, width = objective.model.transcoder, objective.model.config.transcoder.latent_width
    voices = torch.arange(8.0)[:, None].expand(8, 8).contiguous().requires_grad_()
    latents = torch.arange(8.0)[:, None, None].expand(8, 40, width).contiguous().requires_grad_()
    averages = objective.model.average_spectrum(objective.model.frames(batch.voices))
    heard: list[tuple[list[float], list[float]]] = []
    decoder: Callable[..., Tensor] = part.speech_decoder.forward

    def note(content: Tensor, mask: Tensor, voice: Tensor) -> Tensor:
        heard.append((content[:, 0, 0].tolist(), voice[:, 0].tolist()))
        return decoder(content, mask, voice)

    monkeypatch.setattr(part.speech_decoder, "forward", note)
    for known in ([0, 1, 2, 4, 5, 7], [3], list(range(8)), []):
        labelled = torch.zeros(8, dtype=torch.bool)
        labelled[known] = True
        objective._consistency(relabelled(batch, labelled), latents, voices, averages).backward()
    assert heard[0] == ([0, 1, 2, 4, 5, 7], [3, 6, 3, 6, 3, 6])
    assert heard[1] == ([3], [0])
    assert heard[2] == heard[3] == (list(range(8)), [7, *range(7)])
    assert voices.grad is None
    assert latents.grad is None


def test_consistency_learns_to_keep_the_voice(material: AlignedWindows, batch: AlignedBatch) -> None:
    """Moved by this term alone, the decoder comes to sound like the voice that it was given."""
    objective = learner(material)
    part = objective.model.transcoder
    with torch.no_grad():  # a voice encoder fresh from the start hears next to nothing
        part.voice_encoder.mean.weight.mul_(8.0)
    optimizer = torch.optim.Adam(part.speech_decoder.parameters(), lr=3e-3)
    costs = []
    for _ in range(15):
        loss = turn(objective, batch).losses["consistency"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        costs.append(float(loss.detach()))
    assert costs[-1] < 0.8 * costs[0]


@pytest.mark.parametrize(
    "change",
    [{"transcoder_share": -0.1}, {"transcoder_share": 1.1}, {"kl_floor": -1.0}, {"codebook_start": -1},
     {"num_masks": -1}, {"vtlp_range": 0.6}, {"vtlp_range": -0.1}, {"encoder_gradient": 1.1},
     {"encoder_gradient": float("nan")}],
)  # fmt: skip
def test_losses_out_of_range(change: dict[str, float]) -> None:
    with pytest.raises(
        ConfigError,
        match=r"CtapLosses: \w+ is .*: Input should be (greater|less) than or equal to (0|1|0\.5)|a finite number",
    ):
        CtapLosses(**change)
