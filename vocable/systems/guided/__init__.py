"""The HuBERT- and ECAPA-guided residual codec (arXiv:2507.06802)."""
