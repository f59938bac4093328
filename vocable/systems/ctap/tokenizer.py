"""VQ-CTAP in use: speech to tokens and a voice, tokens and any voice to speech, phonemes to tokens, tokens to phonemes.

Every network meets windows of one shape, alone (see :mod:`vocable.systems.windows`), in training as in use: a clip has
the same tokens in any batch by construction, and a long clip costs the memory of a window.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import AudioError, CheckpointError, TextError
from vocable.systems.ctap.config import CtapConfig, config_from_json, config_to_json
from vocable.systems.ctap.facts import model_facts
from vocable.systems.ctap.model import CtapModel
from vocable.systems.describe import HasUsage, Table
from vocable.systems.voiced import VoicedTokenizer
from vocable.systems.windows import CountedBlocks, frame_windows, sample_windows
from vocable.tokens import Tokens


class CtapTokenizer(VoicedTokenizer[CtapModel]):
    """A trained VQ-CTAP.

    Args:
        model: The networks; using them puts them in evaluation mode.
        vocoder: By name or folder, see :func:`vocable.vocoders.find_vocoder`; the best there is for these spectra.

    Attributes:
        phonemes: The inventory.

    Example:
        >>> import numpy as np
        >>> from vocable.systems.ctap import recipe as ctap
        >>> tokenizer = CtapTokenizer(CtapModel(ctap.tiny().model))
        >>> clip = Audio(np.sin(np.arange(8000) / 3).astype(np.float32) * 0.1, 8_000)
        >>> tokens = tokenizer.encode(clip)
        >>> tokens.ids.shape, tokens.voice.shape, tokenizer.decode(tokens).samples.shape
        (torch.Size([1, 1, 32]), torch.Size([1, 72]), (8000,))
    """

    system = "ctap"
    config_class = CtapConfig
    model_class = CtapModel

    @property
    def device(self) -> torch.device:
        """Torch device of the networks."""
        return self.model.middle.device

    @property
    def books(self) -> Sequence[HasUsage]:
        """The codebook, as a list of one."""
        return self.model.transcoder.quantizer.books

    # ---- audio to tokens and back ---------------------------------------------------------------------------------

    # ---- the common space -----------------------------------------------------------------------------------------

    @torch.inference_mode()
    def latents(self, audio: Audio) -> Float[Tensor, "1 N D"]:
        """Where a clip lies in the common space, before quantizing (S).

        Raises:
            AudioError: The clip is empty.
        """
        self.model.eval()
        counted = CountedBlocks([audio.resample(self.spec.sample_rate).samples])
        parts = []
        for samples, real, inner in sample_windows(counted, self._core, self._margin, self.config.hop):
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

    def _look_up(self, ids: Int[Tensor, "B Q N"], levels: Sequence[int]) -> Float[Tensor, "B N D"]:
        return self.model.transcoder.quantizer.decode(ids)

    def _quantize(self, latents: Float[Tensor, "1 N D"]) -> Int[Tensor, "1 1 N"]:
        return self.model.transcoder.quantizer.encode(latents)

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

    def describe(self) -> list[Table]:
        """Sizes and rates, and the codebook as training left it."""
        return model_facts(self.model, digest=self.digest, vocoder=self.vocoder.name)

    @property
    def _margin(self) -> int:
        return self.config.transcoder.margin

    @property
    def _core(self) -> int:
        return self.config.transcoder.window - 2 * self._margin

    @property
    def _voice_samples(self) -> int:
        return self.config.transcoder.voice_frames * self.config.mel.hop

    def _embed_voice(self, samples: Float[Tensor, "1 T"]) -> Float[Tensor, "1 V"]:
        return self.model.voice(self.model.heard(self.model.frames(samples)))

    @classmethod
    def _config_from_json(cls, values: dict[str, Any]) -> Any:
        return config_from_json(values)

    def _config_to_json(self) -> dict[str, Any]:
        return config_to_json(self.config)

    def _learnt(self, voice: Float[Tensor, "B V"]) -> Float[Tensor, "B W"]:
        """What the networks are given of a voice; behind it stands its long-term average spectrum."""
        return voice[:, : self.config.transcoder.voice_width]

    def _windowed(
        self, sequence: Tensor, network: Callable[[Tensor, Tensor], Tensor], rows: int
    ) -> Float[Tensor, "1 S D"]:
        """A network over windows of tokens, which makes so many rows of each token."""
        parts = []
        for where, real, inner in frame_windows(len(sequence), self._core, self._margin):
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
