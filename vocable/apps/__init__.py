"""Uses of tokens: synthesis, conversion, recognition, generation, editing, scoring."""
