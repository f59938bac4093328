"""Voice conversion by mixing levels: what is said from one clip, how it sounds from another."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import AudioError, SpecError
from vocable.metrics.spectral import dtw_path, mel_cepstra
from vocable.shapes import frames_for
from vocable.tokens import Tokens, TokenSpec


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
