"""Codecs to evaluate beside one another: tokenizers, codecs of others, anchors, folders of decoded audio."""
