"""Requests that are not from Twilio: forgeries, idle connections, and the memory of many contacts."""
