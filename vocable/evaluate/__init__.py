"""Tokenizers on recordings: what was kept, in figures and on a page."""
