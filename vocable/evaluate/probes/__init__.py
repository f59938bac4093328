"""Small models that are fitted on tokens, to show which information they hold."""
