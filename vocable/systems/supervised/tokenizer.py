"""The supervised units in use: speech to tokens and a voice, tokens and any voice to speech, tokens to phones.

Whisper attends to a whole clip of up to 30 s; longer clips are cut. Clips are encoded one at a time, so a clip has the
same tokens in any batch. Its tokens depend on the whole clip, so this tokenizer does not stream.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.audio import Audio, AudioLike, as_audio
from vocable.features.whisper import WhisperLayers, load_encoder
from vocable.folder import Migration
from vocable.shapes import frames_for
from vocable.systems.describe import parameter_rows
from vocable.systems.supervised.config import SupervisedConfig
from vocable.systems.supervised.networks import SupervisedModel
from vocable.systems.voiced import VoicedTokenizer, rename_keys
from vocable.text.word_search import WordSearchConfig
from vocable.tokens import Tokens

_MAX_SAMPLES = 30 * 16_000  # that Whisper encodes at a time


def migrate_config(values: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration that vocable 0.1 wrote, in the layout of today."""
    names = {
        "encoder": "whisper", "layers": "encoder.layers", "pooled": "encoder.frames_per_token",
        "width": "encoder.width", "blocks": "encoder.blocks", "recogniser_width": "recognizer.width",
        "recogniser_blocks": "recognizer.blocks", "phones_per_token": "recognizer.phones_per_token",
        "strides": "decoder.strides", "decoder_width": "decoder.width", "decoder_blocks": "decoder.blocks",
        "voice_width": "voice.width", "voice_channels": "voice.channels", "voice_frames": "voice.frames",
    }  # fmt: skip
    return rename_keys(values, names)


class SupervisedTokenizer(VoicedTokenizer[SupervisedModel]):
    """Trained supervised units. Arguments and attributes are those of :class:`VoicedTokenizer`.

    Example:
        >>> from vocable.systems.supervised import recipe as supervised
        >>> tokenizer = SupervisedTokenizer(SupervisedModel(supervised.tiny().model))
        >>> ids = torch.tensor([[[3, 1, 4, 1, 5]]])  # encode needs the Whisper it was trained on; these are invented
        >>> tokens = Tokens(ids=ids, lengths=torch.tensor([5]), samples=torch.tensor([3_200]), spec=tokenizer.spec,
        ...                 tokenizer=tokenizer.digest, voice=torch.zeros(1, 8))
        >>> tokenizer.decode(tokens).samples.shape, tokenizer.embed(tokens).shape
        ((3200,), torch.Size([1, 5, 16]))
    """

    system = "supervised"
    config_class = SupervisedConfig
    model_class = SupervisedModel
    word_search = WordSearchConfig(lm_weight=1.0, word_bonus=1.0)
    migration = Migration(
        config=migrate_config,
        tensors=(
            (r"^recogniser\.", "recognizer."),
            (r"^(encoder|recognizer|decoder)\.enter\.", r"\1.in_proj."),
            (r"^(encoder|recognizer)\.leave\.", r"\1.out_proj."),
            (r"^decoder\.voice\.", "decoder.voice_proj."),
            (r"^decoder\.rise\.", "decoder.upsampler."),
        ),
    )

    def check_encoding(self) -> None:
        """Load Whisper's encoder; see :meth:`vocable.systems.base.BaseTokenizer.check_encoding`."""
        load_encoder(self.config.whisper, str(self.device))

    @torch.inference_mode()
    def latents(self, audio: AudioLike) -> Float[Tensor, "1 N D"]:
        """Return a clip's latents before quantizing."""
        samples, sizes = as_audio(audio).resample(self.spec.sample_rate).samples, self.config.encoder
        self.model.eval()
        whisper, parts = WhisperLayers(load_encoder(self.config.whisper, str(self.device)), sizes.layers), []
        for start in range(0, samples.size, _MAX_SAMPLES):
            part = Audio(samples[start : start + _MAX_SAMPLES], self.spec.sample_rate)
            tokens = frames_for(part.samples.size, self.config.hop)
            frames = whisper.extract(part)
            frames = torch.nn.functional.pad(frames, (0, 0, 0, tokens * sizes.frames_per_token - len(frames)))
            mask = torch.ones(1, tokens, dtype=torch.bool, device=self.device)
            parts.append(self.model.encoder(frames[None].to(self.device), mask).cpu())
        return torch.cat(parts, dim=1)

    @torch.inference_mode()
    def spectra(self, tokens: Tokens, voice: Float[Tensor, "1 V"]) -> Float[Tensor, "F S"]:
        """Return the mel spectra of one clip in dB, decoded in a voice; see :meth:`VoicedTokenizer.spectra`."""
        self.model.eval()
        latents, mask = self._embed_masked(tokens)
        return self.model.to_decibels(self.model.decoder(latents, self._check_vector(voice), mask))[0].cpu()

    @torch.inference_mode()
    def phoneme_scores(self, tokens: Tokens) -> Float[Tensor, "P V"]:
        """Return the log-probability of each phoneme at each CTC position of one clip; phoneme 0 is the blank."""
        return self.model.eval().recognizer(*self._embed_masked(tokens))[0].cpu()

    def phoneme_path(self, tokens: Tokens) -> Int[Tensor, " P"]:
        """Return the most likely phoneme id at each CTC position of one clip; see :meth:`VoicedTokenizer.phoneme_path`.

        A phone is at few positions, mostly one, and silence, the blank, at all others.
        """
        return self.phoneme_scores(tokens).argmax(1)

    @classmethod
    def size_rows(cls, model: SupervisedModel) -> list[tuple[str, str]]:
        """Return table rows with the layers of Whisper and the number of parameters of each network."""
        parts = {
            "encoder": model.encoder, "recognizer": model.recognizer, "voice encoder": model.voice_encoder,
            "decoder": model.decoder, "all": model,
        }  # fmt: skip
        whisper = model.config.whisper
        layers = ", ".join(str(layer % (whisper.depth + 1)) for layer in model.config.encoder.layers)
        return [("frozen encoder", f"{whisper.name}, layers {layers} of 0 to {whisper.depth}"), *parameter_rows(parts)]

    def _embed_masked(self, tokens: Tokens) -> tuple[Float[Tensor, "1 N D"], Tensor]:
        """Return one clip's codebook vectors, and a mask that is True everywhere."""
        latents = self._embed_clip(tokens).to(self.device)
        return latents, torch.ones(latents.shape[:2], dtype=torch.bool, device=self.device)
