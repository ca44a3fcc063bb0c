"""What happens to one message."""
