"""Which number answers."""
