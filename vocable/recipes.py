"""Recipes and runs under their names of vocable 0.1; see ``vocable.systems.registry`` and ``vocable.train.run``."""

from functools import partial

from vocable.systems.registry import find_recipe, load, recipes
from vocable.train.overrides import override
from vocable.train.run import Run
from vocable.train.run import fit as _fit

RECIPES, find, fit = recipes(), find_recipe, partial(_fit, find=load)

__all__ = ["RECIPES", "Run", "find", "fit", "override"]
