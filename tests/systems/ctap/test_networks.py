"""The networks over windows: what lies behind a clip's end changes nothing, where a window begins says nothing."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vocable.losses.contrastive import frame_contrastive_loss
from vocable.metrics.retrieval import retrieve
from vocable.nn.voice import VoiceEncoder
from vocable.systems.ctap import networks
from vocable.systems.ctap import recipe as ctap
from vocable.systems.ctap.config import CtapConfig, TranscoderConfig
from vocable.systems.ctap.networks import CtapModel, Transcoder

TOKENS = 9
STRIDES = pytest.mark.parametrize("strides", [(2, 2), (2, 4), (3, 4)], ids=str)
NETWORKS = ("speech_encoder", "phoneme_encoder", "speech_decoder", "phoneme_decoder", "connector")


def sized(strides: tuple[int, int] = (2, 2), dropout: float = 0.0, *, instance_norm: bool = False) -> CtapConfig:
    config = ctap.tiny().model
    sizes = replace(
        config.transcoder,
        strides=strides,
        dropout=dropout,
        instance_norm=instance_norm,
        speech_blocks=2,
        decoder=replace(config.transcoder.decoder, blocks=2),
    )
    return replace(config, transcoder=sizes)


def model(strides: tuple[int, int] = (2, 2), dropout: float = 0.0) -> CtapModel:
    torch.manual_seed(0)
    made = CtapModel(sized(strides, dropout)).eval()
    with torch.no_grad():
        made.connector.out_proj[-1].weight.normal_()  # zero at the start: nothing would show
    return made


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def run(network: str, made: CtapModel, mask: Tensor, given: dict[str, Tensor]) -> Tensor:
    """One of the networks over what lies in windows."""
    part = made.transcoder
    if network == "speech_encoder":
        return part.speech_encoder(given["frames"], mask)
    if network == "phoneme_encoder":
        return part.phoneme_encoder(given["phonemes"], mask)
    if network == "speech_decoder":
        return part.speech_decoder(given["latents"], mask, given["voice"])
    if network == "phoneme_decoder":
        return part.phoneme_decoder(given["latents"], mask)
    return made.connector(given["latents"], torch.tensor([3, 7]), given["condition"], given["voice"], mask)


def windows(reduction: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "frames": noise(2, TOKENS * reduction, 32, seed=seed),
        "phonemes": torch.randint(40, (2, TOKENS * reduction), generator=generator),
        "latents": noise(2, TOKENS, 32, seed=seed + 1),
        "condition": noise(2, TOKENS, 32, seed=seed + 2),
        "voice": noise(2, 8, seed=9),
    }


@STRIDES
@pytest.mark.parametrize("network", NETWORKS)
def test_what_lies_behind_a_clips_end_changes_nothing(network: str, strides: tuple[int, int]) -> None:
    made, reduction = model(strides), strides[0] * strides[1]
    mask = torch.arange(TOKENS)[None] < torch.tensor([6, 3])[:, None]
    one, other = windows(reduction, 0), windows(reduction, 50)
    each = {name: TOKENS * reduction if name in ("frames", "phonemes") else TOKENS for name in one if name != "voice"}
    for name, size in each.items():
        real = mask.repeat_interleave(size // TOKENS, dim=1)
        other[name] = torch.where(real if one[name].ndim == 2 else real[..., None], one[name], 30 * other[name] % 40
                                  if name == "phonemes" else 30 * other[name])  # fmt: skip
    here, there = (run(network, made, mask, given) for given in (one, other))
    rows = here.shape[1] // TOKENS
    real = mask.repeat_interleave(rows, dim=1)
    assert torch.equal(here[real], there[real])
    short = {name: one[name][:, : 6 * size // TOKENS] for name, size in each.items()} | {"voice": one["voice"]}
    assert torch.allclose(run(network, made, mask[:, :6], short)[real[:, : 6 * rows]], here[real], atol=1e-4)


@STRIDES
@pytest.mark.parametrize("network", NETWORKS)
def test_every_token_sees_the_whole_window(network: str, strides: tuple[int, int]) -> None:
    """And has as many spectra as the strides say: attention and wide convolutions reach from end to end."""
    made, reduction = model(strides), strides[0] * strides[1]
    mask = torch.ones(2, TOKENS, dtype=torch.bool)
    given = windows(reduction, 0)
    before = run(network, made, mask, given)
    assert before.shape[1] == TOKENS * (reduction if "decoder" in network else 1)
    if network == "connector":  # whose reach is that of its dilations
        return
    name = {"speech_encoder": "frames", "phoneme_encoder": "phonemes"}.get(network, "latents")
    given[name] = given[name].clone()
    given[name][:, 0] = (given[name][:, 0] + 1) % 40 if name == "phonemes" else -given[name][:, 0]
    moved = (run(network, made, mask, given) - before).abs().amax(2)
    assert bool((moved > 0).all())


def test_a_token_has_its_own_spectra() -> None:
    """The convolutions of both encoders keep the same time, and the decoder's that of the encoders."""
    part, mask = model().transcoder, torch.ones(1, 20, dtype=torch.bool)
    with torch.no_grad():
        for blocks in (part.speech_encoder.blocks, part.phoneme_encoder.blocks, part.speech_decoder.blocks):
            for one in blocks:
                one.out.weight.zero_()  # without attention, what is left is the convolutions' reach
        frames = noise(1, 80, 32)
        changed = frames.clone()
        changed[:, 40] += noise(1, 32, seed=1)
        moved = (part.speech_encoder(changed, mask) - part.speech_encoder(frames, mask)).abs().sum(2)[0]
        assert moved.nonzero().flatten().tolist() == [10]
        ids = torch.ones(1, 80, dtype=torch.int64)
        others = ids.clone()
        others[:, 40] = 5
        moved = (part.phoneme_encoder(others, mask) - part.phoneme_encoder(ids, mask)).abs().sum(2)[0]
        assert moved.nonzero().flatten().tolist() == [10]
        latents, voice = noise(1, 20, 32), torch.zeros(1, 8)
        other = latents.clone()
        other[:, 10] += noise(1, 32, seed=1)
        moved = (part.speech_decoder(other, mask, voice) - part.speech_decoder(latents, mask, voice)).abs().sum(2)[0]
        assert int(moved.unflatten(0, (20, 4)).sum(1).argmax()) == 10


def test_the_voice_reaches_every_spectrum() -> None:
    part, mask, latents = model().transcoder, torch.ones(2, TOKENS, dtype=torch.bool), noise(1, TOKENS, 32)
    made = part.speech_decoder(latents.expand(2, -1, -1), mask, noise(2, 8))
    assert bool((made[0] != made[1]).any(1).all())


def test_a_voice_is_of_its_clip_alone_in_training_as_in_use() -> None:
    encoder = VoiceEncoder(bins=32, channels=(16, 16), width=8).train()
    frames = noise(3, 60, 32)
    mean, log_variance = encoder(frames)
    alone, _ = encoder(frames[:1])
    assert torch.allclose(alone[0], mean[0], atol=1e-5)
    assert torch.allclose(encoder.eval()(frames)[0], mean, atol=1e-5)
    assert bool(((log_variance >= -12) & (log_variance <= 4)).all())
    _, loud = encoder(1e6 * frames)
    assert bool(loud.isfinite().all())


@torch.no_grad()
def test_a_instance_norm_encoder_does_not_hear_what_is_the_same_all_along() -> None:
    """Level and range of each mel filter over the window's real part: a voice or a room; but silence stays silence."""
    torch.manual_seed(0)
    made = Transcoder(sized(instance_norm=True)).eval().speech_encoder
    plain = Transcoder(sized()).eval().speech_encoder
    plain.load_state_dict(made.state_dict())
    frames, mask = 3 * noise(2, TOKENS * 4, 32), torch.arange(TOKENS)[None] < torch.tensor([9, 6])[:, None]
    other = (1.5 + noise(2, 1, 32, seed=1).abs()) * frames + noise(2, 1, 32, seed=2)
    near, far = (made(one, mask)[mask] - made(frames, mask)[mask] for one in (other, frames.flip(1)))
    assert float(near.abs().max()) < 0.1 * float(far.abs().max())
    assert float((plain(other, mask) - plain(frames, mask))[mask].abs().max()) > 5 * float(near.abs().max())
    away = ~mask.repeat_interleave(4, dim=1)[..., None]
    assert torch.equal(made(frames.masked_fill(away, 90.0), mask)[mask], made(frames, mask)[mask])
    still, hissing = torch.full((1, 24, 32), -3.0), -3.0 + 1e-3 * noise(1, 24, 32)
    whole = torch.ones(1, 6, dtype=torch.bool)
    assert torch.allclose(made(still, whole), made(hissing, whole), atol=0.1)


# ---- places ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS[:4])
def test_places_are_drawn_in_training_alone(network: str) -> None:
    made, mask = model(), torch.ones(2, TOKENS, dtype=torch.bool)
    given = windows(4, 0)
    assert torch.equal(run(network, made, mask, given), run(network, made, mask, given))
    made.train()
    torch.manual_seed(1)
    one, two = run(network, made, mask, given), run(network, made, mask, given)
    assert not torch.isclose(one, two).all()
    torch.manual_seed(1)
    assert torch.equal(run(network, made, mask, given), one), "they are not drawn from torch's random state"


@torch.no_grad()
def test_rows_with_the_same_content_lie_elsewhere_in_training() -> None:
    part, mask = model().train().transcoder, torch.ones(4, TOKENS, dtype=torch.bool)
    torch.manual_seed(0)
    made = part.speech_encoder(noise(1, TOKENS * 4, 32).expand(4, -1, -1), mask)
    assert len({row.numpy().tobytes() for row in made}) == 4


def similarity(sizes: TranscoderConfig, farthest: int, monkeypatch: pytest.MonkeyPatch) -> tuple[float, float]:
    """Contrastive loss, and retrieval within one window, after training on windows that are all alike."""
    monkeypatch.setattr(networks, "_MAX_OFFSET", farthest)
    torch.manual_seed(0)
    part = Transcoder(replace(sized(), transcoder=sizes)).train()
    optimizer = torch.optim.Adam(part.parameters(), lr=3e-3)
    frames, phonemes = torch.zeros(4, 160, 32), torch.zeros(4, 160, dtype=torch.int64)
    mask = torch.ones(4, 40, dtype=torch.bool)
    found = []
    for step in range(60):
        speech, given = part.speech_encoder(frames, mask), part.phoneme_encoder(phonemes, mask)
        loss = frame_contrastive_loss(speech, given, mask, part.similarity_scale())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step >= 50:
            found.append([float(loss.detach()), float(retrieve(speech[0], given[0]).hits().float().mean())])
    losses, shares = zip(*found, strict=True)
    return sum(losses) / len(losses), sum(shares) / len(shares)


@pytest.mark.slow
def test_frames_cannot_be_matched_by_where_in_the_window_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing to hear, a frame's own phoneme frame is one of 40: unless both encoders count from the same 0."""
    sizes = ctap.tiny().model.transcoder
    loss, share = similarity(sizes, 512, monkeypatch)
    assert loss > 4.9  # chance is ln 160 = 5.08
    assert share < 0.2
    loss, share = similarity(sizes, 1, monkeypatch)
    assert loss < 2.5, "places alone do not betray a frame: then the test above shows nothing"
    assert share > 0.6
