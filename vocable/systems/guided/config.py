"""Sizes of the guided codec: two backbones, one quantizer."""

from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any, Literal

from vocable.checks import DEEPEST, LARGEST, WIDEST, check_whole, tuples
from vocable.errors import ConfigError
from vocable.features.spectrogram import window_margin
from vocable.losses.adversarial import Game
from vocable.losses.reconstruction import MEL_SCALES, MelScale
from vocable.tokens import TokenSpec
from vocable.train.schedule import LearningRate, Weight


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


@dataclass(frozen=True, kw_only=True)
class GuidedLosses:
    """Weights of the terms, and how levels are dropped.

    Attributes:
        waveform: Mean absolute difference of samples.
        log_mel: Mean absolute difference of log-mel magnitudes, over ``mel_scales``.
        spectrum: Mean squared difference of compressed spectra.
        commitment: Of the quantizer.
        semantic: Of the teacher of the first level.
        acoustic: Of the teacher of the levels after it.
        adversarial: For being told apart by discriminators.
        feature: Of feature matching with them.
        mel_scales: Windows of the log-mel term.
        phase: Share of the complex part in the spectrum term.
        balance: Norm of the gradient at the waveform, of which the weights there are shares; 0: plain weights.
        quantize_from: Steps trained as a plain autoencoder first; then k-means has something to find. A run that begins
            from a trained model does without them.
        level_dropout: Share of clips that use a random number of levels.
    """

    waveform: Weight = field(default_factory=lambda: Weight(value=0.0))
    log_mel: Weight = field(default_factory=lambda: Weight(value=1.0))
    spectrum: Weight = field(default_factory=lambda: Weight(value=30.0))
    commitment: Weight = field(default_factory=lambda: Weight(value=0.25))
    semantic: Weight = field(default_factory=lambda: Weight(value=0.0))
    acoustic: Weight = field(default_factory=lambda: Weight(value=0.0))
    adversarial: Weight = field(default_factory=lambda: Weight(value=0.0))
    feature: Weight = field(default_factory=lambda: Weight(value=0.0))
    mel_scales: tuple[MelScale, ...] = MEL_SCALES
    phase: float = 0.5
    balance: float = 0.0
    quantize_from: int = 0
    level_dropout: float = 0.25

    def __post_init__(self) -> None:
        if self.balance < 0 or not self.mel_scales:
            raise ConfigError(f"balance {self.balance} is at least 0, and mel_scales {self.mel_scales} at least one")


@dataclass(frozen=True, kw_only=True)
class SemanticConfig:
    """The teacher of the first level.

    Attributes:
        form: One less the cosine of frames (the paper), or SpeechTokenizer's along dimensions (``d_axis``) or frames.
        layers: Of the teacher, whose mean is taken; all by default.
        standardised: Each of the teacher's numbers, over the corpus, first: what it says of every frame is no lesson.
            Half of what Whisper's last layer says is that.
        source: The teacher: a folder, or a name on the hub. It is given where a run is started.
    """

    form: Literal["cosine", "d_axis", "t_axis"] = "cosine"
    layers: tuple[int, ...] = ()
    standardised: bool = False
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class AcousticConfig:
    """The teacher of the other levels.

    Attributes:
        form: KL divergence of softmax distributions over standardised coordinates (the paper), or one less the cosine.
        levels: Whose sum it hears: all from the second on, or the second alone.
        pooling: How frames become one vector before they are compared: by the align layer's attention (the paper), or
            by their plain mean, what that layer is worth being the question.
        heads: Of the align layer's attention.
        temperature: Of the distributions.
        source: The teacher: ``resemblyzer``, or ECAPA-TDNN's folder or name on the hub. It is given where a run is
            started.
    """

    form: Literal["kl", "cosine"] = "kl"
    levels: Literal["2:", "2"] = "2:"
    pooling: Literal["attention", "mean"] = "attention"
    heads: int = 8
    temperature: float = 1.0
    source: str | None = None

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ConfigError(f"acoustic temperature is {self.temperature}: it must be positive")


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """Which discriminators there are; the defaults are the papers'.

    Attributes:
        periods: In samples, of the multi-period discriminator.
        period_width: Channels of its first layer.
        scales: Of the multi-scale discriminator: the waveform, its half, its quarter …
        scale_width: Channels of its first layer; a multiple of 16.
        windows: In samples, of the multi-STFT discriminator; the hop is a quarter.
        filters: Channels of its layers.

    Raises:
        ConfigError: There is none, or a size is out of range.
    """

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    period_width: int = 32
    scales: int = 3
    scale_width: int = 128
    windows: tuple[int, ...] = (1024, 2048, 512)
    filters: int = 32

    def __post_init__(self) -> None:
        if not (self.periods or self.scales or self.windows):
            raise ConfigError("discriminators: there is no period, scale or window; name at least one")
        if min(self.periods, default=2) < 2 or self.scales < 0 or min(self.windows, default=16) < 16:
            raise ConfigError(
                f"discriminators: periods {self.periods} are at least 2, scales {self.scales} at least 0, "
                f"windows {self.windows} at least 16"
            )
        if min(self.period_width, self.filters) < 1 or self.scale_width < 16 or self.scale_width % 16:
            raise ConfigError(
                f"discriminators: period_width {self.period_width} and filters {self.filters} are at least 1, "
                f"scale_width {self.scale_width} is a multiple of 16"
            )


@dataclass(frozen=True, kw_only=True)
class AdversaryConfig:
    """Who plays, and how.

    Attributes:
        discriminators: The networks.
        game: ``hinge`` or ``least_squares``.
        relative: Feature matching is over the magnitude of each map.
        begin: First step it plays.
        learning_rate: Of the discriminators, from that step on; the run's by default.
    """

    discriminators: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    game: Game = "hinge"
    relative: bool = True
    begin: int = 0
    learning_rate: LearningRate | None = None

    def __post_init__(self) -> None:
        if self.begin < 0:
            raise ConfigError(f"adversary: begin is {self.begin}: it must be at least 0")


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
