"""The page of a card with plain texts, and with hostile ones."""

import pytest

from tests.evaluate.card.cards import BAD, card
from vocable.evaluate.card_page import render_card


@pytest.fixture(scope="session")
def plain() -> str:
    return render_card(card())


@pytest.fixture(scope="session")
def hostile() -> str:
    return render_card(card(BAD))
