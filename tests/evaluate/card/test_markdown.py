"""The card in Markdown."""

import re

from tests.evaluate.card.cards import BAD, card
from vocable.evaluate.card import Card
from vocable.evaluate.page.report import report_to_markdown


def test_markdown_says_figures_probes_alarms_and_what_is_left_out() -> None:
    text = report_to_markdown(card())
    assert "| guided-small | 4,000 | 2.59 (2.53–2.65) | 0.905 (0.897–0.913) | 31.0 (28.0–34.0) |" in text
    assert "| Codec2 700C | 700 | 1.12 (1.08–1.15), n = 77, 3 left out |" in text
    assert "| guided-small | content | level 1 | PER, % ↓ | 31.0 (28.0–34.0), n = 412 | – | – |" in text
    assert "WARNING" not in text
    assert "- AMR-WB: no encoder here" in text


def test_hostile_text_is_text_in_markdown() -> None:
    text = report_to_markdown(card(BAD))
    assert "> [!WARNING]" in text
    assert "<" not in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert "\n" not in report_to_markdown(Card(title="a\n# b", lead="", columns=[], entries=[])).split("\n\n")[0]
