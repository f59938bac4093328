"""Laboratory of TASTE: prediction of units, alignment, word edits, diagnostics, and studies."""
