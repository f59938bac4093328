"""When each phoneme is said: alignments read from files, or made of speech and its phonemes."""

from vocable.data.alignment.record import Alignment, Segment, alignment_of

__all__ = ["Alignment", "Segment", "alignment_of"]
