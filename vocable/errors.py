"""Errors that vocable raises on purpose, in one tree.

```text
VocableError
├── ArgumentError           an argument is of the wrong type (a TypeError, too)
├── InputError              a folder or pattern holds no file of the requested kind
├── AudioError              unreadable file, empty signal, samples that are not finite
├── ShapeError              a tensor is empty or of another shape
├── SpecError               tokens and tokenizer do not belong together
│   └── ClipIndexError      there is no clip of this number (an IndexError, too)
├── TokenFileError          a token file is truncated, altered, or of another version
├── CheckpointError         a checkpoint is missing a file, of another version, or altered
├── ManifestError           a manifest line cannot be used
├── TextError               a text is empty, or has symbols outside the inventory
├── AlignmentError          an alignment cannot be read, or does not fit its audio
├── ConfigError             a setting is out of range or contradicts another
├── OutputError             a result cannot be written
├── MissingDependencyError  an optional package is not installed
└── TrainingError           training cannot go on
```

A message says what failed, which value, where, and what to do. Callers catch :class:`VocableError`. The command line
prints the message on one line and ends with a non-zero exit code.
"""

import collections.abc
import re
from contextlib import contextmanager

_NO_MEMORY = re.compile("OutOfMemoryError|can't allocate memory|not enough memory|bad_alloc")  # of torch and others


class VocableError(Exception):
    """Base class of the errors that vocable raises on purpose."""

    def __str__(self) -> str:
        """Return the message as text that can be printed: a file's name need not be valid Unicode."""
        return super().__str__().encode("utf-8", "backslashreplace").decode()


class ArgumentError(VocableError, TypeError):
    """An argument of a public function is of the wrong type."""


class InputError(VocableError):
    """A folder or pattern holds no file of the requested kind."""


class AudioError(VocableError):
    """An audio file cannot be read, or its samples cannot be used."""


class ShapeError(VocableError):
    """A tensor is empty or of another shape."""


class SpecError(VocableError):
    """Tokens and tokenizer do not belong together, or a rate is undefined for them."""


class ClipIndexError(SpecError, IndexError):
    """A batch of tokens has no clip of this number."""


class TokenFileError(VocableError):
    """A token file is truncated, altered, of another version, or not a token file."""


class CheckpointError(VocableError):
    """A checkpoint or model folder is missing a file, of another version, or altered."""


class ManifestError(VocableError):
    """A manifest is missing, empty, or has a line that cannot be used."""


class TextError(VocableError):
    """A text is empty, or has symbols outside the inventory."""


class AlignmentError(VocableError):
    """An alignment of speech and symbols cannot be read, or does not fit its audio."""


class ConfigError(VocableError):
    """A setting is out of range or contradicts another."""


class OutputError(VocableError):
    """A result cannot be written to its target."""


class MissingDependencyError(VocableError):
    """An optional package is required and not installed; the message says how to install it."""


class TrainingError(VocableError):
    """Training cannot go on: a loss or a gradient is not finite."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or one that it was raised from, says that there is not enough memory.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(ValueError("not enough arguments"))
        (True, False)
    """
    while error is not None:
        if isinstance(error, MemoryError) or _NO_MEMORY.search(f"{type(error).__name__} {error}"):
            return True
        error = error.__cause__
    return False


@contextmanager
def name_failure(where: str) -> collections.abc.Iterator[None]:
    """Turn an error of a library or of the system into one of vocable, so that a job can go on with its other items.

    Args:
        where: Item that is worked on; opens the message.

    Raises:
        VocableError: If any error was raised. Those of vocable stay as they are.

    Example:
        >>> with name_failure("a.wav"):
        ...     raise MemoryError
        Traceback (most recent call last):
        vocable.errors.VocableError: a.wav: there is not enough memory for it; split it, or use a machine with more
    """
    try:
        yield
    except VocableError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise VocableError(
                f"{where}: there is not enough memory for it; split it, or use a machine with more"
            ) from error
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise VocableError(f"{where}: failed unexpectedly ({reason}); please report this with the input") from error
