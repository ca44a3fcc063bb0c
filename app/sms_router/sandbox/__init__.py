"""An offline Twilio: REST API, phones, carriers."""
