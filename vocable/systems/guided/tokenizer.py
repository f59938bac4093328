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
from vocable.metrics.spectral import dtw_path, mel_cepstra
from vocable.shapes import frames_for
from vocable.systems.base import BaseTokenizer
from vocable.systems.describe import Table, codebook_table, parameter_rows, spec_rows
from vocable.systems.guided.config import GuidedConfig, config_from_json, config_to_json
from vocable.systems.guided.model import GuidedModel
from vocable.systems.windows import Counted, spans, whole, windows
from vocable.tokens import Tokens, TokenSpec

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


def mix_levels(source: Tokens, reference: Tokens, kept: int = 1, beside: Int[Tensor, " N"] | None = None) -> Tokens:
    """The first levels of one clip with the other levels of another.

    Args:
        source: One clip whose words are kept.
        reference: One clip of the voice, by the same tokenizer.
        kept: Levels taken from the source, from the first.
        beside: Which frame of the reference stands beside each of the source's: see :func:`aligned`. By default the
            reference is repeated to the source's length, or cut, whatever is said there.

    Returns:
        As long as the source.

    Raises:
        SpecError: More than one clip, other tokenizers or levels, an empty reference, a ``kept`` that leaves nothing
            to mix, or frames that the reference does not have.

    Source:
        Speech Tokenizer is Key to Consistent Representation, arXiv:2507.06802, voice conversion; both pairings of
        frames are ours, as the paper's is not known.

    Example:
        >>> spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=8, num_codebooks=2)
        >>> def clip(*levels):
        ...     ids = torch.tensor([levels])
        ...     count = ids.shape[2]
        ...     return Tokens(ids=ids, lengths=torch.tensor([count]), samples=torch.tensor([320 * count]), spec=spec,
        ...                   tokenizer="example")
        >>> source, voice = clip([1, 2, 3], [0, 0, 0]), clip([7, 7], [4, 5])
        >>> mix_levels(source, voice).ids.tolist()
        [[[1, 2, 3], [4, 5, 4]]]
        >>> mix_levels(source, voice, beside=torch.tensor([0, 0, 1])).ids.tolist()
        [[[1, 2, 3], [4, 4, 5]]]
    """
    if len(source) != 1 or len(reference) != 1:
        raise SpecError(f"mixing takes one clip and one reference, not {len(source)} and {len(reference)}")
    if source.tokenizer != reference.tokenizer or source.spec != reference.spec:
        raise SpecError("source and reference are of different tokenizers or levels; encode both with the same")
    if not 1 <= kept < source.spec.num_codebooks:
        raise SpecError(f"{kept} levels are kept: it must be 1 to {source.spec.num_codebooks - 1}")
    frames, there = int(source.lengths[0]), int(reference.lengths[0])
    if there == 0:
        raise SpecError("the reference has no frames")
    if beside is None:
        beside = torch.arange(frames) % there
    elif beside.shape != (frames,) or not bool(((beside >= 0) & (beside < there)).all()):
        raise SpecError(
            f"{len(beside)} frames of the reference are named for {frames} of the source: name one of its {there} "
            "for each, as `aligned` does"
        )
    return replace(source, ids=torch.cat([source.ids[:, :kept, :frames], reference.ids[:, kept:, beside]], dim=1))


def aligned(source: Audio, reference: Audio, spec: TokenSpec) -> Int[Tensor, " N"]:
    """For each token frame of a clip the frame of another recording of the same words in which the same is said.

    Dynamic time warping of mel cepstra, as :func:`vocable.metrics.spectral.mel_cepstral_distance` pairs frames. Nobody
    checks that the words are the same: of other words it pairs what sounds alike, in order.

    Args:
        source: The clip; any rate.
        reference: The other recording; any rate.
        spec: Of the tokens.

    Returns:
        Frames of the reference, never going back.

    Raises:
        AudioError: One of them is shorter than 33 ms.
        SpecError: Tokens of this kind do not follow the clock.

    Example:
        >>> from vocable.testing import speechlike
        >>> spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=8, num_codebooks=2)
        >>> clip = speechlike(16_000)
        >>> late = Audio(np.concatenate([np.zeros(3_200, np.float32), clip.samples]), 16_000)  # by ten frames
        >>> aligned(clip, late, spec)[20:25].tolist()
        [30, 31, 32, 33, 34]
    """
    if spec.hop is None:
        raise SpecError("tokens that follow a text have no frames in time to pair")
    clips = [clip.resample(spec.sample_rate).samples for clip in (source, reference)]
    hop = (spec.hop + 0.5) / spec.sample_rate  # which is cut to whole samples there
    cepstra = [mel_cepstra(samples, spec.sample_rate, hop) for samples in clips]
    for name, frames in zip(("source", "reference"), cepstra, strict=True):
        if not len(frames):
            raise AudioError(f"the {name} is shorter than 33 ms: nothing in it can be aligned")
    path = dtw_path(*cepstra)
    heard = np.arange(len(cepstra[0]))
    first, last = (np.searchsorted(path[:, 0], heard, side) for side in ("left", "right"))
    middle = path[(first + last - 1) // 2, 1]
    count, there = (frames_for(samples.size, spec.hop) for samples in clips)
    behind = np.arange(1, count - heard.size + 1)  # frames at the end that no whole window of cepstra covers
    return torch.from_numpy(np.minimum(np.concatenate([middle, middle[-1] + behind]), there - 1))


def model_facts(model: GuidedModel, *, digest: str, spec: TokenSpec, streams: bool) -> list[Table]:
    """Tables of a trained codec: sizes and rates, and its codebooks as training left them."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    entries = sum(book.entries.numel() for book in model.quantizer.books)
    sizes = [
        ("digest", digest),
        ("parameters", f"{parameters:,} and {entries:,} codebook values"),
        *spec_rows(spec),
        ("long audio", "constant memory, tokens of the whole" if streams else "whole clips only"),
    ]
    return [Table("Model", sizes), codebook_table(model.quantizer.books)]


def config_facts(config: GuidedConfig) -> list[Table]:
    """A table of a codec that is not trained yet: rates, and the sizes of its networks."""
    with torch.device("meta"):
        model = GuidedModel(config)
    rows = parameter_rows({"encoder": model.encoder, "decoder": model.decoder})
    return [Table("Model", [*spec_rows(config.spec), *rows])]
