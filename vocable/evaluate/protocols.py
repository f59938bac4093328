"""Protocols by name: the evaluations that the laboratory and other packages register.

An entry point of the group ``vocable.protocols`` names a class that builds an evaluation from a plan and a folder. Its
name is ``SYSTEM.PROTOCOL``, or ``PROTOCOL`` where it suits tokenizers of any system.
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from vocable.errors import ConfigError
from vocable.evaluate.benchmark import Evaluation
from vocable.evaluate.plan import Plan
from vocable.evaluate.reconstruction import Reconstruction
from vocable.plugins import load_entry_point
from vocable.systems.registry import system_of


def find_protocol(name: str | None, plan: Plan) -> Callable[[Plan, Path], Evaluation]:
    """Return what builds an evaluation from its plan and folder; without a name, the reconstruction of every clip.

    Raises:
        ConfigError: If the tokenizer's system has no such protocol; the message lists those that exist.
        CheckpointError: If the tokenizer cannot be loaded.
    """
    if name is None:
        return Reconstruction
    registered = {point.name: point for point in entry_points(group="vocable.protocols")}
    systems = {system_of(tokenizer).name for tokenizer in plan.tokenizers}
    if not systems:
        raise ConfigError(f"--protocol {name} is for one tokenizer; 0 are named")
    if name in registered and "." not in name:  # of any system, and several of them
        return _loaded(registered[name])
    if len(systems) > 1:
        raise ConfigError(f"--protocol {name} is for one system; these are of {', '.join(sorted(systems))}")
    (system,) = systems
    if f"{system}.{name}" not in registered:
        known = ", ".join(_title(point) for point in sorted(registered)) or "none: install vocable with vocable_lab"
        raise ConfigError(f"--protocol {name}: {plan.tokenizers[0]} is of {system}, which has none; there are {known}")
    protocol = _loaded(registered[f"{system}.{name}"])
    if len(plan.tokenizers) > 1 and not getattr(protocol, "several", False):
        raise ConfigError(f"--protocol {name} is for one tokenizer; {len(plan.tokenizers)} are named")
    return protocol


def _loaded(point: EntryPoint) -> Callable[[Plan, Path], Evaluation]:
    protocol: Callable[[Plan, Path], Evaluation] = load_entry_point(point)
    return protocol


def _title(name: str) -> str:
    system, _, protocol = name.rpartition(".")
    return f"{protocol} (for {system})" if system else protocol
