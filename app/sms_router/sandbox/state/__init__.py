"""The present state of a running sandbox."""
