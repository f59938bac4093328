"""Everything that takes a clip and gives it back: tokenizers, codecs of others, anchors, folders of decoded audio."""
