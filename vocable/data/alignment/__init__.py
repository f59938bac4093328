"""Alignments of phonemes with speech: read from files, or computed by forced alignment."""

from vocable.data.alignment.record import Alignment, Segment, alignment_of

__all__ = ["Alignment", "Segment", "alignment_of"]
