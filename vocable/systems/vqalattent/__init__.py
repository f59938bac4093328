"""A spectrogram VQ-VAE and a prior over its ids that speaks (VQalAttent, arXiv:2411.14642)."""
