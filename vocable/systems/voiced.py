"""Tokenizers that keep the voice as one vector beside their tokens and decode mel spectra through a vocoder."""

import math
import os
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from vocable.arguments import check_value
from vocable.audio import Audio, AudioLike, as_audio, check_audible
from vocable.audio_files.mark import SyntheticMark
from vocable.data.alignment.record import Segment
from vocable.errors import AudioError, ConfigError, SpecError
from vocable.interfaces import Mix
from vocable.numerics import aligned
from vocable.quantizers import Codebook, FiniteScalarQuantizer, VectorQuantizer
from vocable.systems.base import BaseTokenizer
from vocable.systems.describe import Table, codebook_table, spec_rows
from vocable.systems.named_voices import is_voice_name, read_voices, write_voices
from vocable.systems.token_format import NO_VOICE, TokenFormat
from vocable.text.phonemes import ARPABET, PhonemeSet
from vocable.text.word_model import bundled_search
from vocable.text.word_search import WordSearchConfig
from vocable.tokens import Tokens
from vocable.vocoders import Vocoder, find_vocoder
from vocable.vocoders.scaled import SpectraModel, crop_middle
from vocable.voices import round_voice

MIN_VOICE_SECONDS = 0.5
_ROUNDING = 1e-6  # tolerance, in positions, of a count that should be whole
_MAX_SCALE_CLIPS = 500  # clips that the scale of spectra is measured on


class VoicedModel(SpectraModel):
    """Networks of a voiced tokenizer, with the scale of their spectra.

    Args:
        config: Configuration with ``mel``, the spectra that are encoded and decoded, and ``voice``.
    """

    quantizer: VectorQuantizer | FiniteScalarQuantizer

    def __init__(self, config: Any) -> None:
        super().__init__(config.mel)
        self.config = config

    @abstractmethod
    def embed_voice(self, frames: Float[Tensor, "B S F"]) -> Float[Tensor, "B V"]:
        """Return the voice vector of ``voice.frames`` spectra."""


_Model = TypeVar("_Model", bound=VoicedModel)
_Voiced = TypeVar("_Voiced", bound="VoicedTokenizer[Any]")


class VoicedTokenizer(BaseTokenizer[_Model]):
    """A tokenizer that keeps the voice as one vector beside its tokens, and decodes mel spectra through a vocoder.

    With ``config.voice.levels``, each dimension of the vector is rounded to one of so many levels: :meth:`voice_of` and
    :meth:`encode` return such vectors, and a vector of the caller is rounded before it is used.

    Args:
        model: Networks, with a ``config`` that has ``phonemes``, ``mel``, ``voice_size`` and ``spec``.
        vocoder: Name or folder, see :func:`vocable.vocoders.find_vocoder`; the best bundled one by default.
        aliases: Digests of the same weights under earlier formats.

    Attributes:
        phonemes: Phoneme inventory.
        vocoder: Vocoder that renders the decoded spectra.
        voices: Voice vectors (V,) by name, in alphabetical order, which come with the model.
        word_search: Settings with which :meth:`transcribe_words` searches by default, tuned on dev splits.
        word_stride: Number of positions of :meth:`phoneme_scores` whose mean that search takes as one.
    """

    takes_vocoder = True
    word_search: ClassVar[WordSearchConfig] = WordSearchConfig()
    word_stride: ClassVar[int] = 1

    def __init__(self, model: _Model, vocoder: str | None = None, *, aliases: Sequence[str] = ()) -> None:
        super().__init__(model, aliases=aliases)
        self.phonemes = PhonemeSet(self.config.phonemes)
        self.vocoder: Vocoder = find_vocoder(vocoder, self.config.mel)
        self.voices: dict[str, Tensor] = {}

    @classmethod
    @override
    def load(cls: type[_Voiced], folder: str | os.PathLike[str], device: str = "cpu", *, vocoder: str | None = None,
             find: Callable[[str], BaseTokenizer[Any]] | None = None) -> _Voiced:  # fmt: skip
        """Load a model folder with its voices; see :meth:`vocable.systems.base.BaseTokenizer.load`."""
        tokenizer = super().load(folder, device, vocoder=vocoder, find=find)
        digests = (tokenizer.digest, *tokenizer.aliases)
        tokenizer.voices = read_voices(Path(folder), tokenizer.config.voice_size, digests)
        return tokenizer

    @abstractmethod
    def latents(self, audio: AudioLike) -> Float[Tensor, "1 N D"]:
        """Return a clip's latents before quantizing."""

    @abstractmethod
    def spectra(self, tokens: Tokens, voice: Float[Tensor, "1 V"]) -> Float[Tensor, "F S"]:
        """Return the mel spectra in dB of this tokenizer's tokens of one clip, decoded with a voice vector."""

    @abstractmethod
    def phoneme_scores(self, tokens: Tokens) -> Float[Tensor, "S V"]:
        """Return the log-probability of each phoneme at each of S positions, evenly spaced over one clip.

        Raises:
            SpecError: If the tokens are another tokenizer's.
        """

    @abstractmethod
    def phoneme_path(self, tokens: Tokens) -> Int[Tensor, " S"]:
        """Return the phoneme id at each of S positions, evenly spaced over one clip; 0 is silence, or CTC's blank.

        Raises:
            SpecError: If the tokens are another tokenizer's.
        """

    @classmethod
    @abstractmethod
    def size_rows(cls, model: _Model) -> list[tuple[str, str]]:
        """Return table rows with the sizes of the networks and what is specific to the system."""

    @property
    @override
    def format(self) -> TokenFormat:
        return _format(self.config)

    @property
    def codebooks(self) -> Sequence[Codebook | FiniteScalarQuantizer]:
        """Codebook, as a list of one."""
        return list(self.model.quantizer.codebooks)

    @classmethod
    def describe_config(cls, config: Any) -> list[Table]:
        """Return a table of rates and sizes of a model that is not trained yet."""
        check_value("describe_config: config", config, cls.config_class)
        with torch.device("meta"):
            model: Any = cls.model_class(config)
        return [Table("Model", _rows(config, cls.size_rows(model)))]

    def describe(self) -> list[Table]:
        """Return tables of rates and sizes, and of the codebook as training left it."""
        sizes = _rows(self.config, self.size_rows(self.model))
        rows = [("digest", self.digest), *sizes, ("vocoder", self.vocoder.name)]
        if self.voices:
            rows.append(("voices", ", ".join(self.voices)))
        return [Table("Model", rows), codebook_table(self.codebooks)]

    @torch.inference_mode()
    def encode(self, audio: AudioLike, text: str | None = None) -> Tokens:
        """Encode one clip, with its voice beside the tokens; the text is carried along and not used.

        Raises:
            CheckpointError: If a network that the tokens depend on is not at hand.
        """
        clip = as_audio(audio).resample(self.spec.sample_rate)
        ids = self.model.quantizer.encode(self.latents(clip).to(self.device)).cpu()
        return self._tokens(ids, clip.samples.size, text, self.embed_voice(clip)[None])

    def decode(self, tokens: Tokens, voice: AudioLike | Float[Tensor, " V"] | None = None) -> Audio:
        """Decode one clip in the voice of its tokens, or in another one.

        Args:
            tokens: Tokens of one clip.
            voice: At least half a second of another speaker, or a voice vector, such as one of :attr:`voices`.

        Raises:
            SpecError: If the tokens are another tokenizer's, hold several clips, or carry no voice and none is given,
                or the vector is none of this tokenizer.
            AudioError: If the voice is too short.
        """
        tokens = self.check_clip(tokens if voice is None else replace(tokens, voice=None))
        vector = self._vector_of(voice)[None] if voice is not None else tokens.voice
        spectra = self.spectra(tokens, check_voice(vector))
        mark = None if voice is None else SyntheticMark.by(self, "voice conversion")
        return Audio(self.vocoder.render(spectra)[: int(tokens.samples[0])], self.spec.sample_rate, mark=mark)

    def convert(
        self, source: AudioLike, voice: AudioLike | Float[Tensor, " V"], mix: Mix | None = None
    ) -> Audio:  # fmt: skip
        """Convert a recording to another voice: decode its tokens with the other voice vector.

        Arguments and errors are those of :meth:`vocable.interfaces.VoiceConverter.convert`; ``mix`` must be None.
        """
        self.check_mix(mix)
        return self.decode(self.encode(source), voice)

    def check_mix(self, mix: Mix | None) -> None:
        """Raise a SpecError if mixing of levels is asked for."""
        if mix is not None:
            raise SpecError(
                f"a {type(self).__name__} keeps the voice beside its tokens and mixes no levels: leave 'levels', "
                "'upto' and 'align' out"
            )

    def voice_of(self, audio: AudioLike) -> Float[Tensor, " V"]:
        """Return the voice vector of the middle of a recording.

        Raises:
            AudioError: If the recording is shorter than half a second, or silent in the middle.
        """
        audio = as_audio(audio, "voice")
        if audio.duration < MIN_VOICE_SECONDS:
            raise AudioError(
                f"the voice is {audio.duration:.2f} s long, at least {MIN_VOICE_SECONDS:g} s are needed; give a longer "
                "recording of the speaker"
            )
        check_audible(Audio(self._middle(audio), self.spec.sample_rate), "the voice, in the middle of the recording,")
        return self.embed_voice(audio)

    def add_voice(self, name: str, recordings: Sequence[AudioLike]) -> None:
        """Add a voice to :attr:`voices`, which :meth:`save` keeps: the mean of the voice vectors of some recordings.

        Args:
            name: Name of the voice: lower-case letters, digits, hyphens and underscores.
            recordings: Recordings of the speaker, each at least half a second long.

        Raises:
            ConfigError: If the name may not be that of a voice, or there is no recording.
            AudioError: If a recording is too short.
        """
        if not is_voice_name(name):
            raise ConfigError(f"name is {name[:80]!r}: take lower-case letters, digits, hyphens and underscores")
        if not recordings:
            raise ConfigError(f"the voice '{name}' needs at least one recording of the speaker")
        mean = torch.stack([self.voice_of(recording) for recording in recordings]).mean(0)
        voices = self.voices | {name: round_voice(mean, self.config.voice.levels)}
        self.voices = {one: voices[one] for one in sorted(voices)}

    @torch.inference_mode()
    def embed_voice(self, audio: AudioLike) -> Float[Tensor, " V"]:
        """Return the voice vector of the middle of a clip of any duration, without encoding it."""
        model, hop, middle = self.model.eval(), self.config.mel.hop, self._middle(as_audio(audio, "voice"))
        padded = aligned(torch.from_numpy(np.pad(middle, (0, -middle.size % hop))))
        frames = model.frames(padded[None].to(self.device))
        vector = model.embed_voice(crop_middle(frames, self.config.voice.frames)).float().cpu()[0]
        return round_voice(vector, self.config.voice.levels)

    def _middle(self, audio: Audio) -> Float[np.ndarray, " T"]:
        """Return the samples of a recording that its voice vector is made from."""
        samples, size = audio.resample(self.spec.sample_rate).samples, self.config.voice.frames * self.config.mel.hop
        start = max(0, (samples.size - size) // 2)
        return samples[start : start + size]

    def transcribe(self, tokens: Tokens) -> list[str]:
        """Return the phonemes of one clip: those of :meth:`phoneme_path` without repeats and silence."""
        return self.phonemes.names(collapse_path(self.phoneme_path(tokens)))

    def transcribe_words(self, tokens: Tokens, search: WordSearchConfig | None = None) -> list[Segment]:
        """Return the English words of one clip, found in :meth:`phoneme_scores` by a lexicon and a trigram model.

        Args:
            tokens: Tokens of this tokenizer.
            search: Settings of the search; by default :attr:`word_search`.

        Returns:
            Words in lower case, from the first to behind the last position of their phonemes, in seconds.

        Raises:
            SpecError: If the tokens are another tokenizer's, or the phonemes of the model are not ARPAbet.

        Source:
            :class:`vocable.text.word_search.WordSearch`, with :class:`vocable.text.word_model.WordModel`.
        """
        if not set(self.phonemes.symbols[1:]) <= set(ARPABET):
            raise SpecError("words are found in ARPAbet phonemes; the model has others: use its phonemes")
        scores = self.phoneme_scores(tokens).cpu().numpy()
        duration = int(tokens.samples[0]) / self.spec.sample_rate
        seconds = tokens.ids.shape[2] / self.spec.frame_rate / len(scores)
        scores = scores[: math.ceil(duration / seconds - _ROUNDING)]  # the last token may be partly padding
        starts = np.arange(0, len(scores), self.word_stride)
        sizes = np.diff(starts, append=len(scores))[:, None]
        scores, seconds = np.add.reduceat(scores, starts, axis=0) / sizes, seconds * self.word_stride
        finder = bundled_search(self.phonemes.symbols).with_settings(search or self.word_search)
        return [
            Segment(word.text, word.start * seconds, min(word.end * seconds, duration)) for word in finder.find(scores)
        ]

    def _vector_of(self, voice: AudioLike | Float[Tensor, " V"]) -> Float[Tensor, " V"]:
        """Return the voice vector of a recording, or a checked voice vector, on the CPU."""
        return self._check_vector(voice).cpu() if isinstance(voice, Tensor) else self.voice_of(voice)

    @override
    def _write_beside(self, folder: Path, digest: str) -> None:
        write_voices(folder, self.voices, digest)

    def _check_vector(self, voice: Float[Tensor, "*B V"]) -> Float[Tensor, "*B V"]:
        """Return a voice vector on the networks' device, rounded to the model's levels where it has some.

        Raises:
            SpecError: If it is none of this tokenizer.
        """
        if voice.shape[-1:] != (self.config.voice_size,) or voice.is_meta or not bool(voice.isfinite().all()):
            raise SpecError(
                f"the voice has shape {tuple(voice.shape)}: pass {self.config.voice_size} finite numbers, as voice_of "
                "returns them"
            )
        return round_voice(voice.cpu(), self.config.voice.levels).to(self.device)

    def _embed_clip(self, tokens: Tokens) -> Float[Tensor, "1 N D"]:
        """Return the codebook vectors of this tokenizer's tokens of one clip."""
        return self.embed(self.check_clip(tokens))

    def _look_up(self, ids: Int[Tensor, "B Q N"], levels: Sequence[int]) -> Float[Tensor, "B N D"]:
        return self.model.quantizer.decode(ids)


def collapse_path(path: Int[Tensor, " S"]) -> list[int]:
    """Return the ids of a path of phonemes: without repeats, then without silence or CTC's blank (0).

    Example:
        >>> collapse_path(torch.tensor([0, 3, 3, 0, 3, 5]))
        [3, 3, 5]
    """
    return [label for label in torch.unique_consecutive(path).tolist() if label]


def measure_scale(model: SpectraModel, count: int, read: Callable[[int], Float[np.ndarray, " T"]]) -> None:
    """Set the scale of a model's spectra from up to 500 of ``count`` clips, evenly spaced over the training data.

    ``read`` returns the samples of a clip by its index, padded to a whole number of spectra.
    """
    indices = np.linspace(0, count - 1, min(_MAX_SCALE_CLIPS, count)).round().astype(int)
    model.fit_scale(torch.from_numpy(read(index))[None] for index in np.unique(indices).tolist())


def voice_alarms(divergence: Float[Tensor, ""], floor: float, weight: float) -> tuple[str, ...]:
    """Return a warning if the voice embedding carries no information: its divergence in nats is at the floor.

    There is no warning while the divergence has weight 0.
    """
    is_empty = bool(weight) and float(divergence) <= floor
    return (f"KL is at its floor of {floor:g} nat: the voice embedding carries no information",) if is_empty else ()


def rename_keys(values: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a configuration of vocable 0.1 with some keys renamed; ``part.key`` moves a value into a part.

    Example:
        >>> rename_keys({"size": 8, "kind": "ema"}, {"size": "codebook.size"})
        {'codebook': {'size': 8}, 'kind': 'ema'}
    """
    renamed: dict[str, Any] = {}
    for key, value in values.items():
        part, _, name = names.get(key, key).rpartition(".")
        (renamed.setdefault(part, {}) if part else renamed)[name] = value
    return renamed


def check_voice(voice: Float[Tensor, "B V"] | None) -> Float[Tensor, "B V"]:
    """Return the voice vectors of tokens in float32; raise a SpecError if there are none."""
    if voice is None:
        raise SpecError(NO_VOICE)
    return aligned(voice.detach().to(torch.float32))


def _rows(config: Any, size_rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [
        *spec_rows(config.spec),
        ("samples to a token", f"{config.hop}"),
        *_format(config).rate_rows(),
        *size_rows,
    ]


def _format(config: Any) -> TokenFormat:
    return TokenFormat(spec=config.spec, voice_width=config.voice_size, voice_levels=config.voice.levels)
