"""Twilio's protocol, without policy."""
