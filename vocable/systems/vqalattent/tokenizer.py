"""VQalAttent in use: an utterance to a fixed number of ids and back, and ids from nothing.

Every picture has one shape and goes through the network alone, so a clip has the same tokens in any batch by
construction. A picture has lost when speech begins, how long it lasts and, where each clip has its own scale, how loud
it is: three numbers beside the ids, in ``voice``.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import ConfigError, ShapeError, SpecError
from vocable.systems.base import BaseTokenizer
from vocable.systems.describe import Table
from vocable.systems.vqalattent.config import VqalattentConfig, config_from_json, config_to_json
from vocable.systems.vqalattent.data import UNKNOWN
from vocable.systems.vqalattent.facts import model_facts
from vocable.systems.vqalattent.image import at_speed, from_unit, levelled, picture, speech_bounds, to_unit
from vocable.systems.vqalattent.model import VqalattentModel
from vocable.tokens import Tokens
from vocable.vocoders import MelSpec, Vocoder, find_vocoder

_BESIDE = 3  # numbers beside the ids: onset and seconds of the speech, decibels taken off its picture
_LOUDEST = 100.0  # decibels: what a file may say of its level
_ROWS = 64  # utterances drawn together: more take memory, fewer time


class VqalattentTokenizer(BaseTokenizer[VqalattentModel]):
    """A trained VQalAttent.

    Args:
        model: The networks; using them puts them in evaluation mode.
        vocoder: By name or folder, see :func:`vocable.vocoders.find_vocoder`; the best there is for this rate.

    Example:
        >>> from vocable.systems.vqalattent import recipe as vqalattent
        >>> speaker = VqalattentTokenizer(VqalattentModel(vqalattent.tiny().model))
        >>> clip = Audio(np.sin(np.arange(8000) / 3).astype(np.float32) * 0.1, 8_000)
        >>> tokens = speaker.encode(clip)
        >>> tokens.ids.shape, speaker.decode(tokens).samples.shape
        (torch.Size([1, 1, 88]), (8000,))
    """

    system = "vqalattent"
    config_class = VqalattentConfig
    model_class = VqalattentModel

    def __init__(self, model: VqalattentModel, vocoder: str | None = None, *, aliases: Sequence[str] = ()) -> None:
        super().__init__(model, aliases=aliases)
        image = self.config.image
        self.mel = MelSpec(sample_rate=image.sample_rate, n_fft=image.n_fft, hop=image.hop, bins=image.bins)
        self.vocoder: Vocoder = find_vocoder(vocoder, self.mel)

    @property
    def device(self) -> torch.device:
        """Where the networks lie."""
        return self.model.bounds.device

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """What can be asked for: for each condition its values."""
        return {key: self.config.labels.get(key, ()) for key in self.config.prior.conditions}

    # ---- audio to tokens and back ---------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        """Tokens of one utterance: the louder part of the clip, whatever its length, as one picture.

        Args:
            audio: Any rate.
            text: Carried along in the tokens, not looked at.

        Raises:
            AudioError: The clip is silent or shorter than a quarter of a window.
        """
        self.model.eval()
        samples, (first, behind), image, level = self._seen(audio)
        ids = self.model.vqvae.encode(image[None].to(self.device)).cpu()
        rate = self.spec.sample_rate
        beside = torch.tensor([[first / rate, (behind - first) / rate, level]], dtype=torch.float32)
        return self._tokens(ids[:, None], samples.size, text, beside)

    def decode(self, tokens: Tokens, voice: Audio | None = None) -> Audio:
        """Speech of one clip, as long as what was encoded, with silence around it where there was some.

        Raises:
            SpecError: Another tokenizer's tokens, more than one clip, no timing, or a ``voice``: it is in the ids.
        """
        if voice is not None:
            raise SpecError("VQalAttent keeps the voice in its tokens and takes no other; decode without `voice`")
        self.check_clip(tokens)
        values = self.pictures(tokens)[0]
        if tokens.voice is None or tokens.voice.shape[1] != _BESIDE or not bool(tokens.voice.isfinite().all()):
            raise SpecError(
                "these tokens lack what stands beside the ids (`voice`): onset, seconds and level of the speech"
            )
        rate, whole = self.spec.sample_rate, int(tokens.samples[0])
        onset, length = (max(0, round(float(seconds) * rate)) for seconds in tokens.voice[0, :2].clamp(0, whole / rate))
        level = float(tokens.voice[0, 2].clamp(-_LOUDEST, _LOUDEST))
        frames = max(1, round(length / self.mel.hop))
        speech = self.vocoder.render(at_speed(from_unit(values, self.model.bounds.cpu()) + level, frames))[:length]
        samples = np.zeros(whole, dtype=np.float32)
        end = min(whole, onset + speech.size)
        samples[onset:end] = speech[: end - onset]
        return Audio(samples, rate)

    # ---- what is between ------------------------------------------------------------------------------------------

    def image(self, audio: Audio) -> Float[Tensor, "F S"]:
        """The picture that an utterance is encoded from, in [0, 1].

        Raises:
            AudioError: The clip is silent or shorter than a quarter of a window.
        """
        return self._seen(audio)[2]

    @torch.inference_mode()
    def pictures(self, tokens: Tokens) -> Float[Tensor, "B F S"]:
        """The pictures that tokens decode to, in [0, 1]; one at a time, so that each is the same as alone.

        Raises:
            SpecError: The tokens are another tokenizer's.
        """
        self.check_tokens(tokens)
        self.model.eval()
        return torch.cat([self.model.vqvae.decode(row[None].to(self.device)).cpu() for row in tokens.ids[:, 0]])

    def _look_up(self, ids: Int[Tensor, "B Q N"], levels: Sequence[int]) -> Float[Tensor, "B N D"]:
        return self.model.vqvae.quantizer.decode(ids)

    # ---- ids from nothing -----------------------------------------------------------------------------------------

    def sample(
        self, wanted: Sequence[Mapping[str, object]], *, seed: int = 0, temperature: float | None = None,
        top_k: int | None = None, top_p: float | None = None, guidance: float | None = None, cache: bool = True,
    ) -> Tokens:  # fmt: skip
        """Draw the tokens of utterances that nobody said.

        Args:
            wanted: For each utterance the labels asked for, such as ``{"digit": 7}``. One that is not named is drawn,
                each value as likely as the others; one that is None is left open, if training hid some.
            seed: The n-th utterance of a seed is the same however many there are.
            temperature: Under 1 the likely becomes likelier; 0 always takes the likeliest. The model's own by default.
            top_k: Draw among so many of the likeliest.
            top_p: Draw among the fewest that have this much probability together. The model's own by default.
            guidance: Over 0 what is asked counts for more, and variety shrinks. The model's own by default; none where
                nothing is asked.
            cache: See :meth:`~vocable.systems.vqalattent.prior.Prior.sample`.

        Raises:
            ConfigError: A label or a condition is not known (the message lists those that are), or a setting is out of
                range.
            CheckpointError: The prior is not trained, or on another codebook.
        """
        own = self.config.prior
        temperature = own.temperature if temperature is None else temperature
        top_p = own.top_p if top_p is None else top_p
        guidance = own.guidance if guidance is None else guidance
        self.model.eval().check_prior()
        if not wanted:
            raise ShapeError("there is nothing to draw: ask for at least one utterance")
        labels = self._places([self._drawn(row, seed, index) for index, row in enumerate(wanted)])
        seeds = [int(np.random.SeedSequence((seed, row)).generate_state(1)[0]) for row in range(len(wanted))]
        if bool((labels == UNKNOWN).all()):
            guidance = 0.0  # it would lead away from nothing asked to nothing asked
        parts = [
            self.model.prior.sample(
                labels[at : at + _ROWS].to(self.device), seeds[at : at + _ROWS], temperature=temperature,
                top_k=top_k, top_p=top_p, guidance=guidance, cache=cache,
            ).cpu() for at in range(0, len(wanted), _ROWS)
        ]  # fmt: skip
        seconds = torch.tensor([self._seconds(row) for row in labels.tolist()])
        beside = torch.stack([torch.zeros_like(seconds), seconds, self.model.loudness.cpu().expand_as(seconds)], dim=1)
        ids = torch.cat(parts)[:, None]
        return Tokens(
            ids=ids, lengths=torch.full((len(ids),), ids.shape[2]), spec=self.spec, tokenizer=self.digest, voice=beside,
            samples=(seconds * self.spec.sample_rate).round().long(),
        )  # fmt: skip

    @torch.inference_mode()
    def score(self, tokens: Tokens, wanted: Sequence[Mapping[str, object]] | None = None) -> Float[Tensor, "B N"]:
        """Log-likelihood in nats of each id given those before it; a row's sum is that of its utterance.

        Args:
            tokens: Of this tokenizer.
            wanted: What is known of each utterance, as :meth:`sample` takes it; nothing by default.

        Raises:
            ConfigError: A label is not known, or one is left open that training never hid.
            SpecError: The tokens are another tokenizer's.
            CheckpointError: The prior is not trained, or on another codebook.
        """
        labels = self._known(tokens, [{}] * len(tokens) if wanted is None else wanted)
        pairs = zip(tokens.ids[:, 0].split(_ROWS), labels.split(_ROWS), strict=True)
        prior = self.model.prior
        return torch.cat(
            [prior.log_likelihood(ids.to(self.device), asked.to(self.device)).cpu() for ids, asked in pairs]
        )

    @torch.inference_mode()
    def attention(self, tokens: Tokens, wanted: Sequence[Mapping[str, object]]) -> list[Float[Tensor, "B H L L"]]:
        """Where the prior looks: weights of each block and head, from each position (row) to those up to it.

        Args:
            tokens: Of this tokenizer.
            wanted: What is known of each utterance. BOS and the labels are the first positions.

        Raises:
            As :meth:`score`.
        """
        labels = self._known(tokens, wanted)
        maps = self.model.prior.attention(tokens.ids[:, 0].to(self.device), labels.to(self.device))
        return [weights.cpu() for weights in maps]

    # ---- files and facts ------------------------------------------------------------------------------------------

    def describe(self) -> list[Table]:
        """Sizes and rates, labels, and the codebook as training left it."""
        return model_facts(self.model, digest=self.digest, vocoder=self.vocoder.name)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], device: str = "cpu", *, vocoder: str | None = None,
             find: Callable[[str], BaseTokenizer[Any]] | None = None) -> "VqalattentTokenizer":  # fmt: skip
        """Load a model folder that :meth:`save` wrote; see :meth:`BaseTokenizer.load`."""
        stored = cls._read(folder, device)
        return cls(stored.network, vocoder, aliases=stored.aliases)

    @classmethod
    def _config_from_json(cls, values: dict[str, Any]) -> Any:
        return config_from_json(values)

    def _config_to_json(self) -> dict[str, Any]:
        return config_to_json(self.config)

    def _seen(self, audio: Audio) -> tuple[Float[ndarray, " T"], tuple[int, int], Float[Tensor, "F S"], float]:
        """The samples at this model's rate, where speech begins and ends, its picture, and its level."""
        samples = audio.resample(self.spec.sample_rate).samples
        bounds = speech_bounds(samples, self.config.image)
        decibels, level = levelled(picture(samples, self.config.image, bounds=bounds), self.config.image)
        return samples, bounds, to_unit(decibels, self.model.bounds.cpu()), level

    def check_tokens(self, tokens: Tokens) -> None:
        """Check that tokens were made by this tokenizer, for one whole picture a clip.

        Raises:
            SpecError: If they are another tokenizer's, or hold another number of frames.
        """
        super().check_tokens(tokens)
        if tokens.ids.shape[2] != self.config.frames:
            raise SpecError(
                f"tokens came with {tokens.ids.shape[2]} frames, this tokenizer makes all with {self.config.frames}"
            )

    def _known(self, tokens: Tokens, wanted: Sequence[Mapping[str, object]]) -> Int[Tensor, "B C"]:
        """Labels as places, of tokens that the prior can judge."""
        self.model.eval().check_prior()
        self.check_tokens(tokens)
        if len(wanted) != len(tokens):
            raise ShapeError(f"there are labels for {len(wanted)} utterances and tokens of {len(tokens)}")
        return self._places(wanted)

    def _places(self, wanted: Sequence[Mapping[str, object]]) -> Int[Tensor, "B C"]:
        """Labels as places among their values; -1 where one is left open."""
        rows = []
        for asked in wanted:
            for key, value in asked.items():
                if key not in self.labels:
                    known = ", ".join(self.labels) or "nothing"
                    raise ConfigError(f"this model cannot be asked for a {key}; it takes {known}")
                if value is not None and str(value) not in self.labels[key]:
                    raise ConfigError(f"{key} '{value}' is not known; there are {', '.join(self.labels[key])}")
            open_ones = [key for key in self.labels if asked.get(key) is None]
            if open_ones and not self.config.prior.unknown:
                raise ConfigError(f"this prior always knew {', '.join(self.labels)}: say the {open_ones[0]} too")
            rows.append([
                UNKNOWN if key in open_ones else list(values).index(str(asked[key]))
                for key, values in self.labels.items()
            ])  # fmt: skip
        return torch.tensor(rows, dtype=torch.int64).reshape(len(wanted), len(self.labels))

    def _drawn(self, asked: Mapping[str, object], seed: int, row: int) -> dict[str, object]:
        """What is asked, and a value for each condition that is not named."""
        random = np.random.default_rng((seed, row, 1))
        drawn = {key: values[int(random.integers(len(values)))] for key, values in self.labels.items()}
        return {**drawn, **asked}

    def _seconds(self, labels: Sequence[int]) -> float:
        """How long an utterance with these labels lasts: the mean duration of each, over that of all."""
        typical = float(self.model.typical)
        factors = [
            float(self.model.seconds[column, place]) / typical for column, place in enumerate(labels) if place >= 0
        ]
        return typical * float(np.prod([factor for factor in factors if factor > 0] or [1.0]))
