"""Laboratory of VQalAttent: the tables of its paper, the classifier that scores generated speech, and studies."""
