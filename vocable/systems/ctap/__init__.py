"""Speech and phonemes in one space, frame by frame, around one codebook (VQ-CTAP, arXiv:2408.05758)."""
