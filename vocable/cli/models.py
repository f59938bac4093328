"""``vocable models``."""


def models() -> None:
    """List the models that come with vocable, and those of others that are in VOCABLE_WEIGHTS or in the local cache.

    Each has its rate, the size of its weights, its license, and what it is good for. The option --model of other
    commands takes the names of the first table, and folders.
    """
    from rich.console import Console
    from rich.table import Table

    from vocable.apps.catalog import list_models

    console = Console(highlight=False)
    listed = list_models()
    for title, is_bundled in (("Models of vocable", True), ("Models of others, on this machine", False)):
        rows = [model for model in listed if model.is_bundled == is_bundled]
        if not rows:
            continue
        table = Table(title=title, title_justify="left", box=None)
        for column in ("name", "good for", "rate", "size", "license"):
            table.add_column(column, overflow="fold")
        for model in rows:
            table.add_row(model.name, model.use, model.rate, f"{model.size / 1e6:.1f} MB", model.license)
        console.print(table)
        console.print()
