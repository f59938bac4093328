"""Sizes of the guided codec: two backbones, one quantizer."""

from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any

from vocable.checks import DEEPEST, LARGEST, WIDEST, check_whole, tuples
from vocable.errors import ConfigError
from vocable.features.spectrogram import window_margin
from vocable.tokens import TokenSpec


@dataclass(frozen=True, kw_only=True)
class SpectralConfig:
    """The fast backbone: spectra in, ConvNeXt blocks at the token rate, spectra out."""

    hop: int = 320  # samples per token frame
    spectrum_hop: int = 160  # samples per short-time spectrum; divides the hop
    n_fft: int = 640  # window of a spectrum in samples; a multiple of spectrum_hop
    width: int = 256
    expansion: int = 3  # hidden width of a block, in widths
    kernel: int = 7  # frames a block mixes; odd
    encoder_blocks: int = 4
    decoder_blocks: int = 6
    latent_width: int = 64  # what is quantized
    initial_scale: float = 0.3  # of each block's contribution at the start of training

    def __post_init__(self) -> None:
        check_whole(self, WIDEST, "hop", "spectrum_hop", "n_fft", "width", "latent_width")
        check_whole(self, DEEPEST, "expansion", "kernel", "encoder_blocks", "decoder_blocks")
        if self.hop % self.spectrum_hop or self.n_fft % self.spectrum_hop or self.kernel % 2 == 0:
            raise ConfigError(
                f"spectrum_hop {self.spectrum_hop} must divide hop {self.hop} and n_fft {self.n_fft}, "
                f"and kernel {self.kernel} must be odd"
            )

    @property
    def bins(self) -> int:
        """Frequency bins of a spectrum."""
        return self.n_fft // 2 + 1

    @property
    def spectra_per_frame(self) -> int:
        """Short-time spectra per token frame."""
        return self.hop // self.spectrum_hop

    @property
    def encoder_reach(self) -> int:
        """Frames on either side that a token can depend on."""
        margin = window_margin(self.n_fft, self.spectrum_hop)
        return self.encoder_blocks * (self.kernel // 2) + -(-margin // self.hop)

    @property
    def decoder_reach(self) -> int:
        """Frames on either side that a sample can depend on."""
        margin = window_margin(self.n_fft, self.spectrum_hop)
        return self.decoder_blocks * (self.kernel // 2) + -(-margin // self.hop)


@dataclass(frozen=True, kw_only=True)
class SeanetConfig:
    """The paper's backbone: SEANet convolutions and an LSTM, as in SpeechTokenizer's published configuration."""

    channels: int = 64  # after the first convolution; doubled at each stride
    strides: tuple[int, ...] = (2, 4, 5, 8)  # of the encoder, in order; the decoder mirrors them
    lstm_layers: int = 2
    latent_width: int = 1024  # what is quantized

    def __post_init__(self) -> None:
        check_whole(self, WIDEST, "channels", "latent_width")
        check_whole(self, DEEPEST, "lstm_layers")
        check_whole(self, DEEPEST, "strides", least=2)
        if not self.strides or self.channels % 2:
            raise ConfigError(f"strides {self.strides} must be some, channels {self.channels} even")

    @property
    def hop(self) -> int:
        """Samples per token frame: the product of the strides."""
        return prod(self.strides)

    @property
    def encoder_reach(self) -> int | None:
        """None: a bidirectional LSTM sees the whole clip."""
        return None

    @property
    def decoder_reach(self) -> int | None:
        """None: an LSTM sees all that went before."""
        return None


@dataclass(frozen=True, kw_only=True)
class GuidedConfig:
    """The whole codec."""

    backbone: SpectralConfig | SeanetConfig = field(default_factory=SpectralConfig)
    sample_rate: int = 16_000  # Hz
    num_codebooks: int = 8
    codebook_size: int = 1024
    codebook_decay: float = 0.99
    restart_below: float = 0.03  # an entry used less than this share of uniform use is restarted

    def __post_init__(self) -> None:
        check_whole(self, 1 << 20, "sample_rate")
        check_whole(self, DEEPEST, "num_codebooks")
        check_whole(self, LARGEST, "codebook_size")
        if not 0 < self.codebook_decay < 1:
            raise ConfigError(f"codebook_decay is {self.codebook_decay}: it must lie between 0 and 1")

    @property
    def spec(self) -> TokenSpec:
        """What the tokens cover and carry."""
        return TokenSpec(
            sample_rate=self.sample_rate,
            hop=self.backbone.hop,
            codebook_size=self.codebook_size,
            num_codebooks=self.num_codebooks,
        )


def config_to_json(config: GuidedConfig) -> dict[str, Any]:
    """A config as plain values, with the backbone's kind by name."""
    kind = "spectral" if isinstance(config.backbone, SpectralConfig) else "seanet"
    return {**asdict(config), "backbone": {"kind": kind, **asdict(config.backbone)}}


def config_from_json(values: dict[str, Any]) -> GuidedConfig:
    """The inverse of :func:`config_to_json`.

    Raises:
        ConfigError: A key is missing or unknown, or a value is of the wrong kind or out of range.
    """
    try:
        backbone = dict(values["backbone"])
        kind = {"spectral": SpectralConfig, "seanet": SeanetConfig}[backbone.pop("kind")]
        return GuidedConfig(**{**values, "backbone": kind(**tuples(backbone))})
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"the model's configuration cannot be used ({error}); was it written by another version?"
        ) from error
