"""Arrays to numbers: pure functions, each naming its source."""
