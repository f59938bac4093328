"""Listening tests: pages for raters, and the analysis of their ratings."""
