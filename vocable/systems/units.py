"""Units: the ids of one level of a tokenizer, used as what another model predicts.

Any tokenizer whose frames follow the clock gives them, and so do CosyVoice's S3 files.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import CheckpointError, ConfigError, ShapeError, SpecError
from vocable.interfaces import HasVoice, Tokenizer
from vocable.tokens import Tokens, TokenSpec

_S3 = "s3:"
_LEVELLED = re.compile(r"(.+):([0-9]{1,4})")
_NAMES = "NAME or NAME:LEVEL of a tokenizer (guided-small:1, ctap-small, a folder), or s3:FILE"


@dataclass(frozen=True, kw_only=True)
class UnitsSpec:
    """Which units a model predicts.

    Attributes:
        name: Of the source, as :func:`find_units` takes it; another machine may have it elsewhere.
        level: Whose ids they are, 1 is the first.
        digest: Of the source's very weights.
        sample_rate: Of the speech, in Hz.
        hop: Samples that a unit covers.
        size: K, how many units there are.
        voice_width: Numbers of the voice kept beside them; 0 where there is none.

    Example:
        >>> UnitsSpec(name="s3", level=1, digest="-", sample_rate=16_000, hop=640, size=4096, voice_width=0).frame_rate
        25.0
    """

    name: str
    level: int
    digest: str
    sample_rate: int
    hop: int
    size: int
    voice_width: int

    @property
    def frame_rate(self) -> float:
        """Units a second."""
        return self.sample_rate / self.hop


@runtime_checkable
class UnitSource(Protocol):
    """What makes units of speech, and perhaps speech of units."""

    @property
    def spec(self) -> UnitsSpec:
        """Which units they are."""
        ...

    def units(self, clip: Audio) -> Int[Tensor, " N"]:
        """The units of a clip of any rate: one for each ``hop`` samples, or part of them.

        Raises:
            AudioError: The clip cannot be used.
        """
        ...

    def voice(self, clip: Audio) -> Float[Tensor, " V"] | None:
        """The voice of a clip, as :meth:`speech` takes it; None where ``voice_width`` is 0.

        Raises:
            AudioError: The clip cannot be used.
        """
        ...

    def speech(
        self, units: Int[Tensor, " N"], voice: Float[Tensor, " V"] | None = None, samples: int | None = None
    ) -> Audio:
        """Speech of units.

        Args:
            units: At least one.
            voice: In whose voice.
            samples: How many are wanted, N × ``hop`` at most; all of them by default.

        Raises:
            ConfigError: These units have no decoder.
            SpecError: Units or voice are not of this source.
        """
        ...


class TokenizerUnits:
    """The ids of one level of a tokenizer.

    Args:
        tokenizer: Its frames follow the clock.
        name: As :func:`find_units` takes it.
        level: 1 is the first; only this one can be decoded on its own.

    Raises:
        ConfigError: The tokenizer does not follow the clock, or lacks the level.

    Example:
        >>> import vocable
        >>> from vocable.testing import speechlike
        >>> source = TokenizerUnits(vocable.load("guided-small"), "guided-small")
        >>> said = source.units(speechlike(8_000))
        >>> said.shape, source.speech(said, samples=8_000).duration
        (torch.Size([25]), 0.5)
    """

    def __init__(self, tokenizer: Tokenizer, name: str, level: int = 1) -> None:
        spec = tokenizer.spec
        if spec.hop is None:
            raise ConfigError(f"{name}: its tokens do not follow the clock, so they are no units; {_NAMES}")
        if not 1 <= level <= spec.num_codebooks:
            raise ConfigError(f"{name}: has levels 1 to {spec.num_codebooks}, not {level}")
        self.tokenizer = tokenizer
        self._last: tuple[Audio, Tokens] | None = None  # units and voice are mostly asked of the same clip
        self.spec = UnitsSpec(
            name=name, level=level, digest=tokenizer.digest, sample_rate=spec.sample_rate, hop=spec.hop,
            size=spec.codebook_size, voice_width=_voice_width(tokenizer),
        )  # fmt: skip

    def units(self, clip: Audio) -> Int[Tensor, " N"]:
        """The ids of the level."""
        return self._encoded(clip).ids[0, self.spec.level - 1]

    def voice(self, clip: Audio) -> Float[Tensor, " V"] | None:
        """The voice of a clip, where the tokenizer keeps it beside its tokens."""
        found = self._encoded(clip).voice if self.spec.voice_width else None  # voice_of refuses short clips
        return None if found is None else found[0]

    def speech(
        self, units: Int[Tensor, " N"], voice: Float[Tensor, " V"] | None = None, samples: int | None = None
    ) -> Audio:
        """Speech of the first level alone, in a voice where the tokenizer keeps it beside its tokens."""
        if self.spec.level != 1:
            raise ConfigError(
                f"{self.spec.name}, level {self.spec.level}: these units have no decoder; level 1 alone is speech"
            )
        check_units(self.spec, units, voice)
        spec = self.tokenizer.spec
        tokens = Tokens(
            ids=units[None, None].long().cpu(), lengths=torch.tensor([len(units)]),
            samples=torch.tensor([samples_of(self.spec, units, samples)]), tokenizer=self.tokenizer.digest,
            spec=TokenSpec(
                sample_rate=spec.sample_rate, hop=spec.hop, codebook_size=spec.codebook_size, num_codebooks=1
            ),
            voice=voice[None].float().cpu() if voice is not None and self.spec.voice_width else None,
        )  # fmt: skip
        return self.tokenizer.decode(tokens)

    def _encoded(self, clip: Audio) -> Tokens:
        if self._last is None or self._last[0] is not clip:
            self._last = clip, self.tokenizer.encode(clip)
        return self._last[1]


@dataclass(frozen=True)
class UnitExtractor:
    """A source as a :class:`vocable.data.targets.FeatureExtractor`: whole numbers, one a unit."""

    source: UnitSource

    @property
    def name(self) -> str:
        """In reports."""
        return f"{self.source.spec.name}, level {self.source.spec.level}"

    @property
    def digest(self) -> str:
        """Of the source's weights, and the level."""
        return f"{self.source.spec.digest}, level {self.source.spec.level}"

    @property
    def sample_rate(self) -> int:
        """Of the speech, in Hz."""
        return self.source.spec.sample_rate

    @property
    def frame_rate(self) -> float:
        """Units a second."""
        return self.source.spec.frame_rate

    @property
    def width(self) -> int:
        """How many units there are."""
        return self.source.spec.size

    def extract(self, clip: Audio) -> Int[Tensor, " N"]:
        """The units of a clip."""
        return self.source.units(clip)


@dataclass(frozen=True)
class UnitVoiceExtractor:
    """A source as a feature extractor to voices: one vector of a whole recording."""

    source: UnitSource
    frame_rate: None = None

    @property
    def name(self) -> str:
        """In reports."""
        return f"{self.source.spec.name}, voice"

    @property
    def digest(self) -> str:
        """Of the source's weights."""
        return f"{self.source.spec.digest}, voice"

    @property
    def sample_rate(self) -> int:
        """Of the speech, in Hz."""
        return self.source.spec.sample_rate

    @property
    def width(self) -> int:
        """Of the vector."""
        return self.source.spec.voice_width

    def extract(self, clip: Audio) -> Float[Tensor, " V"]:
        """The voice of a clip.

        Raises:
            ConfigError: These units keep no voice.
        """
        voice = self.source.voice(clip)
        if voice is None:
            raise ConfigError(f"{self.source.spec.name}: these units keep no voice beside them")
        return voice


def unit_extractor(source: UnitSource) -> UnitExtractor:
    """What keeps a source's units on disk (:class:`vocable.data.targets.TargetCache`) listens to.

    Example:
        >>> import vocable
        >>> heard = unit_extractor(TokenizerUnits(vocable.load("guided-small"), "guided-small"))
        >>> heard.frame_rate, heard.width
        (50.0, 1024)
    """
    return UnitExtractor(source)


def find_units(text: str, load: Callable[[str], Any]) -> UnitSource:
    """The source of a name.

    Args:
        text: ``guided-small:1``, ``ctap-small``, a folder, ``FOLDER:2``, ``s3:FILE``, ``s3:FOLDER``.
        load: A name or folder to a tokenizer, as :func:`vocable.systems.registry.load`.

    Raises:
        CheckpointError: There is no such model.
        ConfigError: It does not follow the clock, or lacks the level.

    Example:
        >>> import vocable
        >>> find_units("guided-small:2", vocable.load).spec.level
        2
    """
    if text.startswith(_S3):
        from vocable.systems.s3 import S3Units  # which imports this module

        return S3Units(text.removeprefix(_S3))
    levelled = _LEVELLED.fullmatch(text)
    try:
        name, level = (text, "1") if levelled is None or Path(text).is_dir() else levelled.groups()
        tokenizer = load(name)
    except (CheckpointError, OSError) as error:  # OSError: no system takes such a path
        raise CheckpointError(f"units {text[:80]!r}: {str(error)[:200]}; units are {_NAMES}") from error
    return TokenizerUnits(tokenizer, name, int(level))


def check(source: UnitSource, spec: UnitsSpec) -> None:
    """That a model may use these units: they are those that it was trained on, wherever they lie.

    Raises:
        SpecError: They are another's, or of another level.
    """
    found = source.spec
    if (found.digest, found.level) != (spec.digest, spec.level):
        raise SpecError(
            f"{found.name}, level {found.level}: units of another model ({found.digest[:23]}); trained on "
            f"{spec.name}, level {spec.level} ({spec.digest[:23]}); give the tokenizer that it was trained on"
        )
    if replace(found, name=spec.name, voice_width=spec.voice_width) != spec:
        raise SpecError(f"{found.name}: its units are {found}, the model says {spec}; one of the two was altered")


def samples_of(spec: UnitsSpec, units: Tensor, samples: int | None) -> int:
    """How many samples units are decoded to.

    Raises:
        SpecError: More are wanted than they give.
    """
    most = len(units) * spec.hop
    if samples is not None and not 0 < samples <= most:
        raise SpecError(f"{samples} samples of {len(units)} units: they give 1 to {most}")
    return most if samples is None else samples


def check_units(spec: UnitsSpec, units: Tensor, voice: Tensor | None) -> None:
    """That units, and a voice where one is needed, can be decoded.

    Raises:
        ShapeError: There are no units.
        SpecError: One is out of range, or there is no voice of the right width.
    """
    if units.ndim != 1 or not len(units):
        raise ShapeError(f"units have shape {tuple(units.shape)}: (N,) with N > 0 is wanted")
    if units.is_floating_point() or int(units.min()) < 0 or int(units.max()) >= spec.size:
        raise SpecError(
            f"units of {spec.name} are whole numbers in [0, {spec.size}); these are {units.dtype}, or others"
        )
    if spec.voice_width and (voice is None or voice.shape != (spec.voice_width,)):
        given = "none" if voice is None else str(tuple(voice.shape))
        raise SpecError(f"{spec.name}: a voice of ({spec.voice_width},) is wanted, not {given}; `voice` makes one")


def _voice_width(tokenizer: Tokenizer) -> int:
    """Numbers of the voice: asked of silence, since tokenizers do not say."""
    if not isinstance(tokenizer, HasVoice):
        return 0
    rate = tokenizer.spec.sample_rate
    return len(tokenizer.voice_of(Audio(torch.zeros(rate).numpy(), rate)))
