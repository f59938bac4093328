"""VQ-CTAP in use: speech to tokens and a voice, tokens and any voice to speech, phonemes to tokens and back.

Every network runs on windows of one shape, one at a time (see :mod:`vocable.systems.windows`), in training and in use.
So a clip has the same tokens in any batch, and a long clip needs the memory of a window.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.arguments import Seed
from vocable.audio import AudioLike, as_audio
from vocable.errors import AudioError, CheckpointError, TextError
from vocable.folder import Migration
from vocable.systems.ctap.config import CtapConfig
from vocable.systems.ctap.networks import CtapModel
from vocable.systems.describe import Table, parameter_rows
from vocable.systems.voiced import VoicedTokenizer, rename_keys
from vocable.systems.windows import frame_windows, sample_windows
from vocable.text.word_search import WordSearchConfig
from vocable.tokens import Tokens

_MAX_SPECTRA = 360_000  # of one call of speak: an hour in spectra of 10 ms
_OLD_NAMES = {
    "codebook_size": "codebook.size", "codebook": "codebook.kind", "fsq_levels": "codebook.fsq_levels",
    "decoder_blocks": "decoder.blocks", "decoder_hidden": "decoder.feedforward", "convolutions": "decoder.convolutions",
    "kernel": "decoder.kernel", "voice_width": "voice.width", "voice_channels": "voice.channels",
    "voice_frames": "voice.frames", "hidden": "feedforward", "centred": "instance_norm",
}  # fmt: skip


def migrate_config(values: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration that vocable 0.1 wrote, in the layout of today."""
    diffusion = {part: rename_keys(values[part], {"cycle": "dilation_cycle"}) for part in ("connector", "durations")}
    return values | diffusion | {"transcoder": rename_keys(values["transcoder"], _OLD_NAMES)}


class CtapTokenizer(VoicedTokenizer[CtapModel]):
    """A trained VQ-CTAP. Arguments and attributes are those of :class:`VoicedTokenizer`.

    Example:
        >>> import numpy as np
        >>> from vocable.audio import Audio
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
    word_search = WordSearchConfig(lm_weight=2.0, word_bonus=2.0)
    word_stride = 4  # spectra: a phoneme lasts several, each with a score of its own
    migration = Migration(
        config=migrate_config,
        tensors=(
            (r"\.sharpness$", ".logit_scale"),
            (r"\.speech_encoder\.first\.", ".speech_encoder.conv1."),
            (r"\.speech_encoder\.second\.", ".speech_encoder.conv2."),
            (r"\.phoneme_encoder\.reduce\.", ".phoneme_encoder.conv."),
            (r"_encoder\.leave\.", "_encoder.out_proj."),
            (r"\.speech_decoder\.voice\.", ".speech_decoder.voice_proj."),
            (r"_decoder\.rise\.", "_decoder.upsampler."),
            (r"^durations\.usual$", "durations.log_stats"),
            (r"^(connector|durations\.diffusion)\.enter\.", r"\1.in_proj."),
            (r"^(connector|durations\.diffusion)\.step\.", r"\1.step_embedding."),
            (r"^(connector|durations\.diffusion)\.voice\.", r"\1.voice_proj."),
            (r"^(connector|durations\.diffusion)\.((?:layers\.\d+\.)?)leave\.", r"\1.\2out_proj."),
            (r"^(connector|durations\.diffusion)\.layers\.(\d+)\.convolve\.", r"\1.layers.\2.conv."),
            (r"^(connector|durations\.diffusion)\.layers\.(\d+)\.condition\.", r"\1.layers.\2.condition_proj."),
        ),
    )

    @torch.inference_mode()
    def latents(self, audio: AudioLike) -> Float[Tensor, "1 N D"]:
        """Return the speech embeddings S of a clip: its place in the common space before quantizing."""
        self.model.eval()
        blocks, sizes = [as_audio(audio).resample(self.spec.sample_rate).samples], self.config.transcoder
        parts = []
        for samples, mask, kept in sample_windows(blocks, sizes.core, sizes.margin, self.config.hop):
            frames = self.model.frames(samples.to(self.device))
            parts.append(self.model.transcoder.speech_encoder(frames, mask.to(self.device))[:, kept].cpu())
        if not parts:
            raise AudioError("the audio is empty: there are no samples to work on")
        return torch.cat(parts, dim=1)

    @torch.inference_mode()
    def phoneme_latents(self, phonemes: Int[Tensor, " S"]) -> Float[Tensor, "1 N D"]:
        """Return the phoneme embeddings P of a sequence: its place in the common space.

        Args:
            phonemes: Phoneme id at each spectrum; silence is added to fill the last token.
        """
        self.model.eval()
        reduction = self.config.transcoder.reduction
        padded = torch.nn.functional.pad(phonemes, (0, -len(phonemes) % reduction)).unflatten(0, (-1, reduction))
        encoder = self.model.transcoder.phoneme_encoder
        return self._apply(padded, lambda part, mask: encoder(part.flatten(1), mask), per_token=1)

    @torch.inference_mode()
    def spectra(self, tokens: Tokens, voice: Float[Tensor, "1 V"]) -> Float[Tensor, "F S"]:
        """Return the mel spectra of one clip in dB, decoded in a voice; see :meth:`VoicedTokenizer.spectra`."""
        self.model.eval()
        decoder, reduction = self.model.transcoder.speech_decoder, self.config.transcoder.reduction
        learned, average = self._check_vector(voice).tensor_split([self.config.voice.width], dim=1)
        frames = self._apply(
            self._embed_clip(tokens)[0], lambda part, mask: decoder(part * mask[..., None], mask, learned), reduction
        ).to(self.device)
        mask = torch.ones(frames.shape[:2], dtype=torch.bool, device=self.device)
        return self.model.to_decibels(self.model.match_spectrum(frames, mask, average))[0].cpu()

    @torch.inference_mode()
    def phoneme_scores(self, tokens: Tokens) -> Float[Tensor, "S V"]:
        """Return the log-probability of each phoneme at each spectrum of one clip."""
        self.model.eval()
        decoder, reduction = self.model.transcoder.phoneme_decoder, self.config.transcoder.reduction
        latents = self._embed_clip(tokens)[0]
        logits = self._apply(latents, lambda part, mask: decoder(part * mask[..., None], mask), reduction)
        return logits[0].log_softmax(1)

    def phoneme_path(self, tokens: Tokens) -> Int[Tensor, " S"]:
        """Return the phoneme id at each spectrum of one clip: the best, or with a ``change_cost`` the best path."""
        return best_path(self.phoneme_scores(tokens), self.config.change_cost)

    @torch.inference_mode()
    def speak(
        self, phonemes: Sequence[str], voice: AudioLike | Float[Tensor, " V"], *, seed: Seed = 0,
        durations: Sequence[int] | None = None,
    ) -> Tokens:  # fmt: skip
        """Synthesize the tokens of phonemes: sample durations, then speech embeddings, and quantize those.

        Errors are those of :meth:`vocable.interfaces.TextToSpeech.speak`.

        Args:
            phonemes: Symbols of the inventory, with silence at pauses.
            voice: Recording of the speaker, or a voice vector: :meth:`voice_of` it, or one of :attr:`voices`.
            seed: Seed of durations and connector.
            durations: Duration of each phoneme, in spectra; sampled by default.
        """
        if not int(self.model.trained):
            raise CheckpointError(
                "this model's connector is not trained: it encodes and decodes, but reads no text yet"
            )
        if not phonemes:
            raise TextError("there are no phonemes to say")
        model, temperature = self.model.eval(), self.config.temperature
        vector = self._vector_of(voice)
        ids = torch.tensor(self.phonemes.ids(phonemes))
        learned = vector[None, : self.config.voice.width].to(self.device)
        if durations is None:
            ends = model.durations.sample(ids.to(self.device), learned, seed, temperature).double().cumsum(0).round()
            durations = torch.diff(ends.long(), prepend=ends.long()[:1] * 0).tolist()
        if len(phonemes) != len(durations) or min(durations) < 0 or not 0 < sum(durations) <= _MAX_SPECTRA:
            raise TextError(
                f"{len(phonemes)} phonemes with {len(durations)} durations: give one for each, at least one over 0, "
                f"together at most {_MAX_SPECTRA}"
            )
        text = self.phoneme_latents(ids.repeat_interleave(torch.tensor(durations))).to(self.device)
        mask = torch.ones(text.shape[:2], dtype=torch.bool, device=self.device)
        speech = model.connector.sample(text, learned, mask, seeds=[seed], temperature=temperature)
        tokens = model.quantizer.encode(speech).cpu()
        return self._tokens(tokens, tokens.shape[2] * self.config.hop, None, vector[None].cpu())

    def describe(self) -> list[Table]:
        """Return tables of rates and sizes, and of the codebook as training left it."""
        sizes, *others = super().describe()
        model, cost = self.model, self.config.change_cost
        rows = [
            ("contrastive factor", f"{float(model.transcoder.logit_scale.detach().exp()):.2f}"),
            ("text to speech", f"trained for {int(model.trained)} steps" if int(model.trained) else "not trained yet"),
            ("sampled with", f"temperature {self.config.temperature:g}"),
            ("recognition", f"best path, {cost:g} nat for a change" if cost else "best at each spectrum"),
        ]
        return [replace(sizes, rows=[*sizes.rows, *rows]), *others]

    @classmethod
    def size_rows(cls, model: CtapModel) -> list[tuple[str, str]]:
        """Return table rows with the window and the number of parameters of each network."""
        part, sizes = model.transcoder, model.config.transcoder
        parts = {
            "speech encoder": part.speech_encoder, "phoneme encoder": part.phoneme_encoder,
            "voice encoder": part.voice_encoder, "speech decoder": part.speech_decoder,
            "phoneme decoder": part.phoneme_decoder, "connector": model.connector, "durations": model.durations,
        }  # fmt: skip
        window = f"{sizes.window} tokens, {sizes.margin} of them context on either side"
        return [("window", window), *parameter_rows(parts)]

    def _apply(
        self, sequence: Tensor, network: Callable[[Tensor, Tensor], Tensor], per_token: int
    ) -> Float[Tensor, "1 S D"]:
        """Run a network over windows of a sequence of tokens; it returns ``per_token`` rows for each token."""
        parts, sizes = [], self.config.transcoder
        for indices, mask, kept in frame_windows(len(sequence), sizes.core, sizes.margin):
            output = network(sequence[indices][None].to(self.device), mask.to(self.device))
            parts.append(output[:, kept.start * per_token : kept.stop * per_token].cpu())
        return torch.cat(parts, dim=1).float()


def best_path(scores: Float[Tensor, "S V"], change_cost: float) -> Int[Tensor, " S"]:
    """Return the most likely phoneme at each spectrum, where each change of phoneme has a cost in nats (Viterbi).

    Example:
        >>> scores = torch.tensor([[0.0, -9.0], [-1.0, 0.0], [0.0, -9.0]])
        >>> best_path(scores, 0.0).tolist(), best_path(scores, 2.0).tolist()
        ([0, 1, 0], [0, 0, 0])
    """
    best, origins = scores[0].double(), []
    for row in scores[1:].double():
        top = int(best.argmax())
        stays = best >= best[top] - change_cost
        origins.append(torch.where(stays, torch.arange(len(best)), top))
        best = torch.where(stays, best, best[top] - change_cost) + row
    path = [int(best.argmax())]
    for previous in reversed(origins):
        path.append(int(previous[path[-1]]))
    return torch.tensor(path[::-1])
