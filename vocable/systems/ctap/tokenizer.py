"""VQ-CTAP in use: speech to tokens and a voice, tokens and any voice to speech, phonemes to tokens, tokens to phonemes.

Every network meets windows of one shape, alone (see :mod:`vocable.systems.windows`), in training as in use: a clip has
the same tokens in any batch by construction, and a long clip costs the memory of a window.
"""

import os
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import AudioError, CheckpointError, TextError
from vocable.folder import digest_of, read_model, write_model
from vocable.shapes import mask_from_lengths
from vocable.systems.batches import encode_each
from vocable.systems.ctap.config import config_from_json, config_to_json
from vocable.systems.ctap.facts import model_facts
from vocable.systems.ctap.model import CtapModel
from vocable.systems.facts import Table, Used
from vocable.systems.own import check_levels, check_one, check_own
from vocable.systems.voices import check_long_enough, checked
from vocable.systems.windows import Counted, spans, windows
from vocable.text.phonemes import PhonemeSet
from vocable.tokens import Tokens
from vocable.vocoders import Vocoder, find_vocoder


class CtapTokenizer:
    """A trained VQ-CTAP.

    Args:
        model: The networks; using them puts them in evaluation mode.
        vocoder: By name or folder, see :func:`vocable.vocoders.find_vocoder`; the best there is for these spectra.

    Attributes:
        phonemes: The inventory.

    Example:
        >>> from vocable.recipes import ctap
        >>> tokenizer = CtapTokenizer(CtapModel(ctap.tiny().model))
        >>> clip = Audio(np.sin(np.arange(8000) / 3).astype(np.float32) * 0.1, 8_000)
        >>> tokens = tokenizer.encode(clip)
        >>> tokens.ids.shape, tokens.voice.shape, tokenizer.decode(tokens).samples.shape
        (torch.Size([1, 1, 32]), torch.Size([1, 72]), (8000,))
    """

    def __init__(self, model: CtapModel, vocoder: str | None = None) -> None:
        self.model = model
        self.config = model.config
        self.spec = model.config.spec
        self.digest = digest_of(config_to_json(model.config), model.state_dict())
        self.phonemes = PhonemeSet(model.config.phonemes)
        self.vocoder: Vocoder = find_vocoder(vocoder, self.config.mel)

    @property
    def device(self) -> torch.device:
        """Where the networks lie."""
        return self.model.middle.device

    @property
    def books(self) -> Sequence[Used]:
        """The codebook, as a list of one."""
        return self.model.transcoder.quantizer.books

    # ---- audio to tokens and back ---------------------------------------------------------------------------------

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        """Tokens of one clip, and its voice beside them.

        Args:
            audio: Any rate.
            text: Carried along in the tokens, not looked at.

        Raises:
            AudioError: The clip is empty.
        """
        samples = audio.resample(self.spec.sample_rate).samples
        speech = self.speech(audio)
        with torch.inference_mode():
            ids = self.model.transcoder.quantizer.encode(speech.to(self.device)).cpu()
        return Tokens(
            ids=ids, lengths=torch.tensor([ids.shape[2]]), samples=torch.tensor([samples.size]), spec=self.spec,
            tokenizer=self.digest, text=None if text is None else (text,), voice=self._voice(samples),
        )  # fmt: skip

    def decode(self, tokens: Tokens, voice: Audio | None = None) -> Audio:
        """Speech of one clip, as long as what was encoded, in its own voice or in another.

        Args:
            tokens: Of this tokenizer, one clip.
            voice: Half a second of speech or more: whose voice it shall be. The tokens' own by default.

        Raises:
            SpecError: Another tokenizer's tokens, more than one clip, or there is no voice at all.
            AudioError: The voice is too short.
        """
        check_one(tokens)
        given = self.voice_of(voice)[None] if voice is not None else tokens.voice
        heard = checked(given, self.config.voice_size)
        made = self.vocoder.render(self.spectra(tokens, heard))[: int(tokens.samples[0])]
        return Audio(made, self.spec.sample_rate)

    def encode_batch(self, clips: Sequence[Audio], texts: Sequence[str | None] | None = None) -> Tokens:
        """Tokens of many clips, each the same as alone.

        Raises:
            ShapeError: There is no clip, or not one text for each.
        """
        return encode_each(self.encode, clips, texts)

    def decode_batch(self, tokens: Tokens) -> list[Audio]:
        """Speech of many clips, each the same as alone."""
        return [self.decode(tokens.clip(index)) for index in range(len(tokens))]

    # ---- the common space -----------------------------------------------------------------------------------------

    @torch.inference_mode()
    def speech(self, audio: Audio) -> Float[Tensor, "1 N D"]:
        """Where a clip lies in the common space, before quantizing (S).

        Raises:
            AudioError: The clip is empty.
        """
        self.model.eval()
        counted = Counted([audio.resample(self.spec.sample_rate).samples])
        parts = []
        for samples, real, inner in windows(counted, self._core, self._margin, self.config.hop):
            frames = self.model.frames(samples.to(self.device))
            parts.append(self.model.transcoder.speech_encoder(frames, real.to(self.device))[:, inner].cpu())
        if not parts:
            raise AudioError("the audio is empty: there are no samples to work on")
        return torch.cat(parts, dim=1)

    @torch.inference_mode()
    def said(self, phonemes: Int[Tensor, " S"]) -> Float[Tensor, "1 N D"]:
        """Where phonemes, one for each spectrum, lie in the common space (P); the last token is filled with silence."""
        self.model.eval()
        each = self.config.transcoder.reduction
        filled = torch.nn.functional.pad(phonemes, (0, -len(phonemes) % each)).unflatten(0, (-1, each))
        encoder = self.model.transcoder.phoneme_encoder
        return self._windowed(filled, lambda part, real: encoder(part.flatten(1), real), rows=1)

    @torch.inference_mode()
    def voice_of(self, audio: Audio) -> Float[Tensor, " V"]:
        """The voice heard in the middle of a recording.

        Raises:
            AudioError: It is shorter than half a second.
        """
        check_long_enough(audio)
        return self._voice(audio.resample(self.spec.sample_rate).samples)[0]

    @torch.no_grad()  # not inference mode: a probe may be trained on what it returns
    def embed(self, tokens: Tokens, levels: Sequence[int] | None = None) -> Float[Tensor, "B N D"]:
        """The codebook's vectors: what the decoders are given; 0 behind a clip's end.

        Raises:
            SpecError: The tokens are another tokenizer's, or another level than 1 is asked for.
        """
        check_own(tokens, self)
        check_levels(levels, 1)
        vectors = self.model.transcoder.quantizer.decode(tokens.ids.to(self.device)).cpu()
        return vectors * mask_from_lengths(tokens.lengths, vectors.shape[1])[..., None]

    # ---- out of it ------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def spectra(self, tokens: Tokens, voice: Float[Tensor, "1 V"]) -> Float[Tensor, "F S"]:
        """Mel spectra in dB of one clip's tokens in a voice.

        Raises:
            SpecError: Another tokenizer's tokens.
        """
        self.model.eval()
        latents, decoder = self.embed(tokens)[0], self.model.transcoder.speech_decoder
        there = self._learnt(voice.to(self.device))
        frames = self._windowed(
            latents, lambda part, real: decoder(part * real[..., None], there, real), self.config.transcoder.reduction
        ).to(self.device)
        real = torch.ones(frames.shape[:2], dtype=torch.bool, device=self.device)
        made = self.model.averaged(frames, real, voice.to(self.device)[:, there.shape[1] :])
        return self.model.decibels(made)[0].cpu()

    @torch.inference_mode()
    def phoneme_scores(self, tokens: Tokens) -> Float[Tensor, "S V"]:
        """Log-probabilities of the phoneme at each spectrum of one clip.

        Raises:
            SpecError: Another tokenizer's tokens.
        """
        self.model.eval()
        latents, decoder = self.embed(tokens)[0], self.model.transcoder.phoneme_decoder
        logits = self._windowed(
            latents, lambda part, real: decoder(part * real[..., None], real), self.config.transcoder.reduction
        )
        return logits[0].log_softmax(1)

    def transcribe(self, tokens: Tokens) -> list[str]:
        """The phonemes of one clip: the best at each spectrum, repeats and silence left out.

        Where the model has a ``change_cost``, the best path, on which each change costs so many nats.

        Raises:
            SpecError: Another tokenizer's tokens.
        """
        single = torch.unique_consecutive(self.phoneme_path(tokens)).tolist()
        return self.phonemes.names(one for one in single if one)

    def phoneme_path(self, tokens: Tokens) -> Int[Tensor, " S"]:
        """The phoneme at each spectrum of one clip, as :meth:`transcribe` reads it.

        Raises:
            SpecError: Another tokenizer's tokens.
        """
        return best_path(self.phoneme_scores(tokens), self.config.change_cost)

    def speak(self, phonemes: Sequence[str], voice: Audio | Float[Tensor, " V"], *, seed: int = 0) -> Tokens:
        """Tokens of phonemes that nobody said: durations, the phonemes' place, speech's place, the codebook.

        Args:
            phonemes: With silence where there are pauses.
            voice: Whose: a recording, or :meth:`voice_of` it.
            seed: Of durations and connector.

        Raises:
            TextError: There are no phonemes, or one outside the inventory.
            CheckpointError: Connector and durations are not trained.
            AudioError: The voice is too short.
        """
        if not int(self.model.trained):
            raise CheckpointError(
                "this model's connector is not trained: it encodes and decodes, but reads no text yet"
            )
        if not phonemes:
            raise TextError("there are no phonemes to say")
        heard = self.voice_of(voice) if isinstance(voice, Audio) else voice
        ids = torch.tensor(self.phonemes.ids(phonemes), device=self.device)
        learnt = self._learnt(heard[None].to(self.device))
        drawn = self.model.eval().durations.sample(ids, learnt, seed, self.config.temperature)
        ends = drawn.double().cumsum(0).round().long()
        return self.speak_timed(phonemes, torch.diff(ends, prepend=ends[:1] * 0).tolist(), heard, seed=seed)

    @torch.inference_mode()
    def speak_timed(
        self, phonemes: Sequence[str], spectra: Sequence[int], voice: Float[Tensor, " V"], *, seed: int = 0
    ) -> Tokens:
        """As :meth:`speak`, with the spectra that each phoneme lasts said.

        Raises:
            TextError: There are no phonemes, one is outside the inventory, or there are not as many durations.
        """
        if not phonemes or len(phonemes) != len(spectra) or min(spectra) < 0 or not sum(spectra):
            raise TextError(
                f"{len(phonemes)} phonemes with {len(spectra)} durations: one each is wanted, and some time"
            )
        self.model.eval()
        ids = torch.tensor(self.phonemes.ids(phonemes))
        given = self.said(ids.repeat_interleave(torch.tensor(spectra))).to(self.device)
        mask = torch.ones(given.shape[:2], dtype=torch.bool, device=self.device)
        there = voice[None].to(self.device)
        drawn = self.model.connector.sample(
            given, self._learnt(there), mask, seeds=[seed], temperature=self.config.temperature
        )
        tokens = self.model.transcoder.quantizer.encode(drawn).cpu()
        return Tokens(
            ids=tokens, lengths=torch.tensor([tokens.shape[2]]), spec=self.spec, tokenizer=self.digest,
            samples=torch.tensor([tokens.shape[2] * self.config.hop]), voice=there.cpu(),
        )  # fmt: skip

    # ---- files and facts ------------------------------------------------------------------------------------------

    def facts(self) -> list[Table]:
        """Sizes and rates, and the codebook as training left it."""
        return model_facts(self.model, digest=self.digest, vocoder=self.vocoder.name)

    def save(self, folder: str | os.PathLike[str], *, half: bool = False) -> None:
        """Write a folder from which :meth:`load` makes this tokenizer again; see :mod:`vocable.folder`."""
        write_model(folder, "ctap", config_to_json(self.config), self.model, half=half)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], device: str = "cpu", vocoder: str | None = None) -> "CtapTokenizer":
        """Read what :meth:`save` wrote.

        Raises:
            CheckpointError: A file is missing, altered or of another version.
        """
        return cls(read_model(folder, lambda values: CtapModel(config_from_json(values)), device), vocoder)

    @property
    def _margin(self) -> int:
        return self.config.transcoder.margin

    @property
    def _core(self) -> int:
        return self.config.transcoder.window - 2 * self._margin

    @torch.inference_mode()
    def _voice(self, samples: Float[np.ndarray, " T"]) -> Float[Tensor, "1 V"]:
        """The voice in samples at this rate; a whole number of spectra from their middle."""
        self.model.eval()
        mel, wanted = self.config.mel, self.config.transcoder.voice_frames * self.config.mel.hop
        first = max(0, (samples.size - wanted) // 2)
        middle = samples[first : first + wanted]
        padded = np.pad(middle, (0, -middle.size % mel.hop))
        frames = self.model.frames(torch.from_numpy(padded)[None].to(self.device))
        return self.model.voice(self.model.heard(frames)).float().cpu()

    def _learnt(self, voice: Float[Tensor, "B V"]) -> Float[Tensor, "B W"]:
        """What the networks are given of a voice; behind it stands its long-term average spectrum."""
        return voice[:, : self.config.transcoder.voice_width]

    def _windowed(
        self, sequence: Tensor, network: Callable[[Tensor, Tensor], Tensor], rows: int
    ) -> Float[Tensor, "1 S D"]:
        """A network over windows of tokens, which makes so many rows of each token."""
        parts = []
        for where, real, inner in spans(len(sequence), self._core, self._margin):
            made = network(sequence[where][None].to(self.device), real.to(self.device))
            parts.append(made[:, inner.start * rows : inner.stop * rows].cpu())
        return torch.cat(parts, dim=1).float()


def best_path(scores: Float[Tensor, "S V"], change_cost: float) -> Int[Tensor, " S"]:
    """The likeliest phoneme at each spectrum, where each change from one to the next costs so many nats (Viterbi).

    Example:
        >>> scores = torch.tensor([[0.0, -9.0], [-1.0, 0.0], [0.0, -9.0]])
        >>> best_path(scores, 0.0).tolist(), best_path(scores, 2.0).tolist()
        ([0, 1, 0], [0, 0, 0])
    """
    best, froms = scores[0].double(), []
    for row in scores[1:].double():
        top = int(best.argmax())
        stays = best >= best[top] - change_cost
        froms.append(torch.where(stays, torch.arange(len(best)), top))
        best = torch.where(stays, best, best[top] - change_cost) + row
    path = [int(best.argmax())]
    for places in reversed(froms):
        path.append(int(places[path[-1]]))
    return torch.tensor(path[::-1])
