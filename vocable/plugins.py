"""Optional packages, and objects that other packages register through entry points."""

from collections.abc import Sequence
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from typing import Any

from vocable.errors import ConfigError, MissingDependencyError


def check_installed(purpose: str, modules: Sequence[str], extra: str) -> None:
    """Check that optional packages are installed, before any work that needs them.

    Args:
        purpose: What they are needed for; opens the message.
        modules: Names of their modules.
        extra: Extra of vocable that installs them.

    Raises:
        MissingDependencyError: If one is missing; the message says how to install all of them.

    Example:
        >>> check_installed("pictures", ["no_such_package"], "demo")
        Traceback (most recent call last):
        vocable.errors.MissingDependencyError: pictures need no_such_package; run pip install 'vocable[demo]'
    """
    if missing := [name for name in modules if find_spec(name) is None]:
        raise MissingDependencyError(f"{purpose} need {' and '.join(missing)}; run pip install 'vocable[{extra}]'")


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
