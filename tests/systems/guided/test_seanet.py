"""The SEANet backbone: its size, its shapes, and its independence of padding."""

import pytest
import torch
from torch import Tensor, nn

from vocable.shapes import mask_from_lengths
from vocable.systems.guided.config import SeanetConfig
from vocable.systems.guided.networks import SeanetDecoder, SeanetEncoder

TINY = SeanetConfig(channels=4, strides=(2, 4), lstm_layers=1, latent_width=8)
ODD = SeanetConfig(channels=4, strides=(3, 2, 5), lstm_layers=2, latent_width=6)
BOTH = pytest.mark.parametrize("config", [TINY, ODD], ids=["tiny", "odd"])


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


# A convolution of I to O channels has I·O·kernel directions, O lengths (I if it is transposed) and O biases.
#
#                  encoder                                               decoder
# in_proj              576 = 64·7 + 2·64                              7_342_080 = 1024·1024·7 + 2·1024
# residual unit     12_608 = 64·32·3 + 2·32 + 32·64 + 2·64               12_608   the same four
#                           + 64·64 + 2·64
#                   49_792   the same with 128                           49_792
#                  197_888                 256                          197_888
#                  788_992                 512                          788_992
# change of         33_024 = 64·128·4 + 2·128                            32_960 = 128·64·4 + 128 + 64
# resolution       262_656 = 128·256·8 + 2·256                          262_528 = 256·128·8 + 256 + 128
#                1_311_744 = 256·512·10 + 2·512                       1_311_488 = 512·256·10 + 512 + 256
#                8_390_656 = 512·1024·16 + 2·1024                     8_390_144 = 1024·512·16 + 1024 + 512
# LSTM          41_975_808 = 2·4·1024·(1024 + 1024 + 2)              16_793_600 = 2·4·1024·(1024 + 1024 + 2)
#                           + 2·4·1024·(2048 + 1024 + 2)
# out_proj      14_682_112 = 2048·1024·7 + 2·1024                           450 = 64·7 + 2
# sum           67_705_856                                           35_182_530
PARTS = {
    "encoder": {"in_proj": 576, "stages": 11_047_360, "lstm": 41_975_808, "out_proj": 14_682_112},
    "decoder": {"in_proj": 7_342_080, "stages": 11_046_400, "lstm": 16_793_600, "out_proj": 450},
}


def test_paper_preset_by_parts() -> None:
    with torch.device("meta"):
        networks = {"encoder": SeanetEncoder(SeanetConfig()), "decoder": SeanetDecoder(SeanetConfig())}
    for name, network in networks.items():
        assert {part: count(layers) for part, layers in network.named_children()} == PARTS[name]
    assert count(networks["encoder"]) == 67_705_856
    assert count(networks["decoder"]) == 35_182_530


@pytest.mark.parametrize("config", [SeanetConfig(), TINY, ODD], ids=["paper", "tiny", "odd"])
def test_size_follows_the_formula(config: SeanetConfig) -> None:
    """Closed forms in the first width c, the frame width w = c · 2^stages, the latent width d and the LSTM's layers."""
    with torch.device("meta"):
        encoder, decoder = SeanetEncoder(config), SeanetDecoder(config)
    c, d, layers, stages = config.channels, config.latent_width, config.lstm_layers, len(config.strides)
    w = c * 2**stages
    units = 3 * c * c * (4**stages - 1) // 3 + 5 * c * (2**stages - 1)  # Σ 3·width² + 5·width over c, 2c, …, w/2
    resampling = sum(4 * stride * (c * 2**level) ** 2 for level, stride in enumerate(config.strides))
    one_way = layers * 8 * w * (w + 1)
    two_ways = 2 * one_way + (layers - 1) * 8 * w * w  # the upper layers read both directions
    assert count(encoder) == 7 * c + 2 * c + units + resampling + 4 * (w - c) + two_ways + 14 * w * d + 2 * d
    assert count(decoder) == 7 * d * w + 2 * w + one_way + units + resampling + 3 * (w - c) + 7 * c + 2


@BOTH
@pytest.mark.parametrize("frames", [0, 1, 2, 7])
def test_shapes(config: SeanetConfig, frames: int) -> None:
    mask = torch.ones(2, frames, dtype=torch.bool)
    samples = torch.randn(2, frames * config.hop)
    latents = SeanetEncoder(config)(samples, mask)
    assert latents.shape == (2, frames, config.latent_width)
    assert SeanetDecoder(config)(latents, mask).shape == samples.shape


@BOTH
def test_padding_changes_nothing(config: SeanetConfig) -> None:
    lengths = [5, 1, 0, 9, 2]
    mask = mask_from_lengths(torch.tensor(lengths), 11)  # longer than the longest
    samples = torch.randn(5, 11 * config.hop) * mask.repeat_interleave(config.hop, dim=1)
    latents = torch.randn(5, 11, config.latent_width)  # noise after the end: the decoder masks its input
    encoder, decoder = SeanetEncoder(config).eval(), SeanetDecoder(config).eval()
    with torch.no_grad():
        encoded, decoded = encoder(samples, mask), decoder(latents, mask)
        for row, length in enumerate(lengths):
            one, size = mask[row : row + 1, :length], length * config.hop
            assert_same(encoded[row : row + 1, :length], encoder(samples[row : row + 1, :size], one))
            assert_same(decoded[row : row + 1, :size], decoder(latents[row : row + 1, :length], one))
    assert not decoded[~mask.repeat_interleave(config.hop, dim=1)].any()
    assert decoded[0, : 5 * config.hop].abs().min() > 0


def test_noise_after_the_end_changes_nothing() -> None:
    mask = mask_from_lengths(torch.tensor([3, 6]), 6)
    real = mask.repeat_interleave(TINY.hop, dim=1)
    samples, noise = torch.randn(2, 6 * TINY.hop), torch.randn(2, 6 * TINY.hop)
    encoder = SeanetEncoder(TINY)
    assert_same(encoder(samples, mask)[mask], encoder(torch.where(real, samples, noise), mask)[mask])


def test_the_encoder_sees_both_directions_and_the_decoders_lstm_does_not_look_ahead() -> None:
    mask = torch.ones(1, 40, dtype=torch.bool)
    samples = torch.randn(1, 40 * TINY.hop, requires_grad=True)
    SeanetEncoder(TINY)(samples, mask)[0, 20].sum().backward()
    assert samples.grad[0, -1] != 0
    assert samples.grad[0, 0] != 0
    latents = torch.randn(1, 40, TINY.latent_width, requires_grad=True)
    SeanetDecoder(TINY)(latents, mask)[0, : 20 * TINY.hop].square().sum().backward()
    assert latents.grad[0, 0].any()
    assert not latents.grad[0, 30:].any()


@BOTH
def test_gradients_reach_every_parameter(config: SeanetConfig) -> None:
    mask = mask_from_lengths(torch.tensor([6, 3]), 6)
    encoder, decoder = SeanetEncoder(config), SeanetDecoder(config)
    decoded = decoder(encoder(torch.randn(2, 6 * config.hop), mask), mask)
    decoded.square().mean().backward()
    for network in (encoder, decoder):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def assert_same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
