"""Models of other libraries, converted with a check."""
