"""Sizes of the supervised units: what is heard, the codebook, what is said, how it sounds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any

from vocable.checks import DEEPEST, LARGEST, WIDEST, check_share, check_whole, tuples
from vocable.errors import ConfigError
from vocable.features.whisper import EncoderSpec
from vocable.text.phonemes import PhonemeSet
from vocable.tokens import TokenSpec
from vocable.vocoders import MelSpec

_FRAME = 320  # samples of a frame of Whisper


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig:
    """The whole system but Whisper, which is frozen and remembered by its digest."""

    encoder: EncoderSpec
    layers: tuple[int, ...] = (-3, -1)  # of Whisper, side by side: where phones lie, and which they are
    pooled: int = 2  # frames of Whisper to a token
    width: int = 256  # of the network between Whisper and the codebook
    blocks: int = 3
    latent_width: int = 160  # of a codebook entry
    codebook_size: int = 1024
    restart_below: float = 0.1  # an entry used less than this share of uniform use is restarted
    phonemes: tuple[str, ...] = PhonemeSet.arpabet().symbols  # silence first, which stands for no phone
    recogniser_width: int = 192
    recogniser_blocks: int = 3
    phones_per_token: int = 2  # that may be said in a token
    mel: MelSpec = field(default_factory=lambda: MelSpec(sample_rate=16_000, n_fft=640, hop=160, bins=80))
    strides: tuple[int, int] = (2, 2)  # from tokens to spectra, the last first
    decoder_width: int = 304
    decoder_blocks: int = 6
    kernel: int = 7  # tokens that a block mixes, everywhere
    expansion: int = 3  # hidden width of a block, in widths
    voice_width: int = 64
    voice_channels: tuple[int, ...] = (32, 32, 64, 64, 128, 128)
    voice_frames: int = 300  # spectra that a voice is heard from
    dropout: float = 0.1

    def __post_init__(self) -> None:
        PhonemeSet(self.phonemes)
        widths = ("width", "latent_width", "recogniser_width", "decoder_width", "voice_width", "voice_channels")
        check_whole(self, WIDEST, *widths, "voice_frames")
        check_whole(self, DEEPEST, "pooled", "blocks", "recogniser_blocks", "decoder_blocks", "kernel", "expansion")
        check_whole(self, DEEPEST, "strides", "phones_per_token")
        check_whole(self, LARGEST, "codebook_size", least=2)
        there = self.encoder.depth + 1
        if not self.layers or not all(type(one) is int and -there <= one < there for one in self.layers):
            raise ConfigError(f"layers {self.layers}: {self.encoder.name} has 0 to {self.encoder.depth}")
        if len(self.strides) != 2 or min(self.strides) < 2 or self.kernel % 2 == 0 or not self.voice_channels:
            raise ConfigError(
                f"strides {self.strides} must be two over 1, kernel {self.kernel} odd, voice_channels some"
            )
        if self.mel.sample_rate != 16_000 or prod(self.strides) * self.mel.hop != self.hop:
            raise ConfigError(
                f"{self.mel} with strides {self.strides}: {self.hop} samples at 16 kHz must be as many spectra"
            )
        check_share(self, "dropout", "restart_below")

    @property
    def voice_size(self) -> int:
        """Dimension of the voice vector beside the tokens."""
        return self.voice_width

    @property
    def hop(self) -> int:
        """Samples of a token."""
        return _FRAME * self.pooled

    @property
    def reduction(self) -> int:
        """Spectra of a token."""
        return prod(self.strides)

    @property
    def spec(self) -> TokenSpec:
        """What a token covers and carries."""
        return TokenSpec(
            sample_rate=self.mel.sample_rate, hop=self.hop, codebook_size=self.codebook_size, num_codebooks=1
        )


def config_to_json(config: SupervisedConfig) -> dict[str, Any]:
    """A config as plain values."""
    return {key: list(one) if isinstance(one, tuple) else one for key, one in asdict(config).items()}


def config_from_json(values: Mapping[str, Any]) -> SupervisedConfig:
    """The inverse of :func:`config_to_json`.

    Raises:
        ConfigError: A key is missing or unknown, or a value is of the wrong kind or out of range.
    """
    try:
        plain = tuples(values)
        return SupervisedConfig(
            **{**plain, "encoder": EncoderSpec(**plain["encoder"]), "mel": MelSpec(**plain["mel"])}
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise ConfigError(
            f"the model's configuration cannot be used ({error}); was it written by another version?"
        ) from error
