"""Published corpora to manifests: one file a corpus, each with a function ``prepare``."""

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


def find(name: str) -> Callable[..., Path]:
    """What prepares a corpus, by the corpus's name.

    Raises:
        ConfigError: There is no such corpus.

    Example:
        >>> find("fsdd").__module__
        'vocable.data.corpora.fsdd'
        >>> find("mnist")
        Traceback (most recent call last):
        vocable.errors.ConfigError: there is no corpus 'mnist'; there are audiomnist, fsdd, digit_strings, librispeech
    """
    if name not in CORPORA:
        raise ConfigError(f"there is no corpus '{name}'; there are {', '.join(CORPORA)}")
    return CORPORA[name]
