"""Metrics: pure functions from arrays to numbers, each with its source. Every figure is computed here."""
