"""The supervised units in use: speech to tokens and a voice, tokens and any voice to speech, tokens to phones.

Whisper hears a whole clip, up to 30 s, and longer ones piece by piece; every clip goes through alone. So it has the
same tokens in any batch by construction, and not in other pieces: this tokenizer does not stream.
"""

import os
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import SpecError
from vocable.features.whisper import Layers, recall
from vocable.folder import digest_of, read_model, write_model
from vocable.shapes import frames_for, mask_from_lengths
from vocable.systems.batches import encode_each
from vocable.systems.facts import Table, Used
from vocable.systems.own import check_levels, check_one, check_own
from vocable.systems.supervised.config import config_from_json, config_to_json
from vocable.systems.supervised.facts import model_facts
from vocable.systems.supervised.model import SupervisedModel
from vocable.systems.voices import check_long_enough, checked
from vocable.text.phonemes import PhonemeSet
from vocable.tokens import Tokens
from vocable.vocoders import Vocoder, find_vocoder

_PIECE = 30 * 16_000  # samples that Whisper hears at a time


class SupervisedTokenizer:
    """Trained units.

    Args:
        model: The networks; using them puts them in evaluation mode.
        vocoder: By name or folder, see :func:`vocable.vocoders.find_vocoder`; the best there is for these spectra.

    Attributes:
        phonemes: What it tells apart.

    Example:
        >>> from vocable.recipes import supervised
        >>> tokenizer = SupervisedTokenizer(SupervisedModel(supervised.tiny().model))
        >>> ids = torch.tensor([[[3, 1, 4, 1, 5]]])  # encode needs the Whisper it was trained on; these are made up
        >>> tokens = Tokens(ids=ids, lengths=torch.tensor([5]), samples=torch.tensor([3_200]), spec=tokenizer.spec,
        ...                 tokenizer=tokenizer.digest, voice=torch.zeros(1, 8))
        >>> tokenizer.decode(tokens).samples.shape, tokenizer.embed(tokens).shape
        ((3200,), torch.Size([1, 5, 16]))
    """

    def __init__(self, model: SupervisedModel, vocoder: str | None = None) -> None:
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
        return self.model.quantizer.books

    # ---- audio to tokens and back ---------------------------------------------------------------------------------

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        """Tokens of one clip, and its voice beside them.

        Args:
            audio: Any rate; of more than 30 s, each 30 s by themselves.
            text: Carried along in the tokens, not looked at.

        Raises:
            CheckpointError: The Whisper that the units were trained on is not at hand; the environment variable
                ``VOCABLE_WEIGHTS`` says where it lies.
        """
        samples = audio.resample(self.spec.sample_rate).samples
        latents = self.latents(audio)
        with torch.inference_mode():
            ids = self.model.quantizer.encode(latents.to(self.device)).cpu()
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
        heard = checked(self.voice_of(voice)[None] if voice is not None else tokens.voice, self.config.voice_width)
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

    # ---- in between -----------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def latents(self, audio: Audio) -> Float[Tensor, "1 N D"]:
        """A clip before quantizing.

        Raises:
            CheckpointError: The Whisper that the units were trained on is not at hand.
        """
        samples = audio.resample(self.spec.sample_rate).samples
        self.model.eval()
        whisper, parts = Layers(recall(self.config.encoder, str(self.device)), self.config.layers), []
        for start in range(0, samples.size, _PIECE):
            piece = Audio(samples[start : start + _PIECE], self.spec.sample_rate)
            tokens = frames_for(piece.samples.size, self.config.hop)
            frames = whisper.hear(piece)
            frames = torch.nn.functional.pad(frames, (0, 0, 0, tokens * self.config.pooled - len(frames)))
            real = torch.ones(1, tokens, dtype=torch.bool, device=self.device)
            parts.append(self.model.encoder(frames[None].to(self.device), real).cpu())
        return torch.cat(parts, dim=1)

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
        """The codebook's vectors: what recogniser and decoder are given; 0 behind a clip's end.

        Raises:
            SpecError: The tokens are another tokenizer's, or another level than 1 is asked for.
        """
        check_own(tokens, self)
        check_levels(levels, 1)
        vectors = self.model.quantizer.decode(tokens.ids.to(self.device)).cpu()
        return vectors * mask_from_lengths(tokens.lengths, vectors.shape[1])[..., None]

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

    def facts(self) -> list[Table]:
        """Sizes and rates, and the codebook as training left it."""
        return model_facts(self.model, digest=self.digest, vocoder=self.vocoder.name)

    def save(self, folder: str | os.PathLike[str], *, half: bool = False) -> None:
        """Write a folder from which :meth:`load` makes this tokenizer again; see :mod:`vocable.folder`."""
        write_model(folder, "supervised", config_to_json(self.config), self.model, half=half)

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], device: str = "cpu", vocoder: str | None = None
    ) -> "SupervisedTokenizer":
        """Read what :meth:`save` wrote. Whisper is looked for at the first :meth:`encode`; all else does without.

        Raises:
            CheckpointError: A file is missing, altered or of another version.
        """
        return cls(read_model(folder, lambda values: SupervisedModel(config_from_json(values)), device), vocoder)

    @torch.inference_mode()
    def _voice(self, samples: Float[np.ndarray, " T"]) -> Float[Tensor, "1 V"]:
        """The voice in samples at this rate; a whole number of spectra from their middle."""
        self.model.eval()
        mel, wanted = self.config.mel, self.config.voice_frames * self.config.mel.hop
        first = max(0, (samples.size - wanted) // 2)
        middle = samples[first : first + wanted]
        padded = np.pad(middle, (0, -middle.size % mel.hop))
        frames = self.model.frames(torch.from_numpy(padded)[None].to(self.device))
        mean, _ = self.model.voice_encoder(self.model.heard(frames))
        return mean.float().cpu()

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
