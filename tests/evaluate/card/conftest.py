"""The page of a card with plain texts, and with hostile ones."""

import pytest

from tests.evaluate.card.cards import BAD, card
from vocable.evaluate.page.report import render_report


@pytest.fixture(scope="session")
def plain() -> str:
    return render_report(card())


@pytest.fixture(scope="session")
def hostile() -> str:
    return render_report(card(BAD))
