"""VQalAttent's tokenizer: an utterance to a fixed number of ids and back, and ids sampled from the prior.

An image has lost when its speech begins, how long it lasts and, where each clip has its own scale, how loud it is.
These three numbers stand beside the ids, in ``voice``.
"""

from collections.abc import Mapping, Sequence
from math import log2

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor
from typing_extensions import override

from vocable.arguments import Seed
from vocable.audio import Audio, AudioLike, as_audio
from vocable.errors import ConfigError, ShapeError, SpecError
from vocable.systems.base import BaseTokenizer
from vocable.systems.describe import Table, codebook_table, parameter_rows, spec_rows
from vocable.systems.token_format import TokenFormat
from vocable.systems.vqalattent.config import VqalattentConfig
from vocable.systems.vqalattent.data import UNKNOWN
from vocable.systems.vqalattent.image import find_speech, from_unit, mel_image, stretch_columns, subtract_level, to_unit
from vocable.systems.vqalattent.model import MIGRATION, VqalattentModel
from vocable.tokens import Provenance, Tokens
from vocable.vocoders import MelSpec, Vocoder, find_vocoder

_VOICE_SIZE = 3  # onset and duration of the speech in seconds, and the level subtracted from its image in dB
_MAX_LEVEL = 100.0  # dB; bounds what a token file may ask for
_SAMPLE_ROWS = 64  # utterances sampled together: more take memory, fewer time


class VqalattentTokenizer(BaseTokenizer[VqalattentModel]):
    """A trained VQalAttent.

    Args:
        model: Networks; using the tokenizer puts them in evaluation mode.
        vocoder: Name or folder, see :func:`vocable.vocoders.find_vocoder`; the best bundled one by default.
        aliases: Digests of the same weights under earlier formats.

    Attributes:
        mel: Spec of the mel spectra that decoded images are resampled to.
        vocoder: Vocoder that renders them.

    Example:
        >>> from vocable.systems.vqalattent import recipe
        >>> tokenizer = VqalattentTokenizer(VqalattentModel(recipe.tiny().model))
        >>> clip = Audio(np.sin(np.arange(8000) / 3).astype(np.float32) * 0.1, 8_000)
        >>> tokens = tokenizer.encode(clip)
        >>> tokens.ids.shape, tokenizer.decode(tokens).samples.shape
        (torch.Size([1, 1, 88]), (8000,))
    """

    system = "vqalattent"
    config_class = VqalattentConfig
    model_class = VqalattentModel
    migration = MIGRATION
    takes_vocoder = True

    def __init__(self, model: VqalattentModel, vocoder: str | None = None, *, aliases: Sequence[str] = ()) -> None:
        super().__init__(model, aliases=aliases)
        image = self.config.image
        self.mel = MelSpec(sample_rate=image.sample_rate, n_fft=image.n_fft, hop=image.hop, bins=image.bins)
        self.vocoder: Vocoder = find_vocoder(vocoder, self.mel)

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """Values of each condition that sampling can ask for."""
        return {key: self.config.labels.get(key, ()) for key in self.config.prior.conditions}

    # ---- coding ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, audio: AudioLike, text: str | None = None) -> Tokens:
        """Encode one utterance, the louder part of the clip, as one image of fixed size; the text is not used.

        Raises:
            AudioError: If the clip is silent or shorter than a quarter of a window.
        """
        self.model.eval()
        samples = as_audio(audio).resample(self.spec.sample_rate).samples
        image, timing = self._analyze(samples)
        ids = self.model.vqvae.encode(image[None].to(self.device)).cpu()
        return self._tokens(ids[:, None], samples.size, text, torch.tensor([timing], dtype=torch.float32))

    def decode(self, tokens: Tokens, voice: AudioLike | None = None) -> Audio:
        """Decode one clip to audio as long as what was encoded, with its leading and trailing silence.

        Raises:
            SpecError: If the tokens are another tokenizer's, hold several clips or lack the timing, or a ``voice`` is
                given: the voice is in the ids.
        """
        if voice is not None:
            raise SpecError("VQalAttent keeps the voice in its tokens and takes no other; decode without `voice`")
        tokens = self.check_clip(tokens)
        image = self.decode_images(tokens)[0]
        if tokens.voice is None:
            raise SpecError(
                "these tokens lack onset, duration and level of the speech (`voice`); encode the clip again"
            )
        rate, total = self.spec.sample_rate, int(tokens.samples[0])
        onset, length = (max(0, round(float(value) * rate)) for value in tokens.voice[0, :2].clamp(0, total / rate))
        level = float(tokens.voice[0, 2].clamp(-_MAX_LEVEL, _MAX_LEVEL))
        frames = max(1, round(length / self.mel.hop))
        mel = stretch_columns(from_unit(image, self.model.bounds.cpu()) + level, frames)
        samples = np.pad(self.vocoder.render(mel)[:length], (onset, total))[:total]
        return Audio(samples, rate)

    def image(self, audio: AudioLike) -> Float[Tensor, "F S"]:
        """Return the image that an utterance is encoded from, in [0, 1]."""
        return self._analyze(as_audio(audio).resample(self.spec.sample_rate).samples)[0]

    @torch.inference_mode()
    def decode_images(self, tokens: Tokens) -> Float[Tensor, "B F S"]:
        """Decode tokens to images in [0, 1], one at a time, so that each is the same as alone."""
        self.check_tokens(tokens)
        self.model.eval()
        return torch.cat([self.model.vqvae.decode(row[None].to(self.device)).cpu() for row in tokens.ids[:, 0]])

    @property
    @override
    def format(self) -> TokenFormat:
        return TokenFormat(spec=self.spec, voice_width=_VOICE_SIZE, frames=self.config.frames)

    # ---- prior ----------------------------------------------------------------------------------------------------

    def sample(
        self, conditions: Sequence[Mapping[str, object]], *, seed: Seed = 0, temperature: float | None = None,
        top_k: int | None = None, top_p: float | None = None, guidance: float | None = None, cache: bool = True,
    ) -> Tokens:  # fmt: skip
        """Sample the tokens of an utterance for each mapping of conditions to labels, such as ``{"digit": 7}``.

        A condition that is not named is drawn uniformly; one that is None is left open, if training hid some labels.
        Seed and settings are those of :func:`vocable.generate`; ``cache`` is that of the prior's ``sample``.

        Raises:
            ConfigError: If a condition or label is unknown, or a setting is out of range.
            CheckpointError: If the prior is not trained, or was trained on another codebook.
            ShapeError: If no utterance is asked for.
        """
        defaults = self.config.prior
        temperature = defaults.temperature if temperature is None else temperature
        top_p = defaults.top_p if top_p is None else top_p
        guidance = defaults.guidance if guidance is None else guidance
        self.model.eval().check_prior()
        if not conditions:
            raise ShapeError("sample got no labels; give a mapping for at least one utterance")
        labels = self.label_indices([self._fill_labels(row, seed, index) for index, row in enumerate(conditions)])
        seeds = [int(np.random.SeedSequence((seed, row)).generate_state(1)[0]) for row in range(len(labels))]
        if bool((labels == UNKNOWN).all()):
            guidance = 0.0  # both kinds of logits would be the same
        parts = [
            self.model.prior.sample(
                labels[at : at + _SAMPLE_ROWS].to(self.device), seeds[at : at + _SAMPLE_ROWS], temperature=temperature,
                top_k=top_k, top_p=top_p, guidance=guidance, cache=cache,
            ).cpu() for at in range(0, len(labels), _SAMPLE_ROWS)
        ]  # fmt: skip
        seconds = torch.tensor([self._typical_duration(row) for row in labels.tolist()])
        level = self.model.mean_level.cpu().expand_as(seconds)
        ids = torch.cat(parts)[:, None]
        return Tokens(
            ids=ids, lengths=torch.full((len(ids),), ids.shape[2]), spec=self.spec, tokenizer=self.digest,
            voice=torch.stack([torch.zeros_like(seconds), seconds, level], dim=1),
            samples=(seconds * self.spec.sample_rate).round().long(), provenance=Provenance(model=self.name),
        )  # fmt: skip

    @torch.inference_mode()
    def score(self, tokens: Tokens, conditions: Sequence[Mapping[str, object]] | None = None) -> Float[Tensor, "B N"]:
        """Return the log-likelihood of each id given those before it, in nats; a row's sum is that of its utterance.

        The labels of each utterance are as :meth:`sample` takes them; none by default.

        Raises:
            ConfigError: If a label is unknown, or one is left open that training never hid.
            SpecError: If the tokens are another tokenizer's.
            ShapeError: If there are labels of another number of utterances.
            CheckpointError: If the prior is not trained, or was trained on another codebook.
        """
        self.model.eval().check_prior()
        self.check_tokens(tokens)
        rows = [{}] * len(tokens) if conditions is None else conditions
        if len(rows) != len(tokens):
            raise ShapeError(f"got labels of {len(rows)} utterances for tokens of {len(tokens)}; give one for each")
        labels = self.label_indices(rows)
        batches = zip(tokens.ids[:, 0].split(_SAMPLE_ROWS), labels.split(_SAMPLE_ROWS), strict=True)
        prior, device = self.model.prior, self.device
        return torch.cat([prior.log_likelihood(ids.to(device), rows.to(device)).cpu() for ids, rows in batches])

    def label_indices(self, conditions: Sequence[Mapping[str, object]]) -> Int[Tensor, "B C"]:
        """Return the index of each label among the values of its condition; -1 where it is left open."""
        rows = []
        for labels in conditions:
            for key, value in labels.items():
                if key not in self.labels:
                    available = ", ".join(self.labels) or "none"
                    raise ConfigError(f"this model has no condition '{key}'; its conditions: {available}")
                if value is not None and str(value) not in self.labels[key]:
                    raise ConfigError(f"{key} '{value}' is unknown; choose one of {', '.join(self.labels[key])}")
            missing = [key for key in self.labels if labels.get(key) is None]
            if missing and not self.config.prior.label_dropout:
                raise ConfigError(f"this prior was trained with all labels shown; give the {missing[0]}, too")
            rows.append([
                UNKNOWN if key in missing else list(values).index(str(labels[key]))
                for key, values in self.labels.items()
            ])  # fmt: skip
        return torch.tensor(rows, dtype=torch.int64).reshape(len(conditions), len(self.labels))

    # ---- files and tables -----------------------------------------------------------------------------------------

    def describe(self) -> list[Table]:
        """Return tables of sizes and rates, of the codebook as training left it, and of the labels."""
        model, defaults = self.model, self.config.prior
        low, high = model.bounds.tolist()
        rows = [
            ("digest", self.digest),
            *parameter_rows({"VQ-VAE": model.vqvae, "prior": model.prior}),
            *_utterance_rows(self.config),
            ("scale", f"{low:.1f} to {high:.1f} dB"),
            ("mean duration of speech", f"{float(model.mean_duration):.3f} s"),
            ("vocoder", self.vocoder.name),
            ("sampling defaults",
             f"temperature {defaults.temperature:g}, top-p {defaults.top_p:g}, guidance {defaults.guidance:g}"),
            ("prior", "trained" if model.has_prior else "not trained yet"),
        ]  # fmt: skip
        tables = [Table("Model", rows), codebook_table(model.vqvae.quantizer.codebooks)]
        labels = [(key, ", ".join(values)) for key, values in self.labels.items()]
        return [*tables, Table("Labels", labels)] if labels else tables

    def _look_up(self, ids: Int[Tensor, "B Q N"], levels: Sequence[int]) -> Float[Tensor, "B N D"]:
        return self.model.vqvae.quantizer.decode(ids)

    def _analyze(self, samples: Float[ndarray, " T"]) -> tuple[Float[Tensor, "F S"], tuple[float, float, float]]:
        """Return an utterance's image in [0, 1], and onset (s), duration (s) and level (dB) of its speech."""
        rate, spec = self.spec.sample_rate, self.config.image
        start, end = find_speech(samples, spec)
        decibels, level = subtract_level(mel_image(samples, spec, bounds=(start, end)), spec)
        return to_unit(decibels, self.model.bounds.cpu()), (start / rate, (end - start) / rate, level)

    def _fill_labels(self, labels: Mapping[str, object], seed: int, row: int) -> dict[str, object]:
        """Draw a value of each condition that is not named."""
        random = np.random.default_rng((seed, row, 1))
        drawn = {key: values[int(random.integers(len(values)))] for key, values in self.labels.items()}
        return {**drawn, **labels}

    def _typical_duration(self, labels: Sequence[int]) -> float:
        """Return the seconds of speech with some labels: the product of their relative durations times the mean."""
        mean = float(self.model.mean_duration)
        ratios = [
            float(self.model.label_durations[column, index]) / mean for column, index in enumerate(labels) if index >= 0
        ]
        return mean * float(np.prod([ratio for ratio in ratios if ratio > 0] or [1.0]))


def describe_config(config: VqalattentConfig) -> list[Table]:
    """Return a table of rates and network sizes of a configuration, before any training."""
    with torch.device("meta"):
        model = VqalattentModel(config)
    return [Table("Model", [*_utterance_rows(config), *parameter_rows({"VQ-VAE": model.vqvae, "prior": model.prior})])]


def _utterance_rows(config: VqalattentConfig) -> list[tuple[str, str]]:
    rows, columns = config.grid
    image, bits = config.image, log2(config.vqvae.codebook_size)
    return [
        *spec_rows(config.spec),
        ("image", f"{image.bins} mel × {image.frames} spectra of {image.n_fft} samples, {image.duration:.2f} s"),
        ("ids of an utterance", f"{config.frames} ({rows} × {columns}), {config.frames * bits:.0f} bit"),
        *TokenFormat(spec=config.spec, voice_width=_VOICE_SIZE, frames=config.frames).rate_rows(),
        ("image values to an id", f"{image.bins * image.frames / config.frames:g}"),
    ]
