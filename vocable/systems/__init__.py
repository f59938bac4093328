"""Four tokenizers, one folder each; they do not know one another."""
