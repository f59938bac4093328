"""A corpus of audio to a corpus of tokens."""
