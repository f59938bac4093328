"""Input of the speech encoder in training: perturbed and masked, and how much of the spectrum loss reaches it."""

import pytest
import torch
from torch import Tensor

from tests.systems.ctap.conftest import PARTS, at_once, learner, turn
from vocable.nn.spec_augment import mask_spectrogram
from vocable.systems.ctap.config import CtapLosses
from vocable.systems.ctap.data import AlignedBatch, AlignedWindows
from vocable.systems.ctap.objective import perturb_vocal_tract
from vocable.train.schedule import Weight


@pytest.mark.parametrize(("reach", "share"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_what_of_the_spectrum_gets_to_the_encoder_is_said_and_the_decoder_gets_it_all(
    material: AlignedWindows, batch: AlignedBatch, reach: float, share: float
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

    whole, some = gradients(at_once()), gradients(at_once(encoder_gradient=reach))
    assert torch.allclose(some["speech_encoder"], share * whole["speech_encoder"], rtol=1e-3, atol=1e-7)
    for name in ("speech_decoder", "voice_encoder"):
        assert torch.allclose(some[name], whole[name], rtol=1e-3, atol=1e-6)


def test_other_vocal_tracts_move_and_tilt_each_row_by_itself() -> None:
    """A peak moves along the mel axis by up to the share; flat spectra are tilted; nothing else happens in time."""
    peak = 5 * torch.exp(-((torch.arange(80) - 40.0) ** 2) / 8)
    frames = peak.expand(200, 3, 80).contiguous()
    torch.manual_seed(0)
    made = perturb_vocal_tract(frames, 0.2)
    assert torch.equal(made[:, 0], made[:, 2])
    highest = made[:, 0].argmax(1)
    assert 32 <= int(highest.min()) <= 35  # 40 / 1.2 is 33
    assert 48 <= int(highest.max()) <= 51  # 40 / 0.8 is 50
    flat = perturb_vocal_tract(torch.ones(500, 2, 80), 0.2) - 1
    assert torch.allclose(flat[..., 0], -flat[..., -1], atol=1e-5)
    assert 0.45 < float(flat.max()) <= 0.5
    assert -0.5 <= float(flat.min()) < -0.45
    assert abs(float(flat[:, 0, 0].mean())) < 0.05
    torch.manual_seed(0)
    assert torch.equal(perturb_vocal_tract(frames, 0.2), made)
    assert torch.equal(perturb_vocal_tract(frames, 0.0), frames)


def test_the_decoder_makes_what_was_said_and_not_what_the_encoder_heard(
    material: AlignedWindows, batch: AlignedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is bent and hidden is the encoder's input; the spectra to be made stay those of the recording."""
    off = Weight(value=0.0)
    objective = learner(material, at_once(vtlp_range=0.2, num_masks=2, consistency=off, phoneme_branch=off))
    part, heard = objective.model.transcoder, []
    encoder = part.speech_encoder.forward

    def note(frames: Tensor, mask: Tensor) -> Tensor:
        heard.append(frames)
        return encoder(frames, mask)

    monkeypatch.setattr(part.speech_encoder, "forward", note)
    frames = objective.model.frames(batch.samples)
    monkeypatch.setattr(part.speech_decoder, "forward", lambda latents, voice, mask: frames + 0.0 * latents.sum())
    monkeypatch.setattr(objective.model, "match_spectrum", lambda made, real, average: made)
    found = turn(objective, batch)
    assert float(found.losses["spectrum"].detach()) == 0.0
    assert not torch.isclose(heard[0], frames).all(2).all(1).any()


def test_stretches_are_hidden_along_both_axes_each_row_its_own() -> None:
    torch.manual_seed(0)
    frames = torch.ones(50, 160, 32)
    made = mask_spectrogram(frames, 2, max_time=16, frequency=True)
    gone = made == 0
    assert bool((frames == 1).all()), "what was given is changed"
    whole_spectra, whole_bins = gone.all(2).sum(1), gone.all(1).sum(1)
    assert 0 < int(whole_spectra.max()) <= 2 * 16
    assert 0 < int(whole_bins.max()) <= 2 * (32 // 6)
    assert len({row.numpy().tobytes() for row in gone}) > 40
    assert torch.equal(mask_spectrogram(frames, 0, max_time=16, frequency=True), frames)
    torch.manual_seed(0)
    assert torch.equal(mask_spectrogram(frames, 2, max_time=16, frequency=True), made)
