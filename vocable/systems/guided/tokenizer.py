"""Tokenizer of the guided codec: encoding and decoding in windows, and voice conversion by mixing levels.

The spectral backbone runs in windows (see :mod:`vocable.systems.windows`) with as much context as its networks can see,
in constant memory. The LSTM of the SEANet backbone sees the whole clip.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor
from typing_extensions import override

from vocable.arguments import show
from vocable.audio import Audio, AudioLike, as_audio, check_audible
from vocable.errors import ArgumentError, AudioError, SpecError
from vocable.folder import Migration
from vocable.interfaces import Mix
from vocable.metrics.spectral import dtw_path, mel_cepstra
from vocable.shapes import frames_for
from vocable.systems.base import BaseTokenizer
from vocable.systems.describe import Table, codebook_table, parameter_rows, spec_rows
from vocable.systems.guided.config import GuidedConfig
from vocable.systems.guided.networks import GuidedModel
from vocable.systems.windows import frame_windows, sample_windows, shared_windows
from vocable.tokens import Tokens, TokenSpec

_WINDOW = 256  # frames that run through the network together


class GuidedTokenizer(BaseTokenizer[GuidedModel]):
    """A trained guided codec.

    Args:
        model: Network; using the tokenizer puts it in evaluation mode.
        aliases: Digests of the same weights under earlier formats.

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
    migration = Migration(
        config=lambda values: {  # initial_scale mattered to untrained weights alone
            **values,
            "backbone": {key: one for key, one in values["backbone"].items() if key != "initial_scale"},
        },
        tensors=[
            (r"^(encoder|decoder)\.enter\.", r"\1.in_proj."),
            (r"^(encoder|decoder)\.leave\.0\.", r"\1.out_norm."),
            (r"^(encoder|decoder)\.leave\.(1\.)?", r"\1.out_proj."),
            (r"^(encoder|decoder)\.memory\.lstm\.", r"\1.lstm.layers."),
            (r"^(encoder\.stages\.\d+)\.coarser\.", r"\1.downsample."),
            (r"^(decoder\.stages\.\d+)\.finer\.", r"\1.upsample."),
            (r"\.unit\.narrow\.", ".residual.conv1."),
            (r"\.unit\.widen\.", ".residual.conv2."),
            (r"\.unit\.skip\.", ".residual.shortcut."),
        ],
    )

    @override
    def encode(self, audio: AudioLike, text: str | None = None) -> Tokens:
        return self._encode([as_audio(audio).resample(self.spec.sample_rate).samples], text)

    def decode(self, tokens: Tokens, voice: AudioLike | None = None) -> Audio:
        """Decode one clip, with all levels or the first ones, to audio as long as what was encoded.

        Raises:
            SpecError: If the tokens are another tokenizer's or hold several clips, or a voice is given.
        """
        if voice is not None:
            raise SpecError("the guided codec keeps the voice in its tokens and takes no other; decode without `voice`")
        return Audio(np.concatenate(list(self.decode_blocks(tokens))), self.spec.sample_rate)

    def convert(self, source: AudioLike, voice: AudioLike, mix: Mix | None = None) -> Audio:
        """Convert a recording to another voice by mixing levels; see :func:`mix_levels`.

        Arguments and errors are those of :meth:`vocable.interfaces.VoiceConverter.convert`.
        """
        self.check_mix(mix)
        mix, source, voice = mix or Mix(), as_audio(source, "source"), as_audio(voice, "voice")
        check_audible(voice, "the voice")
        frames = align_frames(source, voice, self.spec) if mix.align == "dtw" else None
        last = mix.upto or self.spec.num_codebooks
        tokens, reference = (self.encode(clip).keep_levels(last) for clip in (source, voice))
        return self.decode(mix_levels(tokens, reference, mix.levels, frames))

    def check_mix(self, mix: Mix | None) -> None:
        """Raise a SpecError if a mix names more levels than there are, or leaves none to the voice."""
        mix, available = mix or Mix(), self.spec.num_codebooks
        if mix.upto is not None and mix.upto > available:
            raise SpecError(f"upto is {mix.upto}: this codec has {available} levels; choose at most {available}")
        if mix.levels >= available:
            raise SpecError(f"levels is {mix.levels}: of {available} levels at least one must be the voice's")

    def encode_blocks(self, blocks: Iterable[Float[ndarray, " T"]]) -> Tokens:
        """Encode one clip given in blocks at ``spec.sample_rate``; the SEANet backbone gathers the clip first.

        Raises:
            AudioError: If there is no sample.
        """
        return self._encode(blocks, None)

    @override
    def _encode_clips(self, clips: Sequence[AudioLike], texts: Sequence[str | None]) -> list[Tokens]:
        """Encode clips, several short ones in one window.

        This was measured on CPUs alone: elsewhere, and where the network sees the whole clip, each clip runs alone.
        """
        reach = self.model.encoder.reach
        if reach is None or self.device.type != "cpu" or len(clips) == 1:
            return super()._encode_clips(clips, texts)
        self.model.eval()
        rate, hop = self.spec.sample_rate, self.config.backbone.hop
        samples = [as_audio(clip).resample(rate).samples for clip in clips]
        found: dict[tuple[int, int], Int[Tensor, "Q _"]] = {}  # by clip, and number of its part
        with torch.inference_mode():
            for window in shared_windows(samples, _WINDOW - 2 * reach, reach, hop):
                latents = self.model.encoder(window.content, window.mask)
                for clip, number, kept in window.parts:  # one by one: a product may round by its number of rows,
                    rows = F.pad(latents[:, kept], (0, 0, reach, 0))[:, reach:]  # and by where they lie in memory
                    found[clip, number] = self.model.quantizer.encode(rows)[0]
        parts: list[list[Int[Tensor, "Q _"]]] = [[] for _ in clips]
        for (clip, _), ids in sorted(found.items(), key=lambda item: item[0]):
            parts[clip].append(ids)
        return [
            self._tokens(torch.cat(ids, dim=1)[None], clip.size, text)
            for ids, clip, text in zip(parts, samples, texts, strict=True)
        ]

    @torch.inference_mode()
    def _encode(self, blocks: Iterable[Float[ndarray, " T"]], text: str | None) -> Tokens:
        self.model.eval()
        sizes: list[int] = []

        def measured() -> Iterator[Float[ndarray, " T"]]:
            for block in blocks:
                if not isinstance(block, ndarray) or block.ndim != 1 or block.dtype.kind != "f":
                    raise ArgumentError(f"a block is {show(block)}; pass arrays of floats of shape (T,)")
                sizes.append(block.size)
                yield block

        reach, hop = self.model.encoder.reach, self.config.backbone.hop
        collected = bytearray()  # int32: thousands of small tensors would keep the heap from being reused
        core = _WINDOW - 2 * (reach or 0)
        if reach is None:  # one window for the whole clip
            blocks = [np.concatenate([np.zeros(0, np.float32), *blocks])]
            core = max(1, frames_for(blocks[0].size, hop))
        for samples, mask, kept in sample_windows(measured(), core, reach or 0, hop):
            latents = self.model.encoder(samples.to(self.device), mask.to(self.device))
            collected += self.model.quantizer.encode(latents[:, kept])[0].T.int().cpu().numpy().tobytes()
        if not collected:
            raise AudioError("the audio is empty: there are no samples to encode")
        ids = np.frombuffer(collected, dtype=np.int32).reshape(-1, self.spec.num_codebooks)
        joined = np.ascontiguousarray(ids.T, dtype=np.int64)
        return self._tokens(torch.from_numpy(joined)[None], sum(sizes), text)

    def decode_blocks(self, tokens: Tokens) -> Iterator[Float[ndarray, " T"]]:
        """Decode one clip block by block; together the blocks are as long as what was encoded."""
        tokens = self.check_clip(tokens)
        self.model.eval()
        remaining, frames = int(tokens.samples[0]), int(tokens.lengths[0])
        reach, hop = self.model.decoder.reach, self.config.backbone.hop
        core = frames if reach is None else _WINDOW - 2 * reach
        for window in frame_windows(frames, core, reach or 0):
            ids, mask = tokens.ids[:, :, window.content].to(self.device), window.mask.to(self.device)
            with torch.inference_mode():  # not around the generator: it would stay on between blocks
                decoded = self.model.decoder(self.model.quantizer.decode(ids) * mask[..., None], mask)
            block = decoded[0, window.core.start * hop : window.core.stop * hop].float().cpu().numpy()[:remaining]
            remaining -= block.size
            yield block

    @override
    def describe(self) -> list[Table]:
        books = self.model.quantizer.codebooks
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        is_finite = self.model.encoder.reach is not None
        entries = sum(book.entries.numel() for book in books)
        sizes = [
            ("digest", self.digest),
            ("parameters", f"{parameters:,} and {entries:,} codebook values"),
            *spec_rows(self.spec),
            ("long audio", "constant memory, tokens of the whole" if is_finite else "whole clips only"),
        ]
        return [Table("Model", sizes), codebook_table(books)]

    def _look_up(self, ids: Int[Tensor, "B Q N"], levels: Sequence[int]) -> Float[Tensor, "B N D"]:
        books = self.model.quantizer.codebooks
        return torch.stack([books[level - 1].lookup(ids[:, level - 1]) for level in levels]).sum(0)


def describe_config(config: GuidedConfig) -> list[Table]:
    """Return a table of rates and network sizes of a configuration, before any training."""
    with torch.device("meta"):
        model = GuidedModel(config)
    rows = parameter_rows({"encoder": model.encoder, "decoder": model.decoder})
    return [Table("Model", [*spec_rows(config.spec), *rows])]


def mix_levels(source: Tokens, reference: Tokens, kept: int = 1, frames: Int[Tensor, " N"] | None = None) -> Tokens:
    """Combine the first levels of one clip with the other levels of another.

    Args:
        source: Tokens of one clip, whose first levels are kept.
        reference: Tokens of one clip of the target voice, by the same tokenizer.
        kept: Number of levels taken from the source, from the first.
        frames: Frame of the reference to pair with each frame of the source; see :func:`align_frames`. By default the
            reference is repeated to the source's length, or cut.

    Returns:
        Tokens as long as the source.

    Raises:
        SpecError: If there is more than one clip, tokenizers or numbers of levels differ, the reference is empty,
            ``kept`` leaves nothing to mix, or ``frames`` names frames that the reference does not have.

    Source:
        Speech Tokenizer is Key to Consistent Representation, arXiv:2507.06802, voice conversion. The paper does not
        describe its pairing of frames; both pairings are vocable's.

    Example:
        >>> import vocable
        >>> from vocable.testing import speechlike
        >>> codec = vocable.load("guided-small")
        >>> source, voice = (codec.encode(speechlike(3_200, seed=seed)) for seed in (1, 2))
        >>> mixed = mix_levels(source, voice).ids[0]
        >>> torch.equal(mixed[:1], source.ids[0, :1]), torch.equal(mixed[1:], voice.ids[0, 1:])
        (True, True)
    """
    if len(source) != 1 or len(reference) != 1:
        raise SpecError(f"mixing takes one clip and one reference, not {len(source)} and {len(reference)}")
    if source.tokenizer != reference.tokenizer or source.spec != reference.spec:
        raise SpecError("source and reference are of different tokenizers or levels; encode both with the same")
    if not 1 <= kept < source.spec.num_codebooks:
        raise SpecError(f"{kept} levels are kept: it must be 1 to {source.spec.num_codebooks - 1}")
    count, available = int(source.lengths[0]), int(reference.lengths[0])
    if available == 0:
        raise SpecError("the reference has no frames; give a longer recording")
    if frames is None:
        frames = torch.arange(count) % available
    elif frames.shape != (count,) or not bool(((frames >= 0) & (frames < available)).all()):
        raise SpecError(
            f"{len(frames)} frames of the reference are named for {count} of the source: name one of its {available} "
            "for each, as `align_frames` does"
        )
    return source.with_contents(ids=torch.cat([source.ids[:, :kept, :count], reference.ids[:, kept:, frames]], dim=1))


def align_frames(source: Audio, reference: Audio, spec: TokenSpec) -> Int[Tensor, " N"]:
    """Align the token frames of a clip with those of another recording of the same words.

    The alignment is dynamic time warping of mel cepstra, as in
    :func:`vocable.metrics.spectral.mel_cepstral_distance`. It does not check that the words are the same.

    Args:
        source: Clip at any sample rate.
        reference: Other recording at any sample rate.
        spec: Token spec with a fixed frame rate.

    Returns:
        Frame of the reference for each frame of the source, never decreasing.

    Raises:
        AudioError: If a recording is shorter than 33 ms.
        SpecError: If the tokens have no fixed frame rate.

    Example:
        >>> from vocable.testing import speechlike
        >>> spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=8, num_codebooks=2)
        >>> clip = speechlike(16_000)
        >>> late = Audio(np.concatenate([np.zeros(3_200, np.float32), clip.samples]), 16_000)  # by ten frames
        >>> align_frames(clip, late, spec)[20:25].tolist()
        [30, 31, 32, 33, 34]
    """
    if spec.hop is None:
        raise SpecError("tokens that follow a text have no frames in time to align")
    clips = [clip.resample(spec.sample_rate).samples for clip in (source, reference)]
    hop = (spec.hop + 0.5) / spec.sample_rate  # mel_cepstra rounds down to whole samples
    cepstra = [mel_cepstra(samples, spec.sample_rate, hop) for samples in clips]
    for name, frames in zip(("source", "reference"), cepstra, strict=True):
        if not len(frames):
            raise AudioError(f"the {name} is shorter than 33 ms and cannot be aligned; give a longer recording")
    path = dtw_path(*cepstra)
    positions = np.arange(len(cepstra[0]))
    first, last = (np.searchsorted(path[:, 0], positions, side) for side in ("left", "right"))
    middle = path[(first + last - 1) // 2, 1]
    count, available = (frames_for(samples.size, spec.hop) for samples in clips)
    tail = np.arange(1, count - positions.size + 1)  # last frames, which no whole window of cepstra covers
    return torch.from_numpy(np.minimum(np.concatenate([middle, middle[-1] + tail]), available - 1))
