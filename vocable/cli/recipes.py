"""``vocable recipes``."""

from typing import Annotated

import typer


def recipes(
    name: Annotated[str | None, typer.Argument(help="A recipe, whose settings to list. Default: all recipes.")] = None,
) -> None:
    """List the training recipes, or the settings of one: type, default and meaning of each.

    `vocable train NAME --set SETTING=VALUE` changes a setting.
    """
    from rich.console import Console
    from rich.table import Table

    from vocable.apps.catalog import list_recipes
    from vocable.systems.registry import find_recipe
    from vocable.train.settings import list_settings

    console, table = Console(highlight=False, markup=False), Table(box=None)
    if name is None:
        for column in ("name", "system", "steps", "trained model", "description"):
            table.add_column(column, overflow="fold")
        for recipe in list_recipes():
            bundled = "bundled" if recipe.is_trained else ""
            table.add_row(recipe.name, recipe.system, f"{recipe.steps:,}", bundled, recipe.summary)
    else:
        for column in ("setting", "type", "default", "meaning"):
            table.add_column(column, overflow="fold")
        for setting in list_settings(find_recipe(name)):
            table.add_row(setting.name, setting.type, setting.value, setting.meaning)
    console.print(table)
