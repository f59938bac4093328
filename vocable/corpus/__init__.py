"""Processing of many files: audio to tokens and back, synthesis, conversion and transcription."""
