"""TASTE in use: speech and its text to one token for each subword of the text, and back to speech by way of units.

A clip goes through every network alone, so it has the same tokens in any batch by construction. Whisper and the source
of the units are other models: the first is needed to encode, the second to decode.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import CheckpointError, ConfigError, SpecError, TextError
from vocable.features.hub import located
from vocable.features.whisper import WhisperLayers, load_encoder
from vocable.shapes import frames_for
from vocable.systems.base import BaseTokenizer
from vocable.systems.describe import Table
from vocable.systems.taste.batch import SpokenBatch, SpokenRow
from vocable.systems.taste.config import TasteConfig, config_from_json, config_to_json
from vocable.systems.taste.facts import model_facts
from vocable.systems.taste.look import Look, look_at
from vocable.systems.taste.model import TasteModel
from vocable.systems.taste.sampling import Sampling
from vocable.systems.units import UnitSource, check, find_units
from vocable.systems.voiced import check_voice
from vocable.text.subword_tokenizers import subword_tokenizer_from_json
from vocable.text.subwords import Subwords, SubwordTokenizer
from vocable.tokens import Tokens, TokenSpec


class TasteTokenizer(BaseTokenizer[TasteModel]):
    """A trained TASTE.

    Args:
        model: The networks; using them puts them in evaluation mode.
        load: Finds the source of the units by its name, such as :func:`vocable.load`; needed to decode.

    Attributes:
        subword_tokenizer: What becomes of a text.
        sampling: How units are drawn.

    Source:
        TASTE, arXiv:2504.07053; the seed's core, which stops at predicting units.
    """

    system = "taste"
    config_class = TasteConfig
    model_class = TasteModel

    def __init__(
        self, model: TasteModel, find: Callable[[str], Any] | None = None, *, aliases: Sequence[str] = ()
    ) -> None:
        super().__init__(model, aliases=aliases)
        self._find = find
        self.subword_tokenizer: SubwordTokenizer = subword_tokenizer_from_json(
            model.config.pieces, "the model's subwords", located=located
        )
        self.sampling = Sampling(temperature=model.config.temperature)

    @property
    def spec(self) -> TokenSpec:
        """What a token carries: one for each subword of the text.

        Raises:
            SpecError: The model has no quantizer.
        """
        if self.config.spec is None:
            raise SpecError("this model has no quantizer: it predicts units, but makes no tokens; train one that has")
        return self.config.spec

    @property
    def device(self) -> torch.device:
        """Where the networks lie."""
        return self.model.letters.device

    @cached_property
    def source(self) -> UnitSource:
        """What the units are of.

        Raises:
            CheckpointError: It is not at hand.
            SpecError: What has its name is another model.
        """
        wanted = self.config.units
        if self._find is None:
            raise CheckpointError(f"nobody said where the units are found ({wanted.name}); use vocable.load")
        found = find_units(wanted.name, self._find)
        check(found, wanted)
        return found

    # ---- audio to tokens and back ---------------------------------------------------------------------------------

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        """Tokens of one clip: for each subword of its text, what is heard of it.

        Args:
            audio: Any rate. Of more than 30 s Whisper hears 30 s at a time.
            text: What is said.

        Raises:
            TextError: There is no text, or no letters in it.
            AudioError: The clip is empty.
            CheckpointError: Whisper is not at hand, or another one.
            SpecError: The model has no quantizer.
        """
        spec, row = self.spec, self._row(audio, text)
        quantizer = self.model.eval().quantizer
        assert quantizer is not None
        with torch.inference_mode():
            batch = SpokenBatch.of([row]).to(self.device)
            heard = self.model.heard(self.model.said(batch.subword_ids, batch.subword_mask), batch)
            ids = quantizer.encode(heard.vectors).cpu()
        return Tokens(
            ids=ids, lengths=torch.tensor([ids.shape[2]]), spec=spec, tokenizer=self.digest, text=(text,),
            samples=torch.tensor([audio.resample(spec.sample_rate).samples.size]),
            voice=row.voice[None] if self.config.units.voice_width else None,
        )  # fmt: skip

    def decode(self, tokens: Tokens, voice: Audio | None = None) -> Audio:
        """Speech of one clip, as long as what was encoded.

        Args:
            tokens: Of this tokenizer, one clip, with its text.
            voice: Whose voice it shall be, where the units keep one beside them. The tokens' own by default.

        Raises:
            SpecError: Another tokenizer's tokens, of more than one clip, without their text, or without a voice.
            CheckpointError: The source of the units is not at hand.
        """
        self.check_clip(tokens)
        units, heard = self.units(tokens), None
        if self.config.units.voice_width:
            heard = self.source.voice(voice) if voice is not None else self._voice(tokens)[0]
        return self.source.speech(units, heard, samples=int(tokens.samples[0]))

    def select_levels(self, levels: Sequence[int] | None, available: int) -> list[int]:
        """Return the levels to use: the first so many, in order; all by default.

        Raises:
            SpecError: If they are not the first ones.
        """
        selected = list(levels) if levels is not None else list(range(1, available + 1))
        if not selected or selected != list(range(1, available + 1))[: len(selected)]:
            raise SpecError(f"levels {selected} were asked: take 1, 1 and 2, and so on, up to {available}")
        return selected

    def _look_up(self, ids: Int[Tensor, "B Q N"], levels: Sequence[int]) -> Float[Tensor, "B N D"]:
        quantizer = self.model.eval().quantizer
        assert quantizer is not None
        return quantizer.decode(ids[:, : len(levels)])

    # ---- units ----------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def units(
        self, tokens: Tokens, *, seed: int = 0, rule: Sampling | None = None, text_only: bool = False
    ) -> Int[Tensor, " N"]:
        """Units of one clip's tokens, drawn one by one.

        Args:
            tokens: Of this tokenizer, one clip, with its text.
            seed: The same seed draws the same units.
            rule: How; ``sampling`` by default.
            text_only: The tokens are not looked at: what text alone would say.

        Raises:
            SpecError: The tokens are another tokenizer's, or lack their text.
        """
        joint, lasting = self._joint(tokens, text_only)
        count = frames_for(int(tokens.samples[0]), self.config.units.hop)
        return self.model.lm.sample(
            joint, self._voice(tokens).to(self.device), lasting, rule=rule or self.sampling, seed=seed,
            limits=(count, count), total=float(count),
        ).cpu()  # fmt: skip

    @torch.inference_mode()
    def look(
        self, audio: Audio, text: str, *, text_only: bool = False, quantized: bool = True,
        units: Int[Tensor, " N"] | None = None,
    ) -> Look:  # fmt: skip
        """What the model makes of a clip, each unit given those before it that were really said.

        Args:
            audio: Any rate.
            text: What is said.
            text_only: Nothing is heard: the control.
            quantized: What is heard goes through the quantizer, where there is one.
            units: The clip's, where they are known already; made by the source otherwise.

        Raises:
            TextError: No letters in the text.
            AudioError: The clip is empty.
            CheckpointError: Whisper or the source of the units is not at hand.
        """
        row = self.row(audio, text, units)
        batch = SpokenBatch.of([row]).to(self.device)
        return look_at(self.model, batch, row.subwords, text_only=text_only, quantized=quantized)

    def row(self, audio: Audio, text: str, units: Int[Tensor, " N"] | None = None) -> SpokenRow:
        """A clip as :meth:`look` takes it: its text in subwords, what Whisper hears, the units that are said.

        Args:
            audio: Any rate.
            text: What is said.
            units: The clip's, where they are known already; made by the source otherwise.

        Raises:
            TextError: No letters in the text.
            AudioError: The clip is empty.
            CheckpointError: Whisper or the source of the units is not at hand.
        """
        return replace(self._row(audio, text), units=self.source.units(audio) if units is None else units)

    def score(self, audio: Audio, text: str, *, text_only: bool = False) -> Float[Tensor, " N"]:
        """Log-likelihood of each unit of a clip, in nats, given those before it and what is heard of its text.

        Raises:
            TextError: No letters in the text.
            AudioError: The clip is empty.
        """
        look = self.look(audio, text, text_only=text_only)
        return look.logits[:-1].log_softmax(1).gather(1, look.units[:, None])[:, 0]

    # ---- words ----------------------------------------------------------------------------------------------------

    def words(self, tokens: Tokens) -> list[str]:
        """The words of one clip's text, as the subwords have them.

        Raises:
            SpecError: The tokens lack their text, or are another tokenizer's.
        """
        self.check_tokens(tokens)
        return list(self._said(tokens).word_texts)

    def seconds(self, tokens: Tokens) -> list[float]:
        """How long each word of one clip lasts, as its tokens have it; silence belongs to the word before it.

        Raises:
            SpecError: As of :meth:`words`, or the model tells no durations.
        """
        subwords, lasting = self._said(tokens), self._lasting(tokens)
        total = [0.0] * subwords.num_words
        for word, units in zip(subwords.word_ids, lasting.tolist(), strict=True):
            total[word] += units / self.config.units.frame_rate
        return total

    def swap_words(self, tokens: Tokens, donor: Tokens, first: int, last: int) -> Tokens:
        """Tokens with those of some words taken from another clip, which may so become longer or shorter.

        Args:
            tokens: Of one clip.
            donor: Of another one that says the same words there.
            first: 1 is the first word.
            last: This one is swapped, too.

        Raises:
            SpecError: As of :meth:`words`, or there are no such words.
            TextError: The words are not made of the same subwords.
        """
        own, other = self._said(tokens), self._said(donor)
        if not 1 <= first <= last <= min(own.num_words, other.num_words):
            raise SpecError(f"words {first} to {last} of {own.num_words} and {other.num_words}; 1 is the first")
        here, there = (
            [place for place, word in enumerate(subwords.word_ids) if first <= word + 1 <= last]
            for subwords in (own, other)
        )
        if [own.ids[place] for place in here] != [other.ids[place] for place in there]:
            raise TextError(f"words {first} to {last} are not the same in both texts, or not of the same subwords")
        ids = tokens.ids.clone()
        ids[:, :, here] = donor.ids[:, :, there]
        longer = float(self._lasting(donor)[there].sum() - self._lasting(tokens)[here].sum())
        samples = max(1, round(int(tokens.samples[0]) + longer * self.config.units.hop))
        return replace(tokens, ids=ids, samples=torch.tensor([samples]))

    # ---- files and facts ------------------------------------------------------------------------------------------

    def describe(self) -> list[Table]:
        """Sizes and rates, parameters by part, and the codebooks as training left them."""
        return model_facts(self.model, digest=self.digest)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], device: str = "cpu", *, vocoder: str | None = None,
             find: Callable[[str], BaseTokenizer[Any]] | None = None) -> "TasteTokenizer":  # fmt: skip
        """Load a model folder that :meth:`save` wrote; see :meth:`BaseTokenizer.load`."""
        if vocoder is not None:
            raise ConfigError(f"{folder}: a taste model decodes through its units' tokenizer; leave the vocoder out")
        stored = cls._read(folder, device)
        return cls(stored.network, find, aliases=stored.aliases)

    @classmethod
    def _config_from_json(cls, values: dict[str, Any]) -> Any:
        return config_from_json(values)

    def _config_to_json(self) -> dict[str, Any]:
        return config_to_json(self.config)

    # ---- the work -------------------------------------------------------------------------------------------------

    def _row(self, audio: Audio, text: str | None) -> SpokenRow:
        """A clip and its text as the networks take them; of its units nothing is known yet."""
        if text is None or not text.strip():
            raise TextError(
                "there is no text: these tokens stand for subwords of what is said; pass `text`; at the command "
                "line --text, or --recognise to take what a recogniser hears"
            )
        subwords = self.subword_tokenizer.tokenize(text)
        extractor = WhisperLayers(load_encoder(self.config.encoder), self.config.layers)
        keys, values = extractor.extract_long(audio).chunk(2, dim=1)
        voice = self.source.voice(audio) if self.config.units.voice_width else None
        return SpokenRow(
            subwords=subwords, keys=keys, values=values, units=torch.zeros(0, dtype=torch.int64),
            spans=torch.zeros(len(subwords.ids), 2), aligned=False, name="",
            voice=torch.zeros(self.config.voice_width) if voice is None else voice,
        )  # fmt: skip

    def _joint(self, tokens: Tokens, text_only: bool = False) -> tuple[Tensor, Tensor | None]:
        """What the unit model is told of one clip, and how many units each subword lasts."""
        self.check_tokens(tokens)
        model, subwords = self.model.eval(), self._said(tokens)
        ids = torch.tensor(subwords.ids, device=self.device)[None]
        said = model.said(ids, torch.ones_like(ids, dtype=torch.bool))
        assert model.quantizer is not None
        joint = model.joint(said, None if text_only else model.quantizer.decode(tokens.ids.to(self.device)))
        lasting = model.lasting(joint)
        return joint, None if lasting is None else lasting.exp()

    @torch.inference_mode()
    def _lasting(self, tokens: Tokens) -> Float[Tensor, " U"]:
        """Units of each subword, stretched to the clip."""
        _, lasting = self._joint(tokens)
        if lasting is None:
            raise SpecError("this model's tokens do not tell how long a word lasts: its unit model has no clock")
        return lasting[0].cpu() * (int(tokens.samples[0]) / self.config.units.hop / float(lasting.sum()))

    def _said(self, tokens: Tokens) -> Subwords:
        """The text of one clip, in as many subwords as it has tokens."""
        text = tokens.text[0] if tokens.text else None
        if len(tokens) != 1 or text is None:
            raise SpecError(f"{len(tokens)} clips, text {text!r:.40}: one clip with its text is wanted")
        subwords = self.subword_tokenizer.tokenize(text)
        if len(subwords.ids) != int(tokens.lengths[0]):
            raise SpecError(
                f"the text has {len(subwords.ids)} subwords, there are tokens for {int(tokens.lengths[0])}; one was "
                "altered"
            )
        return subwords

    def _voice(self, tokens: Tokens) -> Float[Tensor, "1 V"]:
        width = self.config.units.voice_width
        if not width:
            return torch.zeros(1, self.config.voice_width)
        return check_voice(tokens.voice, width)
