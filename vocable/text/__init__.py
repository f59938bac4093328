"""Texts to phonemes, words and subwords."""
