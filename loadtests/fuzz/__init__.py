"""`make fuzz`: coverage-guided fuzzing of the parsers."""
