"""Evaluations by name, and the run of one from its plan to the written results.

An entry point of the group ``vocable.protocols`` names an :class:`~vocable.evaluate.runner.Evaluation`. Its name is
``SYSTEM.PROTOCOL``, or ``PROTOCOL`` if it suits tokenizers of any system.
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from vocable.errors import ConfigError, InputError, OutputError
from vocable.evaluate import runner
from vocable.evaluate.card import Card
from vocable.evaluate.plan import Plan
from vocable.evaluate.reconstruction import Reconstruction
from vocable.evaluate.runner import Evaluation
from vocable.evaluate.summary import write_results
from vocable.files import exists, reason_of
from vocable.plugins import load_entry_point
from vocable.systems.registry import system_of


def evaluate(
    build: Callable[[], Evaluation], out: Path, *,
    jobs: int = 1, progress: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> Card:  # fmt: skip
    """Run an evaluation, or resume it, and write ``summary.json``, ``report.md`` and ``report.html``.

    Args:
        build: Function that makes the evaluation in every process: a function of a module, or a ``functools.partial``.
        out: Folder of the run.
        jobs: Number of processes.
        progress: Callback with the number of finished items and of all items.
        say: Function that gets a line, before the first item, on everything that this machine lacks.

    Raises:
        OutputError: If the folder holds the results of another run, which are left as they are.
        InputError: If not one item could be evaluated.
    """
    evaluation, finished = build(), out / runner.RESULTS
    resumed = exists(finished)
    for line in evaluation.left_out:
        say(line)
    results = runner.run(evaluation, build, evaluation.settings(), out, jobs=jobs, progress=progress)
    if not results.rows:
        item, reason = next(iter(results.quarantined.items()), ("", "there is nothing to evaluate"))
        raise InputError(f"not one of {len(results.quarantined)} clips could be evaluated; the first: {item}: {reason}")
    try:
        card = evaluation.card(results)
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        if not resumed:
            raise
        raise OutputError(
            f"{finished}: the rows are not those of this evaluation ({type(error).__name__}: {reason_of(error)}); "
            "move the file away, and all clips are evaluated again"
        ) from error
    write_results(card, out)
    return card


def find_protocol(name: str | None, plan: Plan) -> type[Evaluation]:
    """Return the class of an evaluation; without a name, the reconstruction of every clip.

    Args:
        name: Name of a protocol.
        plan: Plan, whose tokenizers decide which protocols are available.

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
    if name in registered and "." not in name:  # for tokenizers of any system, and several of them
        return _load_protocol(registered[name])
    if len(systems) > 1:
        raise ConfigError(f"--protocol {name} is for one system; these are of {', '.join(sorted(systems))}")
    (system,) = systems
    if f"{system}.{name}" not in registered:
        known = ", ".join(_title(point) for point in sorted(registered)) or "none: install vocable with vocable_lab"
        raise ConfigError(f"--protocol {name}: {plan.tokenizers[0]} is of {system}, which has none; there are {known}")
    protocol = _load_protocol(registered[f"{system}.{name}"])
    if len(plan.tokenizers) > 1 and not protocol.takes_several:
        raise ConfigError(f"--protocol {name} is for one tokenizer; {len(plan.tokenizers)} are named")
    return protocol


def _load_protocol(point: EntryPoint) -> type[Evaluation]:
    protocol: type[Evaluation] = load_entry_point(point)
    return protocol


def _title(name: str) -> str:
    system, _, protocol = name.rpartition(".")
    return f"{protocol} (for {system})" if system else protocol
