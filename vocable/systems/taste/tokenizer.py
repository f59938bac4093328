"""Trained TASTE: speech and its text to one token per subword, and tokens to speech by way of units.

Whisper is needed to encode, the tokenizer of the units to decode; both are other models. Every clip goes through the
networks alone, so it has the same tokens in any batch.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from vocable.arguments import Seed
from vocable.audio import Audio, AudioLike, as_audio, check_audible
from vocable.audio_files.mark import SyntheticMark
from vocable.errors import CheckpointError, ConfigError, SpecError, TextError
from vocable.features.hub import located
from vocable.features.whisper import WhisperLayers, load_encoder
from vocable.folder import Migration
from vocable.shapes import frames_for
from vocable.systems.base import BaseTokenizer, LevelCount
from vocable.systems.describe import Table, codebook_table, spec_rows
from vocable.systems.taste.config import TasteConfig, migrate
from vocable.systems.taste.data import TasteBatch, TasteExample, split_layers
from vocable.systems.taste.model import (
    RENAMED_TENSORS,
    SpeechQuantizer,
    TasteModel,
    UnitPrediction,
    count_parameters,
    predict_units,
)
from vocable.systems.taste.unit_lm import Sampling
from vocable.systems.token_format import MAX_SECONDS, TokenFormat
from vocable.systems.units import UnitSource, check_source, find_units
from vocable.systems.voiced import check_voice
from vocable.text.subword_tokenizers import subword_tokenizer_from_json
from vocable.text.subwords import Subwords, SubwordTokenizer
from vocable.tokens import Tokens, TokenSpec

_SUBWORD_SECONDS = 30.0  # longest stretch of speech and pauses that one subword of a text may stand for
_FOUND_SECONDS = 2.0  # of speech a subword, after which a model that finds the length itself is stopped
_NO_QUANTIZER = "this model has no quantizer: it predicts units, but makes no tokens; train one that has"


class TasteTokenizer(BaseTokenizer[TasteModel]):
    """A trained TASTE.

    Args:
        model: Networks. Using the tokenizer puts them in evaluation mode.
        find: Function that loads the tokenizer of the units by name, such as :func:`vocable.load`; needed to decode.
        aliases: Digests of the same weights under earlier formats.

    Attributes:
        subword_tokenizer: Tokenizer of texts.
        sampling: Sampling rule of units.

    Source:
        TASTE, arXiv:2504.07053; the seed's core, which stops at predicting units.
    """

    system = "taste"
    config_class = TasteConfig
    model_class = TasteModel
    migration = Migration(config=migrate, tensors=RENAMED_TENSORS)

    def __init__(
        self, model: TasteModel, find: Callable[[str], Any] | None = None, *, aliases: Sequence[str] = ()
    ) -> None:
        super().__init__(model, aliases=aliases)
        self._find = find
        self.subword_tokenizer: SubwordTokenizer = subword_tokenizer_from_json(
            model.config.subwords, "the model's subwords", located=located
        )
        self.sampling = Sampling(temperature=model.config.temperature)

    @cached_property
    def spec(self) -> TokenSpec:
        """Token spec: one token per subword; a SpecError if the model has no quantizer."""
        if self.config.spec is None:
            raise SpecError(_NO_QUANTIZER)
        return self.config.spec

    @property
    @override
    def format(self) -> TokenFormat:
        return TokenFormat(
            spec=self.spec, voice_width=self.config.units.voice_width, voice_levels=self.config.units.voice_levels,
            max_seconds=lambda frames: min(MAX_SECONDS, _SUBWORD_SECONDS * frames),
            frames_of_text=lambda text: len(self.subword_tokenizer.tokenize(text).ids), text_bits=self.config.bits[1],
        )  # fmt: skip

    @cached_property
    def source(self) -> UnitSource:
        """Source of the units that the model predicts."""
        spec = self.config.units
        if self._find is None:
            raise CheckpointError(f"the units ({spec.name}) cannot be loaded without `find`; use vocable.load")
        source = find_units(spec.name, self._find)
        check_source(source, spec)
        return source

    @cached_property
    def _layers(self) -> WhisperLayers:
        return WhisperLayers(load_encoder(self.config.encoder), self.config.layers)

    @property
    def _quantizer(self) -> SpeechQuantizer:
        quantizer = self.model.eval().quantizer
        if quantizer is None:
            raise SpecError(_NO_QUANTIZER)
        return quantizer

    def check_encoding(self) -> None:
        """Load Whisper's encoder; see :meth:`vocable.systems.base.BaseTokenizer.check_encoding`."""
        self._layers  # noqa: B018

    def check_decoding(self) -> None:
        """Load the tokenizer of the units; see :meth:`vocable.systems.base.BaseTokenizer.check_encoding`."""
        self.source  # noqa: B018

    def encode(self, audio: AudioLike, text: str | None = None) -> Tokens:
        """Encode one clip and its text: one token per subword. Whisper takes 30 s at a time of a longer one.

        Raises:
            TextError: If there is no text, or no letters in it.
            CheckpointError: If Whisper or the tokenizer of the units is not at hand.
            SpecError: If the model has no quantizer.
        """
        audio = as_audio(audio)
        quantizer, batch = self._quantizer, TasteBatch.of([self._example(audio, text)]).to(self.device)
        with torch.inference_mode():
            text_embeddings = self.model.text(batch.subword_ids, batch.subword_mask)
            ids = quantizer.encode(self.model.embed_speech(text_embeddings, batch)[0]).cpu()
        voice = self._embed_voice(audio)
        samples = audio.resample(self.spec.sample_rate).samples.size
        return self._tokens(ids, samples, text, None if voice is None else voice[None])

    def decode(self, tokens: Tokens, voice: AudioLike | None = None) -> Audio:
        """Decode one clip to speech as long as what was encoded, in the tokens' voice by default.

        Raises:
            SpecError: If the tokens are another tokenizer's, hold several clips, or lack their text or voice.
            CheckpointError: If the tokenizer of the units is not at hand.
        """
        tokens = self.check_clip(tokens)
        vector = self._voice(tokens)[0] if voice is None else self._given_voice(as_audio(voice, "voice"))
        units = self.units(tokens)
        speech = self.source.speech(units, vector, samples=int(tokens.samples[0]))
        return speech if voice is None else replace(speech, mark=SyntheticMark.by(self, "voice conversion"))

    def select_levels(self, levels: Sequence[int] | None, available: LevelCount) -> list[int]:
        """Return the levels to use: the first so many, in order; all by default.

        Raises:
            SpecError: If they are not the first ones.
        """
        everything = list(range(1, available + 1))
        selected = everything if levels is None else list(levels)
        if not selected or selected != everything[: len(selected)]:
            raise SpecError(f"levels {selected} were asked: take 1, 1 and 2, and so on, up to {available}")
        return selected

    def _look_up(self, ids: Int[Tensor, "B Q N"], levels: Sequence[int]) -> Float[Tensor, "B N D"]:
        return self._quantizer.decode(ids[:, : len(levels)])

    @torch.inference_mode()
    def units(
        self, tokens: Tokens, *, seed: Seed = 0, sampling: Sampling | None = None, text_only: bool = False,
        known_length: bool = True,
    ) -> Int[Tensor, " N"]:  # fmt: skip
        """Sample the units of one clip from its tokens.

        Args:
            tokens: Tokens of one clip with its text, made by this tokenizer.
            seed: Seed of the sampling.
            sampling: Sampling rule; :attr:`sampling` by default.
            text_only: Whether to withhold the tokens, so that the text alone decides.
            known_length: Whether to sample as many units as the clip's number of samples asks for. Otherwise the model
                finds the end, within two seconds a subword.
        """
        joint, durations = self._fuse(tokens, text_only)
        samples = int(tokens.samples[0])
        if not known_length:
            samples = round(_FOUND_SECONDS * joint.shape[1] * self.config.units.sample_rate)
        return self.model.lm.sample(
            joint, self._voice(tokens).to(self.device), durations, sampling=sampling or self.sampling, seed=seed,
            count=frames_for(samples, self.config.units.hop), known_length=known_length,
        ).cpu()  # fmt: skip

    def predict(self, audio: AudioLike, text: str, *, text_only: bool = False, quantize: bool = True) -> UnitPrediction:
        """Predict a clip's units with teacher forcing; see :func:`~vocable.systems.taste.model.predict_units`."""
        example = self.example(audio, text)
        batch = TasteBatch.of([example]).to(self.device)
        return predict_units(self.model, batch, example.subwords, text_only=text_only, quantize=quantize)

    def example(self, audio: AudioLike, text: str, units: Int[Tensor, " N"] | None = None) -> TasteExample:
        """Return a clip with its units, which are encoded by default, and its voice, as :meth:`predict` needs it."""
        audio = as_audio(audio)
        example, voice = self._example(audio, text), self._embed_voice(audio)
        units = self.source.units(audio) if units is None else units
        return replace(example, units=units, voice=example.voice if voice is None else voice)

    def score(self, audio: AudioLike, text: str, *, text_only: bool = False) -> Float[Tensor, " N"]:
        """Return the log-likelihood of each unit of a clip; see :class:`~vocable.interfaces.LikelihoodScorer`."""
        prediction = self.predict(audio, text, text_only=text_only)
        return prediction.logits[:-1].log_softmax(1).gather(1, prediction.units[:, None])[:, 0]

    def words(self, tokens: Tokens) -> list[str]:
        """Return the words of one clip's text."""
        return list(self._subwords(tokens).word_texts)

    def seconds(self, tokens: Tokens) -> list[float]:
        """Return the duration of each word of one clip, if any is predicted; silence belongs to the word before it."""
        subwords, durations = self._subwords(tokens), self._durations(tokens)
        total = [0.0] * subwords.num_words
        for word, units in zip(subwords.word_ids, durations.tolist(), strict=True):
            total[word] += units / self.config.units.frame_rate
        return total

    def swap_words(self, tokens: Tokens, donor: Tokens, first: int, last: int) -> Tokens:
        """Replace the tokens of some words by those of another clip. The clip becomes as much longer or shorter.

        For arguments and errors, see :class:`~vocable.interfaces.WordEditor`.
        """
        own, other = self._subwords(tokens), self._subwords(donor)
        length, others = own.num_words, other.num_words
        if not 1 <= first <= last <= min(length, others):
            raise SpecError(f"words {first}:{last} of texts with {length} and {others} words; 1 is the first")
        targets, sources = (
            [index for index, word in enumerate(subwords.word_ids) if first <= word + 1 <= last]
            for subwords in (own, other)
        )
        if [own.ids[index] for index in targets] != [other.ids[index] for index in sources]:
            old, new = (" ".join(subwords.word_texts[first - 1 : last]) for subwords in (own, other))
            raise TextError(
                f"words {first}:{last} are '{old}' in the recording and '{new}' in the donor; give a donor with the "
                "same words"
            )
        ids = tokens.ids.clone()
        ids[:, :, targets] = donor.ids[:, :, sources]
        longer = float(self._durations(donor)[sources].sum() - self._durations(tokens)[targets].sum())
        samples = max(1, round(int(tokens.samples[0]) + longer * self.config.units.hop))
        return tokens.with_contents(ids=ids, samples=torch.tensor([samples]))

    @override
    def describe(self) -> list[Table]:
        tables = [Table("Model", [("digest", self.digest), *_config_rows(self.config)]), _parameter_table(self.model)]
        if self.model.quantizer is not None:
            tables.append(codebook_table(self.model.quantizer.residual.codebooks))
        return tables

    @classmethod
    @override
    def load(cls, folder: str | os.PathLike[str], device: str = "cpu", *, vocoder: str | None = None,
             find: Callable[[str], BaseTokenizer[Any]] | None = None) -> "TasteTokenizer":  # fmt: skip
        if vocoder is not None:
            raise ConfigError(f"{folder}: a taste model decodes through its units' tokenizer; leave the vocoder out")
        stored = cls._read(folder, device)
        return cls(stored.network, find, aliases=stored.aliases)

    def _example(self, audio: Audio, text: str | None) -> TasteExample:
        """Return a clip and its text as the networks take them, without its units and voice."""
        if text is None or not text.strip():
            raise TextError(
                "there is no text, and each of these tokens stands for a subword of it; pass `text`, or at the command "
                "line --text or --recognise"
            )
        subwords = self.subword_tokenizer.tokenize(text)
        keys, values = split_layers(self._layers.extract_long(audio), len(self.config.layers))
        return TasteExample(
            subwords=subwords, keys=keys, values=values, units=torch.zeros(0, dtype=torch.int64),
            spans=torch.zeros(len(subwords.ids), 2), aligned=False, voice=torch.zeros(self.config.voice_width), name="",
        )  # fmt: skip

    def _fuse(self, tokens: Tokens, text_only: bool = False) -> tuple[Tensor, Tensor | None]:
        """Return the fused embeddings of one clip, and the duration of each subword in units."""
        tokens = self.check_clip(tokens)
        ids = torch.tensor(self._subwords(tokens).ids, device=self.device)[None]
        acoustic = None if text_only else self._quantizer.decode(tokens.ids.to(self.device))
        text = self.model.eval().text(ids, torch.ones_like(ids, dtype=torch.bool))
        joint, log_durations = self.model.fuse(text, acoustic)
        return joint, None if log_durations is None else log_durations.exp()

    @torch.inference_mode()
    def _durations(self, tokens: Tokens) -> Float[Tensor, " U"]:
        """Return the duration of each subword in units, scaled to the clip."""
        _, durations = self._fuse(tokens)
        if durations is None:
            raise SpecError("this model's tokens hold no durations: its unit model has no time positions")
        return durations[0].cpu() * (int(tokens.samples[0]) / self.config.units.hop / float(durations.sum()))

    def _subwords(self, tokens: Tokens) -> Subwords:
        """Return the text of one clip in as many subwords as it has tokens."""
        text = (self.check_clip(tokens).text or (None,))[0]
        if text is None:
            raise SpecError("these tokens hold no text, which they stand for; give one clip with its text")
        return self.subword_tokenizer.tokenize(text)

    def _embed_voice(self, clip: Audio) -> Float[Tensor, " V"] | None:
        return self.source.voice(clip) if self.config.units.voice_width else None

    def _given_voice(self, voice: Audio) -> Float[Tensor, " V"] | None:
        if not self.config.units.voice_width:
            raise SpecError("this model's units carry no voice, and take no other; decode without `voice`")
        check_audible(voice, "the voice")
        return self._embed_voice(voice)

    def _voice(self, tokens: Tokens) -> Float[Tensor, "1 V"]:
        width = self.config.units.voice_width
        return check_voice(tokens.voice) if width else torch.zeros(1, self.config.voice_width)


def describe_config(config: TasteConfig) -> list[Table]:
    """Return tables of rates, sizes and parameters, before any training."""
    with torch.device("meta"):
        model = TasteModel(config)
    return [Table("Model", _config_rows(config)), _parameter_table(model)]


def _parameter_table(model: TasteModel) -> Table:
    rows = [(name, *(f"{count:,}" for count in counts)) for name, counts in count_parameters(model).items()]
    return Table("Parameters", rows, ("part", "total", "trained", "frozen"))


def _config_rows(config: TasteConfig) -> list[tuple[str, str]]:
    units, (speech, text), (key, *values) = config.units, config.bits, config.layers
    spec = [("tokens", "none: there is no quantizer")]
    if config.spec is not None:
        form = TokenFormat(
            spec=config.spec, voice_width=units.voice_width, voice_levels=units.voice_levels, text_bits=text
        )
        spec = [*spec_rows(config.spec), *form.rate_rows()]
    return [
        *spec,
        ("a token is", "a subword of the text"),
        ("bits per subword", f"{speech:g} of speech, {text:.2f} of text at most"),
        ("encoder", f"{config.encoder.name}, keys of layer {key}, values of layer {' and '.join(map(str, values))}"),
        ("units", f"{units.name}: {units.size} units at {units.sample_rate / units.hop:g} Hz"),
        ("positions", config.lm.positions),
        ("fusion", config.fusion),
    ]
