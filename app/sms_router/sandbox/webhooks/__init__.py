"""Calling a customer's URL."""
