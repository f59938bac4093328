"""One vector of speech for each piece of the text, and the units it is said in (TASTE, arXiv:2504.07053)."""
