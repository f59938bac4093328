"""Many strings in little memory."""

from collections.abc import Iterable, Sequence

import numpy as np


class PackedStrings(Sequence[str]):
    """Strings in one block of bytes: without the 50 bytes or more that Python takes for each.

    Example:
        >>> PackedStrings(["one", "two"])[1]
        'two'
    """

    def __init__(self, strings: Iterable[str]) -> None:
        encoded = [string.encode(errors="surrogatepass") for string in strings]
        self._bytes = b"".join(encoded)
        self._ends = np.cumsum([0, *map(len, encoded)])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:  # type: ignore[override]  # slices are not needed
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._bytes[self._ends[index] : self._ends[index + 1]].decode(errors="surrogatepass")
