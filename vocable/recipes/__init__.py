"""Complete runs: a function returns everything a training run needs but the data and the folder."""

from vocable.errors import ConfigError
from vocable.recipes import guided
from vocable.recipes.run import Run, fit, override

RECIPES = {"guided-paper": guided.paper, "guided-small": guided.small, "guided-tiny": guided.tiny}


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
