"""Published evaluations of the systems: each its own task over the same runner, summary and page."""
