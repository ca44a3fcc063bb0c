"""Twilio's REST API, as its OpenAPI documents describe it."""
