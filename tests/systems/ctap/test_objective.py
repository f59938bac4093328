"""What VQ-CTAP is asked to learn: terms and their steps, whom each one teaches, and what is said when it goes wrong."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.systems.ctap.conftest import at_once, learner, same, state
from vocable.data.aligned import Aligned, AlignedBatch
from vocable.errors import ConfigError
from vocable.systems.ctap.model import SHARPEST
from vocable.systems.ctap.objective import CtapLosses, CtapObjective, bent, hidden_away, runs
from vocable.train.objective import Turn
from vocable.train.schedule import Weight

PARTS = ("speech_encoder", "phoneme_encoder", "voice_encoder", "speech_decoder", "phoneme_decoder")
TERMS = {"commitment", "phonemes", "spectrum", "contrastive", "kl", "consistency", "phoneme_branch"}


def turn(objective: CtapObjective, batch: AlignedBatch, step: int = 0, seed: int = 0) -> Turn:
    torch.manual_seed(seed)
    [found] = objective.turns(batch, step)
    return found


def taught(module: nn.Module) -> bool:
    return any(value.grad is not None and bool(value.grad.any()) for value in module.parameters())


def test_every_term_comes_with_its_weight_at_its_step(material: Aligned, batch: AlignedBatch) -> None:
    objective = learner(material, CtapLosses(
        commitment=Weight(value=0.25), phonemes=Weight(value=2.0), spectrum=Weight(value=1.5, ramp=4),
        contrastive=Weight(value=0.1, start=3), kl=Weight(value=0.5, start=5, ramp=4),
        consistency=Weight(value=0.3, start=7), phoneme_branch=Weight(value=1.0), quantize_from=2,
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
        assert found.learning_rate == objective.rate.at(step, objective.first)
    assert {"used", "perplexity", "kl", "sharpness", "phoneme_top1", "retrieval_top1"} <= found.stats.keys()


def test_a_codebook_that_learns_by_gradient_has_its_own_term(material: Aligned, batch: AlignedBatch) -> None:
    found = turn(learner(material, codebook="gradient"), batch)
    assert found.losses.keys() == TERMS | {"codebook"}
    assert found.weights["codebook"] == 1.0
    assert turn(learner(material, codebook="fsq", fsq_levels=(8, 4)), batch).losses.keys() == TERMS - {"commitment"}


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
    material: Aligned, batch: AlignedBatch, term: str, whom: set[str], precision: torch.dtype
) -> None:
    objective = learner(material, at_once(kl_floor=0.0))
    part = objective.model.transcoder
    with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
        found = turn(objective, batch)
    found.losses[term].backward()
    assert {name for name in PARTS if taught(getattr(part, name))} == whom
    assert (part.sharpness.grad is not None) == (term == "contrastive")
    assert all(value.requires_grad for value in part.parameters()), "a network stayed frozen"


def relabelled(batch: AlignedBatch, labelled: Tensor) -> AlignedBatch:
    return replace(batch, labelled=labelled)


def test_unlabelled_rows_teach_no_phonemes(material: Aligned, batch: AlignedBatch) -> None:
    """Whatever their phonemes are said to be; and they do teach spectra."""
    other = torch.where(batch.labelled[:, None], batch.phonemes, 7)
    losses = [
        {name: float(loss.detach()) for name, loss in turn(learner(material), one).losses.items()}
        for one in (batch, replace(batch, phonemes=other))
    ]
    assert losses[0] == losses[1]
    known = relabelled(batch, torch.ones_like(batch.labelled))
    found = turn(learner(material), known).losses
    changed = {name for name, loss in found.items() if float(loss.detach()) != losses[0][name]}
    assert changed == {"phonemes", "contrastive", "phoneme_branch", "consistency"}
    louder = replace(batch, samples=torch.where(batch.labelled[:, None], batch.samples, 0.1 * batch.samples))
    assert float(turn(learner(material), louder).losses["spectrum"].detach()) != losses[0]["spectrum"]


@pytest.mark.parametrize("step", [0, 39])
def test_a_batch_without_a_label_is_no_accident(material: Aligned, batch: AlignedBatch, step: int) -> None:
    objective = learner(material)
    torch.manual_seed(0)
    for found in objective.turns(relabelled(batch, torch.zeros_like(batch.labelled)), step):
        assert bool(torch.isfinite(found.total))
        found.total.backward()
        for name in ("phonemes", "contrastive", "phoneme_branch", "noise"):
            assert float(found.losses.get(name, torch.zeros(())).detach()) == 0.0
        assert all(bool(value.grad.isfinite().all()) for value in objective.parts()[found.name].parameters()
                   if value.grad is not None)  # fmt: skip
    if step == 0:
        assert float(found.losses["consistency"].detach()) > 0


def test_padding_costs_nothing(material: Aligned, batch: AlignedBatch) -> None:
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
    material: Aligned, batch: AlignedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labelled tokens are decoded in voices of unlabelled windows; where all are of one kind, in a neighbour's."""
    objective = learner(material)
    part, width = objective.model.transcoder, objective.model.config.transcoder.latent_width
    voices = torch.arange(8.0)[:, None].expand(8, 8).contiguous().requires_grad_()
    latents = torch.arange(8.0)[:, None, None].expand(8, 40, width).contiguous().requires_grad_()
    averages = objective.model.average(objective.model.frames(batch.voices))
    heard: list[tuple[list[float], list[float]]] = []
    decoder: Callable[..., Tensor] = part.speech_decoder.forward

    def note(content: Tensor, voice: Tensor, mask: Tensor) -> Tensor:
        heard.append((content[:, 0, 0].tolist(), voice[:, 0].tolist()))
        return decoder(content, voice, mask)

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


def test_consistency_learns_to_keep_the_voice(material: Aligned, batch: AlignedBatch) -> None:
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


# ---- alarms ---------------------------------------------------------------------------------------------------------


def test_nothing_wrong_says_nothing(material: Aligned, batch: AlignedBatch) -> None:
    assert turn(learner(material, at_once(kl_floor=0.0)), batch).alarms == ()


@pytest.mark.parametrize(("factor", "alarm"), [(98.0, False), (99.5, True), (1e4, True)])
def test_a_factor_at_its_limit_is_told(material: Aligned, batch: AlignedBatch, factor: float, alarm: bool) -> None:
    objective = learner(material, at_once(kl_floor=0.0))
    with torch.no_grad():
        objective.model.transcoder.sharpness.fill_(math.log(factor))
    said = turn(objective, batch).alarms
    assert said == (
        ("the contrastive factor is at its limit of 100: similarities cannot get sharper",) if alarm else ()
    )


def test_a_voice_that_says_nothing_is_told_once_kl_counts(material: Aligned, batch: AlignedBatch) -> None:
    losses = at_once(kl_floor=1e6, kl=Weight(value=1.0, start=3))
    assert turn(learner(material, losses), batch, step=2).alarms == ()
    found = turn(learner(material, losses), batch, step=3)
    assert found.alarms == ("KL is at its floor of 1e+06 nat: the voice says nothing",)
    assert float(found.losses["kl"].detach()) == 0.0


def test_a_factor_over_its_limit_comes_back_and_can_fall_again(material: Aligned, batch: AlignedBatch) -> None:
    objective = learner(material)
    part = objective.model.transcoder
    with torch.no_grad():
        part.sharpness.fill_(math.log(SHARPEST) + 2.0)
    loss = turn(objective, batch).losses["contrastive"]
    assert float(part.scale().detach()) == pytest.approx(SHARPEST / math.sqrt(part.quantizer.dim), rel=1e-4)
    loss.backward()
    assert float(part.sharpness.grad) > 0  # of random vectors: less sharp is better


# ---- the second stage, and pieces -----------------------------------------------------------------------------------


def test_the_second_stage_moves_connector_and_durations_alone(material: Aligned, batch: AlignedBatch) -> None:
    objective = learner(material)
    before = state(objective.model.transcoder)
    torch.manual_seed(0)
    found = list(objective.turns(batch, objective.first))
    assert [(one.name, list(one.losses), one.weights) for one in found] == [
        ("connector", ["noise"], {"noise": 1.0}), ("durations", ["noise"], {"noise": 1.0}),
    ]  # fmt: skip
    assert {one.learning_rate for one in found} == {
        objective.losses.second_rate.at(0, objective.steps - objective.first)
    }
    for one in found:
        one.total.backward()
    assert same(before, state(objective.model.transcoder))
    assert all(value.grad is None for value in objective.model.transcoder.parameters())
    assert taught(objective.model.connector)
    assert taught(objective.model.durations)
    assert int(objective.model.trained) == 1
    list(objective.turns(batch, objective.first + 4))
    assert int(objective.model.trained) == 5


def test_the_second_stage_learns_of_labelled_windows_alone(material: Aligned, batch: AlignedBatch) -> None:
    other = replace(
        batch, phonemes=torch.where(batch.labelled[:, None], batch.phonemes, 5),
        samples=torch.where(batch.labelled[:, None], batch.samples, 0.5 * batch.samples),
    )  # fmt: skip
    costs = []
    for one in (batch, other):
        objective = learner(material)
        with torch.no_grad():
            nn.init.normal_(objective.model.connector.leave[-1].weight)
        torch.manual_seed(0)
        first, _ = objective.turns(one, 39)
        costs.append(float(first.total.detach()))
    assert costs[0] == costs[1]


def test_runs_by_hand() -> None:
    phonemes = torch.tensor([[0, 0, 4, 4, 4, 2, 2, 9], [1, 1, 1, 1, 1, 1, 1, 1], [3, 6, 6, 3, 0, 0, 0, 0]])
    real = torch.arange(8)[None] < torch.tensor([8, 8, 4])[:, None]
    ids, lasting, there, inside = runs(phonemes, real)
    assert ids.tolist() == [[0, 4, 2, 9], [1, 0, 0, 0], [3, 6, 3, 0]]
    assert lasting.tolist() == [[2, 3, 2, 1], [8, 0, 0, 0], [1, 2, 1, 0]]
    assert there.int().tolist() == [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]]
    assert inside.int().tolist() == [[0, 1, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize(("reach", "share"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_what_of_the_spectrum_gets_to_the_encoder_is_said_and_the_decoder_gets_it_all(
    material: Aligned, batch: AlignedBatch, reach: float, share: float
) -> None:
    def gradients(losses: CtapLosses) -> dict[str, Tensor]:
        objective = learner(material, losses)
        part = objective.model.transcoder
        turn(objective, batch).losses["spectrum"].backward()
        return {
            name: torch.cat([torch.zeros_like(value).flatten() if value.grad is None else value.grad.flatten()
                             for value in getattr(part, name).parameters()])
            for name in PARTS
        }  # fmt: skip

    whole, some = gradients(at_once()), gradients(at_once(reach=reach))
    assert torch.allclose(some["speech_encoder"], share * whole["speech_encoder"], rtol=1e-3, atol=1e-7)
    for name in ("speech_decoder", "voice_encoder"):
        assert torch.allclose(some[name], whole[name], rtol=1e-3, atol=1e-6)


def test_other_vocal_tracts_move_and_tilt_each_row_by_itself() -> None:
    """A peak moves along the mel axis by up to the share; flat spectra are tilted; nothing else happens in time."""
    peak = 5 * torch.exp(-((torch.arange(80) - 40.0) ** 2) / 8)
    frames = peak.expand(200, 3, 80).contiguous()
    torch.manual_seed(0)
    made = bent(frames, 0.2)
    assert torch.equal(made[:, 0], made[:, 2])
    highest = made[:, 0].argmax(1)
    assert 32 <= int(highest.min()) <= 35  # 40 / 1.2 is 33
    assert 48 <= int(highest.max()) <= 51  # 40 / 0.8 is 50
    flat = bent(torch.ones(500, 2, 80), 0.2) - 1
    assert torch.allclose(flat[..., 0], -flat[..., -1], atol=1e-5)
    assert 0.45 < float(flat.max()) <= 0.5
    assert -0.5 <= float(flat.min()) < -0.45
    assert abs(float(flat[:, 0, 0].mean())) < 0.05
    torch.manual_seed(0)
    assert torch.equal(bent(frames, 0.2), made)
    assert torch.equal(bent(frames, 0.0), frames)


def test_the_decoder_makes_what_was_said_and_not_what_the_encoder_heard(
    material: Aligned, batch: AlignedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is bent and hidden is the encoder's input; the spectra to be made stay those of the recording."""
    off = Weight(value=0.0)
    objective = learner(material, at_once(bend=0.2, masks=2, consistency=off, phoneme_branch=off))
    part, heard = objective.model.transcoder, []
    encoder = part.speech_encoder.forward

    def note(frames: Tensor, mask: Tensor) -> Tensor:
        heard.append(frames)
        return encoder(frames, mask)

    monkeypatch.setattr(part.speech_encoder, "forward", note)
    frames = objective.model.frames(batch.samples)
    monkeypatch.setattr(part.speech_decoder, "forward", lambda latents, voice, mask: frames + 0.0 * latents.sum())
    monkeypatch.setattr(objective.model, "averaged", lambda made, real, average: made)
    found = turn(objective, batch)
    assert float(found.losses["spectrum"].detach()) == 0.0
    assert not torch.isclose(heard[0], frames).all(2).all(1).any()


def test_stretches_are_hidden_along_both_axes_each_row_its_own() -> None:
    torch.manual_seed(0)
    frames = torch.ones(50, 160, 32)
    made = hidden_away(frames, 2)
    gone = made == 0
    assert bool((frames == 1).all()), "what was given is changed"
    whole_spectra, whole_bins = gone.all(2).sum(1), gone.all(1).sum(1)
    assert 0 < int(whole_spectra.max()) <= 2 * 16
    assert 0 < int(whole_bins.max()) <= 2 * (32 // 6)
    assert len({row.numpy().tobytes() for row in gone}) > 40
    assert torch.equal(hidden_away(frames, 0), frames)
    torch.manual_seed(0)
    assert torch.equal(hidden_away(frames, 2), made)


@pytest.mark.parametrize(("share", "first"), [(0.0, 0), (0.5, 20), (0.8, 32), (1.0, 40)])
def test_the_stages_share_the_steps(share: float, first: int) -> None:
    assert CtapLosses(transcoder_share=share).second_from(40) == first


@pytest.mark.parametrize(
    "change",
    [{"transcoder_share": -0.1}, {"transcoder_share": 1.1}, {"kl_floor": -1.0}, {"quantize_from": -1}, {"masks": -1},
     {"bend": 0.6}, {"bend": -0.1}, {"reach": 1.1}, {"reach": float("nan")}],
)  # fmt: skip
def test_losses_out_of_range(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"is .*: 0 to (1|0\.5) is wanted|kl_floor .*: none under 0"):
        CtapLosses(**change)
