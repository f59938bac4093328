"""What every tokenizer asks of tokens before it looks at them: its own, of one clip, of a level that there is."""

from collections.abc import Sequence
from dataclasses import replace

from vocable.errors import SpecError
from vocable.interfaces import Tokenizer
from vocable.tokens import Tokens


def check_own(tokens: Tokens, tokenizer: Tokenizer) -> None:
    """Tokens made by this very tokenizer, with all levels or the first ones.

    Raises:
        SpecError: They are another's, or of other sizes.

    Example:
        >>> import vocable
        >>> from vocable.testing import speechlike
        >>> codec = vocable.load("guided-small")
        >>> check_own(codec.encode(speechlike(640)), codec)
    """
    if tokens.tokenizer != tokenizer.digest:
        raise SpecError(
            f"these tokens were made by tokenizer {tokens.tokenizer[:23]}, this one is {tokenizer.digest[:23]}; "
            "load the one that made them"
        )
    if replace(tokens.spec, num_codebooks=tokenizer.spec.num_codebooks) != tokenizer.spec:
        raise SpecError(f"these tokens are {tokens.spec}, this tokenizer makes {tokenizer.spec}")
    if tokens.spec.num_codebooks > tokenizer.spec.num_codebooks:
        raise SpecError(
            f"these tokens have {tokens.spec.num_codebooks} levels, this tokenizer {tokenizer.spec.num_codebooks}"
        )


def check_one(tokens: Tokens) -> None:
    """Tokens of one clip.

    Raises:
        SpecError: They are of several, or of none.
    """
    if len(tokens) != 1:
        raise SpecError(f"decode takes one clip, these tokens hold {len(tokens)}; use decode_batch")


def check_levels(levels: Sequence[int] | None, there: int) -> list[int]:
    """The levels that are asked for, counted from 1; all by default.

    Raises:
        SpecError: There is no such level, one is asked for twice, or none at all.

    Example:
        >>> check_levels(None, 3), check_levels([2], 3)
        ([1, 2, 3], [2])
    """
    wanted = list(range(1, there + 1)) if levels is None else list(levels)
    if not wanted or len({*wanted} & {*range(1, there + 1)}) < len(wanted):
        held = "level 1 alone" if there == 1 else f"levels 1 to {there}"
        raise SpecError(f"levels {wanted} were asked of tokens that have {held}")
    return wanted
