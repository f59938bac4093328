"""Studies of the supervised units."""
