"""Frozen networks and spectra: audio to frames and vectors."""
