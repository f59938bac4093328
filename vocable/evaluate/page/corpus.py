"""Page with the statistics of a token corpus."""

from typing import Any

from vocable.evaluate.page import render_template


def corpus_page(title: str, statistics: Any) -> str:
    """Render the statistics of a token corpus as one HTML file.

    Args:
        title: Name of the corpus.
        statistics: A ``vocable.corpus.statistics.CorpusStatistics``, which no import names: scores and corpora are
            strangers to one another.
    """
    failed = sum(failure.count for failure in statistics.failures.values())
    return render_template("corpus.html.j2", title=title, s=statistics, failed=failed)
