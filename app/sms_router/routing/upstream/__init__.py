"""Forwarding texts to other applications, which are called as Twilio would call them."""
