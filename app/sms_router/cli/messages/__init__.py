"""Messages, replay."""
