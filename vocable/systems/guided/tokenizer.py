"""The codec in use: audio to tokens and back, in windows of one fixed shape (see :mod:`vocable.systems.windows`).

The frames around a window's core are those that the spectral codec's networks can see. A clip then has the same tokens
alone, in any batch, under any padding and in any pieces *by construction*, in constant memory. The SEANet codec's LSTM
sees the whole clip: it takes one clip at a time, whole.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import AudioError, SpecError
from vocable.folder import digest_of, read_model, write_model
from vocable.shapes import mask_from_lengths
from vocable.systems.batches import encode_each
from vocable.systems.facts import Table
from vocable.systems.guided.config import config_from_json, config_to_json
from vocable.systems.guided.facts import model_facts
from vocable.systems.guided.model import GuidedModel
from vocable.systems.own import check_levels, check_one, check_own
from vocable.systems.windows import Counted, spans, whole, windows
from vocable.tokens import Tokens, TokenSpec

_WINDOW = 256  # frames that go through the network together


class GuidedTokenizer:
    """A trained guided codec.

    Args:
        model: The network; it is put in evaluation mode.

    Example:
        >>> import vocable
        >>> codec = vocable.load("guided-small")
        >>> clip = vocable.Audio(np.sin(np.arange(8000) / 20).astype(np.float32) * 0.1, 16_000)
        >>> tokens = codec.encode(clip)
        >>> tokens.ids.shape, codec.decode(tokens).samples.shape
        (torch.Size([1, 8, 25]), (8000,))
    """

    def __init__(self, model: GuidedModel) -> None:
        self.model = model
        self.spec: TokenSpec = model.config.spec
        self.digest = digest_of(config_to_json(model.config), model.state_dict())
        backbone = model.config.backbone
        self.streams = backbone.encoder_reach is not None

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return next(self.model.parameters()).device

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        """Tokens of one clip.

        Args:
            audio: Any rate.
            text: Carried along in the tokens, not looked at.
        """
        tokens = self.encode_blocks([audio.resample(self.spec.sample_rate).samples])
        return replace(tokens, text=None if text is None else (text,))

    def decode(self, tokens: Tokens, voice: Audio | None = None) -> Audio:
        """Speech of one clip, as long as what was encoded. Any prefix of the levels will do.

        Raises:
            SpecError: Another tokenizer's tokens, more than one clip, or a ``voice``: this codec keeps the voice
                in its tokens.
        """
        if voice is not None:
            raise SpecError("the guided codec keeps the voice in its tokens and takes no other; decode without `voice`")
        return Audio(np.concatenate(list(self.decode_blocks(tokens))), self.spec.sample_rate)

    def encode_batch(self, clips: Sequence[Audio], texts: Sequence[str | None] | None = None) -> Tokens:
        """Tokens of many clips, each the same as alone.

        Raises:
            ShapeError: There is no clip, or not one text for each.
        """
        return encode_each(self.encode, clips, texts)

    def decode_batch(self, tokens: Tokens) -> list[Audio]:
        """Speech of many clips, each the same as alone."""
        return [self.decode(tokens.clip(index)) for index in range(len(tokens))]

    @torch.inference_mode()
    def encode_blocks(self, blocks: Iterable[Float[ndarray, " T"]]) -> Tokens:
        """Tokens of one clip that comes in pieces at ``spec.sample_rate``. How it is cut does not matter.

        Memory is constant for the spectral backbone; SEANet's gathers the clip first.

        Raises:
            AudioError: There is not one sample.
        """
        self.model.eval()
        counted = Counted(blocks)
        pieces = windows(counted, self._core, self._reach, self._hop) if self.streams else whole(counted, self._hop)
        parts = []
        for samples, real, inner in pieces:
            latents = self.model.encoder(samples.to(self.device), real.to(self.device))
            parts.append(self.model.quantizer.encode(latents[:, inner]).cpu())
        if counted.samples == 0:
            raise AudioError("the audio is empty: there are no samples to work on")
        ids = torch.cat(parts, dim=2)
        return Tokens(
            ids=ids,
            lengths=torch.tensor([ids.shape[2]]),
            samples=torch.tensor([counted.samples]),
            spec=self.spec,
            tokenizer=self.digest,
        )

    def decode_blocks(self, tokens: Tokens) -> Iterator[Float[ndarray, " T"]]:
        """Speech of one clip, piece by piece; as long as what was encoded."""
        self._check(tokens)
        self.model.eval()
        left, frames = int(tokens.samples[0]), int(tokens.lengths[0])
        reach = self.model.config.backbone.decoder_reach or 0
        core = _WINDOW - 2 * reach if self.streams else frames
        for where, real, inner in spans(frames, core, reach):
            ids, mask = tokens.ids[:, :, where].to(self.device), real.to(self.device)
            with torch.inference_mode():  # not around the generator: it would hold between pieces
                made = self.model.decoder(self.model.quantizer.decode(ids) * mask[..., None], mask)
            piece = made[0, inner.start * self._hop : inner.stop * self._hop].float().cpu().numpy()[:left]
            left -= piece.size
            yield piece

    @torch.no_grad()  # not inference mode: a probe may be trained on what it returns
    def embed(self, tokens: Tokens, levels: Sequence[int] | None = None) -> Float[Tensor, "B N D"]:
        """Sum of the codebook vectors of these levels: what the decoder is given, or a part of it.

        Args:
            tokens: Of this tokenizer, with all or the first levels.
            levels: 1 is the first; all there are by default.

        Returns:
            On the CPU; 0 behind a clip's end.

        Raises:
            SpecError: The tokens are another tokenizer's, or lack one of the levels.
        """
        check_own(tokens, self)
        wanted = check_levels(levels, tokens.spec.num_codebooks)
        books = self.model.quantizer.books
        ids = tokens.ids.to(self.device)
        summed = torch.stack([books[level - 1].lookup(ids[:, level - 1]) for level in wanted]).sum(0)
        return summed.cpu() * mask_from_lengths(tokens.lengths, ids.shape[2])[..., None]

    def facts(self) -> list[Table]:
        """Sizes and rates, and the codebooks as training left them."""
        return model_facts(self.model, digest=self.digest, spec=self.spec, streams=self.streams)

    def save(self, folder: str | os.PathLike[str], *, half: bool = False) -> None:
        """Write ``model.json`` and ``model.safetensors``, from which :meth:`load` makes this tokenizer again.

        Args:
            folder: Created if missing.
            half: Store float16; the tokenizer loaded from it is then another one, with another digest.

        Raises:
            OutputError: The folder cannot be written.
        """
        write_model(folder, "guided", config_to_json(self.model.config), self.model, half=half)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], device: str = "cpu") -> "GuidedTokenizer":
        """Read what :meth:`save` wrote.

        Raises:
            CheckpointError: A file is missing, altered or of another version.
        """
        return cls(read_model(folder, lambda values: GuidedModel(config_from_json(values)), device))

    @property
    def _hop(self) -> int:
        return self.model.config.backbone.hop

    @property
    def _reach(self) -> int:
        return self.model.config.backbone.encoder_reach or 0

    @property
    def _core(self) -> int:
        return _WINDOW - 2 * self._reach

    def _check(self, tokens: Tokens) -> None:
        check_one(tokens)
        check_own(tokens, self)
