"""The codec in use: audio to tokens and back, in windows of one fixed shape (see :mod:`vocable.systems.windows`).

The frames around a window's core are those that the spectral codec's networks can see. A clip then has the same tokens
alone, in any batch, under any padding and in any pieces *by construction*, in constant memory. The SEANet codec's LSTM
sees the whole clip: it takes one clip at a time, whole.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import AudioError, SpecError
from vocable.systems.base import BaseTokenizer
from vocable.systems.describe import Table
from vocable.systems.guided.config import GuidedConfig, config_from_json, config_to_json
from vocable.systems.guided.facts import model_facts
from vocable.systems.guided.model import GuidedModel
from vocable.systems.windows import Counted, spans, whole, windows
from vocable.tokens import Tokens

_WINDOW = 256  # frames that go through the network together


class GuidedTokenizer(BaseTokenizer[GuidedModel]):
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

    system = "guided"
    config_class = GuidedConfig
    model_class = GuidedModel

    @property
    def streams(self) -> bool:
        """Whether long audio is encoded in constant memory."""
        return self.config.backbone.encoder_reach is not None

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
        self.check_clip(tokens)
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

    def _look_up(self, ids: Int[Tensor, "B Q N"], levels: Sequence[int]) -> Float[Tensor, "B N D"]:
        books = self.model.quantizer.books
        return torch.stack([books[level - 1].lookup(ids[:, level - 1]) for level in levels]).sum(0)

    def describe(self) -> list[Table]:
        """Sizes and rates, and the codebooks as training left them."""
        return model_facts(self.model, digest=self.digest, spec=self.spec, streams=self.streams)

    @property
    def _hop(self) -> int:
        return self.model.config.backbone.hop

    @property
    def _reach(self) -> int:
        return self.model.config.backbone.encoder_reach or 0

    @property
    def _core(self) -> int:
        return _WINDOW - 2 * self._reach

    @classmethod
    def _config_from_json(cls, values: dict[str, Any]) -> Any:
        return config_from_json(values)

    def _config_to_json(self) -> dict[str, Any]:
        return config_to_json(self.config)
