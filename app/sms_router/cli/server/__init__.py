"""Serve, sandbox, text."""
