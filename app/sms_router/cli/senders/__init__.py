"""Senders, short-codes, membership."""
