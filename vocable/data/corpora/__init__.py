"""Readers of published corpora, one module each with a function ``prepare`` that writes a manifest."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from vocable.data.corpora import audiomnist, digit_strings, fsdd, librispeech
from vocable.errors import ConfigError

CORPORA: Mapping[str, Callable[..., Path]] = MappingProxyType(
    {
        "audiomnist": audiomnist.prepare,
        "fsdd": fsdd.prepare,
        "digit_strings": digit_strings.prepare,
        "librispeech": librispeech.prepare,
    }
)


def find_corpus(name: str) -> Callable[..., Path]:
    """Return the ``prepare`` function of a corpus.

    Raises:
        ConfigError: If there is no such corpus.

    Example:
        >>> find_corpus("fsdd").__module__
        'vocable.data.corpora.fsdd'
        >>> find_corpus("mnist")
        Traceback (most recent call last):
        vocable.errors.ConfigError: there is no corpus 'mnist'; there are audiomnist, fsdd, digit_strings, librispeech
    """
    if name not in CORPORA:
        raise ConfigError(f"there is no corpus '{name}'; there are {', '.join(CORPORA)}")
    return CORPORA[name]
