"""Probes: frozen tokens, a small model, a number that says what the tokens keep."""
