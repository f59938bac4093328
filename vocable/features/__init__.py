"""Audio to frames."""
