"""Readers of published corpora, one module each with a function ``prepare`` that writes a manifest."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from vocable.data.corpora import (
    aishell3,
    audiomnist,
    digit_strings,
    folder,
    fsdd,
    librispeech,
    libritts,
    ljspeech,
    vctk,
)
from vocable.errors import ConfigError

CORPORA: Mapping[str, Callable[..., Path]] = MappingProxyType(
    {
        "audiomnist": audiomnist.prepare,
        "fsdd": fsdd.prepare,
        "digit_strings": digit_strings.prepare,
        "librispeech": librispeech.prepare,
        "libritts": libritts.prepare,
        "vctk": vctk.prepare,
        "ljspeech": ljspeech.prepare,
        "aishell3": aishell3.prepare,
        "folder": folder.prepare,
    }
)


def find_corpus(name: str) -> Callable[..., Path]:
    """Return the ``prepare`` function of a corpus, which writes a manifest and returns its path.

    Its arguments are ``source``, the folder of the corpus as published; ``out``, the folder of the manifest (paths of
    audio inside it are relative, others absolute); ``split``, the name of a split; ``seed``, the seed of the split; and
    ``say``, a function that receives a line for everything left out and one for each split. It raises InputError if
    the source is not that corpus, is damaged, or has no usable recording; ConfigError if the recordings cannot be split
    in this way; and OutputError if the manifest cannot be written.

    Raises:
        ConfigError: If there is no such corpus.

    Example:
        >>> find_corpus("fsdd").__module__
        'vocable.data.corpora.fsdd'
        >>> find_corpus("mnist")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        vocable.errors.ConfigError: there is no corpus 'mnist'; there are audiomnist, fsdd, digit_strings, ...
    """
    if name not in CORPORA:
        raise ConfigError(f"there is no corpus '{name}'; there are {', '.join(CORPORA)}")
    return CORPORA[name]
