"""The common half of every tokenizer, and the record that presents a system to the rest of vocable."""

import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vocable.arguments import Range, check_arguments, check_value, checked_binding
from vocable.audio import Audio, AudioLike
from vocable.device import check_device
from vocable.errors import AudioError, ConfigError, ShapeError, SpecError
from vocable.folder import Migration, StoredModel, digest_of, read_model, write_model
from vocable.numerics import from_caller, reproducible
from vocable.quantizers import ResidualVectorQuantizer
from vocable.schema import parse, to_json
from vocable.shapes import mask_from_lengths
from vocable.systems.describe import Table
from vocable.systems.retired import retired
from vocable.systems.token_format import TokenFormat
from vocable.systems.weights import Fingerprint, check_networks, find_fault
from vocable.tokens import BEAM, Provenance, Tokens, TokenSpec
from vocable.train.run import Run

LevelCount = Annotated[int, Range(1, 1024)]
"""Number of levels of tokens."""
BeamWidth = Annotated[int, Range(1, 1024)]
"""Number of paths of a search for ids."""

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Model = TypeVar("_Model", bound=nn.Module)
_Self = TypeVar("_Self", bound="BaseTokenizer[Any]")  # not typing.Self, which the tests' checker of types cannot follow
_UNCHECKED = frozenset({"save", "describe"})  # methods that make no tokens, and take networks that were changed


def _public(function: _Function) -> _Function:
    """Decorate a public method: check its arguments and the networks, and compute in the reference state."""
    bind = checked_binding(function)

    def prepare(args: Any, kwargs: Any) -> tuple[Any, Any]:
        args, kwargs = bind(args, kwargs)
        check_networks(args[0])
        return args, kwargs

    return reproducible(function, prepare)


@dataclass(frozen=True, kw_only=True)
class System:
    """One tokenizer system. The registry holds these records; nothing else names a system.

    Attributes:
        name: Name in ``model.json``, on the command line and of the system's folder.
        title: Name in messages and on pages, as the paper writes it.
        tokenizer: Class that loads and runs a trained model.
        recipes: Training recipes by name; each returns a complete :class:`~vocable.train.run.Run`.
        example: A bundled model or a recipe to name in messages.
        uses: What its models can do beyond coding: any of ``tts``, ``vc``, ``asr``, ``generate``, ``edit``, ``score``.
        describe_config: Function from a configuration to tables of rates and network sizes, before any training.
    """

    name: str
    title: str
    tokenizer: "type[BaseTokenizer[Any]]"
    recipes: Mapping[str, Callable[[], Run]]
    example: str
    describe_config: Callable[[Any], list[Table]]
    uses: frozenset[str] = frozenset()


class BaseTokenizer(ABC, Generic[_Model]):
    """A trained tokenizer: batches, checks of tokens, saving and loading, over one clip's ``encode`` and ``decode``.

    Clips go through the networks one at a time, in the shapes that a clip alone has. So a clip has the same tokens
    alone and in any batch, by construction. A system may put several short clips into one window of the usual shape
    (see :func:`vocable.systems.windows.shared_windows`).

    Public methods of a subclass run under :func:`~vocable.numerics.reference_numerics`, whatever state the caller has
    set. They raise a SpecError if the networks were changed so that tokens would not be those of the digest: other
    values, half or double precision, or parts on several devices. Moving all of them to another device is allowed.

    Args:
        model: Networks, with a ``config``. Using the tokenizer puts them in evaluation mode.
        aliases: Digests of the same weights under earlier formats; tokens that carry one are accepted.

    Attributes:
        digest: Digest of configuration and weights. Tokens carry it.
        name: Name of the model, which tokens carry as a hint; None where it was not loaded by a name.
    """

    system: ClassVar[str]
    config_class: ClassVar[type]
    model_class: ClassVar[type[nn.Module]]
    migration: ClassVar[Migration | None] = None
    takes_vocoder: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, member in list(vars(cls).items()):
            if name.startswith("_"):
                continue
            if isinstance(member, classmethod):
                setattr(cls, name, classmethod(reproducible(check_arguments(member.__func__))))
            elif inspect.isfunction(member):
                member = _take_blocks(member) if name == "encode_blocks" else member
                setattr(cls, name, check_arguments(member) if name in _UNCHECKED else _public(member))

    @reproducible
    def __init__(self, model: _Model, *, aliases: Sequence[str] = ()) -> None:
        self.model = model
        self.config: Any = model.config
        self.digest = digest_of(to_json(self.config), model.state_dict())
        self.aliases = tuple(aliases)
        self._fingerprint = Fingerprint(None if find_fault(model) else model)
        self.name: str | None = None

    @property
    def spec(self) -> TokenSpec:
        """Rates and sizes of the tokens."""
        spec: TokenSpec = self.config.spec
        return spec

    @property
    def format(self) -> TokenFormat:
        """Format that tokens of this tokenizer have; :meth:`check_tokens` refuses others."""
        return TokenFormat(spec=self.spec)

    @property
    def beam(self) -> int:
        """Number of paths of the search for ids over residual levels; 1 takes the nearest entry level by level.

        It is a setting of this object, not of the model: tokens of every beam carry the same digest and decode alike.

        Raises:
            ConfigError: If it is set to more than 1, and the model has no residual levels.

        Example:
            >>> import vocable
            >>> codec = vocable.load("guided-small", beam=8)
            >>> codec.beam, codec.encode(vocable.testing.speechlike(640)).provenance.settings
            (8, {'beam': 8})
        """
        quantizer = self._residual_quantizer()
        return 1 if quantizer is None else quantizer.beam

    @beam.setter
    def beam(self, beam: int) -> None:
        check_value("beam", beam, BeamWidth)
        quantizer = self._residual_quantizer()
        if quantizer is not None:
            quantizer.beam = int(beam)
        elif beam != 1:
            raise ConfigError(
                f"beam is {beam}: {self.name or f'this {self.system} model'} has no residual levels to search; leave "
                "it at 1"
            )

    @property
    def device(self) -> torch.device:
        """Torch device of the networks."""
        return next(self.model.parameters()).device

    @abstractmethod
    def encode(self, audio: AudioLike, text: str | None = None) -> Tokens:
        """Encode one clip; a transcript that the system does not need is carried along in the tokens.

        Args:
            audio: Recording: audio, the path of a file, or ``(samples, sample_rate)``.
            text: Transcript, where it is known.
        """

    @abstractmethod
    def decode(self, tokens: Tokens, voice: AudioLike | None = None) -> Audio:
        """Decode one clip to audio as long as what was encoded, in another voice where the system can."""

    def check_encoding(self) -> None:
        """Load what encoding needs beside the model's folder, so that what is missing is known before any work.

        Raises:
            CheckpointError: If another model is needed and not at hand.
        """

    def check_decoding(self) -> None:
        """Load what decoding needs beside the model's folder; see :meth:`check_encoding`."""

    @abstractmethod
    def describe(self) -> list[Table]:
        """Return tables of sizes and rates, and of the codebooks as training left them."""

    @_public
    def encode_batch(self, clips: Sequence[AudioLike], texts: Sequence[str | None] | None = None) -> Tokens:
        """Encode many clips; see :meth:`vocable.interfaces.Tokenizer.encode_batch`."""
        if not clips:
            raise ShapeError("encode_batch needs at least one clip")
        if texts is not None and len(texts) != len(clips):
            raise ShapeError(
                f"encode_batch got {len(texts)} texts for {len(clips)} clips; give one for each, or None for those "
                "without"
            )
        return collate_tokens(self._encode_clips(clips, texts or [None] * len(clips)))

    @_public
    def decode_batch(self, tokens: Tokens) -> list[Audio]:
        """Decode many clips; each is the same as alone."""
        self.check_tokens(tokens)
        return [self.decode(tokens.clip(index)) for index in range(len(tokens))]

    @_public  # not inference mode: a probe may be trained on what it returns
    def embed(self, tokens: Tokens, levels: Sequence[int] | None = None) -> Float[Tensor, "B N D"]:
        """Return the codebook vectors that the decoder is given; see :class:`vocable.interfaces.Embedding`."""
        self.check_tokens(tokens)
        selected = self.select_levels(levels, tokens.spec.num_codebooks)
        vectors = self._look_up(tokens.ids.to(self.device), selected).cpu()
        return vectors * mask_from_lengths(tokens.lengths, vectors.shape[1])[..., None]

    @check_arguments
    def check_tokens(self, tokens: Tokens) -> None:
        """Raise a SpecError if tokens carry another tokenizer's digest, or contradict :attr:`format`."""
        if tokens.tokenizer not in (self.digest, *self.aliases):
            makers = [f"'{name}', " if name else "" for name in (tokens.provenance.model, self.name)]
            before = retired(tokens.tokenizer)
            advice = "load the one that made them" if before is None else f"{before} reads them; or encode again"
            raise SpecError(
                f"these tokens were made by tokenizer {makers[0]}{tokens.tokenizer[:23]}, this one is {makers[1]}"
                f"{self.digest[:23]}; {advice}"
            )
        self.format.check(tokens)

    @check_arguments
    def check_clip(self, tokens: Tokens) -> Tokens:
        """Return the tokens of one clip without padding.

        Raises:
            SpecError: If there is no clip or there are several, or they are another tokenizer's.
        """
        if len(tokens) != 1:
            raise SpecError(
                f"this takes one clip, these tokens hold {len(tokens)}; use decode_batch, or take them clip by clip"
            )
        self.check_tokens(tokens)
        return tokens.clip(0)

    @check_arguments
    def select_levels(self, levels: Sequence[int] | None, available: LevelCount) -> list[int]:
        """Return the levels to use, counted from 1; all by default.

        Raises:
            SpecError: If a level is missing, is named twice, or none is named.
        """
        every = range(1, available + 1)
        selected = list(every if levels is None else levels)
        if not selected or len({*selected}) < len(selected) or not all(level in every for level in selected):
            held = "level 1 alone" if available == 1 else f"levels 1 to {available}"
            raise SpecError(f"levels {selected} were asked of tokens that have {held}")
        return selected

    def __repr__(self) -> str:
        """Return one line: class, name, sizes and digest."""
        name = f"{self.name!r}, " if self.name else ""
        try:
            spec = f"{self.spec.num_codebooks} × {self.spec.codebook_size} at {self.spec.sample_rate} Hz, "
        except SpecError:  # a model without a quantizer
            spec = ""
        return f"{type(self).__name__}({name}{spec}{self.digest[:19]})"

    @check_arguments
    def save(self, folder: str | os.PathLike[str], *, half: bool = False) -> None:
        """Write a model folder from which :meth:`load` makes this tokenizer again; see :mod:`vocable.folder`.

        Args:
            folder: Path of the folder; created if missing.
            half: Whether to store float16. Where that changes a weight, the folder holds another tokenizer.

        Raises:
            OutputError: If the folder cannot be written.
        """
        write_model(
            folder, self.system, to_json(self.config), self.model, half=half, aliases=self.aliases,
            beside=self._write_beside,
        )  # fmt: skip

    @classmethod
    @reproducible
    @check_arguments
    def load(cls: type[_Self], folder: str | os.PathLike[str], device: str = "cpu", *, vocoder: str | None = None,
             find: "Callable[[str], BaseTokenizer[Any]] | None" = None) -> _Self:  # fmt: skip
        """Load a model folder that :meth:`save` wrote.

        Args:
            folder: Path of the folder.
            device: Torch device of the networks.
            vocoder: Name or folder of a vocoder, for systems that decode to spectra.
            find: Function that loads another tokenizer by name, for systems that decode through one.

        Raises:
            CheckpointError: If a file is missing, altered or of another version.
            ConfigError: If a vocoder is named and the system takes none.
        """
        if vocoder is not None and not cls.takes_vocoder:
            raise ConfigError(f"{folder}: a {cls.system} model makes samples itself and takes no vocoder; leave it out")
        stored, options = cls._read(folder, device), {"vocoder": vocoder} if cls.takes_vocoder else {}
        return cls(stored.network, aliases=stored.aliases, **options)

    @classmethod
    def _read(cls, folder: str | os.PathLike[str], device: str) -> StoredModel[Any]:
        def build(values: dict[str, Any]) -> nn.Module:
            return cls.model_class(parse(cls.config_class, values, "config"))

        return read_model(folder, build, str(check_device(device)), cls.migration)

    def _write_beside(self, folder: Path, digest: str) -> None:
        """Write what belongs to the model and not to its weights into its folder."""

    def _encode_clips(self, clips: Sequence[AudioLike], texts: Sequence[str | None]) -> list[Tokens]:
        """Encode each clip to the tokens that it has alone."""
        return [self.encode(clip, text) for clip, text in zip(clips, texts, strict=True)]

    def _residual_quantizer(self) -> ResidualVectorQuantizer | None:
        """Return the quantizer whose levels can be searched together, if there is one."""
        found = (part for part in self.model.modules() if isinstance(part, ResidualVectorQuantizer))
        return next((part for part in found if part.num_codebooks > 1), None)

    @abstractmethod
    def _look_up(self, ids: Int[Tensor, "B Q N"], levels: Sequence[int]) -> Float[Tensor, "B N D"]:
        """Return the sum of the codebook vectors of some levels."""

    def _tokens(self, ids: Int[Tensor, "1 Q N"], samples: int, text: str | None,
                voice: Float[Tensor, "1 V"] | None = None) -> Tokens:  # fmt: skip
        """Return one clip's ids as tokens of this tokenizer; the clip has ``samples`` at ``spec.sample_rate``."""
        tokens = Tokens(
            ids=ids, lengths=torch.tensor([ids.shape[2]]), samples=torch.tensor([samples]), spec=self.spec,
            tokenizer=self.digest, text=None if text is None else (text,), voice=voice,
            voice_levels=None if voice is None else self.format.voice_levels,
            provenance=Provenance(model=self.name, settings={} if self.beam == 1 else {BEAM: self.beam}),
        )  # fmt: skip
        if self.spec.hop is None:  # what cannot be decoded is not encoded; with a hop, frames follow from samples
            try:
                self.format.check(tokens)
            except SpecError as error:
                raise AudioError(f"the clip cannot be encoded: {error}") from error
        return tokens


def _take_blocks(encode_blocks: Callable[..., Tokens]) -> Callable[..., Tokens]:
    """Return the method with blocks that the caller's code makes in the caller's state."""

    @wraps(encode_blocks)
    def method(self: Any, blocks: Iterable[Any], *args: Any, **kwargs: Any) -> Tokens:
        return encode_blocks(self, from_caller(blocks), *args, **kwargs)

    return method


def collate_tokens(parts: Sequence[Tokens]) -> Tokens:
    """Join tokens of one tokenizer into one batch, padded with 0 behind the end of the shorter clips.

    Example:
        >>> import vocable
        >>> from vocable.testing import speechlike
        >>> codec = vocable.load("guided-small")
        >>> collate_tokens([codec.encode(speechlike(960)), codec.encode(speechlike(640))]).ids.shape
        torch.Size([2, 8, 3])
    """
    frames = max(part.ids.shape[2] for part in parts)
    voices = [part.voice for part in parts if part.voice is not None]
    texts = [text for part in parts for text in part.text or (None,) * len(part)]
    first, *others = (part.provenance for part in parts)
    beam, *other_beams = (one.settings.get(BEAM) for one in (first, *others))
    shared = {BEAM: beam} if beam is not None and all(other == beam for other in other_beams) else {}
    return parts[0].with_contents(
        ids=torch.cat([F.pad(part.ids, (0, frames - part.ids.shape[2])) for part in parts]),
        lengths=torch.cat([part.lengths for part in parts]),
        samples=torch.cat([part.samples for part in parts]),
        voice=torch.cat(voices) if voices else None,
        text=None if all(text is None for text in texts) else tuple(texts),
        provenance=first if all(other == first for other in others) else Provenance(model=first.model, settings=shared),
    )
