"""Text to pieces of words: the positions that text-aligned tokens follow. No piece reaches across words.

What a word is, ``vocable.text.written`` says.
"""

from collections.abc import Callable, Mapping

from vocable.text.byte_pairs import UNKNOWN, BytePairs
from vocable.text.hub_pieces import HubPieces
from vocable.text.split import Pieces, Split
from vocable.text.written import CASES

__all__ = ["CASES", "UNKNOWN", "BytePairs", "HubPieces", "Pieces", "Split", "pieces_from_json"]


def pieces_from_json(values: object, where: str = "pieces", *, located: Callable[[str], str] = str) -> Pieces:
    """Pieces of either kind from what their ``to_json`` wrote.

    Args:
        values: From JSON, whatever it is.
        where: Begins the message of an error.
        located: As of :meth:`HubPieces.load`.

    Raises:
        CheckpointError: It is neither kind, or altered.
    """
    if isinstance(values, Mapping) and values.get("kind") == HubPieces.kind:
        return HubPieces.from_json(values, where, located=located)
    return BytePairs.from_json(values, where)
