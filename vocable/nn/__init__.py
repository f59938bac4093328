"""Layers that two systems share."""
