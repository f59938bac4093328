"""Anchors and weights for the accuracy of classifiers."""

from collections import Counter
from collections.abc import Hashable, Sequence


def guess_accuracies(labels: Sequence[Hashable]) -> tuple[float, float]:
    """Return the accuracies of two guesses: a uniform one (1 / classes), and the most frequent class every time.

    Example:
        >>> guess_accuracies(["a", "a", "a", "b"])
        (0.5, 0.75)
    """
    counts = Counter(labels)
    return 1 / len(counts), max(counts.values()) / len(labels)


def recall_weights(labels: Sequence[Hashable]) -> list[float]:
    """Return a weight per sample under which the mean of hits is the mean recall of the classes.

    The weights sum to the number of samples; each class has the same share.

    Source:
        The unweighted average recall of emotion recognition (Schuller et al., Interspeech 2009).

    Example:
        >>> recall_weights(["a", "a", "a", "b"])
        [0.6666666666666666, 0.6666666666666666, 0.6666666666666666, 2.0]
    """
    counts = Counter(labels)
    return [len(labels) / len(counts) / counts[label] for label in labels]
