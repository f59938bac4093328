"""``vocable recipes``."""


def recipes() -> None:
    """List the training recipes: what each trains, its number of steps, and whether a trained model is bundled."""
    from rich.console import Console
    from rich.table import Table

    from vocable.apps.catalog import list_recipes

    table = Table(box=None)
    for column in ("name", "system", "steps", "trained model", "description"):
        table.add_column(column, overflow="fold")
    for recipe in list_recipes():
        bundled = "bundled" if recipe.is_trained else ""
        table.add_row(recipe.name, recipe.system, f"{recipe.steps:,}", bundled, recipe.summary)
    Console(highlight=False).print(table)
