"""Manifests, training batches, targets of frozen models, alignments and published corpora."""
