"""Complete runs: a function returns everything a training run needs but the data and the folder."""

from collections.abc import Callable

from vocable.errors import ConfigError
from vocable.recipes import ctap, guided, supervised, taste, vocoder, vqalattent
from vocable.recipes.run import Run, fit, override

RECIPES: dict[str, Callable[[], Run]] = {
    "ctap-paper": ctap.paper,
    "ctap-small": ctap.small,
    "ctap-tiny": ctap.tiny,
    "guided-paper": guided.paper,
    "guided-paper-speechtokenizer": guided.paper_speechtokenizer,
    "guided-small": guided.small,
    "guided-small-taught": guided.small_taught,
    "guided-small-adversarial": guided.small_adversarial,
    "guided-tiny": guided.tiny,
    "guided-tiny-taught": guided.tiny_taught,
    "supervised-small": supervised.small,
    "supervised-tiny": supervised.tiny,
    "taste-seed": taste.seed,
    "taste-full-mha": taste.full,
    "taste-paper": taste.paper,
    "taste-small": taste.small,
    "taste-tiny": taste.tiny,
    "vocoder-8k": vocoder.telephone,
    "vocoder-16k": vocoder.wideband,
    "vocoder-tiny": vocoder.tiny,
    "vqalattent-paper": vqalattent.paper,
    "vqalattent-paper-cr4": vqalattent.paper_cr4,
    "vqalattent-fsdd": vqalattent.fsdd,
    "vqalattent-fsdd-vqvae": vqalattent.fsdd_vqvae,
    "vqalattent-classifier": vqalattent.classifier,
    "vqalattent-fsdd-cr4": vqalattent.fsdd_cr4,
    "vqalattent-tiny": vqalattent.tiny,
}


def find(name: str) -> Run:
    """A run by its recipe's name.

    Raises:
        ConfigError: There is no such recipe.

    Example:
        >>> find("guided-small").model.num_codebooks
        8
    """
    if name not in RECIPES:
        raise ConfigError(f"there is no recipe '{name}'; there are {', '.join(RECIPES)}")
    return RECIPES[name]()


__all__ = ["RECIPES", "Run", "find", "fit", "override"]
