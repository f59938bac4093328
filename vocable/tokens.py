"""Tokens: batches of clips as ids, and the files that hold them (layout: top of :mod:`vocable.token_file`)."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, Int64
from numpy import ndarray
from torch import Tensor

from vocable.arguments import check_arguments, check_value, show
from vocable.device import check_device
from vocable.errors import ArgumentError, ClipIndexError, SpecError, TokenFileError
from vocable.files import MAX_FILE_BYTES, read_file, write_whole
from vocable.notebook import table_html
from vocable.numerics import reproducible
from vocable.token_file import ClipHeader, Header, Provenance, TokenSpec, seal, unseal
from vocable.voices import MAX_LEVELS, pack_voices, round_voice, unpack_voices

__all__ = ["Provenance", "TokenSpec", "Tokens", "pack", "unpack"]

BEAM = "beam"
"""Setting of tokens whose ids a beam search found: its number of paths."""
_MAX_IDS = 1 << 28  # of a padded batch (2 GiB): a small file with one long clip and many empty ones may ask for more
_SHOWN_CLIPS, _SHOWN_LEVELS, _SHOWN_IDS = 10, 8, 32  # in a notebook
_FIELDS = {
    "ids": Tensor, "lengths": Tensor, "samples": Tensor, "spec": TokenSpec, "tokenizer": str,
    "text": tuple[str | None, ...] | None, "voice": Tensor | None, "voice_levels": int | None,
    "provenance": Provenance,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Tokens:
    """A batch of clips as ids: a sequence of clips, equal to another where the contents are, whatever is known of it.

    Attributes:
        ids: Ids of shape (B, Q, N), each in [0, K); 0 behind a clip's end.
        lengths: Number of frames of each clip, of shape (B,).
        samples: Number of samples of each clip at ``spec.sample_rate``, of shape (B,); decoding restores it.
        spec: Specification of the tokens; its ``num_codebooks`` is this batch's Q.
        tokenizer: Digest of the tokenizer that made the tokens; decoding with another one is an error.
        text: Transcript of each clip, None where there is none.
        voice: Voice vector of each clip, of shape (B, V), for tokenizers that keep one beside the tokens.
        voice_levels: Number of levels of each dimension of the voice, where its tokenizer quantizes it; a file then
            holds ``V · ceil(log2 voice_levels)`` bits for each clip. None for float32 numbers.
        provenance: Model, source and settings that the tokens come from, as far as they are known.

    Raises:
        ArgumentError: If a field is of another type.
        SpecError: If shapes, ranges or counts contradict one another.

    Example:
        >>> spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=4, num_codebooks=2)
        >>> tokens = Tokens(
        ...     ids=torch.tensor([[[0, 1, 2], [3, 2, 1]]]), lengths=torch.tensor([3]),
        ...     samples=torch.tensor([900]), spec=spec, tokenizer="example",
        ... )
        >>> tokens.keep_levels(1).ids.tolist(), tokens.keep_levels(1).spec.bit_rate
        ([[[0, 1, 2]]], 100.0)
        >>> tokens[0] == tokens, len(tokens), tokens.numpy().shape
        (True, 1, (1, 2, 3))
    """

    ids: Int[Tensor, "B Q N"]
    lengths: Int[Tensor, " B"]
    samples: Int[Tensor, " B"]
    spec: TokenSpec
    tokenizer: str
    text: tuple[str | None, ...] | None = None
    voice: Float[Tensor, "B V"] | None = None
    voice_levels: int | None = None
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raise a SpecError if shapes, ranges or counts contradict one another."""
        self._check_types()
        if self.ids.ndim != 3 or self.ids.dtype != torch.int64:
            raise SpecError(
                f"ids are {self.ids.dtype} of shape {tuple(self.ids.shape)}, expected int64 of shape (B, Q, N)"
            )
        batch, levels, frames = self.ids.shape
        if levels != self.spec.num_codebooks:
            raise SpecError(f"ids have {levels} levels but the spec says {self.spec.num_codebooks}")
        for name, value in (("lengths", self.lengths), ("samples", self.samples)):
            if value.shape != (batch,):
                raise SpecError(f"{name} have shape {tuple(value.shape)}, expected ({batch},), one for each clip")
        if batch and (int(self.lengths.min()) < 0 or int(self.lengths.max()) > frames):
            raise SpecError(f"lengths {self.lengths.tolist()} do not fit the {frames} frames of the ids")
        if batch and int(self.samples.min()) < 0:
            raise SpecError(f"samples are {self.samples.tolist()}; counts cannot be negative")
        if self.ids.numel() and (int(self.ids.min()) < 0 or int(self.ids.max()) >= self.spec.codebook_size):
            raise SpecError(
                f"ids lie in [{int(self.ids.min())}, {int(self.ids.max())}] "
                f"but the codebook has entries 0 to {self.spec.codebook_size - 1}"
            )
        if self.text is not None and len(self.text) != batch:
            raise SpecError(f"there are {len(self.text)} texts for {batch} clips")
        if self.voice is not None and (self.voice.ndim != 2 or len(self.voice) != batch or not self.voice.shape[1]):
            raise SpecError(f"voice has shape {tuple(self.voice.shape)}, expected ({batch}, V) with V > 0")
        self._check_levels()

    def _check_levels(self) -> None:
        levels = self.voice_levels
        if levels is not None and not 2 <= levels <= MAX_LEVELS:
            raise SpecError(f"voice_levels is {levels}: it must be between 2 and {MAX_LEVELS}")
        if (
            levels is not None
            and self.voice is not None
            and not torch.equal(round_voice(self.voice, levels), self.voice.float())
        ):
            raise SpecError(
                f"voice is not at the {levels} levels of each dimension; round it: vocable.voices.round_voice(voice, "
                f"{levels})"
            )

    def _check_types(self) -> None:
        for name, hint in _FIELDS.items():
            value = getattr(self, name)
            check_value(f"Tokens: {name}", value, hint)
            if isinstance(value, Tensor) and (value.is_meta or value.layout != torch.strided):
                raise SpecError(f"{name} are on the device meta, or sparse: they have no values to use")
        for name, tensor in (("lengths", self.lengths), ("samples", self.samples)):
            if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
                raise SpecError(f"{name} are {tensor.dtype}, expected integers")
        if self.voice is not None and not self.voice.is_floating_point():
            raise SpecError(f"voice is {self.voice.dtype}, expected floats")
        for text in (self.tokenizer, *(self.text or ())):
            if text is not None and any("\ud800" <= letter <= "\udfff" for letter in text):
                raise SpecError(f"text {show(text)} has half a surrogate pair, which no file can hold; take it away")

    def __len__(self) -> int:
        """Return the number of clips in the batch."""
        return self.ids.shape[0]

    def __repr__(self) -> str:
        """Return one line: sizes, seconds, and the model or the tokenizer's digest."""
        seconds = int(self.samples.sum()) / self.spec.sample_rate
        maker = self.provenance.model or self.tokenizer[:19]
        size = f"{len(self)} clips" if len(self) != 1 else "1 clip"
        return (
            f"Tokens({size}, {int(self.lengths.sum())} frames × {self.spec.num_codebooks} levels of "
            f"{self.spec.codebook_size}, {seconds:.2f} s, by {maker!r})"
        )

    def _repr_html_(self) -> str:
        """Return a table of the first clips and ids, for notebooks."""
        rows = []
        for number in range(min(len(self), _SHOWN_CLIPS)):
            count, text = int(self.lengths[number]), (self.text or (None,) * len(self))[number]
            for level in range(min(self.spec.num_codebooks, _SHOWN_LEVELS)):
                ids = " ".join(map(str, self.ids[number, level, : min(count, _SHOWN_IDS)].tolist()))
                facts = (number, f"{int(self.samples[number]) / self.spec.sample_rate:.2f} s", text or "")
                rows.append((*(facts if level == 0 else ("", "", "")), level + 1, ids + " …" * (count > _SHOWN_IDS)))
        return table_html(repr(self), ("clip", "duration", "text", "level", "ids"), rows)

    def __eq__(self, other: object) -> bool:
        return self._contents() == other._contents() if isinstance(other, Tokens) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._contents())

    def _contents(self) -> tuple[object, ...]:
        """Return what makes tokens equal: everything but padding, provenance and devices."""
        lengths, ids = tuple(self.lengths.tolist()), self.ids.cpu()
        voice = None if self.voice is None else self.voice.detach().float().cpu().numpy().tobytes()
        levels = None if voice is None else self.voice_levels
        return (
            self.spec, self.tokenizer, lengths, tuple(self.samples.tolist()), self.text or (None,) * len(self), voice,
            levels,
            *(ids[row, :, :count].contiguous().numpy().tobytes() for row, count in enumerate(lengths)),
        )  # fmt: skip

    def __iter__(self) -> Iterator["Tokens"]:
        """Iterate over the clips, each as a batch of one."""
        return (self.clip(index) for index in range(len(self)))

    @check_arguments
    def __getitem__(self, index: int | slice) -> "Tokens":
        """Return one clip, as :meth:`clip` does, or those of a slice as a batch."""
        if not isinstance(index, slice):
            return self.clip(index)
        try:
            rows = list(range(len(self))[index])
        except (TypeError, ValueError) as error:  # bounds that are no integers, or a step of 0
            raise ArgumentError(f"Tokens: the slice is {show(index)} ({error}); pass integers, such as 0:2") from error
        longest = max((int(self.lengths[row]) for row in rows), default=0)
        return replace(
            self, ids=self.ids[rows, :, :longest], lengths=self.lengths[rows], samples=self.samples[rows],
            text=self.text and tuple(self.text[row] for row in rows),
            voice=None if self.voice is None else self.voice[rows],
        )  # fmt: skip

    def numpy(self) -> Int64[ndarray, "B Q N"]:
        """Return the ids as an array."""
        return self.ids.cpu().numpy()

    @check_arguments
    def to(self, device: str | torch.device) -> "Tokens":
        """Return the tokens with their tensors on a torch device.

        Raises:
            ConfigError: If there is no such device.
        """
        place = check_device(str(device))
        voice = None if self.voice is None else self.voice.to(place)
        return replace(
            self, ids=self.ids.to(place), lengths=self.lengths.to(place), samples=self.samples.to(place), voice=voice
        )

    @check_arguments
    def keep_levels(self, count: int) -> "Tokens":
        """Return the tokens with the first ``count`` levels alone, for a lower bit rate.

        Raises:
            SpecError: If ``count`` is not in [1, Q].
        """
        if not 1 <= count <= self.spec.num_codebooks:
            raise SpecError(f"{count} levels were asked of tokens that have {self.spec.num_codebooks}")
        count = int(count)
        return self.with_contents(ids=self.ids[:, :count], spec=replace(self.spec, num_codebooks=count))

    @check_arguments
    def clip(self, index: int) -> "Tokens":
        """Return one clip as a batch of one, without padding; a negative index counts from the end.

        Raises:
            ClipIndexError: If there is no such clip.
        """
        if not -len(self) <= index < len(self):
            raise ClipIndexError(f"clip {index} was asked of tokens that hold {len(self)} clips; count from 0")
        index = int(index) % len(self)
        row = slice(index, index + 1)
        return replace(
            self, ids=self.ids[row, :, : int(self.lengths[index])], lengths=self.lengths[row],
            samples=self.samples[row], text=self.text and self.text[row],
            voice=None if self.voice is None else self.voice[row],
        )  # fmt: skip

    def with_contents(self, **changes: Any) -> "Tokens":
        """Return a copy with other fields. It names model and beam, but no source, of which it is not the encoding."""
        settings = {name: value for name, value in self.provenance.settings.items() if name == BEAM}
        return replace(self, **{"provenance": Provenance(model=self.provenance.model, settings=settings), **changes})

    @check_arguments
    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a token file, completely or not at all.

        Raises:
            OutputError: If the file cannot be written.
        """
        write_whole(Path(path), lambda temporary: temporary.write_bytes(pack(self)), same=_same_contents)

    @classmethod
    @check_arguments
    def read(cls, path: str | os.PathLike[str]) -> "Tokens":
        """Read a token file.

        Raises:
            TokenFileError: If the file is missing, no token file, of another version, truncated or altered.
        """
        data = read_file(path, TokenFileError, "check the path and its rights", limit=MAX_FILE_BYTES)
        try:
            return unpack(data)
        except TokenFileError as error:
            raise TokenFileError(f"{path}: {error}") from error


def _same_contents(made: Path, other: Path) -> bool:
    """Return whether two files hold the same tokens, whatever is known of their provenance."""
    try:
        one, two = (pack(replace(Tokens.read(path), provenance=Provenance())) for path in (made, other))
    except TokenFileError:
        return False
    return one == two


@reproducible
def pack(tokens: Tokens) -> bytes:
    """Return tokens as the bytes of a token file.

    Raises:
        SpecError: If the batch is too large for one file.
    """
    if tokens.ids.numel() > _MAX_IDS:
        raise SpecError(f"{tokens.ids.numel()} ids are too many for one token file; write at most {_MAX_IDS}")
    texts = tokens.text or (None,) * len(tokens)
    clips = zip(tokens.lengths.tolist(), tokens.samples.tolist(), texts, strict=True)
    header = Header(
        **asdict(tokens.spec), tokenizer=tokens.tokenizer, provenance=tokens.provenance,
        voice_width=0 if tokens.voice is None else tokens.voice.shape[1],
        voice_levels=None if tokens.voice is None else tokens.voice_levels,
        clips=tuple(ClipHeader(frames=frames, samples=samples, text=text) for frames, samples, text in clips),
    )  # fmt: skip
    ids = (tokens.ids[row, :, :frames].T.cpu().numpy() for row, frames in enumerate(tokens.lengths.tolist()))
    voices = b"" if tokens.voice is None else pack_voices(tokens.voice, tokens.voice_levels)
    return seal(header, ids, voices)


@reproducible
def unpack(data: bytes) -> Tokens:
    """Return the tokens in the bytes of a token file.

    Raises:
        TokenFileError: If the bytes are no token file, of another version, truncated or altered.
    """
    header, packed, voices = unseal(data)
    clips, spec = header.clips, header.spec
    counts = [clip.frames * spec.num_codebooks for clip in clips]
    longest = max((clip.frames for clip in clips), default=0)
    if len(clips) * spec.num_codebooks * longest > _MAX_IDS:
        raise TokenFileError(f"{len(clips)} clips of up to {longest} frames are too many for one file; split them")
    texts = tuple(clip.text for clip in clips)
    ids = torch.zeros(len(clips), spec.num_codebooks, longest, dtype=torch.int64)
    for row, (clip, part) in enumerate(zip(clips, torch.from_numpy(packed).split(counts), strict=True)):
        ids[row, :, : clip.frames] = part.reshape(clip.frames, spec.num_codebooks).T
    try:
        voice = torch.from_numpy(unpack_voices(voices, len(clips), header.voice_width, header.voice_levels))
        return Tokens(
            ids=ids, spec=spec, tokenizer=header.tokenizer, provenance=header.provenance,
            lengths=torch.tensor([clip.frames for clip in clips], dtype=torch.int64),
            samples=torch.tensor([clip.samples for clip in clips], dtype=torch.int64),
            text=texts if any(text is not None for text in texts) else None,
            voice=voice if header.voice_width else None, voice_levels=header.voice_levels,
        )  # fmt: skip
    except (SpecError, ValueError) as error:
        raise TokenFileError(f"the contents contradict one another: {error}; make the file again") from error
