"""Text to what is said: words to phonemes, phonemes to ids."""
