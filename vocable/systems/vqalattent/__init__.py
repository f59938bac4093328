"""VQalAttent: a VQ-VAE over log-mel images of utterances, and a transformer prior over its ids."""
