"""Sizes of VQ-CTAP: the transcoder, the connector, the durations.

The paper's text gives layer counts and the codebook; what it leaves open is filled as ``spec`` notes in the README of
this folder say.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf, prod
from typing import Any, Literal

from vocable.checks import (
    DEEPEST,
    LARGEST,
    WIDEST,
    check_choice,
    check_heads,
    check_share,
    check_switches,
    check_whole,
    tuples,
)
from vocable.errors import ConfigError
from vocable.text.phonemes import PhonemeSet
from vocable.tokens import TokenSpec
from vocable.vocoders import MelSpec

Codebook = Literal["ema", "gradient", "fsq"]


@dataclass(frozen=True, kw_only=True)
class TranscoderConfig:
    """Both encoders, the codebook, both decoders, the voice."""

    strides: tuple[int, int] = (2, 2)  # of the speech encoder's convolutions; the decoders mirror them
    width: int = 512  # of both encoders
    heads: int = 8
    hidden: int = 2048  # of the encoders' per-position networks
    centred: bool = False  # long-term average spectra are kept from the tokens, and put back by the voice
    speech_blocks: int = 6
    phoneme_blocks: int = 4
    latent_width: int = 256  # of the common space, and of both decoders
    codebook_size: int = 8192
    codebook: Codebook = "ema"
    fsq_levels: tuple[int, ...] = (8, 8, 8, 4, 4)  # values of each number of an entry, where the codebook is ``fsq``
    decoder_blocks: int = 6  # of each decoder
    decoder_hidden: int = 256
    convolutions: int = 5  # of the speech decoder, behind its blocks
    kernel: int = 5  # of those, in tokens
    voice_width: int = 64
    voice_channels: tuple[int, ...] = (32, 32, 64, 64, 128, 128)
    voice_frames: int = 300  # spectra that a voice is heard from
    dropout: float = 0.1
    window: int = 300  # tokens that are encoded together, and looked at in training
    margin: int = 25  # of those on either side, that give context and are not kept

    def __post_init__(self) -> None:
        widths = ("width", "heads", "hidden", "latent_width", "decoder_hidden", "voice_width", "voice_channels")
        check_whole(self, WIDEST, *widths, "voice_frames", "window")
        check_whole(self, DEEPEST, "speech_blocks", "phoneme_blocks", "decoder_blocks", "strides", "kernel")
        check_whole(self, DEEPEST, "convolutions", least=0)
        check_whole(self, WIDEST, "margin", least=0)
        check_whole(self, LARGEST, "codebook_size", "fsq_levels", least=2)
        check_switches(self, "centred")
        check_choice(self, "codebook", Codebook)
        check_heads(self, "width", "latent_width")
        check_share(self, "dropout")
        if self.codebook == "fsq" and prod(self.fsq_levels) != self.codebook_size:
            raise ConfigError(f"fsq_levels {self.fsq_levels} make {prod(self.fsq_levels)} entries, not codebook_size")
        if len(self.strides) != 2 or min(self.strides) < 2 or self.kernel % 2 == 0 or not self.voice_channels:
            raise ConfigError(
                f"strides {self.strides} must be two over 1, kernel {self.kernel} odd, voice_channels some"
            )
        if 2 * self.margin >= self.window:
            raise ConfigError(f"window {self.window} must be over twice margin {self.margin}")

    @property
    def reduction(self) -> int:
        """Spectra of a token."""
        return prod(self.strides)


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig:
    """A network that takes noise away, step by step, given what is wanted."""

    channels: int = 64
    layers: int = 30
    kernel: int = 3
    cycle: int = 10  # dilations 1, 2, 4 … of so many layers, then from 1 again
    steps: int = 200
    betas: tuple[float, float] = (1e-4, 0.05)  # noise of the first and of the last step, a straight line between

    def __post_init__(self) -> None:
        check_whole(self, WIDEST, "channels", "steps")
        check_whole(self, DEEPEST, "layers", "kernel")
        check_whole(self, 16, "cycle")  # layers, each of twice the dilation
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel {self.kernel} must be odd")
        if len(self.betas) != 2 or not 0 < self.betas[0] <= self.betas[1] < 1:
            raise ConfigError(f"betas {self.betas} must be two that rise, between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class CtapConfig:
    """The whole system."""

    mel: MelSpec = field(default_factory=lambda: MelSpec(sample_rate=24_000, n_fft=960, hop=240, bins=80))
    phonemes: tuple[str, ...] = PhonemeSet.arpabet().symbols  # the first is silence
    transcoder: TranscoderConfig = field(default_factory=TranscoderConfig)
    connector: DiffusionConfig = field(default_factory=DiffusionConfig)
    durations: DiffusionConfig = field(
        default_factory=lambda: DiffusionConfig(layers=12, cycle=4, steps=5, betas=(0.1, 0.9))
    )
    change_cost: float = 0.0  # nats that a change of phoneme must gain in recognition
    temperature: float = 1.0  # of what connector and durations draw

    def __post_init__(self) -> None:
        PhonemeSet(self.phonemes)
        if not 0 <= self.change_cost < inf:
            raise ConfigError(f"change_cost is {self.change_cost}: it must be at least 0 nats")
        if not 0 <= self.temperature < inf:
            raise ConfigError(f"temperature is {self.temperature}: it must be at least 0")

    @property
    def hop(self) -> int:
        """Samples of a token."""
        return self.mel.hop * self.transcoder.reduction

    @property
    def voice_size(self) -> int:
        """Numbers of a voice beside the tokens: what is learnt, and a long-term average spectrum where it is kept."""
        return self.transcoder.voice_width + (2 * self.mel.bins if self.transcoder.centred else 0)

    @property
    def spec(self) -> TokenSpec:
        """What a token covers and carries."""
        return TokenSpec(
            sample_rate=self.mel.sample_rate, hop=self.hop, codebook_size=self.transcoder.codebook_size
        )  # fmt: skip


def config_to_json(config: CtapConfig) -> dict[str, Any]:
    """A config as plain values."""
    values = asdict(config)
    for part in ("transcoder", "connector", "durations"):
        values[part] = {key: list(one) if isinstance(one, tuple) else one for key, one in values[part].items()}
    return {**values, "phonemes": list(config.phonemes)}


def config_from_json(values: Mapping[str, Any]) -> CtapConfig:
    """The inverse of :func:`config_to_json`.

    Raises:
        ConfigError: A key is missing or unknown, or a value is of the wrong kind or out of range.
    """
    try:
        return CtapConfig(
            mel=MelSpec(**values["mel"]),
            phonemes=tuple(map(str, values["phonemes"])),
            transcoder=TranscoderConfig(**tuples(values["transcoder"])),
            connector=DiffusionConfig(**tuples(values["connector"])),
            durations=DiffusionConfig(**tuples(values["durations"])),
            change_cost=float(values["change_cost"]),
            temperature=float(values["temperature"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise ConfigError(
            f"the model's configuration cannot be used ({error}); was it written by another version?"
        ) from error
