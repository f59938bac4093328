"""Speech units: the ids of one level of a tokenizer, or of CosyVoice's S3, as the target of another model."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from vocable.audio import Audio
from vocable.errors import CheckpointError, ConfigError, ShapeError, SpecError
from vocable.features.s3 import S3Encoder
from vocable.files import folder_exists, is_file
from vocable.interfaces import HasVoice, Tokenizer
from vocable.numerics import reproducible
from vocable.schema import MAX_WIDTH, Depth, Entries, config
from vocable.systems.base import BaseTokenizer
from vocable.systems.cosyvoice import WEIGHTS, CosyVoiceDecoder
from vocable.systems.retired import retired
from vocable.systems.voiced import VoicedTokenizer
from vocable.token_file import VoiceLevels
from vocable.tokens import Tokens
from vocable.voices import round_voice

_S3 = "s3:"
_NAME_LEVEL = re.compile(r"(.+):([0-9]{1,4})")
_NAMES = "NAME or NAME:LEVEL of a tokenizer (guided-small:1, ctap-small, a folder), or s3:FILE"
_ShortText = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


@config
class UnitsSpec:
    """Description of the units that a model predicts.

    Attributes:
        name: Name of their source, as :func:`find_units` takes it. On another machine it may differ.
        level: Level of the tokenizer whose ids they are, 1 is the first.
        digest: Digest of the source's weights.
        sample_rate: Sample rate of the speech in Hz.
        hop: Samples per unit.
        size: Number of units K.
        voice_width: Dimension of the voice vector beside the units; 0 if there is none.
        voice_levels: Number of levels of each dimension of the voice vector; None for float32.

    Example:
        >>> UnitsSpec(name="s3", level=1, digest="-", sample_rate=16_000, hop=640, size=4096, voice_width=0).frame_rate
        25.0
    """

    name: _ShortText
    level: Depth
    digest: _ShortText
    sample_rate: Entries
    hop: Entries
    size: Entries
    voice_width: Annotated[int, Field(ge=0, le=MAX_WIDTH)]
    voice_levels: VoiceLevels = None

    @property
    def frame_rate(self) -> float:
        """Units per second."""
        return self.sample_rate / self.hop


class UnitSource(ABC):
    """Encoder from speech to units and, where there is one, decoder from units to speech.

    Attributes:
        spec: Description of the units.
        aliases: Digests that the source's weights had under earlier formats.
    """

    spec: UnitsSpec
    aliases: tuple[str, ...] = ()

    def to(self, device: str) -> None:  # noqa: B027 a source without networks of torch stays where it is
        """Move the encoder to a torch device, where it can be moved."""

    def check_length(self, samples: int) -> None:  # noqa: B027 most sources take clips of every length
        """Raise an AudioError if the source takes no clip of so many samples at its sample rate."""

    @abstractmethod
    def units(self, clip: Audio) -> Int[Tensor, " N"]:
        """Return the units of a clip at any sample rate: one for each ``hop`` samples or part of them.

        Raises:
            AudioError: If the clip cannot be used.
        """

    @abstractmethod
    def voice(self, clip: Audio) -> Float[Tensor, " V"] | None:
        """Return the voice vector of a clip, as :meth:`speech` takes it; None where ``voice_width`` is 0."""

    @abstractmethod
    def speech(
        self, units: Int[Tensor, " N"], voice: Float[Tensor, " V"] | None = None, samples: int | None = None
    ) -> Audio:
        """Decode units to speech.

        Args:
            units: At least one unit.
            voice: Voice vector.
            samples: Number of samples, at most N × ``hop``; all of them by default.

        Raises:
            ConfigError: If these units have no decoder.
            SpecError: If units or voice are not of this source.
            ShapeError: If there are no units.
        """


class TokenizerUnits(UnitSource):
    """Units that are the ids of one level of a tokenizer.

    Args:
        tokenizer: Tokenizer of a fixed frame rate.
        name: Name of the tokenizer, as :func:`find_units` takes it.
        level: Level, 1 is the first and the only one that can be decoded on its own.

    Raises:
        ConfigError: If the tokenizer has no fixed frame rate, or lacks the level.

    Example:
        >>> import vocable
        >>> from vocable.testing import speechlike
        >>> source = TokenizerUnits(vocable.load("guided-small"), "guided-small")
        >>> units = source.units(speechlike(8_000))
        >>> units.shape, source.speech(units, samples=8_000).duration
        (torch.Size([25]), 0.5)
    """

    @reproducible
    def __init__(self, tokenizer: Tokenizer, name: str, level: int = 1) -> None:
        spec = tokenizer.spec
        if spec.hop is None:
            raise ConfigError(f"{name}: its tokens have no fixed frame rate, so they are no units; give {_NAMES}")
        if not 1 <= level <= spec.num_codebooks:
            raise ConfigError(f"{name}: has levels 1 to {spec.num_codebooks}, not {level}")
        self.tokenizer = tokenizer
        self.aliases = tuple(getattr(tokenizer, "aliases", ()))
        self._voice_levels = getattr(getattr(tokenizer, "format", None), "voice_levels", None)
        self._last: tuple[bytes, Tokens] | None = None  # one clip's units are often asked for twice
        self.spec = UnitsSpec(
            name=name, level=level, digest=tokenizer.digest, sample_rate=spec.sample_rate, hop=spec.hop,
            size=spec.codebook_size, voice_width=_voice_width(tokenizer), voice_levels=self._voice_levels,
        )  # fmt: skip

    @override
    def to(self, device: str) -> None:
        if isinstance(self.tokenizer, BaseTokenizer):
            self.tokenizer.model.to(device)

    @override
    @reproducible
    def units(self, clip: Audio) -> Int[Tensor, " N"]:
        return self._encode(clip).ids[0, self.spec.level - 1]

    @override
    def voice(self, clip: Audio) -> Float[Tensor, " V"] | None:
        if not self.spec.voice_width:
            return None
        if isinstance(self.tokenizer, VoicedTokenizer):  # which needs no tokens for it
            return self.tokenizer.embed_voice(clip)
        voice = self._encode(clip).voice
        return None if voice is None else voice[0]

    @override
    @reproducible
    def speech(
        self, units: Int[Tensor, " N"], voice: Float[Tensor, " V"] | None = None, samples: int | None = None
    ) -> Audio:
        if self.spec.level != 1:
            raise ConfigError(f"{self.spec.name}, level {self.spec.level}: has no decoder of its own; give level 1")
        width = self.spec.voice_width
        tokens = Tokens(
            samples=torch.tensor([_check_units(self.spec, units, voice, samples)]), ids=units[None, None].long().cpu(),
            lengths=torch.tensor([len(units)]), tokenizer=self.tokenizer.digest,
            spec=replace(self.tokenizer.spec, num_codebooks=1),
            voice=None if voice is None or not width else round_voice(voice[None].cpu(), self.spec.voice_levels),
            voice_levels=self.spec.voice_levels if width else None,
        )  # fmt: skip
        return self.tokenizer.decode(tokens)

    def _encode(self, clip: Audio) -> Tokens:
        key, last = blake2b(clip.samples.tobytes(), key=str(clip.sample_rate).encode()).digest(), self._last
        if last is None or last[0] != key:
            self._last = last = key, self.tokenizer.encode(clip)
        return last[1]


class S3Units(UnitSource):
    """Units of CosyVoice's supervised tokenizer S3. A whole CosyVoice folder also gives voices and speech.

    Args:
        path: ONNX file, or a folder with it, for units alone. A folder with ``flow.pt`` gives voices and speech, too,
            for which the package ``cosyvoice`` is needed.
    """

    def __init__(self, path: str | Path) -> None:
        self.encoder = S3Encoder(path)
        self.decoder = CosyVoiceDecoder(path) if is_file(Path(path) / WEIGHTS[0]) else None
        self.spec = UnitsSpec(
            name=f"s3:{path}", level=1, digest=self.encoder.digest, sample_rate=self.encoder.sample_rate,
            hop=self.encoder.hop, size=self.encoder.size,
            voice_width=0 if self.decoder is None else self.decoder.voice_width,
        )  # fmt: skip

    @override
    def check_length(self, samples: int) -> None:
        self.encoder.check_length(samples)

    @override
    def units(self, clip: Audio) -> Int[Tensor, " N"]:
        return self.encoder.units(clip)

    @override
    def voice(self, clip: Audio) -> Float[Tensor, " V"] | None:
        return None if self.decoder is None else self.decoder.voice(clip)

    @override
    def speech(
        self, units: Int[Tensor, " N"], voice: Float[Tensor, " V"] | None = None, samples: int | None = None
    ) -> Audio:
        if self.decoder is None:
            name = self.spec.name
            raise ConfigError(f"{name}: these units have no decoder; give the folder of a whole CosyVoice-300M")
        padded = torch.zeros(_check_units(self.spec, units, voice, samples)).numpy()
        assert voice is not None  # there is a decoder, so there is a width
        decoded = self.decoder.speech(units, voice).resample(self.spec.sample_rate).samples
        padded[: decoded.size] = decoded[: padded.size]  # the vocoder's frames end elsewhere, by less than 12 ms
        return Audio(padded, self.spec.sample_rate)


@dataclass(frozen=True)
class SourceExtractor:
    """Extractor of a source's units or voices; see :class:`vocable.data.targets.FeatureExtractor`."""

    name: str
    digest: str
    sample_rate: int
    frame_rate: float | None
    width: int
    extract: Callable[[Audio], Any]
    to: Callable[[str], None]
    check_length: Callable[[int], None]


def unit_extractor(source: UnitSource) -> SourceExtractor:
    """Return the extractor of a source's units.

    Example:
        >>> import vocable
        >>> extractor = unit_extractor(TokenizerUnits(vocable.load("guided-small"), "guided-small"))
        >>> extractor.frame_rate, extractor.width
        (50.0, 1024)
    """
    spec = source.spec
    return SourceExtractor(
        name=f"{spec.name}, level {spec.level}", digest=f"{spec.digest}, level {spec.level}",
        sample_rate=spec.sample_rate, frame_rate=spec.frame_rate, width=spec.size, extract=source.units,
        to=source.to, check_length=source.check_length,
    )  # fmt: skip


def voice_extractor(source: UnitSource) -> SourceExtractor | None:
    """Return the extractor of the voices beside a source's units; None where it keeps no voice."""
    spec = source.spec
    if not spec.voice_width:
        return None
    return SourceExtractor(
        name=f"{spec.name}, voice", digest=f"{spec.digest}, voice", sample_rate=spec.sample_rate, frame_rate=None,
        width=spec.voice_width, extract=source.voice, to=source.to, check_length=source.check_length,
    )  # fmt: skip


def find_units(text: str, load: Callable[[str], Any]) -> UnitSource:
    """Return the source of units of a name.

    Args:
        text: ``guided-small:1``, ``ctap-small``, a folder, ``FOLDER:2``, ``s3:FILE`` or ``s3:FOLDER``.
        load: Function that loads a tokenizer by name or folder, such as :func:`vocable.load`.

    Raises:
        CheckpointError: If there is no such model.
        ConfigError: If the model has no fixed frame rate, or lacks the level.

    Example:
        >>> import vocable
        >>> find_units("guided-small:2", vocable.load).spec.level
        2
    """
    if text.startswith(_S3):
        return S3Units(text.removeprefix(_S3))
    match = _NAME_LEVEL.fullmatch(text)
    try:
        name, level = (text, "1") if match is None or folder_exists(Path(text)) else match.groups()
        tokenizer = load(name)
    except (CheckpointError, OSError) as error:  # OSError: no system takes such a path
        raise CheckpointError(f"units {text[:80]!r}: {str(error)[:200]}; units are {_NAMES}") from error
    return TokenizerUnits(tokenizer, name, int(level))


def check_source(source: UnitSource, spec: UnitsSpec) -> None:
    """Raise a SpecError unless a source gives the units that a model was trained on, whatever its name."""
    actual = source.spec
    if spec.digest not in (actual.digest, *source.aliases) or actual.level != spec.level:
        before = retired(spec.digest)
        advice = "give the tokenizer that it was trained on" if before is None else f"{before} has it; or train again"
        raise SpecError(
            f"{actual.name}, level {actual.level}: units of another model ({actual.digest[:23]}); trained on "
            f"{spec.name}, level {spec.level} ({spec.digest[:23]}); {advice}"
        )
    if replace(actual, name=spec.name, digest=spec.digest, voice_width=spec.voice_width) != spec:
        raise SpecError(f"{actual.name}: its units are {actual}, the model says {spec}; one of the two was altered")


def _check_units(spec: UnitsSpec, units: Tensor, voice: Tensor | None, samples: int | None) -> int:
    """Check that units, and a voice where one is needed, can be decoded; return the number of samples."""
    if units.ndim != 1 or not len(units):
        raise ShapeError(f"units have shape {tuple(units.shape)}; (N,) with N > 0 is needed")
    if units.is_floating_point() or int(units.min()) < 0 or int(units.max()) >= spec.size:
        raise SpecError(f"units of {spec.name} are integers in [0, {spec.size}); these are {units.dtype}, or others")
    if spec.voice_width and (voice is None or voice.shape != (spec.voice_width,)):
        shape = "none" if voice is None else str(tuple(voice.shape))
        raise SpecError(f"{spec.name}: needs a voice of shape ({spec.voice_width},), not {shape}; `voice` gives one")
    most = len(units) * spec.hop
    if samples is not None and not 0 < samples <= most:
        raise SpecError(f"{samples} samples of {len(units)} units: they give 1 to {most}")
    return most if samples is None else samples


def _voice_width(tokenizer: Tokenizer) -> int:
    """Return the dimension of a tokenizer's voice vectors, measured with a tone; 0 if it keeps no voice."""
    rate = tokenizer.spec.sample_rate
    tone = Audio(torch.linspace(0, 400, rate).sin().numpy() / 2, rate)
    return len(tokenizer.voice_of(tone)) if isinstance(tokenizer, HasVoice) else 0
