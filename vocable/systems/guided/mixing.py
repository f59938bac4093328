"""Voice conversion by mixing levels: what is said from one clip, how it sounds from another."""

from dataclasses import replace

import torch

from vocable.errors import SpecError
from vocable.tokens import Tokens


def mix_levels(source: Tokens, reference: Tokens, kept: int = 1) -> Tokens:
    """The first levels of one clip with the other levels of another.

    The reference is repeated to the source's length, or cut: frame by frame its levels stand beside those of the
    source, whatever is said there.

    Args:
        source: One clip whose words are kept.
        reference: One clip of the voice, by the same tokenizer.
        kept: Levels taken from the source, from the first.

    Returns:
        As long as the source.

    Raises:
        SpecError: More than one clip, other tokenizers or levels, an empty reference, or a ``kept`` that leaves nothing
            to mix.

    Source:
        Speech Tokenizer is Key to Consistent Representation, arXiv:2507.06802, voice conversion; the frame-by-frame
        pairing is ours, as the paper's is not known.

    Example:
        >>> from vocable.tokens import TokenSpec
        >>> spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=8, num_codebooks=2)
        >>> def clip(*levels):
        ...     ids = torch.tensor([levels])
        ...     count = ids.shape[2]
        ...     return Tokens(ids=ids, lengths=torch.tensor([count]), samples=torch.tensor([320 * count]), spec=spec,
        ...                   tokenizer="example")
        >>> mix_levels(clip([1, 2, 3], [0, 0, 0]), clip([7, 7], [4, 5])).ids.tolist()
        [[[1, 2, 3], [4, 5, 4]]]
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
    turned = reference.ids[:, kept:, torch.arange(frames) % there]
    return replace(source, ids=torch.cat([source.ids[:, :kept, :frames], turned], dim=1))
