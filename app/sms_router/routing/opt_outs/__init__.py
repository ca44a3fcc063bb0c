"""Opt-out keywords and the opt-out list."""
