"""Calling a customer's URL as Twilio does."""
