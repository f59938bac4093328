"""Pages of an evaluation: templates, style, scripts and the code that fills them."""
