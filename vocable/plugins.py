"""Import of objects that other packages register through entry points."""

from importlib.metadata import EntryPoint
from typing import Any

from vocable.errors import ConfigError


def load_entry_point(point: EntryPoint) -> Any:
    """Return the object that an entry point names.

    Raises:
        ConfigError: If its module cannot be imported, or lacks the object; the message names the package.

    Example:
        >>> load_entry_point(EntryPoint(name="toy", value="no_such_package:SYSTEM", group="vocable.systems"))
        Traceback (most recent call last):
        vocable.errors.ConfigError: entry point 'toy' (no_such_package:SYSTEM) of an unknown package cannot be loaded \
(ModuleNotFoundError: No module named 'no_such_package'); correct or uninstall the package
    """
    try:
        return point.load()
    except Exception as error:  # a module of somebody else can raise anything while it is imported
        package = f"package '{point.dist.name}'" if point.dist else "an unknown package"
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ConfigError(
            f"entry point '{point.name}' ({point.value}) of {package} cannot be loaded ({reason}); "
            "correct or uninstall the package"
        ) from error
