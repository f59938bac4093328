"""Scorers: models that estimate words, speaker, pitch and quality of a clip, for the metrics that need one."""
