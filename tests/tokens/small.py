"""A small batch of tokens, and when two are the same."""

import torch

from vocable.tokens import Tokens, TokenSpec

SPEC = TokenSpec(sample_rate=16_000, hop=320, codebook_size=5, num_codebooks=2)
SMALL = Tokens(
    ids=torch.tensor([[[0, 1, 2], [4, 3, 2]], [[4, 0, 0], [1, 0, 0]]]),
    lengths=torch.tensor([3, 1]),
    samples=torch.tensor([900, 1]),
    spec=SPEC,
    tokenizer="sha256:abc",
    text=("Grüße", None),
    voice=torch.tensor([[0.5, -1.0], [2.0, 3.0]]),
)


def same(one: Tokens, other: Tokens) -> bool:
    """Equal in everything, bit by bit."""

    def equal(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
        if a is None or b is None:
            return a is b
        return a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()

    return (
        (one.spec, one.tokenizer, one.text) == (other.spec, other.tokenizer, other.text)
        and all(equal(getattr(one, name), getattr(other, name)) for name in ("ids", "lengths", "samples", "voice"))
    )  # fmt: skip
