"""The durable outbox: late replies, replays and re-sends that leave through Twilio's REST API."""
