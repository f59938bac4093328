"""An evaluation from its plan to its files: run or go on, sum up, write."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vocable.errors import InputError
from vocable.evaluate import runner
from vocable.evaluate.card import Card
from vocable.evaluate.runner import Results, Row
from vocable.evaluate.summary import write_results


@runtime_checkable
class Evaluation(Protocol):
    """A :class:`~vocable.evaluate.runner.Task` that knows what its rows say together."""

    def items(self) -> Sequence[str]:
        """Keys of the work, each once, in order."""
        ...

    def work(self, item: str) -> Sequence[Row]:
        """The rows of one item."""
        ...

    def settings(self) -> dict[str, Any]:
        """All that the rows depend on."""
        ...

    def card(self, results: Results) -> Card:
        """What all rows together say."""
        ...


def evaluate(
    build: Callable[[], Evaluation], out: Path, *,
    jobs: int = 1, done: Callable[[int, int], None] = lambda done, of: None,
) -> Card:  # fmt: skip
    """Run an evaluation, or go on with it, and write ``summary.json``, ``report.md`` and ``report.html``.

    Args:
        build: Makes the evaluation, here and in every process: a function of a module, or a ``functools.partial``.
        out: The run's folder.
        jobs: Processes.
        done: Hears how many items are done, and of how many.

    Raises:
        OutputError: The folder holds another run's results; nothing in it is changed.
        InputError: Not one item could be judged.
    """
    evaluation = build()
    results = runner.run(evaluation, build, evaluation.settings(), out, jobs=jobs, done=done)
    if not results.rows:
        item, reason = next(iter(results.quarantined.items()), ("", "there is nothing to judge"))
        raise InputError(f"not one of {len(results.quarantined)} clips could be judged; the first: {item}: {reason}")
    card = evaluation.card(results)
    write_results(card, out)
    return card
