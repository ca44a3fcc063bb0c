"""The HTTP edge: what Twilio and probes call."""
