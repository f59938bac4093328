"""Units that a recogniser is trained through: a codebook on frozen Whisper, as in CosyVoice (arXiv:2407.05407)."""
