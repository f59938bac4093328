"""Configurations of the guided codec and of its training.

:class:`GuidedConfig` is stored with a model; the others belong to a training run.
"""

from dataclasses import field
from math import prod
from typing import Annotated, Literal

from pydantic import Field

from vocable.errors import ConfigError
from vocable.losses.reconstruction import MEL_SCALES, MelScale
from vocable.schema import MAX_DEPTH, MAX_WIDTH, Depth, Entries, Width, config
from vocable.systems.adversary import GameConfig
from vocable.tokens import TokenSpec
from vocable.train.schedule import Steps, Weight

_Stride = Annotated[int, Field(ge=2, le=MAX_DEPTH)]
_Window = Annotated[int, Field(ge=16, le=MAX_WIDTH)]
_OFF = Weight(value=0.0)


@config
class SpectralConfig:
    """Sizes of the spectral backbone: ConvNeXt blocks at the token rate between short-time spectra.

    Attributes:
        kind: Name of the backbone in ``model.json``.
        hop: Samples of a token frame.
        spectrum_hop: Samples from one short-time spectrum to the next; divides ``hop``.
        n_fft: Window of a spectrum in samples; a multiple of ``spectrum_hop``.
        width: Channels of the blocks.
        expansion: Channels inside a block, as a multiple of ``width``.
        kernel: Frames that a block's convolution spans; odd.
        encoder_blocks: Blocks of the encoder.
        decoder_blocks: Blocks of the decoder.
        latent_width: Dimension D of the latents that are quantized.
    """

    kind: Literal["spectral"] = "spectral"
    hop: Width = 320
    spectrum_hop: Width = 160
    n_fft: Width = 640
    width: Width = 256
    expansion: Depth = 3
    kernel: Depth = 7
    encoder_blocks: Depth = 4
    decoder_blocks: Depth = 6
    latent_width: Width = 64

    def __post_init__(self) -> None:
        if self.hop % self.spectrum_hop or self.n_fft % self.spectrum_hop or self.kernel % 2 == 0:
            raise ConfigError(
                f"spectrum_hop {self.spectrum_hop} must divide hop {self.hop} and n_fft {self.n_fft}, "
                f"and kernel {self.kernel} must be odd"
            )


@config
class SeanetConfig:
    """Sizes of the paper's backbone: SEANet convolutions and an LSTM, as SpeechTokenizer configures them.

    Attributes:
        kind: Name of the backbone in ``model.json``.
        channels: Channels after the first convolution; doubled at each stride.
        strides: Strides of the encoder, in order; the decoder mirrors them.
        lstm_layers: Layers of each LSTM.
        latent_width: Dimension D of the latents that are quantized.
    """

    kind: Literal["seanet"] = "seanet"
    channels: Annotated[int, Field(ge=2, le=MAX_WIDTH, multiple_of=2)] = 64
    strides: Annotated[tuple[_Stride, ...], Field(min_length=1)] = (2, 4, 5, 8)
    lstm_layers: Depth = 2
    latent_width: Width = 1024

    @property
    def hop(self) -> int:
        """Samples of a token frame: the product of the strides."""
        return prod(self.strides)


@config
class GuidedConfig:
    """Sizes of a guided codec.

    Attributes:
        backbone: Networks on both sides of the quantizer.
        sample_rate: Sample rate in Hz.
        num_codebooks: Levels Q of the residual quantizer.
        codebook_size: Entries K of each level.
        codebook_decay: Decay of the moving means that the codebooks follow, in (0, 1).
        restart_below: Share of uniform use below which an entry is restarted.
    """

    backbone: Annotated[SpectralConfig | SeanetConfig, Field(discriminator="kind")] = SpectralConfig()
    sample_rate: Annotated[int, Field(ge=1, le=1 << 20)] = 16_000
    num_codebooks: Depth = 8
    codebook_size: Entries = 1024
    codebook_decay: Annotated[float, Field(gt=0, lt=1)] = 0.99
    restart_below: float = 0.03

    @property
    def spec(self) -> TokenSpec:
        """Rates and sizes of the tokens."""
        return TokenSpec(
            sample_rate=self.sample_rate,
            hop=self.backbone.hop,
            codebook_size=self.codebook_size,
            num_codebooks=self.num_codebooks,
        )


@config
class GuidedLosses:
    """Weights of the training losses and their schedules.

    Attributes:
        waveform: Weight of the mean absolute difference of samples.
        log_mel: Weight of the mean absolute difference of log-mel magnitudes, over ``mel_scales``.
        spectrum: Weight of the mean squared difference of compressed spectra.
        commitment: Weight of the quantizer's commitment loss.
        semantic: Weight of the distillation of the semantic teacher, into level 1.
        acoustic: Weight of the distillation of the acoustic teacher, into the levels after it.
        adversarial: Weight of the generator's adversarial loss.
        feature: Weight of feature matching with the discriminators.
        representation: Weight of the distance between a frozen encoder's frames of the recording and of the decoded
            audio.
        mel_scales: Windows of the log-mel loss.
        balance: Norm of the gradient at the waveform, of which the weights of the losses there become shares. With 0
            the weights are used as they are.
        quantize_from: Steps that a model with untrained codebooks trains as a plain autoencoder first, so that k-means
            finds clusters.
        level_dropout: Share of clips that use a random number of levels.
        dropout_levels: Numbers of levels that these clips draw from, in [1, Q]; a number that is listed twice is drawn
            twice as often. 1 to Q by default.
        beam: Paths of the search for ids in training; 1 takes the nearest entry level by level. The decoder then learns
            from the ids that a search of this width gives.
    """

    waveform: Weight = _OFF
    log_mel: Weight = field(default_factory=lambda: Weight(value=1.0))
    spectrum: Weight = field(default_factory=lambda: Weight(value=30.0))
    commitment: Weight = field(default_factory=lambda: Weight(value=0.25))
    semantic: Weight = _OFF
    acoustic: Weight = _OFF
    adversarial: Weight = _OFF
    feature: Weight = _OFF
    representation: Weight = _OFF
    mel_scales: Annotated[tuple[MelScale, ...], Field(min_length=1)] = MEL_SCALES
    balance: Annotated[float, Field(ge=0)] = 0.0
    quantize_from: Steps = 0
    level_dropout: Annotated[float, Field(ge=0, le=1)] = 0.25
    dropout_levels: tuple[Depth, ...] = ()
    beam: Depth = 1


@config
class SemanticConfig:
    """Distillation of a semantic teacher's frames into level 1.

    Attributes:
        form: Loss: 1 - cosine of frames (the paper), or SpeechTokenizer's along dimensions (``d_axis``) or frames.
        layers: Layers of the teacher to average, 0 to its depth or counted from the last as -1; all by default.
        standardize: Whether the targets are standardized by their mean and deviation over the corpus. Half of the
            energy of Whisper's last layer is the same for every frame, from which nothing can be learned.
        source: Folder or hub name of the teacher, set when a run is started.
    """

    form: Literal["cosine", "d_axis", "t_axis"] = "cosine"
    layers: tuple[int, ...] = ()
    standardize: bool = False
    source: str | None = None


@config
class AcousticConfig:
    """Distillation of an acoustic teacher's speaker embedding into the levels after the first.

    Attributes:
        form: Loss: KL divergence of softmax distributions over standardized coordinates (the paper), or 1 - cosine.
        levels: Levels whose sum is compared: all from the second on, or the second alone.
        pooling: Pooling of frames to one vector: by the align layer's attention (the paper), or by their mean.
        heads: Heads of the align layer's attention.
        temperature: Softmax temperature of the distributions, > 0.
        source: ``resemblyzer``, or folder or hub name of the teacher, set when a run is started.
    """

    form: Literal["kl", "cosine"] = "kl"
    levels: Literal["2:", "2"] = "2:"
    pooling: Literal["attention", "mean"] = "attention"
    heads: Depth = 8
    temperature: Annotated[float, Field(gt=0)] = 1.0
    source: str | None = None


@config
class RepresentationConfig:
    """Comparison of decoded audio with its recording by the frames of a frozen encoder.

    Attributes:
        layers: Layers of the encoder, 0 to its depth or counted from the last as -1.
        source: Folder or hub name of Whisper, set when a run is started.
    """

    layers: Annotated[tuple[int, ...], Field(min_length=1)] = (1, 2, 3, 4)
    source: str | None = None


@config
class DiscriminatorConfig:
    """Sizes of the discriminators; the defaults are those of HiFi-GAN and EnCodec.

    Attributes:
        periods: Periods of the multi-period discriminator, in samples.
        period_width: Channels of its first layer.
        scales: Number of multi-scale discriminators: on the waveform, its half rate, its quarter rate and so on.
        scale_width: Channels of their first layer; a multiple of 16.
        windows: Windows of the multi-STFT discriminators, in samples; their hop is a quarter.
        filters: Channels of their layers.
    """

    periods: tuple[Annotated[int, Field(ge=2, le=MAX_WIDTH)], ...] = (2, 3, 5, 7, 11)
    period_width: Width = 32
    scales: Annotated[int, Field(ge=0, le=MAX_DEPTH)] = 3
    scale_width: Annotated[int, Field(ge=16, le=MAX_WIDTH, multiple_of=16)] = 128
    windows: tuple[_Window, ...] = (1024, 2048, 512)
    filters: Width = 32

    def __post_init__(self) -> None:
        if not (self.periods or self.scales or self.windows):
            raise ConfigError("discriminators: there is no period, scale or window; name at least one")


@config
class AdversaryConfig(GameConfig):
    """Discriminators and how they are trained; see :class:`~vocable.systems.adversary.GameConfig`.

    Attributes:
        discriminators: Sizes of the networks.
    """

    discriminators: DiscriminatorConfig = DiscriminatorConfig()
