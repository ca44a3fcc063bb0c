"""The sandbox's own HTTP API."""
