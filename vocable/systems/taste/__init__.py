"""One vector of speech for each subword of the text, and the units it is said in (TASTE, arXiv:2504.07053)."""
