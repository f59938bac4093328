"""Configuration of VQ-CTAP: transcoder, connector and duration model, and how they are trained.

The paper gives layer counts and the codebook. The README of this folder lists the decisions that it leaves open.
"""

from dataclasses import field
from math import prod
from typing import Annotated, Literal

from pydantic import Field

from vocable.errors import ConfigError
from vocable.schema import MAX_DEPTH, MAX_ENTRIES, MAX_WIDTH, Depth, Share, Width, config, later
from vocable.text.phonemes import PhonemeSet
from vocable.tokens import TokenSpec
from vocable.train.schedule import LearningRate, Steps, Weight, stage_start
from vocable.vocoders import MelSpec, VoiceConfig

CodebookKind = Literal["ema", "gradient", "fsq"]
_Stride = Annotated[int, Field(ge=2, le=MAX_DEPTH)]
_NotNegative = Annotated[float, Field(ge=0)]
_Fraction = Annotated[float, Field(ge=0, le=1)]


@config
class CtapCodebookConfig:
    """Configuration of the codebook.

    Attributes:
        size: Number of entries K.
        kind: Update rule: ``ema`` (moving averages), ``gradient``, or ``fsq`` (finite scalar quantization).
        fsq_levels: Number of values of each scalar; their product must be ``size`` where ``kind`` is ``fsq``.
    """

    size: Annotated[int, Field(ge=2, le=MAX_ENTRIES)] = 8192
    kind: CodebookKind = "ema"
    fsq_levels: tuple[Annotated[int, Field(ge=2, le=MAX_ENTRIES)], ...] = (8, 8, 8, 4, 4)

    def __post_init__(self) -> None:
        if self.kind == "fsq" and prod(self.fsq_levels) != self.size:
            raise ConfigError(f"fsq_levels {self.fsq_levels} make {prod(self.fsq_levels)} entries, size is {self.size}")


@config
class CtapDecoderConfig:
    """Configuration of the speech decoder and the phoneme decoder. Both are as wide as the common space.

    Attributes:
        blocks: Number of transformer blocks of each decoder.
        feedforward: Width of the feed-forward layers.
        convolutions: Number of convolutions after the blocks of the speech decoder.
        kernel: Kernel of those convolutions, in tokens; odd.
    """

    blocks: Depth = 6
    feedforward: Width = 256
    convolutions: Annotated[int, Field(ge=0, le=MAX_DEPTH)] = 5
    kernel: Depth = 5

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel is {self.kernel}: it must be odd")


@config
class TranscoderConfig:
    """Configuration of both encoders, the codebook, both decoders and the voice encoder.

    Attributes:
        strides: Strides of the speech encoder's two convolutions. The decoders mirror them.
        width: Width of both encoders.
        heads: Number of attention heads of every block.
        feedforward: Width of the encoders' feed-forward layers.
        instance_norm: Whether the speech encoder normalizes each mel filter over its window. The long-term average
            spectrum, which the tokens then cannot carry, becomes part of the voice vector.
        speech_blocks: Number of transformer blocks of the speech encoder.
        phoneme_blocks: Number of transformer blocks of the phoneme encoder.
        latent_width: Dimension of the common space.
        codebook: Codebook of the common space.
        decoder: Both decoders.
        voice: Voice encoder.
        dropout: Dropout rate of every block.
        window: Number of tokens that are encoded together, in training and in use.
        margin: Number of tokens at either end of a window that give context and are not kept.
    """

    strides: tuple[_Stride, _Stride] = (2, 2)
    width: Width = 512
    heads: Width = 8
    feedforward: Width = 2048
    instance_norm: bool = False
    speech_blocks: Depth = 6
    phoneme_blocks: Depth = 4
    latent_width: Width = 256
    codebook: CtapCodebookConfig = field(default_factory=CtapCodebookConfig)
    decoder: CtapDecoderConfig = field(default_factory=CtapDecoderConfig)
    voice: VoiceConfig = field(default_factory=VoiceConfig)
    dropout: Share = 0.1
    window: Width = 300
    margin: Annotated[int, Field(ge=0, le=MAX_WIDTH)] = 25

    def __post_init__(self) -> None:
        for name in ("width", "latent_width"):
            if getattr(self, name) % self.heads:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be a multiple of heads {self.heads}")
        if 2 * self.margin >= self.window:
            raise ConfigError(f"window is {self.window}: it must be over twice margin {self.margin}")

    @property
    def reduction(self) -> int:
        """Number of spectra that one token covers."""
        return prod(self.strides)

    @property
    def core(self) -> int:
        """Number of tokens of a window that are kept."""
        return self.window - 2 * self.margin


@config
class DiffusionConfig:
    """Configuration of a denoising network and of its noise schedule.

    Attributes:
        channels: Width of the network.
        layers: Number of dilated convolutions.
        kernel: Kernel of the convolutions; odd.
        dilation_cycle: Number of layers over which dilations double from 1, before they begin again.
        steps: Number of noise levels.
        betas: Variance of the noise that the first and the last step add; linear in between.
    """

    channels: Width = 64
    layers: Depth = 30
    kernel: Depth = 3
    dilation_cycle: Annotated[int, Field(ge=1, le=16)] = 10
    steps: Width = 200
    betas: tuple[float, float] = (1e-4, 0.05)

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel is {self.kernel}: it must be odd")
        if not 0 < self.betas[0] <= self.betas[1] < 1:
            raise ConfigError(f"betas are {self.betas}: they must rise and lie between 0 and 1")


@config
class CtapConfig:
    """Configuration of the whole system.

    Attributes:
        mel: Mel spectra that are encoded and decoded.
        phonemes: Phoneme inventory; the first phoneme is silence.
        transcoder: Encoders, codebook and decoders.
        connector: Diffusion from phoneme embeddings to speech embeddings.
        durations: Diffusion from phonemes to their durations.
        change_cost: Cost in nats of each change of phoneme on the path that recognition takes.
        temperature: Factor of the noise from which connector and durations are sampled.
    """

    mel: MelSpec = field(default_factory=lambda: MelSpec(sample_rate=24_000, n_fft=960, hop=240, bins=80))
    phonemes: tuple[str, ...] = PhonemeSet.arpabet().symbols
    transcoder: TranscoderConfig = field(default_factory=TranscoderConfig)
    connector: DiffusionConfig = field(default_factory=DiffusionConfig)
    durations: DiffusionConfig = field(
        default_factory=lambda: DiffusionConfig(layers=12, dilation_cycle=4, steps=5, betas=(0.1, 0.9))
    )
    change_cost: _NotNegative = 0.0
    temperature: _NotNegative = 1.0

    def __post_init__(self) -> None:
        PhonemeSet(self.phonemes)  # which refuses an inventory without silence, or with a phoneme twice

    @property
    def hop(self) -> int:
        """Number of samples that one token covers."""
        return self.mel.hop * self.transcoder.reduction

    @property
    def voice(self) -> VoiceConfig:
        """Configuration of the voice encoder."""
        return self.transcoder.voice

    @property
    def voice_size(self) -> int:
        """Dimension of the voice vector: a learned embedding, then the long-term average spectrum where it is used."""
        return self.voice.width + (2 * self.mel.bins if self.transcoder.instance_norm else 0)

    @property
    def spec(self) -> TokenSpec:
        """Sample rate, hop and codebook of the tokens."""
        return TokenSpec(sample_rate=self.mel.sample_rate, hop=self.hop, codebook_size=self.transcoder.codebook.size)


@config
class CtapLosses:
    """Weights and schedules of the losses, and the two stages of training.

    Attributes:
        commitment: Vector quantization loss (L_vq).
        phonemes: Cross-entropy of the phoneme at each spectrum, decoded from the tokens (L_cls).
        spectrum: Mean squared error of the spectra, decoded from the tokens and the voice (L_mse).
        contrastive: Contrastive loss between speech and phoneme embeddings, frame by frame (L_con).
        kl: Divergence of the voice embedding from a standard normal distribution, above ``kl_floor`` (L_kl).
        consistency: Distance between a voice and the voice of speech that was decoded with it (L_cons).
        phoneme_branch: Mean squared error of the spectra, decoded from phoneme embeddings, as in CTAP.
        kl_floor: Divergence that costs nothing, in nats an utterance.
        codebook_start: Number of steps before the codebook is used, so that k-means finds clusters. A run that begins
            from a trained model uses its codebook at once.
        decoder_start: Number of steps before speech decoder and voice encoder are trained: ``spectrum``, ``kl``,
            ``phoneme_branch`` and ``consistency`` are not computed until then. With ``encoder_gradient`` and
            ``phoneme_branch`` 0 the tokens do not depend on these.
        num_masks: Number of SpecAugment masks along time, and along frequency, of the speech encoder's input.
        vtlp_range: Largest relative change of the vocal tract length in the speech encoder's input; 0 turns vocal tract
            length perturbation off. The decoder's target is not perturbed, so the tokens cannot carry the voice.
        encoder_gradient: Factor of the spectrum loss's gradient to the speech encoder. The decoder's is not scaled.
        transcoder_share: Share of all steps that trains the transcoder; the rest trains connector and durations.
        second_stage_rate: Learning rate of connector and durations, within their own stage.
    """

    commitment: Weight = field(default_factory=lambda: Weight(value=1.0))
    phonemes: Weight = field(default_factory=lambda: Weight(value=1.0))
    spectrum: Weight = field(default_factory=lambda: Weight(value=1.0))
    contrastive: Weight = field(default_factory=lambda: Weight(value=0.1, start=10_000))
    kl: Weight = field(default_factory=lambda: Weight(value=1e-5, start=20_000, ramp=10_000))
    consistency: Weight = field(default_factory=lambda: Weight(value=0.1, start=30_000, ramp=10_000))
    phoneme_branch: Weight = field(default_factory=lambda: Weight(value=1.0))
    kl_floor: _NotNegative = 0.5
    codebook_start: Steps = 0
    decoder_start: Annotated[Steps, later(0)] = 0
    num_masks: Annotated[int, Field(ge=0)] = 2
    vtlp_range: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    encoder_gradient: _Fraction = 1.0
    transcoder_share: _Fraction = 0.8
    second_stage_rate: LearningRate = field(default_factory=lambda: LearningRate(peak=1e-3))

    def second_stage_start(self, steps: int) -> int:
        """Return the first step that trains connector and durations, in a run of so many steps.

        Example:
            >>> CtapLosses(transcoder_share=0.75).second_stage_start(100)
            75
        """
        return stage_start(self.transcoder_share, steps)
