"""The supervised units in use: speech to tokens and a voice, tokens and any voice to speech, tokens to phones.

Whisper hears a whole clip, up to 30 s, and longer ones piece by piece; every clip goes through alone. So it has the
same tokens in any batch by construction, and not in other pieces: this tokenizer does not stream.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import SpecError
from vocable.features.whisper import WhisperLayers, load_encoder
from vocable.shapes import frames_for
from vocable.systems.describe import HasUsage, Table
from vocable.systems.supervised.config import SupervisedConfig, config_from_json, config_to_json
from vocable.systems.supervised.facts import model_facts
from vocable.systems.supervised.model import SupervisedModel
from vocable.systems.voiced import VoicedTokenizer
from vocable.tokens import Tokens

_PIECE = 30 * 16_000  # samples that Whisper hears at a time


class SupervisedTokenizer(VoicedTokenizer[SupervisedModel]):
    """Trained units.

    Args:
        model: The networks; using them puts them in evaluation mode.
        vocoder: By name or folder, see :func:`vocable.vocoders.find_vocoder`; the best there is for these spectra.

    Attributes:
        phonemes: What it tells apart.

    Example:
        >>> from vocable.systems.supervised import recipe as supervised
        >>> tokenizer = SupervisedTokenizer(SupervisedModel(supervised.tiny().model))
        >>> ids = torch.tensor([[[3, 1, 4, 1, 5]]])  # encode needs the Whisper it was trained on; these are made up
        >>> tokens = Tokens(ids=ids, lengths=torch.tensor([5]), samples=torch.tensor([3_200]), spec=tokenizer.spec,
        ...                 tokenizer=tokenizer.digest, voice=torch.zeros(1, 8))
        >>> tokenizer.decode(tokens).samples.shape, tokenizer.embed(tokens).shape
        ((3200,), torch.Size([1, 5, 16]))
    """

    system = "supervised"
    config_class = SupervisedConfig
    model_class = SupervisedModel

    @property
    def device(self) -> torch.device:
        """Torch device of the networks."""
        return self.model.middle.device

    @property
    def books(self) -> Sequence[HasUsage]:
        """The codebook, as a list of one."""
        return self.model.quantizer.books

    # ---- in between -----------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def latents(self, audio: Audio) -> Float[Tensor, "1 N D"]:
        """A clip before quantizing.

        Raises:
            CheckpointError: The Whisper that the units were trained on is not at hand.
        """
        samples = audio.resample(self.spec.sample_rate).samples
        self.model.eval()
        whisper, parts = WhisperLayers(load_encoder(self.config.encoder, str(self.device)), self.config.layers), []
        for start in range(0, samples.size, _PIECE):
            piece = Audio(samples[start : start + _PIECE], self.spec.sample_rate)
            tokens = frames_for(piece.samples.size, self.config.hop)
            frames = whisper.extract(piece)
            frames = torch.nn.functional.pad(frames, (0, 0, 0, tokens * self.config.pooled - len(frames)))
            real = torch.ones(1, tokens, dtype=torch.bool, device=self.device)
            parts.append(self.model.encoder(frames[None].to(self.device), real).cpu())
        return torch.cat(parts, dim=1)

    def _look_up(self, ids: Int[Tensor, "B Q N"], levels: Sequence[int]) -> Float[Tensor, "B N D"]:
        return self.model.quantizer.decode(ids)

    def _quantize(self, latents: Float[Tensor, "1 N D"]) -> Int[Tensor, "1 1 N"]:
        return self.model.quantizer.encode(latents)

    @torch.inference_mode()
    def spectra(self, tokens: Tokens, voice: Float[Tensor, "1 V"]) -> Float[Tensor, "F S"]:
        """Mel spectra in dB of one clip's tokens in a voice.

        Raises:
            SpecError: Another tokenizer's tokens.
        """
        latents, real = self._content(tokens)
        return self.model.decibels(self.model.decoder(latents, voice.to(self.device), real))[0].cpu()

    @torch.inference_mode()
    def phoneme_path(self, tokens: Tokens) -> Int[Tensor, " P"]:
        """The phoneme at each place of one clip, :attr:`SupervisedConfig.phones_per_token` to a token.

        A phone shows where the recogniser is sure of it, mostly at one place, and silence, the blank, everywhere else.

        Raises:
            SpecError: Another tokenizer's tokens.
        """
        return self.model.recogniser(*self._content(tokens))[0].argmax(1).cpu()

    def transcribe(self, tokens: Tokens) -> list[str]:
        """The phones of one clip: the best at each place, repeats and blanks left out.

        Raises:
            SpecError: Another tokenizer's tokens.
        """
        return self.phonemes.names(collapsed(self.phoneme_path(tokens)))

    # ---- files and facts ------------------------------------------------------------------------------------------

    def describe(self) -> list[Table]:
        """Sizes and rates, and the codebook as training left it."""
        return model_facts(self.model, digest=self.digest, vocoder=self.vocoder.name)

    @property
    def _voice_samples(self) -> int:
        return self.config.voice_frames * self.config.mel.hop

    def _embed_voice(self, samples: Float[Tensor, "1 T"]) -> Float[Tensor, "1 V"]:
        mean, _ = self.model.voice_encoder(self.model.heard(self.model.frames(samples)))
        return mean

    @classmethod
    def _config_from_json(cls, values: dict[str, Any]) -> Any:
        return config_from_json(values)

    def _config_to_json(self) -> dict[str, Any]:
        return config_to_json(self.config)

    def _content(self, tokens: Tokens) -> tuple[Float[Tensor, "1 N D"], Tensor]:
        """One clip's vectors, and that all of them are real."""
        self.model.eval()
        if len(tokens) != 1:
            raise SpecError(f"one clip is wanted, these tokens hold {len(tokens)}; take them clip by clip")
        latents = self.embed(tokens).to(self.device)
        return latents, torch.ones(latents.shape[:2], dtype=torch.bool, device=self.device)


def collapsed(path: Int[Tensor, " P"]) -> list[int]:
    """What a path of connectionist temporal classification says: repeats and blanks (0) are left out.

    Example:
        >>> collapsed(torch.tensor([0, 3, 3, 0, 3, 5]))
        [3, 3, 5]
    """
    return [one for one in torch.unique_consecutive(path).tolist() if one]
