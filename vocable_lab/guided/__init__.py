"""Protocols and studies of the guided codec (arXiv:2507.06802)."""
