"""Discriminators of the papers' sizes, and their losses."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vocable.errors import ConfigError, ShapeError
from vocable.systems.guided.adversary import Discriminators, WaveformAdversary
from vocable.systems.guided.config import AdversaryConfig, DiscriminatorConfig
from vocable.train.schedule import LearningRate, Weight

SMALL = DiscriminatorConfig(
    periods=(2, 3), period_width=1, scales=2, scale_width=16, windows=(256, 128), filters=2
)  # fmt: skip
PAPER = 48_000  # samples of a crop


def sizes(network: nn.Module) -> int:
    """Parameters, without the lengths that weight norm keeps distances."""
    return sum(one.numel() for name, one in network.named_parameters() if not name.endswith("original0"))


def convolution(inputs: int, outputs: int, kernel: int, groups: int = 1) -> int:
    return inputs // groups * outputs * kernel + outputs


def test_sizes_are_those_of_hifi_gan_and_encodec() -> None:
    """The layers as HiFi-GAN's models.py and EnCodec's msstftd.py list them."""
    with torch.device("meta"):
        network = Discriminators(DiscriminatorConfig())
    periods = [(1, 32, 5), (32, 128, 5), (128, 512, 5), (512, 1024, 5), (1024, 1024, 5), (1024, 1, 3)]
    scales = [
        (1, 128, 15), (128, 128, 41, 4), (128, 256, 41, 16), (256, 512, 41, 16), (512, 1024, 41, 16),
        (1024, 1024, 41, 16), (1024, 1024, 5), (1024, 1, 3),
    ]  # fmt: skip
    spectra = [(2, 32, 27), (32, 32, 27), (32, 32, 27), (32, 32, 27), (32, 32, 9), (32, 1, 9)]
    expected = [count * sum(convolution(*layer) for layer in layers)
              for count, layers in ((5, periods), (3, scales), (3, spectra))]  # fmt: skip
    assert [sizes(part) for part in (network.periods, network.scales, network.spectra)] == expected
    assert expected == [41_092_165, 29_610_627, 283_011]


def test_maps_of_the_papers_crop_have_the_papers_shapes() -> None:
    with torch.device("meta"):
        outputs = Discriminators(DiscriminatorConfig())(torch.zeros(2, PAPER))
    assert sum(len(output.maps) for output in outputs) == 69  # the recipe with SpeechTokenizer's weights counts them
    assert len(outputs) == 11
    assert outputs[0].logits.shape == (2, 1, 297, 2)  # 24,000 samples of every second one over 81
    assert [output.logits.shape[2] for output in outputs[5:8]] == [
        750,
        376,
        188,
    ]  # of 48,000, a half, a quarter; / 64
    assert [tuple(output.logits.shape[2:]) for output in outputs[8:]] == [(184, 65), (90, 129), (372, 33)]


def test_an_output_depends_on_its_clip_alone_and_short_crops_are_refused() -> None:
    torch.manual_seed(0)
    network = Discriminators(SMALL)
    samples = torch.randn(2, 1_001)
    for both, alone in zip(network(samples), network(samples[:1]), strict=True):
        assert torch.allclose(both.logits[:1], alone.logits, atol=1e-5)
    with pytest.raises(ShapeError, match="crops have 255 samples, a discriminator needs 256"):
        network(samples[:, :255])


def moved(network: Discriminators, samples: Tensor, change: Tensor) -> list[list[bool]]:
    """For each output, which of its last axis a change of the samples moves."""
    before, after = (network(one) for one in (samples, samples + change))
    return [
        ((one.logits - other.logits).abs().amax(tuple(range(one.logits.ndim - 1))) > 1e-6).tolist()
        for one, other in zip(before, after, strict=True)
    ]


def test_a_period_discriminator_sees_the_columns_of_the_folded_samples_apart() -> None:
    """A sample moves the logits of its column of the folded waveform, and no other."""
    torch.manual_seed(0)
    network = Discriminators(DiscriminatorConfig(periods=(2, 3, 5), period_width=4, scales=0, windows=()))
    samples, change = 0.1 * torch.randn(1, 1_800), torch.zeros(1, 1_800)
    change[0, 901] = 3.0
    assert moved(network, samples, change) == [[False, True], [False, True, False], [False, True, False, False, False]]


def test_coarser_scales_do_not_see_the_highest_frequencies() -> None:
    """A signal that alternates from sample to sample moves the logits at the full rate alone."""
    torch.manual_seed(0)
    network = Discriminators(DiscriminatorConfig(periods=(), scales=3, scale_width=16, windows=()))
    samples, alternating = 0.1 * torch.randn(1, 2_048), torch.tensor([1.0, -1.0]).repeat(1_024)[None]
    assert [any(one) for one in moved(network, samples, alternating)] == [True, False, False]
    assert [any(one) for one in moved(network, samples, torch.ones(1, 2_048))] == [True, True, True]


def test_a_spectrum_discriminator_sees_real_and_imaginary_parts_of_whole_windows() -> None:
    torch.manual_seed(0)
    [discriminator] = Discriminators(DiscriminatorConfig(periods=(), scales=0, windows=(64,), filters=3)).spectra
    samples = torch.randn(1, 64 + 16 * 9 + 5)
    window = np.hanning(65)[:-1]
    windows = np.stack([samples[0, 16 * at : 16 * at + 64].numpy() * window for at in range(10)])
    bins = torch.from_numpy(np.fft.rfft(windows) / np.linalg.norm(window)).to(torch.complex64)
    expected = torch.nn.functional.leaky_relu(discriminator.layers[0](torch.stack([bins.real, bins.imag])[None]), 0.2)
    assert torch.allclose(discriminator(samples).maps[0], expected, atol=1e-5)


def make_adversary(**settings: object) -> WaveformAdversary:
    torch.manual_seed(0)
    config = AdversaryConfig(**{"discriminators": SMALL} | settings)  # type: ignore[arg-type]
    return WaveformAdversary(config, adversarial=Weight(value=2.0, start=5), feature=Weight(value=3.0), steps=10)


KINDS = {
    "periods": DiscriminatorConfig(periods=(2, 3), period_width=4, scales=0, windows=()),
    "scales": DiscriminatorConfig(periods=(), scales=2, scale_width=16, windows=()),
    "spectra": DiscriminatorConfig(periods=(), scales=0, windows=(256, 128), filters=4),
    "all": SMALL,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("game", ["hinge", "least_squares"])
def test_discriminators_learn_to_tell_real_from_fake(game: str, kind: str) -> None:
    adversary = make_adversary(game=game, discriminators=KINDS[kind])
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.sin(torch.arange(640) / 3).expand(2, -1), torch.randn(2, 640, generator=generator) * 0.5
    optimizer = torch.optim.AdamW(adversary.network.parameters(), lr=1e-2)
    totals = []
    for _ in range(25):
        losses = adversary.losses(real, fake)
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.5 * totals[0]
    loss = adversary.generator_losses(real, fake)["adversarial"]
    real_loss = adversary.generator_losses(real, real)["adversarial"]
    assert float(loss) > float(real_loss), "samples that are recognized as fake have the larger loss"


def test_the_codec_has_a_gradient_and_the_discriminators_have_none() -> None:
    adversary = make_adversary()
    fake = (0.1 * torch.randn(2, 640)).requires_grad_()
    real = torch.randn(2, 640)
    losses = adversary.generator_losses(real, fake)
    torch.stack(list(losses.values())).sum().backward()
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0
    assert all(one.grad is None and one.requires_grad for one in adversary.network.parameters())
    assert float(adversary.generator_losses(real, real)["feature"]) == 0.0


@pytest.mark.parametrize("relative", [False, True])
def test_features_are_matched_over_all_maps_of_all_discriminators(relative: bool) -> None:
    adversary = make_adversary(relative=relative)
    real, fake = torch.randn(2, 2, 640, generator=torch.Generator().manual_seed(1)).unbind()
    with torch.no_grad():
        real_outputs, fake_outputs = adversary.network(real), adversary.network(fake)
    distances = [
        float((one - other).abs().mean() / (one.abs().mean() if relative else 1.0))
        for outputs in zip(real_outputs, fake_outputs, strict=True)
        for one, other in zip(*(output.maps for output in outputs), strict=True)
    ]  # fmt: skip
    assert len(distances) == 2 * 6 + 2 * 8 + 2 * 5
    assert float(adversary.generator_losses(real, fake)["feature"].detach()) == pytest.approx(
        np.mean(distances), rel=1e-4
    )


def test_weights_and_rates_follow_their_schedules() -> None:
    adversary = make_adversary(begin=4, learning_rate=LearningRate(peak=1.0, warmup=2, decay=0.0))
    assert adversary.start == 4
    assert adversary.weights(4) == {"real": 1.0, "made": 1.0, "adversarial": 0.0, "feature": 3.0}
    assert adversary.weights(5)["adversarial"] == 2.0
    assert [adversary.learning_rate(step) for step in (4, 5, 9)] == [0.5, 1.0, 1.0]
    assert make_adversary().learning_rate(3) is None


def test_discriminators_that_are_always_right_raise_an_alarm() -> None:
    adversary = make_adversary()
    assert adversary.alarms({"real": torch.tensor(0.5), "made": torch.tensor(0.0)}) == ()
    [alarm] = adversary.alarms({"real": torch.tensor(0.01), "made": torch.tensor(0.001)})
    assert alarm == "the discriminators are always right (loss 0.0110): the generator learns nothing from them"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"periods": (), "scales": 0, "windows": ()}, "there is no period, scale or window"),
        ({"periods": (1,)}, "greater than or equal to 2"),
        ({"windows": (8,)}, "greater than or equal to 16"),
        ({"scale_width": 24}, "multiple of 16"),
    ],
)
def test_sizes_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DiscriminatorConfig(**settings)  # type: ignore[arg-type]


def test_a_start_before_the_first_step_is_refused() -> None:
    with pytest.raises(ConfigError, match="begin is -1: Input should be greater than or equal to 0"):
        AdversaryConfig(begin=-1)
