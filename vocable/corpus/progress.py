"""Progress of a tokenization."""

from dataclasses import dataclass


@dataclass
class Progress:
    """State of a tokenization.

    Attributes:
        items: Recordings of the plan, or of this process's share of it.
        done: Recordings that are in a shard or in work, those that failed among them.
        encoded: Recordings that this run encoded, those that failed among them.
        seconds: Seconds of speech that this run encoded.
        failed: Recordings that failed in this run.
    """

    items: int = 0
    done: int = 0
    encoded: int = 0
    seconds: float = 0.0
    failed: int = 0
