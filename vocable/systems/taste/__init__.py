"""TASTE (arXiv:2504.07053): one token of speech for each subword of the text, decoded by way of speech units."""
