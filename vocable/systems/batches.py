"""Many clips by a tokenizer that takes one at a time: each has the tokens that it has alone, by construction."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from vocable.audio import Audio
from vocable.errors import ShapeError
from vocable.tokens import Tokens


def encode_each(
    encode: Callable[[Audio, str | None], Tokens], clips: Sequence[Audio], texts: Sequence[str | None] | None = None
) -> Tokens:
    """Tokens of many clips, one after the other.

    Args:
        encode: Of a tokenizer.
        clips: At least one.
        texts: What is said in each; None where it is not known.

    Raises:
        ShapeError: There is no clip, or not one text for each.

    Example:
        >>> import vocable
        >>> from vocable.testing import speechlike
        >>> codec = vocable.load("guided-small")
        >>> tokens = encode_each(codec.encode, [speechlike(3_200), speechlike(6_400)], ["yes", None])
        >>> tokens.lengths.tolist(), tokens.text
        ([10, 20], ('yes', None))
    """
    if not clips:
        raise ShapeError("encode_batch needs at least one clip")
    if texts is not None and (isinstance(texts, str) or len(texts) != len(clips)):
        found = "one text" if isinstance(texts, str) else f"{len(texts)} texts"
        raise ShapeError(
            f"encode_batch got {found} for {len(clips)} clips; give one for each, None where there is none"
        )
    said = texts if texts is not None else [None] * len(clips)
    return joined([encode(clip, text) for clip, text in zip(clips, said, strict=True)])


def joined(parts: Sequence[Tokens]) -> Tokens:
    """Tokens of one tokenizer as one batch, filled with 0 behind the end of the shorter clips.

    Example:
        >>> import vocable
        >>> from vocable.testing import speechlike
        >>> codec = vocable.load("guided-small")
        >>> joined([codec.encode(speechlike(960)), codec.encode(speechlike(640))]).ids.shape
        torch.Size([2, 8, 3])
    """
    frames = max(part.ids.shape[2] for part in parts)
    voices = [part.voice for part in parts if part.voice is not None]
    texts = [text for part in parts for text in part.text or (None,) * len(part)]
    return replace(
        parts[0],
        ids=torch.cat([torch.nn.functional.pad(part.ids, (0, frames - part.ids.shape[2])) for part in parts]),
        lengths=torch.cat([part.lengths for part in parts]),
        samples=torch.cat([part.samples for part in parts]),
        voice=torch.cat(voices) if voices else None,
        text=None if all(text is None for text in texts) else tuple(texts),
    )
