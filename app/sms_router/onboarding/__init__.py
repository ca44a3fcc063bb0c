"""Onboarding: short codes whose lease moves to Twilio, numbers that are ported, and their next steps."""
