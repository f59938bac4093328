"""Supervised units: a codebook on frozen Whisper inside a phone recognizer, as in CosyVoice (arXiv:2407.05407)."""
