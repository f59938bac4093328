"""Configuration of the supervised units: frozen Whisper, encoder, codebook, recognizer, decoder and voice."""

from dataclasses import field
from math import prod
from typing import Annotated

from pydantic import Field

from vocable.errors import ConfigError
from vocable.features.whisper import EncoderSpec
from vocable.schema import MAX_DEPTH, MAX_ENTRIES, Depth, Share, Width, config, later
from vocable.systems.adversary import GameConfig
from vocable.text.phonemes import PhonemeSet
from vocable.tokens import TokenSpec
from vocable.train.schedule import Steps, Weight
from vocable.vocoders import MelSpec, VoiceConfig

_WHISPER_RATE, _WHISPER_HOP = 16_000, 320  # samples a second, and samples that a frame of Whisper covers
_Stride = Annotated[int, Field(ge=2, le=MAX_DEPTH)]


@config
class FrameEncoderConfig:
    """Configuration of the encoder from Whisper's frames to the codebook.

    Attributes:
        layers: Layers of Whisper, side by side; 0 is the input of the first, negative numbers count from the last. The
            default is a middle layer, which locates phones, and the last, which identifies them.
        frames_per_token: Number of Whisper's frames that one token covers.
        width: Width of the network.
        blocks: Number of blocks.
    """

    layers: Annotated[tuple[int, ...], Field(min_length=1)] = (-3, -1)
    frames_per_token: Depth = 2
    width: Width = 256
    blocks: Depth = 3


@config
class CtcRecognizerConfig:
    """Configuration of the phone recognizer.

    Attributes:
        width: Width of the network.
        blocks: Number of blocks.
        phones_per_token: Number of CTC positions of each token.
        letters: Whether a second output layer recognizes letters and the spaces between words.
    """

    width: Width = 192
    blocks: Depth = 3
    phones_per_token: Depth = 2
    letters: Annotated[bool, later(False)] = False


@config
class SpectrumDecoderConfig:
    """Configuration of the decoder to mel spectra.

    Attributes:
        strides: Strides of the two transposed convolutions, the last one first.
        width: Width of the network.
        blocks: Number of blocks at the rate of the tokens.
        fine_width: Width of the network that corrects the spectra.
        fine_blocks: Number of its blocks, at the rate of the spectra; 0 for a decoder without it.
    """

    strides: tuple[_Stride, _Stride] = (2, 2)
    width: Width = 304
    blocks: Depth = 6
    fine_width: Annotated[Width, later(128)] = 128
    fine_blocks: Annotated[int, Field(ge=0, le=MAX_DEPTH), later(0)] = 0


@config
class SupervisedConfig:
    """Configuration of the whole system. Whisper is frozen and no part of the model; its digest is.

    Attributes:
        whisper: Name, digest and sizes of the frozen Whisper encoder.
        encoder: Encoder from Whisper's frames to the codebook.
        latent_width: Dimension of a codebook entry.
        codebook_size: Number of entries K.
        fsq_levels: Number of values of each scalar of a finite scalar quantizer, whose product is K; empty for a
            learned codebook.
        restart_below: Share of uniform use under which an entry is restarted.
        phonemes: Phoneme inventory; the first, silence, is the blank of CTC.
        recognizer: Phone recognizer.
        mel: Mel spectra that are decoded.
        decoder: Decoder to mel spectra.
        voice: Voice encoder.
        kernel: Number of tokens that each block mixes; odd.
        expansion: Width of a block's feed-forward layer, as a multiple of the block's width.
        dropout: Dropout rate.
    """

    whisper: EncoderSpec
    encoder: FrameEncoderConfig = field(default_factory=FrameEncoderConfig)
    latent_width: Width = 160
    codebook_size: Annotated[int, Field(ge=2, le=MAX_ENTRIES)] = 1024
    fsq_levels: Annotated[tuple[Annotated[int, Field(ge=2, le=MAX_ENTRIES)], ...], later(())] = ()
    restart_below: Share = 0.1
    phonemes: tuple[str, ...] = PhonemeSet.arpabet().symbols
    recognizer: CtcRecognizerConfig = field(default_factory=CtcRecognizerConfig)
    mel: MelSpec = field(default_factory=lambda: MelSpec(sample_rate=_WHISPER_RATE, n_fft=640, hop=160, bins=80))
    decoder: SpectrumDecoderConfig = field(default_factory=SpectrumDecoderConfig)
    voice: VoiceConfig = field(default_factory=VoiceConfig)
    kernel: Depth = 7
    expansion: Depth = 3
    dropout: Share = 0.1

    def __post_init__(self) -> None:
        PhonemeSet(self.phonemes)  # which refuses an inventory without silence, or with a phoneme twice
        if self.fsq_levels and prod(self.fsq_levels) != self.codebook_size:
            entries = prod(self.fsq_levels)
            raise ConfigError(
                f"fsq_levels {self.fsq_levels} make {entries} entries, codebook_size is {self.codebook_size}"
            )
        depth = self.whisper.depth
        if not all(-depth - 1 <= layer <= depth for layer in self.encoder.layers):
            raise ConfigError(f"layers are {self.encoder.layers}: {self.whisper.name} has 0 to {depth}")
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel is {self.kernel}: it must be odd")
        if self.mel.sample_rate != _WHISPER_RATE or self.reduction * self.mel.hop != self.hop:
            raise ConfigError(
                f"strides are {self.decoder.strides} and mel is {self.mel}: their product must be the "
                f"{self.hop} samples at 16 kHz that a token covers"
            )

    @property
    def voice_size(self) -> int:
        """Dimension of the voice vector beside the tokens."""
        return self.voice.width

    @property
    def hop(self) -> int:
        """Number of samples that one token covers."""
        return _WHISPER_HOP * self.encoder.frames_per_token

    @property
    def reduction(self) -> int:
        """Number of spectra that one token covers."""
        return prod(self.decoder.strides)

    @property
    def spec(self) -> TokenSpec:
        """Sample rate, hop and codebook of the tokens."""
        return TokenSpec(sample_rate=self.mel.sample_rate, hop=self.hop, codebook_size=self.codebook_size)


@config
class SpectraAdversaryConfig(GameConfig):
    """Discriminators of spectra and how they are trained; see :class:`~vocable.systems.adversary.GameConfig`.

    Attributes:
        width: Channels after the first convolution of each discriminator.
        scales: Number of discriminators, each at half of the time resolution of the one before.
    """

    width: Width = 16
    scales: Annotated[int, Field(ge=1, le=4)] = 2


@config
class SupervisedLosses:
    """Weights and schedules of the losses.

    Attributes:
        commitment: Vector quantization loss.
        ctc: Negative log-likelihood of the phones given the tokens, in nats a phone.
        letters: Negative log-likelihood of the letters given the tokens, in nats a letter.
        distillation: Distance of Whisper's highest chosen layer from its prediction given the tokens.
        representation: Distance of Whisper's layers on the decoded audio from those on the recording.
        spectrum: Mean absolute error of standardized spectra, decoded from the tokens and the voice.
        adversarial: Adversarial loss of the decoder, against discriminators of spectra.
        feature: Distance of the discriminators' feature maps of decoded spectra from those of recordings.
        kl: Divergence of the voice embedding from a standard normal distribution, above ``kl_floor``.
        kl_floor: Divergence that costs nothing, in nats an utterance.
        codebook_start: Number of steps before the codebook is used, so that k-means finds clusters. A run that begins
            from a trained model uses its codebook at once.
        encoder_gradient: Factor of the gradient of ``spectrum``, ``representation`` and the adversary to the encoder.
            The decoder's is not scaled.
        representation_layers: Layers of Whisper that ``representation`` compares.
        crop_tokens: Number of tokens of the random crop of each utterance that ``representation`` compares, and that
            the discriminators see.
        num_masks: Number of SpecAugment masks along time of the encoder's input.
    """

    commitment: Weight = field(default_factory=lambda: Weight(value=0.25))
    ctc: Weight = field(default_factory=lambda: Weight(value=1.0))
    letters: Weight = field(default_factory=lambda: Weight(value=0.0))
    distillation: Weight = field(default_factory=lambda: Weight(value=0.0))
    representation: Weight = field(default_factory=lambda: Weight(value=0.0))
    spectrum: Weight = field(default_factory=lambda: Weight(value=1.0))
    adversarial: Weight = field(default_factory=lambda: Weight(value=0.0))
    feature: Weight = field(default_factory=lambda: Weight(value=0.0))
    kl: Weight = field(default_factory=lambda: Weight(value=1e-4, start=500, ramp=500))
    kl_floor: Annotated[float, Field(ge=0)] = 0.5
    codebook_start: Steps = 300
    encoder_gradient: Annotated[float, Field(ge=0, le=1)] = 0.1
    representation_layers: Annotated[tuple[int, ...], Field(min_length=1)] = (1, 2, 3, 4)
    crop_tokens: Width = 50
    num_masks: Annotated[int, Field(ge=0)] = 2
