"""Names of vocable 0.1 for recipes and runs, which now live in ``systems.registry`` and ``train.run``."""

from functools import partial

from vocable.systems.registry import find_recipe, load, recipes
from vocable.train.run import Run, override
from vocable.train.run import fit as _fit

RECIPES, find, fit = recipes(), find_recipe, partial(_fit, find=load)

__all__ = ["RECIPES", "Run", "find", "fit", "override"]
