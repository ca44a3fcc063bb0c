"""Writes that survive an outage of Redis."""
