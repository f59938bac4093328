"""Card of a checkpoint: its ``README.md``, with what it was trained on, how fast, and how far."""

from collections.abc import Mapping
from typing import Any

from vocable.train.record import manifests_of

_COSTS = {"tokens_per_second": "tokens a second", "audio_hours_per_day": "hours of audio a day",
          "peak_memory_gb": "peak memory of a process, GB"}  # fmt: skip
_HIDDEN = ("/weight", "learning_rate", "skipped")  # ends of names of values that are settings, or shown elsewhere


def card_text(settings: Mapping[str, Any], step: int, values: Mapping[str, Any]) -> str:
    """Return the card of a run after some steps, in Markdown.

    Args:
        settings: Contents of ``run.json``.
        step: Number of finished steps.
        values: Values of the last line of the log.

    Example:
        >>> settings = {"recipe": "guided-tiny", "train": {"steps": 20, "seed": 0}, "data": [], "environment": {}}
        >>> print(card_text(settings, 10, {"generator/total": 0.5, "peak_memory_gb": 1.2}))
        # guided-tiny, step 10 of 20
        <BLANKLINE>
        | training | |
        |---|---|
        | recipe | guided-tiny |
        | seed | 0 |
        | peak memory of a process, GB | 1.2 |
        <BLANKLINE>
        | last logged value | |
        |---|---|
        | generator/total | 0.5 |
        <BLANKLINE>
        The license of the weights follows that of the data.
        <BLANKLINE>
    """
    train, environment = settings["train"], settings["environment"]
    rows: dict[str, Any] = {"recipe": settings.get("recipe") or "none, from Python"}
    for entry in manifests_of(settings):
        rows["data"] = ", ".join(
            filter(None, [rows.get("data"), f"{entry.argument} (SHA-256 {str(entry.sha256)[:12]}…)"])
        )
    rows |= {"split": settings.get("split"), "starts from": settings.get("init")}
    rows |= {f"teacher {part}": teacher.get("name") for part, teacher in (settings.get("teachers") or {}).items()}
    rows |= {"seed": train.get("seed"), "clips in a batch": (settings.get("batches") or {}).get("batch_size")}
    rows |= {name: environment.get(name) for name in ("device", "processes", "precision", "torch version")}
    rows |= {name: values.get(key) for key, name in _COSTS.items()}
    shown = {name: value for name, value in values.items() if name not in _COSTS and not name.endswith(_HIDDEN)}
    parts = [
        f"# {settings.get('recipe') or 'model'}, step {step} of {train['steps']}",
        _table("training", rows),
        _table("last logged value", shown),
        "The license of the weights follows that of the data.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _table(title: str, rows: Mapping[str, Any]) -> str:
    lines = [f"| {name} | {_cell(value)} |" for name, value in rows.items() if value is not None]
    return "\n".join([f"| {title} | |", "|---|---|", *lines]) if lines else ""


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return f"{value:.5g}" if isinstance(value, float) else " ".join(str(value).split()).replace("|", "\\|")
